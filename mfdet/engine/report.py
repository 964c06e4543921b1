"""What a training run leaves for people: curves.png and summary.json in the work directory."""

import json
import os
import re
import time
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook

from mfdet.engine.console import LOG_FILE_ONLY
from mfdet.errors import InputError
from mfdet.files import read_json, replacing

CURVES = {  # of the validation, by the metric that all its records have: its axis, and what to draw
    'coco/bbox_mAP': ('validation AP', {'AP': 'coco/bbox_mAP', 'AP50': 'coco/bbox_mAP_50'}),
    'accuracy/top1': ('validation accuracy in %', {'top-1': 'accuracy/top1', 'top-5': 'accuracy/top5'}),
}
WAITING_MUCH = 20  # percent of an epoch's steps
BEST = {'accuracy/top1': 'best_top1'}  # what the summary calls the best of a metric, else best_ap
KINDS = dict(d='auxiliary blocks', cells='cells')  # of loss terms, by their prefix without its numbers


def read_scalars(work_dir):
    """Collect the logged scalars of all runs in a work directory, resumed ones included.

    Args:
        work_dir: directory that holds mmengine's ``<timestamp>/vis_data/scalars.json`` files.

    Returns:
        Two lists of dicts, training and validation records, in the order of their steps; where a resumed run logged a
        step again, its record replaces the earlier one. A validation record's ``step`` is its epoch.
    """
    train, val = {}, {}
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if 'loss' in record:
                train[record['step']] = record
            elif not CURVES.keys().isdisjoint(record):
                val[record['step']] = record
    return [train[step] for step in sorted(train)], [val[step] for step in sorted(val)]


def read_summary(work_dir):
    """Return the ``summary.json`` of a work directory as a dict, empty if there is none that can be read."""
    try:
        return dict(read_json(os.path.join(work_dir, 'summary.json')))
    except (InputError, TypeError, ValueError):
        return {}


def loss_curves(records):
    """Sort loss terms into the curves to draw: each of the last block by itself, those of other blocks summed by kind.

    Args:
        records: training records of :func:`read_scalars`. Terms of one kind have the same prefix before the dot but for
            its numbers, as ``d0.loss_cls`` and ``d3.loss_iou``.

    Returns:
        dict of label to (steps, values); beside ``'loss'``, their values add up to it.
    """
    groups = {}
    for name in dict.fromkeys(name for record in records for name in record if 'loss' in name):
        prefix, dot, _ = name.rpartition('.')
        kind = re.sub(r'\d+(?=\.|$)', '', prefix)
        label = KINDS.get(kind, f'{kind}.*') if dot else name
        groups.setdefault(label, []).append(name)
    return {
        label: tuple(zip(*((r['step'], sum(r.get(n, 0) for n in names)) for r in records), strict=True))
        for label, names in groups.items()
    }


def draw_curves(work_dir, out_file):
    """Draw losses over iterations and AP or accuracy over epochs of a work directory into a PNG file.

    Returns:
        bool: False, and no file, if nothing was logged.
    """
    from matplotlib.figure import Figure

    train, val = read_scalars(work_dir)
    if not train:
        return False
    figure = Figure(figsize=(10, 4), layout='constrained')
    loss_axes, val_axes = figure.subplots(1, 2)
    for label, points in loss_curves(train).items():
        loss_axes.plot(*points, label=label, linewidth=2 if label == 'loss' else 1)
    loss_axes.set(xlabel='iteration', ylabel='training loss', ylim=(0, None))
    loss_axes.legend()
    main = next((name for name in CURVES if val and name in val[-1]), 'coco/bbox_mAP')
    title, curves = CURVES[main]
    for label, name in curves.items():
        points = [(record['step'], record[name]) for record in val if record.get(name, -1) >= 0]  # -1 is undefined
        val_axes.plot(*(zip(*points, strict=True) if points else ((), ())), marker='o', markersize=3, label=label)
    val_axes.set(xlabel='epoch', ylabel=title, ylim=(0, None))
    val_axes.legend()
    for axes in (loss_axes, val_axes):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    with replacing(out_file) as part:
        figure.savefig(part, dpi=120)
    return True


