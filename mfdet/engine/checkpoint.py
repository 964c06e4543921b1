"""Checkpoints of plain containers and tensors: they load with ``weights_only=True``, for test and for resume."""

import contextlib
import heapq
import math
import os
import re
import sys
import textwrap
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from mfdet.engine.distributed import bare
from mfdet.engine.plain_config import check_boxes, plain_config, to_plain
from mfdet.errors import InputError
from mfdet.models.training_aids import without_aids
from mfdet.values import is_text
from mfdet.weights import (
    check_finite,
    check_state_dict,
    convert_released,
    is_released,
    read_checkpoint,
    state_dict_of,
)

CHECKPOINT = re.compile(r'(epoch|iter)_\d+\.pth')
SAVED = 'checkpoints.txt'  # their names in the order in which they were saved


def load_from_local(path, map_location='cpu'):
    """Read a checkpoint; mmengine's log takes the last word of this name for where it is from."""
    checkpoint = read_checkpoint(path, map_location)
    if isinstance(checkpoint, dict) and isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)  # mmengine's resume would run this text as Python; ours is `cfg`
    return checkpoint


# mmengine falls back to unpickling anything; with this its Runner and every `init_cfg` read local files only, safely.
for _scheme in ('', *CheckpointLoader._schemes):
    CheckpointLoader.register_scheme(prefixes=_scheme, loader=load_from_local, force=True)


class _Keeping:
    """A file backend of mmengine that only notes what it is to remove."""

    def __init__(self, backend, outdated):
        self.backend = backend
        self.remove = outdated.append

    def __getattr__(self, name):
        return getattr(self.backend, name)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, but outdated checkpoints go only once the new one is on the disk."""

    @contextlib.contextmanager
    def _removing_later(self):
        backend, outdated = self.file_backend, []
        self.file_backend = _Keeping(backend, outdated)
        try:
            yield
        finally:
            self.file_backend = backend
        for path in set(outdated) - {self.last_ckpt, getattr(self, 'best_ckpt_path', None)}:
            backend.remove(path)

    def _save_checkpoint_with_step(self, runner, step, meta):
        with self._removing_later():
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner, metrics):
        with self._removing_later():
            super()._save_best_checkpoint(runner, metrics)


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Keep mmengine's message hub in checkpoints as plain containers, and refuse weights that do not fit the model.

    It also writes the input normalisation into the checkpoint's ``meta`` (mean, std, bgr_to_rgb), beside the classes
    and the config that mmengine stores there, and under ``mfdet`` what is needed to run the model, as plain data.
    """

    priority = 'VERY_LOW'

    def before_save_checkpoint(self, runner, checkpoint):
        """Replace what needs unpickling in ``checkpoint`` by plain containers."""
        if 'optimizer' not in checkpoint:  # the best, for use: only a training needs what else there is
            checkpoint.pop('ema_state_dict', None)
            checkpoint['state_dict'] = without_aids(checkpoint['state_dict'])
        hub = checkpoint['message_hub']
        hub['log_scalars'] = {
            name: [values.tolist() for values in buffer.data] for name, buffer in hub['log_scalars'].items()
        }
        hub['runtime_info'] = to_plain(dict(hub['runtime_info']))
        hub['resumed_keys'] = dict(hub['resumed_keys'])
        preprocessor = runner.cfg.model.get('data_preprocessor', {})
        meta = checkpoint['meta']
        meta['normalization'] = {key: to_plain(preprocessor.get(key)) for key in ('mean', 'std', 'bgr_to_rgb')}
        meta['dataset_meta'] = to_plain(dict(meta.get('dataset_meta', {})))
        meta['mfdet'] = dict(
            config=plain_config(runner.cfg),
            **dict(zip(('batches_per_epoch', 'batch_size', 'max_epochs'), schedule_of(runner), strict=True)),
        )

    def after_load_checkpoint(self, runner, checkpoint):
        """Check that the weights fit the model, and rebuild the message hub.

        Raises:
            InputError: an entry is missing, unknown, misshapen or not finite.
        """
        source = str(runner.cfg.load_from or 'the checkpoint')
        resume = runner.cfg.get('resume')
        weights = state_dict_of(checkpoint, source)
        expected = bare(runner.model).state_dict()
        if resume:
            check_classes(checkpoint_classes(checkpoint, source), runner.train_dataloader.dataset, source)
            check_boxes(checkpoint, runner.cfg.model, source)
        elif is_released(weights):
            weights = checkpoint['state_dict'] = convert_released(weights, source)
        elif expected.keys() == without_aids(expected).keys():  # else a new training has its own aids in it already
            weights = checkpoint['state_dict'] = without_aids(weights)
        check_state_dict(weights, expected, source, 'the model of this config')
        if resume:
            progress = fit_progress(checkpoint['meta'], *schedule_of(runner), source)
            if progress:
                runner.logger.warning(progress)
        if 'message_hub' in checkpoint:
            hub = checkpoint['message_hub']
            best = hub['runtime_info'].get('best_ckpt')
            if best and os.path.realpath(os.path.dirname(best)) != os.path.realpath(runner.work_dir):
                hub['runtime_info'].pop('best_ckpt')  # mmengine would delete another run's file at the next best
                hub['resumed_keys'].pop('best_ckpt', None)
            hub['log_scalars'] = {name: HistoryBuffer(*values) for name, values in hub['log_scalars'].items()}


