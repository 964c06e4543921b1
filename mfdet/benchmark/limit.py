"""What backbones could take at best: their multiply-adds over the rate of large matrix products on this machine."""

import torch

from mfdet.benchmark.peers import build_backbone
from mfdet.benchmark.timing import multiply_adds_per_second
from mfdet.complexity import count_complexity

COLUMNS = ('model', 'size', 'params M', 'MAdds G', 'ms at the limit')


def measure_limit(names, sizes, threads, repeats):
    """Count, and divide by the measured rate; see :func:`mfdet.benchmark.latency.measure_latency`."""
    torch.set_num_threads(threads)
    rate = multiply_adds_per_second(repeats=repeats)
    rows, notes = [], [f'The machine does {rate / 1e9:.1f} G multiply-adds per second in a product of large matrices.']
    for name in names:
        for size in sizes:
            backbone = build_backbone(name)
            cost = count_complexity(backbone, (size, size))
            row = {'model': name, 'size': size, 'params M': cost.params / 1e6, 'MAdds G': cost.madds / 1e9}
            rows.append({**row, 'ms at the limit': 1e3 * cost.madds / rate})
    return rows, notes
