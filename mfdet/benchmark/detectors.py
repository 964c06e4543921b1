"""Latency and throughput of whole detectors, from prepared images to boxes, in torch and exported."""

import copy
import functools
import itertools
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor

import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from mfdet.benchmark import phones, runtimes
from mfdet.benchmark.timing import by_turns, multiply_adds_per_second
from mfdet.complexity import count_detector
from mfdet.engine.config import load_config
from mfdet.errors import InputError
from mfdet.export.graph import build_graph
from mfdet.export.phone_graph import phone_kind
from mfdet.values import rounded_up

COLUMNS = ('model', 'runtime', 'batch', 'streams', 'ms', 'images/s', 'ratio', 'of the limit')


def build_detector(config):
    """Build the detector of a config, a path or a shipped one's name, with random weights."""
    init_default_scope('mmdet')
    return MODELS.build(load_config(config).model).eval().requires_grad_(False)


@functools.cache
def noise(batch_size, *shape):
    """Return inputs of detectors, a dict of tensors: images of noise of a shape (H, W), and their sizes."""
    padded = [rounded_up(side) for side in shape]
    return dict(images=torch.randn(batch_size, 3, *padded), sizes=torch.tensor([shape] * batch_size))


def functions_of(name, model, shape, chosen, folder, threads, batch_size=1):
    """Return the functions to time for one detector: runtime to function."""
    inputs = noise(batch_size, *shape)
    size = list(inputs['images'].shape[2:]) if batch_size == 1 else None
    folder = os.path.join(folder, 'single' if size else 'any')  # files for single images take no batches
    os.makedirs(folder, exist_ok=True)
    found = runtimes.functions_of(name, model, build_graph, inputs, chosen, folder, threads, size)
    wanted = [runtime for runtime in runtimes.PHONES if runtime in chosen]
    if wanted and phone_kind(model):
        arrays = {key: tensor.numpy() for key, tensor in inputs.items()}
        found |= {runtime: phones.function_of(runtime, name, model, arrays, folder, threads) for runtime in wanted}
    return found


def side_by_side(functions):
    """Return a function that calls each of some functions on a thread of its own, all at once."""
    if len(functions) == 1:
        return functions[0]
    pool = ThreadPoolExecutor(len(functions))

    def run():
        for call in [pool.submit(function) for function in functions]:
            call.result()

    return run


def in_streams(streams, threads, functions_of_one):
    """Return functions that run a detector several times at once, with an equal share of the threads each.

    Args:
        streams: how many times.
        threads: CPU threads of all.
        functions_of_one: function from a number of threads to a dict of runtime to function.
    """
    copies = [functions_of_one(threads // streams) for _ in range(streams)]
    return {runtime: side_by_side([functions[runtime] for functions in copies]) for runtime in copies[0]}


def count_madds(model, shape):
    """Return the multiply-adds of a detector without its post-processing; the model stays as it is."""
    model = copy.deepcopy(model)
    model.data_preprocessor = None
    return count_detector(model, shape).madds


def measure_detectors(
    configs, shape, chosen, threads, repeats, clock='wall', batch_sizes=(1,), streams=(1,), progress=print
):
    """Time detectors on one image, or on batches of images of one size.

    Args:
        configs: name to config, see :func:`build_detector`.
        shape: (height, width) of the image in pixels.
        batch_sizes: images at a time, each of these.
        streams: batches that run at once, each of these, on an equal share of the threads.
        chosen, threads, repeats, clock, progress: see :func:`mfdet.benchmark.latency.measure_latency`.

    Returns:
        Rows with the keys of :data:`COLUMNS`, and notes. ``ms`` is until all streams have their batch; ratios are of
        the time for each image, to the first model's best.

    Raises:
        InputError: none of the runtimes takes a model.
    """
    torch.set_num_threads(threads)
    rate = multiply_adds_per_second(clock=clock)
    models = {name: build_detector(config) for name, config in configs.items()}
    functions = {}
    with tempfile.TemporaryDirectory() as folder:
        for (name, model), size, count in itertools.product(models.items(), batch_sizes, streams):
            progress(f'preparing {name}' + (f', {count} × {size} images' if (size, count) != (1, 1) else ''))
            of_one = functools.partial(functions_of, name, model, shape, chosen, folder, batch_size=size)
            found = in_streams(count, threads, of_one)
            if not found:
                raise InputError(f'--models {name}: none of --runtimes takes it; leave it out, or add openvino')
            functions |= {(name, runtime, size, count): function for runtime, function in found.items()}
        seconds = by_turns(functions, repeats, warmup=2, clock=clock)
    each = {key: spent / (key[2] * key[3]) for key, spent in seconds.items()}
    first = min(spent for key, spent in each.items() if key[0] == next(iter(models)))
    madds = {name: count_madds(model, shape) for name, model in models.items()}
    rows = [
        {
            'model': name,
            'runtime': runtime,
            'batch': size,
            'streams': count,
            'ms': 1e3 * seconds[name, runtime, size, count],
            'images/s': 1 / spent,
            'ratio': spent / first,
            'of the limit': madds[name] / rate / spent,
        }
        for (name, runtime, size, count), spent in each.items()
    ]
    return rows, ['The weights are random, so non-maximum suppression has next to nothing to do.']