def checkpoint_classes(checkpoint, path):
    """Return the class names stored in a checkpoint, in the order of its labels; None if it names none.

    Args:
        checkpoint: of :func:`mfdet.weights.read_checkpoint`.
        path: its file name, for the message.

    Raises:
        InputError: its class names are malformed.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    dataset_meta = meta.get('dataset_meta') if isinstance(meta, dict) else None
    classes = dataset_meta.get('classes') if isinstance(dataset_meta, dict) else None
    if classes is not None and not (isinstance(classes, (list, tuple)) and all(map(is_text, classes))):
        raise InputError(f'{path}: its class names are no list of texts without lone surrogates')
    return classes


def check_classes(classes, dataset, path):
    """Check that the data of a training that goes on have the classes of its checkpoint, in that order.

    Raises:
        InputError: they have others.
    """
    now = getattr(dataset, 'metainfo', {}).get('classes')
    if classes and now and list(classes) != list(now):
        stored, found = (textwrap.shorten(', '.join(names), 200, placeholder=' ...') for names in (classes, now))
        raise InputError(
            f'--resume {path}: it was trained on {len(classes)} classes ({stored}), these data have {len(now)} '
            f'({found}); give the data of that run, or start anew without --resume'
        )


def schedule_of(runner):
    """Return batches of an epoch, images of a batch (of all processes; None if not known) and number of epochs."""
    loader = runner.train_dataloader
    size = getattr(loader.batch_sampler, 'batch_size', None)
    return len(loader), size and size * get_world_size(), runner.max_epochs


def fit_progress(meta, batches, batch_size, epochs, path):
    """Count the iterations of a checkpoint by epochs of this run, which may have other batches or processes.

    Args:
        meta: of the checkpoint; its ``iter`` is changed if need be.
        batches: batches of an epoch in this run.
        batch_size: images of a batch, of all processes, or None.
        epochs: its number of epochs.
        path: file name of the checkpoint, for the message.

    Returns:
        A warning if this run's schedule is not that of the checkpoint, else None.

    Raises:
        InputError: it is from the middle of an epoch that was cut into other batches.
    """
    stored = meta.get('mfdet') or {}
    before, epochs_before = stored.get('batches_per_epoch', batches), stored.get('max_epochs', epochs)
    size_before = stored.get('batch_size', batch_size)
    others = (before, size_before) != (batches, batch_size)
    if others and meta['iter'] != meta['epoch'] * before:
        raise InputError(
            f'--resume {path}: it is from the middle of an epoch of {before} batches of {size_before} images, here an '
            f'epoch has {batches} of {batch_size}; keep data, batch size and number of processes, or take an '
            'epoch_*.pth'
        )
    if (before, epochs_before) == (batches, epochs):
        return None
    if before != batches:
        meta['iter'] = meta['epoch'] * batches
    return (
        f'{path} is of a run of {epochs_before} epochs of {before} batches, this one has {epochs} of {batches}: the '
        'learning rates go on as that run had planned them'
    )


def checkpoints_in(folder):
    """Return the paths of a run's checkpoints, ``epoch_*.pth`` and ``iter_*.pth``, in no order."""
    return [path for path in Path(folder).glob('*.pth') if CHECKPOINT.fullmatch(path.name)]


