"""Latency of whole detectors, from a prepared image to boxes, in torch and exported."""

import copy
import tempfile

import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from mfdet.benchmark import phones, runtimes
from mfdet.benchmark.timing import by_turns, multiply_adds_per_second
from mfdet.complexity import count_detector
from mfdet.engine.config import load_config
from mfdet.export.graph import build_graph
from mfdet.export.phone_graph import phone_kind

COLUMNS = ('model', 'runtime', 'ms', 'images/s', 'ratio', 'of the limit')


def build_detector(config):
    """Build the detector of a config, a path or a shipped one's name, with random weights."""
    init_default_scope('mmdet')
    return MODELS.build(load_config(config).model).eval().requires_grad_(False)


def functions_of(name, model, shape, chosen, folder, threads, batch_size=1):
    """Return the functions to time for one detector: runtime to function."""
    padded = [-(-side // 32) * 32 for side in shape]
    inputs = dict(images=torch.randn(batch_size, 3, *padded), sizes=torch.tensor([shape] * batch_size))
    size = padded if batch_size == 1 else None
    found = runtimes.functions_of(name, model, build_graph, inputs, chosen, folder, threads, size)
    wanted = [runtime for runtime in runtimes.PHONES if runtime in chosen]
    if wanted and phone_kind(model):
        arrays = {key: tensor.numpy() for key, tensor in inputs.items()}
        found |= {runtime: phones.function_of(runtime, name, model, arrays, folder, threads) for runtime in wanted}
    return found


def count_madds(model, shape):
    """Return the multiply-adds of a detector without its post-processing; the model stays as it is."""
    model = copy.deepcopy(model)
    model.data_preprocessor = None
    return count_detector(model, shape).madds


def measure_detectors(configs, shape, chosen, threads, repeats, clock='wall', batch_size=1, progress=print):
    """Time detectors on one image, or on batches of images of one size.

    Args:
        configs: name to config, see :func:`build_detector`.
        shape: (height, width) of the image in pixels.
        batch_size: images at a time.
        chosen, threads, repeats, clock, progress: see :func:`mfdet.benchmark.latency.measure_latency`.

    Returns:
        Rows with the keys of :data:`COLUMNS`, the ratios being to the first model's best runtime, and notes.
    """
    torch.set_num_threads(threads)
    rate = multiply_adds_per_second(clock=clock)
    models = {name: build_detector(config) for name, config in configs.items()}
    functions = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            progress(f'preparing {name}')
            for runtime, function in functions_of(name, model, shape, chosen, folder, threads, batch_size).items():
                functions[name, runtime] = function
        seconds = by_turns(functions, repeats, warmup=2, clock=clock)
    first = min(spent for (name, _), spent in seconds.items() if name == next(iter(models)))
    madds = {name: count_madds(model, shape) for name, model in models.items()}
    rows = [
        {
            'model': name,
            'runtime': runtime,
            'ms': 1e3 * spent,
            'images/s': batch_size / spent,
            'ratio': spent / first,
            'of the limit': batch_size * madds[name] / rate / spent,
        }
        for (name, runtime), spent in seconds.items()
    ]
    return rows, ['The weights are random, so non-maximum suppression has next to nothing to do.']
