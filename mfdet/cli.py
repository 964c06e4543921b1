"""The installed command ``mfdet``: each sub-command is a module of :mod:`mfdet.commands`, imported when called."""

import importlib
import sys

from mfdet import __version__
from mfdet.commands._run import command

COMMANDS = {  # name: module in mfdet/commands, what it does
    'configs': ('configs', 'list the shipped configs: what each is for'),
    'init': ('init', 'write a config to start from for a data set of your own'),
    'train': ('train', 'train a detector or a classifier'),
    'test': ('test', 'test a detector or a classifier: metrics, pictures'),
    'predict': ('predict', 'detect objects in images, folders or a video'),
    'demo': ('demo', 'a page in the browser to try detectors on'),
    'export': ('export', 'export a trained detector, to run it without torch'),
    'convert': ('convert_weights', "convert released ImageNet weights to this project's layout"),
    'evaluate': ('evaluate', 'COCO metrics of a results file'),
    'report': ('report', 'say what is wrong with a detector, and what to do: a page'),
    'check': ('check_dataset', 'check a COCO data set: annotations and images'),
    'convert-dataset': ('convert_dataset', 'convert Pascal-VOC or YOLO annotations to COCO'),
    'flops': ('get_flops', 'count parameters and multiply-adds'),
    'benchmark': ('benchmark', "measure speed, and the paper's ablations"),
    'queries': ('visualize_queries', 'draw what the object queries of an end-to-end detector look at'),
}
HELP = f"""usage: mfdet COMMAND ...

Object detection with Mobile-Former.

commands:
{chr(10).join(f'  {name:<16}{does}' for name, (_, does) in COMMANDS.items())}

options:
  -h, --help  show this help; after a command, the help of that command
  --version   show the version

example:
  mfdet predict model.onnx photos --out predictions"""


@command
def main(argv=None):
    """Run a sub-command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv:
        print(HELP, file=sys.stderr)
        return 2
    name, *rest = argv
    if name in ('-h', '--help'):
        print(HELP)
        return 0
    if name == '--version':
        print(f'mfdet {__version__}')
        return 0
    if name not in COMMANDS:
        print(f"error: there is no command '{name}'; the commands are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    called = sys.argv[0]
    sys.argv[0] = f'mfdet {name}'  # the name that the command goes by in its help
    try:
        return importlib.import_module(f'mfdet.commands.{COMMANDS[name][0]}').main(rest)
    finally:
        sys.argv[0] = called