def percent_of(part, whole):
    """Return a share in percent, to a tenth; None of nothing."""
    return round(100 * part / whole, 1) if whole else None


def advice_on_loading(workers):
    """Return what to do where a loader with so many worker processes is too slow, the end of a sentence."""
    smaller = 'store the images closer to the size that the model sees, on a fast disk'
    most = max(1, (os.cpu_count() or 1) // int(os.environ.get('LOCAL_WORLD_SIZE', 1)))
    if workers >= most:
        return f'it has {workers} worker processes, as many as there are cores: {smaller}'
    more = min(most, 2 * workers or 2)
    option = f'--cfg-options train_dataloader.num_workers={more}'
    return f'give it more worker processes ({option}, now {workers}), or {smaller}'


@HOOKS.register_module()
class ReportHook(Hook):
    """Write ``curves.png`` and ``summary.json`` into the work directory when training ends.

    After each epoch the log says which share of its steps' time went by waiting for the loader; the first time that it
    was more than :data:`WAITING_MUCH` percent, also what to do about it.

    The summary has ``best_ap`` (of a classifier ``best_top1``, in percent) and ``best_checkpoint`` (null without
    validation), ``last_checkpoint``, ``epochs``, ``iterations``, ``seconds`` of this run, ``images_per_second`` over
    its training iterations (data loading included, validation not) and ``waiting_percent``, the share of their time
    that went by waiting for the loader; the last two are null if only the last validation was left to do.
    """

    priority = 'LOWEST'

    def before_train(self, runner):
        """Start the clock."""
        self._start = time.monotonic()
        self._images = 0
        self._seconds = self._waited = 0.0  # of all epochs that are done
        self._has_advised = False

    def before_train_epoch(self, runner):
        """Start the clock of the iterations; validation between epochs is not counted."""
        self._epoch_seconds = self._epoch_waited = 0.0
        self._last = time.monotonic()

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        """Count the time since the last step as waiting for the batch; after a skipped step it is not known."""
        self._begin = time.monotonic()
        if self._last is not None:
            self._epoch_waited += self._begin - self._last
            self._epoch_seconds += self._begin - self._last
        self._last = None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Count the batch."""
        self._last = time.monotonic()
        self._epoch_seconds += self._last - self._begin
        self._images += len(data_batch['inputs']) * get_world_size()

    def after_train_epoch(self, runner):
        """Log which share of the time went by waiting for the loader, and what to do if it is much."""
        self._seconds += self._epoch_seconds
        self._waited += self._epoch_waited
        percent = percent_of(self._epoch_waited, self._epoch_seconds)
        if percent is None:
            return
        said = f'Epoch {runner.epoch + 1}: {percent:.0f} % of the time of its steps went by waiting for the loader'
        if percent > WAITING_MUCH and not self._has_advised:
            self._has_advised = True
            runner.logger.warning(f'{said}; {advice_on_loading(runner.train_dataloader.num_workers)}')
        else:
            runner.logger.info(said, extra=LOG_FILE_ONLY)

    @master_only
    def after_train(self, runner):
        """Write the files."""
        if not self._images and read_summary(runner.work_dir).get('epochs') == runner.epoch:
            runner.logger.info('All epochs had been done before: nothing was trained, and the summary stays as it was')
            return
        info = runner.message_hub.runtime_info
        metric = runner.cfg.get('default_hooks', {}).get('checkpoint', {}).get('save_best')
        summary = dict(
            {BEST.get(metric, 'best_ap'): info.get('best_score')},
            best_checkpoint=info.get('best_ckpt'),
            last_checkpoint=info.get('last_ckpt'),
            epochs=runner.epoch,
            iterations=runner.iter,
            seconds=round(time.monotonic() - self._start, 1),
            images_per_second=round(self._images / self._seconds, 2) if self._images else None,
            waiting_percent=percent_of(self._waited, self._seconds),
        )
        with replacing(os.path.join(runner.work_dir, 'summary.json')) as part, open(part, 'w') as file:
            json.dump(summary, file, indent=2)
        if draw_curves(runner.work_dir, os.path.join(runner.work_dir, 'curves.png')):
            runner.logger.info(f'Curves and summary are in {runner.work_dir}: curves.png, summary.json')
