"""Write a config to start from for a data set of one's own, with the reason of each setting."""

import os
import shlex
from pathlib import Path

from mfdet.commands._run import command, new_parser
from mfdet.commands.train import add_data_options
from mfdet.compat import check_environment
from mfdet.errors import InputError
from mfdet.files import check_writable, replacing

EXAMPLE = """examples:
  %(prog)s cells
  %(prog)s cells --train-ann a.json --train-images images --val-ann b.json --val-images images"""


def build_parser():
    """Return the argument parser."""
    parser = new_parser('init', __doc__, EXAMPLE)
    parser.add_argument('folder', metavar='DIR', help='folder of the data set: COCO annotations and images')
    add_data_options(parser, ('train', 'val'))
    parser.add_argument('--out', metavar='FILE', help='config to write (default: DIR/detector.py)')
    return parser


def step_text(step):
    """Return a step of a pipeline as it is written in configs."""
    return f'dict({", ".join(f"{key}={value!r}" for key, value in step.items())})'


def config_text(suggestion, base, root, pairs, config, resized):
    """Return the text of a config, with ``{path}`` for the file it goes to.

    Args:
        suggestion: :class:`mfdet.engine.suggest.Suggestion`.
        base: path of the shipped config.
        root: folder of the data set.
        pairs: ``train`` and ``val`` to annotation file and image folder.
        config: the shipped config, fitted to all that.
        resized: its pipelines differ from the shipped ones.
    """
    from mfdet.config_parts import dataset_of

    datasets = {split: dataset_of(config[f'{split}_dataloader']) for split in ('train', 'val')}
    pipelines, divisor = '', ''
    if resized:
        pipelines = '\n'.join(
            f'{split}_pipeline = [\n{"".join(f"    {step_text(step)},{chr(10)}" for step in dataset.pipeline)}]'
            for split, dataset in datasets.items()
        )
        divisor = f', data_preprocessor=dict(pad_size_divisor={config.model.data_preprocessor.pad_size_divisor})'

    def dataset(split):
        ann_file, images = pairs[split]
        pipeline = f'\n        pipeline={split}_pipeline,' if resized else ''
        return f"""dict(
        data_root=data_root,
        ann_file={ann_file!r},
        data_prefix=dict(img={images!r}),
        metainfo=dict(classes=classes),{pipeline}
    )"""

    reasons = suggestion.reasons
    parts = [
        f'# Suggested for {root}. Change what you know better, then:\n#   mfdet train {{path}}',
        f'# Detector: {reasons["base"]}.',
        f'_base_ = [{base!r}]',
        f'data_root = {root!r}',
        f'classes = {tuple(datasets["train"].metainfo.classes)!r}  # by rising category id',
        f'# Image size {suggestion.image_size}: {reasons["image_size"]}.',
        pipelines,
        f'model = dict(bbox_head=dict(num_classes=len(classes)){divisor})',
        f'# Batch size {suggestion.batch_size}: {reasons["batch_size"]}.',
        f'train_dataloader = dict(\n    batch_size={suggestion.batch_size},\n    dataset={dataset("train")},\n)',
        f'val_dataloader = dict(\n    dataset={dataset("val")},\n)',
        'test_dataloader = val_dataloader',
        f'val_evaluator = dict(ann_file={os.path.join(root, pairs["val"][0])!r})',
        'test_evaluator = val_evaluator',
        *start_of(suggestion.start),
        f'# Epochs {suggestion.epochs}: {reasons["epochs"]}.',
        f'train_cfg = dict(max_epochs={suggestion.epochs}, val_interval={suggestion.val_interval})',
    ]
    return '\n'.join(filter(None, parts)) + '\n'


def start_of(name):
    """Return the lines of a config that start it from shipped weights; none for None."""
    from mfdet.weights.pretrained import PRETRAINED

    if name is None:
        return ()
    return f'# Starts from {PRETRAINED[name]}, which comes with mfdet (docs/results.md).', f'load_from = {name!r}'


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    check_environment()
    args = build_parser().parse_args(argv)
    from mfdet.commands._detection import data_pair
    from mfdet.config_parts import image_side
    from mfdet.engine.config import check_data, load_config, set_data
    from mfdet.engine.find_config import find_config
    from mfdet.engine.settings import set_image_size
    from mfdet.engine.suggest import available_memory, find_split, look_at, suggest
    from mfdet.weights.pretrained import PRETRAINED

    root = args.data_root or args.folder
    if not os.path.isdir(root):
        raise InputError(f'{root}: no such data folder')
    out = args.out or os.path.join(args.folder, 'detector.py')
    if not out.endswith('.py'):
        raise InputError(f'--out {out}: a config ends in .py')
    if os.path.exists(out):
        raise InputError(f'{out} is there already; name another with --out, or remove it')
    check_writable(out, '--out')
    root = os.path.abspath(root)
    pairs = {split: data_pair(args, split) or find_split(root, split) for split in ('train', 'val')}
    counts, *sizes = look_at(os.path.join(root, pairs['train'][0]))
    suggestion = suggest(counts, *sizes, *available_memory())
    base = find_config(suggestion.base)
    config = load_config(base)
    set_data(config, root, pairs['train'], pairs['val'])
    check_data(config, ('train', 'val'))
    before = image_side(config)
    set_image_size(config, suggestion.image_size)
    text = config_text(suggestion, os.path.abspath(base), root, pairs, config, before != suggestion.image_size)
    with replacing(out) as part:
        Path(part).write_text(text.replace('{path}', shlex.quote(out)), encoding='utf-8')
    print(f'Training: {counts}')
    for name in ('base', 'image_size', 'batch_size', 'epochs'):
        print(f'{name.replace("_", " ")}: {getattr(suggestion, name)} ({suggestion.reasons[name]})')
    if suggestion.start:
        print(f'starts from: {suggestion.start} ({PRETRAINED[suggestion.start]})')
    print(f'{out}: train with\n  mfdet train {shlex.quote(out)}')
