"""What the commands do, from Python: :func:`train`, :func:`export`, :func:`evaluate`, :func:`mfdet.load_detector`."""

import argparse
import dataclasses
import os

from mfdet.compat import check_environment
from mfdet.errors import InputError
from mfdet.files import read_json


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """What a training left in its work directory; also for one of the command line: ``TrainingRun('work_dirs/run')``.

    Attributes:
        work_dir: the folder, with log, checkpoints, ``curves.png`` and ``summary.json``.
    """

    work_dir: str

    @property
    def summary(self):
        """``summary.json`` as a dict, see :class:`mfdet.engine.report.ReportHook`; InputError if there is none yet."""
        return read_json(os.path.join(self.work_dir, 'summary.json'))

    @property
    def ap(self):
        """Best AP of the validations, from 0 to 1; None without validation."""
        return self.summary.get('best_ap')

    @property
    def best(self):
        """Path of the checkpoint with the best AP; without validation, of the last."""
        return self.summary.get('best_checkpoint') or self.last

    @property
    def last(self):
        """Path of the last checkpoint."""
        return self.summary['last_checkpoint']

    @property
    def curves(self):
        """Validation records, a list of dicts by epoch, such as ``{'step': 5, 'coco/bbox_mAP': 0.31, ...}``."""
        from mfdet.engine.report import read_scalars

        return read_scalars(self.work_dir)[1]


def _options(module, positional, given):
    """Return the parsed options of a command, with those that a caller gives in place of the defaults.

    They are turned into words of a command line, so that what it refuses is refused here.

    Raises:
        InputError: the command has no such option, or it takes no such value.
    """
    parser = module.build_parser()
    parser.exit_on_error = False
    flags = {action.dest: action for action in parser._actions if action.option_strings and action.dest != 'help'}
    options, words = given.pop('cfg_options', {}), list(positional)
    if not isinstance(options, dict):
        raise InputError(f"cfg_options must be a dict, such as {{'randomness.seed': 1}}, got {options!r}")
    for name, value in given.items():
        if name not in flags:
            raise InputError(f'{name}: no such option; there are {", ".join(sorted(flags))}')
        flag = flags[name].option_strings[-1]
        if flags[name].nargs == 0:
            words += [flag] * bool(value)
        elif value is not None:
            values = value if isinstance(value, (list, tuple)) else [value]
            words += [flag, *(os.fspath(v) if isinstance(v, os.PathLike) else str(v) for v in values)]
    try:
        args = parser.parse_args(words)
    except argparse.ArgumentError as error:
        raise InputError(str(error)) from error
    args.cfg_options = options
    return args


def train(config, train=None, val=None, **options):
    """Train a detector or a classifier, as ``mfdet train`` does, in this process.

    Args:
        config: config file, or the name of a shipped one, such as ``'small/e2e_mf151m'``.
        train: (annotation file, image folder) for training, COCO JSON; None for the config's. Relative to
            ``data_root``, if that is given.
        val: the same for validation.
        options: of the command, with ``_`` for ``-``, such as ``data_root='cells'``, ``work_dir='runs/1'``,
            ``epochs=30``, ``batch_size=8``, ``image_size=416``, ``load_from='best.pth'`` or a name of
            :data:`mfdet.weights.pretrained.PRETRAINED`, ``resume='auto'`` and ``cfg_options={'randomness.seed': 1}``.

    Returns:
        :class:`TrainingRun`.

    Raises:
        InputError: an option, the config or the data is wrong; the message is the command's.
        KeyboardInterrupt: it was told to stop; ``resume='auto'`` goes on.
    """
    check_environment()
    from mfdet.commands import train as command

    pairs = dict(train=train, val=val)
    for split, pair in pairs.items():
        if pair is not None:
            if isinstance(pair, str) or len(pair) != 2:
                raise InputError(f'{split} must be (annotation file, image folder), got {pair!r}')
            options[f'{split}_ann'], options[f'{split}_images'] = map(os.fspath, pair)
    code, work_dir = command.run(_options(command, [os.fspath(config)], options))
    if code:
        raise KeyboardInterrupt(f"the training was told to stop; go on with resume='auto' and work_dir={work_dir!r}")
    return TrainingRun(work_dir)


def export(checkpoint, output, config=None, **options):
    """Export a trained model, as ``mfdet export`` does; the file is left only if it agrees with PyTorch.

    Args:
        checkpoint: of the training.
        output: file to write: ``.onnx``, ``.xml`` (OpenVINO), ``.tflite`` (LiteRT), ``.pte`` (ExecuTorch),
            ``.mlpackage`` (Core ML) or ``.safetensors`` (weights).
        config: config of the training; None for the one in the checkpoint.
        options: of the command, with ``_`` for ``-``, such as ``precision='int8'`` or ``fixed_size=(320, 320)``.

    Returns:
        Path of the file.

    Raises:
        InputError: an option or the checkpoint is wrong, or the file did not agree; the message is the command's.
    """
    check_environment()
    from mfdet.commands import export as command

    checkpoint, output = os.fspath(checkpoint), os.fspath(output)
    formats = {suffix: name for name, suffix in command.SUFFIXES.items()}
    suffix = os.path.splitext(output)[1]
    if suffix not in formats:
        raise InputError(f'{output}: an exported file ends in {", ".join(formats)}')
    args = _options(command, ['', checkpoint, '--format', formats[suffix], '--output', output], options)
    args.config = None if config is None else os.fspath(config)
    command.run(args)
    return output


def evaluate(ground_truth, results):
    """Compute the COCO metrics of a results file, as ``mfdet evaluate`` does.

    Args:
        ground_truth: COCO annotation file.
        results: COCO results file, or a list of dicts ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in
            pixels) and ``score``.

    Returns:
        dict of the twelve numbers, ``'AP'``, ``'AP50'`` and so on, from 0 to 1; −1 where there is no such object.

    Raises:
        InputError: a file cannot be read or does not fit the other.
    """
    from mfdet.evaluation import coco

    truth = coco.load_ground_truth(os.fspath(ground_truth))
    source = results if isinstance(results, list) else os.fspath(results)
    return coco.evaluate(truth, coco.load_results(source, truth)).stats
