"""List the shipped configs: what each is for."""

import re
from pathlib import Path

from mfdet.commands._run import command, new_parser
from mfdet.compat import check_environment
from mfdet.errors import InputError

EXAMPLE = """examples:
  %(prog)s
  %(prog)s small cpu/retinanet --cost"""


def build_parser():
    """Return the argument parser."""
    parser = new_parser('configs', __doc__, EXAMPLE)
    parser.add_argument(
        'names', nargs='*', metavar='NAME', help='those whose names contain one of these (default: all)'
    )
    parser.add_argument(
        '--cost', action='store_true', help='parameters and MAdds too, at their image size (seconds each)'
    )
    return parser


def purpose(path):
    """Return the first sentence of the comment at the head of a config."""
    lines = []
    for line in Path(path).read_text(encoding='utf-8').splitlines():
        if not line.startswith('# '):
            break
        lines.append(line[2:].strip())
    return re.split(r'(?<=[.:])(?: |$)', ' '.join(lines))[0].rstrip(':.')


def cost_of(path):
    """Return what a config's model costs at the size of its images, as a short text."""
    from mfdet.complexity import count_model
    from mfdet.config_parts import image_shape
    from mfdet.engine.config import load_config

    config = load_config(str(path))
    shape = image_shape(config) or (800, 1333)
    cost = count_model(config.model, shape)
    return f'{cost.params / 1e6:.1f} M parameters, {cost.madds / 1e9:.3g} G MAdds at {shape[0]}×{shape[1]}'


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    from mfdet.engine.find_config import shipped_configs

    chosen = {
        name: path
        for name, path in shipped_configs().items()
        if not args.names or any(part in name for part in args.names)
    }
    if not chosen:
        raise InputError(f'no shipped config has {" or ".join(args.names)} in its name; without a name all are listed')
    if args.cost:
        check_environment()
        import mfdet.register  # noqa: F401
    width = max(map(len, chosen))
    for name, path in chosen.items():
        print(f'{name:<{width}}  {purpose(path)}' + (f' ({cost_of(path)})' if args.cost else ''))
