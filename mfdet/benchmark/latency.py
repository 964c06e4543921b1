"""Latency of backbones over image sizes (Mobile-Former, Figure 5), on each runtime."""

import copy
import math
import tempfile

import torch

from mfdet.benchmark import runtimes
from mfdet.benchmark.peers import build_backbone
from mfdet.benchmark.straightforward import straightforward
from mfdet.benchmark.timing import by_turns, multiply_adds_per_second
from mfdet.complexity import count_complexity
from mfdet.files import replacing
from mfdet.models import MobileFormer

COLUMNS = ('model', 'size', 'runtime', 'ms', 'ratio', 'of the limit')


def functions_of(name, backbone, size, chosen, folder, threads):
    """Return the functions to time for one backbone: runtime to function.

    Besides those of :func:`mfdet.benchmark.runtimes.functions_of`, 'straightforward' is a Mobile-Former without the
    form made for eager torch.
    """
    inputs = dict(images=torch.randn(1, 3, size, size))
    found = {}
    if 'eager' in chosen and isinstance(backbone, MobileFormer):
        plain = straightforward(copy.deepcopy(backbone))
        found['straightforward'] = runtimes.eager(runtimes.LastMap(plain), tuple(inputs.values()), threads)
    return found | runtimes.functions_of(name, backbone, runtimes.LastMap, inputs, chosen, folder, threads)


def measure_latency(names, sizes, chosen, threads, repeats, reference, clock='wall', largest=None, progress=print):
    """Time backbones at several square sizes.

    Args:
        names: keys of :data:`mfdet.benchmark.peers.BACKBONES`.
        sizes: sides in pixels.
        chosen: names of :data:`mfdet.benchmark.runtimes.RUNTIMES`.
        threads: CPU threads.
        repeats: timed runs of each.
        reference: the model whose best runtime the ratios are to.
        clock: name of :data:`mfdet.benchmark.timing.CLOCKS`.
        largest: dict of name to the largest size to time it at, where that is not the largest of all.
        progress: called with a line now and then.

    Returns:
        Rows with the keys of :data:`COLUMNS`, and notes on what was left out and on the limit.
    """
    torch.set_num_threads(threads)
    rate = multiply_adds_per_second(clock=clock)
    notes = [f'Limit: the multiply-adds at {rate / 1e9:.1f} G/s, which a product of large matrices has.']
    backbones, rows = {name: build_backbone(name) for name in names}, []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            functions = {}
            timed = [name for name in backbones if size <= (largest or {}).get(name, math.inf)]
            for name in timed:
                progress(f'{size} px: preparing {name}')
                for runtime, function in functions_of(name, backbones[name], size, chosen, folder, threads).items():
                    functions[name, runtime] = function
            seconds = by_turns(functions, repeats, clock=clock)
            fastest = {name: min(seconds[key] for key in seconds if key[0] == name) for name in timed}
            limits = {
                name: count_complexity(copy.deepcopy(backbones[name]), (size, size)).madds / rate for name in timed
            }
            for (name, runtime), spent in seconds.items():
                row = {
                    'model': name,
                    'size': size,
                    'runtime': runtime,
                    'ms': 1e3 * spent,
                    'of the limit': limits[name] / spent,
                }
                row['ratio'] = spent / fastest[reference] if reference in fastest else None
                rows.append(row)
    return rows, notes


def best_times(rows):
    """Return the time of each model's best runtime: model to a dict of size to milliseconds."""
    best = {}
    for row in rows:
        if row['runtime'] != 'straightforward':
            curve = best.setdefault(row['model'], {})
            curve[row['size']] = min(row['ms'], curve.get(row['size'], row['ms']))
    return best


def plot_latency(rows, reference, path):
    """Draw the best latency of each model over the size, and below it the ratio to the reference; write a PNG file."""
    from matplotlib.figure import Figure

    best = best_times(rows)
    figure = Figure(figsize=(9, 7))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for i, (name, curve) in enumerate(best.items()):
        sizes = sorted(curve)
        style = dict(marker='os^D'[i // 10 % 4], color=f'C{i % 10}', linestyle=('-', '--', ':')[i // 10 % 3])
        above.plot(sizes, [curve[size] for size in sizes], label=name, **style)
        if reference in best:
            sizes = [size for size in sizes if size in best[reference]]
            below.plot(sizes, [curve[size] / best[reference][size] for size in sizes], **style)
    above.set(ylabel='latency in ms, best runtime', yscale='log')
    above.legend(loc='upper left', bbox_to_anchor=(1.02, 1), fontsize='small')  # beside the curves
    below.set(xlabel='side of the image in pixels', ylabel=f'ratio to {reference}', yscale='log')
    for axes in (above, below):
        axes.grid(alpha=0.3, which='both')
    figure.tight_layout()
    with replacing(path) as part:
        figure.savefig(part, dpi=120)
