"""Detectors on a GPU, from a prepared batch to boxes: by precision, batch size and how their kernels are launched."""

import copy

import torch

from mfdet.benchmark.detectors import build_detector
from mfdet.benchmark.timing import by_turns
from mfdet.engine.cuda_graph import record
from mfdet.engine.precision import autocast, store_weights
from mfdet.errors import InputError
from mfdet.export.graph import build_graph
from mfdet.models import Classifier
from mfdet.values import rounded_up

RUNTIMES = ('eager', 'channels-last', 'cuda-graph', 'cuda-graph-channels-last', 'compile')
COLUMNS = ('model', 'precision', 'batch', 'runtime', 'ms', 'images/s', 'ratio', 'kernels', 'busy', 'memory GB')


def check_gpu(runtimes):
    """Check the names of runtimes, and that there is a GPU.

    Raises:
        InputError: one is not known, or there is none.
    """
    unknown = sorted(set(runtimes) - set(RUNTIMES))
    if unknown:
        raise InputError(f'--runtimes: there is no {unknown[0]!r}, choose of {", ".join(RUNTIMES)}')
    if not torch.cuda.is_available():
        raise InputError('gpu needs an NVIDIA GPU that torch sees, and there is none; "detectors" times on the CPU')


def function_of(model, runtime, precision, images, sizes):
    """Return the function to time: one batch, waited for.

    Args:
        model: detector on the CPU; it is left as it is.
        runtime: of :data:`RUNTIMES`.
        precision: of :data:`mfdet.engine.precision.PRECISIONS`.
        images, sizes: see :meth:`mfdet.export.graph.DetectorGraph.forward`, on the GPU.
    """
    graph = store_weights(build_graph(copy.deepcopy(model)).to(images.device).requires_grad_(False), precision)
    if runtime.endswith('channels-last'):
        graph, images = graph.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    if runtime.startswith('cuda-graph'):
        record(graph)
    call = torch.compile(graph) if runtime == 'compile' else graph

    def run():
        # torch.compile makes no use of inference mode
        with torch.no_grad() if runtime == 'compile' else torch.inference_mode(), autocast(images.device, precision):
            outputs = call(images, sizes)
        torch.cuda.synchronize()
        return outputs

    return run


def kernels_of(function):
    """Return the number of kernels that a function launches, and the seconds that they take."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        function()
    kernels = [event for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return len(kernels), sum(event.time_range.elapsed_us() for event in kernels) / 1e6


def measure_gpu(configs, shape, runtimes, precisions, batch_sizes, threads, repeats, progress=print):
    """Time detectors by turns, for each precision, batch size and runtime.

    Args:
        configs: name to config, see :func:`mfdet.benchmark.detectors.build_detector`.
        shape: (height, width) of the images in pixels.
        runtimes, precisions, batch_sizes: what to time.
        threads: CPU threads.
        repeats: timed batches of each, of which the median counts.
        progress: called with a line now and then.

    Returns:
        Rows with the keys of :data:`COLUMNS`, and notes. ``ratio`` is to the first model in the same precision, batch
        size and runtime; ``busy`` the time of the kernels, as a profiler sees it, over that of the batch (many short
        ones look longer to it, to more than 1); ``memory GB`` the most that tensors of the model took, its weights
        included.

    Raises:
        InputError: a config is of a classifier.
    """
    torch.set_num_threads(threads)
    models = {name: build_detector(config) for name, config in configs.items()}
    for name, model in models.items():
        if isinstance(model, Classifier):
            raise InputError(f'--models {name}: is a classifier; "gpu" times detectors')
    padded = [rounded_up(side) for side in shape]
    rows, notes = [], []
    for precision, batch, runtime in ((p, b, r) for p in precisions for b in batch_sizes for r in runtimes):
        images = torch.randn(batch, 3, *padded, device='cuda')
        sizes = torch.tensor([shape] * batch, device='cuda')
        functions, memory = {}, {}
        for name, model in models.items():
            progress(f'preparing {name}, {precision}, batches of {batch}, {runtime}')
            torch.cuda.empty_cache()
            function, before = None, torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            try:
                function = function_of(model, runtime, precision, images, sizes)
                for _ in range(3):
                    function()
            except torch.cuda.OutOfMemoryError:
                what = f'{name}, {precision}, batches of {batch}, {runtime}'
                notes.append(f'{what}: too large for the GPU beside the other models.')
                continue
            functions[name], memory[name] = function, (torch.cuda.max_memory_allocated() - before) / 1e9
        function = None
        seconds = by_turns(functions, repeats, warmup=1)
        first = seconds.get(next(iter(models)))
        for name, spent in seconds.items():
            count, working = kernels_of(functions[name])
            row = {'model': name, 'precision': precision, 'batch': batch, 'runtime': runtime, 'ms': 1e3 * spent}
            row |= {
                'images/s': batch / spent,
                'ratio': first and spent / first,
                'kernels': count,
                'busy': working / spent,
            }
            rows.append({**row, 'memory GB': memory[name]})
        del functions
    notes.append('The weights are random, so non-maximum suppression has next to nothing to do.')
    if 'fp32' in precisions:
        notes.append(
            f'fp32 as PyTorch has it: TF32 in convolutions {"on" if torch.backends.cudnn.allow_tf32 else "off"}, in '
            f'products {"on" if torch.backends.cuda.matmul.allow_tf32 else "off"}.'
        )
    return rows, notes
