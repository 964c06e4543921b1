"""Time and memory of a training step, and where the time goes."""

import contextlib
import resource
import statistics
import tempfile
import time

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mfdet.benchmark.detectors import build_detector
from mfdet.data.shapes import write_coco
from mfdet.models.matcher import HungarianMatcher

COLUMNS = ('model', 's/step', 'images/s', 'ratio', 'data', 'forward', 'matching', 'backward', 'optimizer', 'memory GB')
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]


def build_batches(folder, size, batch_size, count):
    """Write generated images into a folder; return the loader of ``count`` batches, resized to (size, size)."""
    write_coco(folder, batch_size * count, size=(480, 640))
    pipeline = [
        dict(PIPELINE[2], scale=(size, size), keep_ratio=False) if i == 2 else p for i, p in enumerate(PIPELINE)
    ]
    loader = dict(
        batch_size=batch_size,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        batch_sampler=dict(type='AspectRatioBatchSampler'),
        dataset=dict(
            type='CocoDataset',
            ann_file='annotations/shapes.json',
            data_prefix=dict(img='images'),
            data_root=folder,
            metainfo=dict(classes=('ellipse', 'rectangle', 'triangle', 'star', 'cross', 'ring')),
            pipeline=pipeline,
        ),
    )
    return Runner.build_dataloader(Config(dict(loader=loader)).loader, seed=0)


class Clock:
    """Adds up the seconds of named parts; on a GPU it waits for the work to be done."""

    def __init__(self, cuda):
        self.cuda = cuda
        self.seconds = {}

    @contextlib.contextmanager
    def part(self, name):
        """Add the time of the block to a part."""
        start = self.now()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + self.now() - start

    def now(self):
        """Return the time."""
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


@contextlib.contextmanager
def timed_matching(clock):
    """Put the time inside :class:`HungarianMatcher` on the clock as 'matching'."""
    match = HungarianMatcher.__call__

    def timed(self, *args, **kwargs):
        with clock.part('matching'):
            return match(self, *args, **kwargs)

    HungarianMatcher.__call__ = timed
    try:
        yield
    finally:
        HungarianMatcher.__call__ = match


def train_step(model, wrapper, batches, clock):
    """Do one step on the next batch, with its parts on the clock."""
    with clock.part('data'):
        data = model.data_preprocessor(next(batches), training=True)
    with clock.part('forward'), wrapper.optim_context(model):
        losses = model(**data, mode='loss')
        loss, _ = model.parse_losses(losses)
    with clock.part('backward'):
        wrapper.backward(loss)
    with clock.part('optimizer'):
        wrapper.step()
        wrapper.zero_grad()


def measure_training(configs, size, batch_size, threads, repeats, progress=print):
    """Time training steps of detectors by turns.

    Args:
        configs: name to config, see :func:`mfdet.benchmark.detectors.build_detector`.
        size: side of the square images in pixels.
        batch_size: images of a step.
        threads: CPU threads; the data are loaded by the same process.
        repeats: timed steps of each.
        progress: called with a line now and then.

    Returns:
        Rows with the keys of :data:`COLUMNS` (parts as shares of the step, matching being part of forward), and notes.
    """
    init_default_scope('mmdet')
    torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        loader = build_batches(folder, size, batch_size, 4)

        def endless():
            while True:
                yield from loader

        batches = endless()
        for name, config in configs.items():
            progress(f'preparing {name}')
            torch.manual_seed(0)
            model = build_detector(config).requires_grad_(True).train()
            model = model.cuda() if cuda else model
            optimizer = dict(type='AdamW', lr=1e-5, weight_decay=1e-4)
            wrapper = build_optim_wrapper(
                model, dict(type='AmpOptimWrapper' if cuda else 'OptimWrapper', optimizer=optimizer)
            )
            runs[name] = model, wrapper, [], []
        memory = {}
        for repeat in range(repeats + 2):
            for name, (model, wrapper, totals, parts) in runs.items():
                clock = Clock(cuda)
                if cuda:
                    torch.cuda.reset_peak_memory_stats()
                with timed_matching(clock), clock.part('step'):
                    train_step(model, wrapper, batches, clock)
                if cuda:
                    memory[name] = torch.cuda.max_memory_allocated() / 1e9
                if repeat >= 2:  # the first two are for warming up
                    totals.append(clock.seconds.pop('step'))
                    parts.append(clock.seconds)
    rows = []
    first = statistics.median(next(iter(runs.values()))[2])
    for name, (_, _, totals, parts) in runs.items():
        step = statistics.median(totals)
        shares = {part: sum(p.get(part, 0.0) for p in parts) / sum(totals) for part in parts[0]}
        row = {'model': name, 's/step': step, 'images/s': batch_size / step, 'ratio': step / first, **shares}
        rows.append({**row, 'memory GB': memory.get(name)})
    notes = [
        'Shares of the step; matching is part of forward. Batch: '
        f'{batch_size} generated images, loaded from files and resized to {size}×{size} by the same process.'
    ]
    if not cuda:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        notes.append(
            f'On the CPU all models share one process, whose peak was {peak:.2f} GB; measure one at a time '
            f'(--models) for its own.'
        )
    return rows, notes