def holds_run(folder):
    """Tell whether a folder holds results of a run: checkpoints, also ``best_*.pth`` alone, or a summary."""
    folder = Path(folder)
    return bool(checkpoints_in(folder) or list(folder.glob('best_*.pth')) or (folder / 'summary.json').exists())


def note_saved(folder, name):
    """Note that a checkpoint is being saved, in ``checkpoints.txt``: times of files follow a clock that may go back."""
    with open(os.path.join(folder, SAVED), 'a', encoding='utf-8') as file:
        file.write(f'{name}\n')


def newest_first(folder):
    """Yield the paths of a run's checkpoints, the one saved last first.

    The order is that of ``checkpoints.txt``; files that it does not name, such as copies, follow by their progress.
    """
    found = {path.name: path for path in checkpoints_in(folder)}
    noted = Path(folder, SAVED)
    names = noted.read_text(encoding='utf-8', errors='replace').split('\n') if noted.is_file() else []
    for name in dict.fromkeys(reversed(names)):
        if name in found:
            yield found.pop(name)
    kinds = ([path for path in found.values() if path.name.startswith(kind)] for kind in ('epoch_', 'iter_'))
    by_number = (sorted(kind, key=lambda path: int(path.stem.split('_')[1]), reverse=True) for kind in kinds)
    yield from heapq.merge(*by_number, key=_epochs_done, reverse=True)


def _epochs_done(path):
    """Return a number that tells how far the run of a checkpoint was; one that is damaged counts as the furthest."""
    try:
        meta = read_checkpoint(str(path))['meta']
        batches = meta.get('mfdet', {}).get('batches_per_epoch')
        return (meta['iter'] / batches if batches else meta['epoch']), meta['epoch']
    except (InputError, LookupError, TypeError, AttributeError):
        return math.inf, 0


def latest_checkpoint(folder):
    """Return the newest checkpoint of a run that training can go on from; damaged ones are named and passed over.

    Args:
        folder: the run's ``work_dir``, with ``epoch_*.pth`` and ``iter_*.pth``.

    Returns:
        The path, or None if the folder holds no checkpoint.

    Raises:
        InputError: it holds some, but each is damaged.
    """
    damaged = 0
    for path in newest_first(folder):
        try:
            check_resumable(str(path))
        except InputError as error:
            print(f'warning: {error}; looking for the one before it', file=sys.stderr)
            damaged += 1
        else:
            return str(path)
    if damaged:
        raise InputError(
            f'--resume: none of the {damaged} checkpoints in {folder} is whole; remove them to start anew there'
        )
    return None


def check_resumable(path):
    """Check that training can go on from a checkpoint.

    Raises:
        InputError: the file cannot be read, lacks the state of the optimizer or of the schedule, or has weights that
            are not finite.
    """
    checkpoint = read_checkpoint(path)
    for part in ('meta', 'state_dict', 'message_hub', 'optimizer', 'param_schedulers'):
        if not isinstance(checkpoint, dict) or part not in checkpoint:
            raise InputError(
                f'--resume {path}: it has no "{part}", so training cannot go on from it; '
                'take an epoch_*.pth (best_*.pth holds weights only)'
            )
    check_finite(state_dict_of(checkpoint, path), path)
