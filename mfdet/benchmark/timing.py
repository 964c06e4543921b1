"""Timing by turns, and what the numbers were measured on."""

import json
import os
import platform
import statistics
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mfdet.files import replacing

CLOCKS = {
    'wall': time.perf_counter,
    'cpu': time.process_time,  # of all threads of the process: where other programs run, it leaves out their turns
}
PACKAGES = (
    'torch',
    'onnxruntime',
    'openvino',
    'ai-edge-litert',
    'executorch',
    'onedl-mmdetection',
    'onedl-mmcv',
    'pycocotools',
    'faster-coco-eval',
)


def by_turns(functions, repeats=15, warmup=3, clock='wall'):
    """Time functions by turns, so that what else the machine does meets them all alike.

    Args:
        functions: name to function without arguments.
        repeats: timed calls of each.
        warmup: untimed calls of each before.
        clock: name of :data:`CLOCKS`.

    Returns:
        dict of name to the median of its times in seconds.
    """
    now = CLOCKS[clock]
    for function in functions.values():
        for _ in range(warmup):
            function()
    seconds = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = now()
            function()
            seconds[name].append(now() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def multiply_adds_per_second(size=1024, repeats=15, clock='wall'):
    """Measure the rate of float32 multiply-adds of a product of two (size, size) matrices on torch's threads."""
    a, b = torch.rand(2, size, size)
    return size**3 / by_turns({'product': lambda: a @ b}, repeats, clock=clock)['product']


def processor():
    """Return the name of the CPU, as far as the system tells."""
    lines = Path('/proc/cpuinfo').read_text().splitlines() if os.path.exists('/proc/cpuinfo') else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def machine(threads):
    """Describe what a run measures on: processor, threads and versions, as a dict of strings and numbers."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    description = dict(processor=processor(), cpus=os.cpu_count(), threads=threads, python=platform.python_version())
    if torch.cuda.is_available():
        description['gpu'] = torch.cuda.get_device_name()
    return {**description, **versions}


def markdown(columns, rows):
    """Return a Markdown table; numbers are shown with three significant digits or more."""

    def cell(value):
        if isinstance(value, float):
            return f'{value:.0f}' if abs(value) >= 100 else f'{value:#.3g}'
        return '–' if value is None else str(value)

    lines = [columns, ['---'] * len(columns), *([cell(row.get(column)) for column in columns] for row in rows)]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def write_report(folder, name, command, description, columns, rows, notes=()):
    """Write ``name.md`` and ``name.json`` into a folder, and return the Markdown.

    Args:
        folder: it must be there.
        name: of both files.
        command: the command line that this came of.
        description: see :func:`machine`.
        columns: of the table, keys of the rows.
        rows: dicts.
        notes: sentences to put below the table.
    """
    about = ', '.join(f'{key} {value}' for key, value in description.items())
    text = '\n\n'.join([f'    {command}', markdown(columns, rows), *notes, about]) + '\n'
    content = dict(command=command, machine=description, rows=rows, notes=list(notes))
    for suffix, written in (('md', text), ('json', json.dumps(content, indent=1, ensure_ascii=False))):
        with replacing(os.path.join(folder, f'{name}.{suffix}')) as part:
            Path(part).write_text(written, encoding='utf-8')
    return text
