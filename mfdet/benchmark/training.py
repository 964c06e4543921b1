"""Time and memory of a training step, and where the time goes."""

import contextlib
import copy
import itertools
import resource
import statistics
import tempfile
import time

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mfdet.benchmark.detectors import build_detector
from mfdet.data.shapes import write_coco
from mfdet.errors import InputError
from mfdet.models import Classifier
from mfdet.models.matcher import HungarianMatcher

COLUMNS = (
    'model',
    'precision',
    's/step',
    'images/s',
    'ratio',
    'data',
    'forward',
    'matching',
    'backward',
    'optimizer',
    'memory GB',
)
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]


def build_batches(folder, size, batch_size, count):
    """Write generated images into a folder; return the loader of ``count`` batches, resized to (height, width)."""
    write_coco(folder, batch_size * count, size=(480, 640))
    pipeline = [dict(PIPELINE[2], scale=size[::-1], keep_ratio=False) if i == 2 else p for i, p in enumerate(PIPELINE)]
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


def random_batches(size, batch_size, count):
    """Return ``count`` batches of noise with labels for a classifier, as its loader would give them."""
    images = torch.randint(256, (count, batch_size, 3, *size), dtype=torch.uint8)
    return [
        dict(inputs=batch, data_samples=[BaseDataElement(gt_label=i % 2) for i in range(batch_size)])
        for batch in images
    ]


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


def build_wrapper(model, precision):
    """Return mmengine's wrapper of an optimiser for a model in a precision."""
    optimizer = dict(type='AdamW', lr=1e-5, weight_decay=1e-4)
    if precision == 'fp32':
        return build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=optimizer))
    dtype = dict(fp16='float16', bf16='bfloat16')[precision]
    return build_optim_wrapper(model, dict(type='AmpOptimWrapper', dtype=dtype, optimizer=optimizer))


def measure_training(configs, size, batch_size, threads, repeats, precisions, progress=print):
    """Time training steps of detectors, or of classifiers, by turns.

    Args:
        configs: name to config, see :func:`mfdet.benchmark.detectors.build_detector`.
        size: (height, width) of the images in pixels.
        batch_size: images of a step.
        threads: CPU threads; on a CPU the data of detectors are loaded by the same process.
        repeats: timed steps of each.
        precisions: of :data:`mfdet.engine.precision.PRECISIONS`, those in 16 bits for a GPU.
        progress: called with a line now and then.

    Returns:
        Rows with the keys of :data:`COLUMNS` (parts as shares of the step, matching being part of forward), and notes.

    Raises:
        InputError: detectors and classifiers are mixed.
    """
    init_default_scope('mmdet')
    torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    models = {name: build_detector(config) for name, config in configs.items()}
    classifiers = [name for name, model in models.items() if isinstance(model, Classifier)]
    if classifiers and len(classifiers) < len(models):
        raise InputError(f'--models: {classifiers[0]} is a classifier; time detectors and classifiers separately')
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        loader = random_batches(size, batch_size, 4) if classifiers else build_batches(folder, size, batch_size, 4)
        batches = itertools.cycle(list(loader)) if cuda else endless(loader)
        for name, precision in itertools.product(models, precisions):
            progress(f'preparing {name}, {precision}')
            torch.manual_seed(0)
            model = copy.deepcopy(models[name]).requires_grad_(True).train()
            model = model.cuda() if cuda else model
            runs[name, precision] = model, build_wrapper(model, precision), [], []
        memory, too_large, first_key = {}, [], next(iter(runs))
        for repeat in range(repeats + 2):
            for key in list(runs):
                model, wrapper, totals, parts = runs[key]
                clock = Clock(cuda)
                if cuda:
                    torch.cuda.reset_peak_memory_stats()
                    before = torch.cuda.memory_allocated()
                try:
                    with timed_matching(clock), clock.part('step'):
                        train_step(model, wrapper, batches, clock)
                except torch.cuda.OutOfMemoryError:
                    too_large.append(key)
                    model = wrapper = None  # free, for the others
                    del runs[key]
                    continue
                if cuda:
                    own = state_bytes(model, wrapper)
                    memory[key] = (torch.cuda.max_memory_allocated() - before + own) / 1e9
                if repeat >= 2:  # the first two are for warming up
                    totals.append(clock.seconds.pop('step'))
                    parts.append(clock.seconds)
    rows = []
    medians = {key: statistics.median(totals) for key, (_, _, totals, _) in runs.items()}
    first = medians.get(first_key)
    for (name, precision), step in medians.items():
        _, _, totals, parts = runs[name, precision]
        shares = {part: sum(p.get(part, 0.0) for p in parts) / sum(totals) for part in parts[0]}
        row = {'model': name, 'precision': precision, 's/step': step, 'images/s': batch_size / step}
        rows.append({**row, 'ratio': first and step / first, **shares, 'memory GB': memory.get((name, precision))})
    height, width = size
    if classifiers:
        where = f'images of noise, {height}×{width}, in memory'
    else:
        where = f'generated images, loaded from files and resized to {height}×{width} '
        where += 'before the steps' if cuda else 'by the same process'
    notes = [f'Shares of the step; matching is part of forward. Batch: {batch_size} {where}.']
    notes += [f'{name}, {precision}: too large for the GPU.' for name, precision in too_large]
    if not cuda:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        notes.append(
            f'On the CPU all models share one process, whose peak was {peak:.2f} GB; measure one at a time '
            f'(--models) for its own.'
        )
    return rows, notes


def endless(loader):
    """Yield the batches of a loader over and over, loading them each time."""
    while True:
        yield from loader


def state_bytes(model, wrapper):
    """Return the bytes of a model's weights and of its optimiser's state."""
    tensors = [*model.parameters(), *model.buffers()]
    for state in wrapper.optimizer.state.values():
        tensors += [value for value in state.values() if torch.is_tensor(value)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
