"""One table of detectors: what they cost here and as published, their AP as published and in runs of one's own."""

import os
from pathlib import Path

from mfdet.benchmark.detectors import measure_detectors
from mfdet.benchmark.published import DETECTORS
from mfdet.complexity import count_model
from mfdet.config_parts import dataset_of, image_shape
from mfdet.engine.config import load_config
from mfdet.errors import InputError
from mfdet.files import read_json, replacing

COLUMNS = (
    'detector',
    'size',
    'params M',
    'published ',  # of params
    'MAdds G',
    'published',
    'difference %',
    'AP published',
    'AP here',
    'data',
    'ref',
)
LATENCY = ('ms', 'runtime')
FAMILIES = {  # how the name begins: how it is drawn
    'RetinaNet, Mobile-Former': dict(color='tab:blue', marker='o', linestyle='-', label='Mobile-Former in RetinaNet'),
    'E2E-MF': dict(color='tab:red', marker='o', linestyle='-', label='E2E-MF'),
    'RetinaNet': dict(color='tab:gray', marker='s', linestyle='', label='other backbones in RetinaNet'),
    'SSDLite': dict(color='tab:purple', marker='s', linestyle='-', label='MobileViT in SSDLite'),
    'DETR': dict(color='tab:green', marker='s', linestyle='', label='DETR'),
    '': dict(color='tab:orange', marker='^', linestyle='', label='later detectors, 640×640 where not named'),
}


def family_of(name):
    """Return the entry of :data:`FAMILIES` that a detector's name begins with."""
    return next(family for family in FAMILIES if name.startswith(family))


def choose(names):
    """Return the entries of :data:`mfdet.benchmark.published.DETECTORS` by name, all for None.

    Raises:
        InputError: there is none of a name.
    """
    known = {entry.name: entry for entry in DETECTORS}
    for name in names or ():
        if name not in known:
            raise InputError(f'--models {name}: the table has {"; ".join(known)}')
    return [known[name] for name in names] if names else list(DETECTORS)


def measure(config, shape):
    """Return parameters in millions and multiply-adds in 10⁹ of a detector's config at (height, width) pixels."""
    cost = count_model(config.model, shape)
    return cost.params / 1e6, cost.madds / 1e9


def read_run(path):
    """Read what a training of one's own came to.

    Args:
        path: its work directory, or the ``summary.json`` in it.

    Returns:
        Row of the table.

    Raises:
        InputError: there is no summary with an AP, or not the config of the run beside it.
    """
    folder = Path(path).parent if os.path.isfile(path) else Path(path)
    summary = read_json(folder / 'summary.json')
    ap = summary.get('best_ap')
    if 'best_top1' in summary:
        raise InputError(f'{folder}: is the run of a classifier; the table is of detectors')
    if ap is None:
        raise InputError(f'{folder / "summary.json"} has no best_ap: the run has not been validated; see tools/test.py')
    configs = list(folder.glob('*.py'))
    if len(configs) != 1:
        raise InputError(
            f'{folder} must hold the config of its run beside summary.json, one .py file; got {len(configs)}'
        )
    config = load_config(str(configs[0]))
    shape = image_shape(config) or (800, 1333)
    data = dataset_of(config.val_dataloader)
    root = os.path.basename(os.path.normpath(data.get('data_root') or '.'))
    params, madds = measure(config, shape)
    return {
        'detector': configs[0].stem,
        'size': '×'.join(map(str, shape)),
        'params M': params,
        'MAdds G': madds,
        'AP here': 100 * ap,
        'data': os.path.join(root, data.ann_file) if 'ann_file' in data else data.type,
    }


def row_of(entry, shape=None):
    """Return the row of a published detector, measured here if there is a config of it, and its note or None.

    Args:
        entry: :class:`mfdet.benchmark.published.Published`.
        shape: (height, width) to measure at; None for the published size.
    """
    row = {
        'detector': entry.name,
        'size': '×'.join(map(str, entry.shape)),
        'published ': entry.params,
        'published': entry.madds,
        'AP published': entry.ap,
        'source': entry.source,
        'flops as published': entry.flops,
        'note': entry.note,
    }
    if entry.config:
        other = shape is not None and tuple(shape) != entry.shape
        measured = shape if other else entry.shape
        row['params M'], row['MAdds G'] = measure(load_config(f'configs/{entry.config}.py'), measured)
        if other:
            row['size'] = '×'.join(map(str, shape))
            row['published'] = None  # of another size
        elif entry.madds:
            row['difference %'] = 100 * (row['MAdds G'] / entry.madds - 1)
    return row


def measure_table(names, shape, runs, latency, threads, repeats, clock='wall', progress=print):
    """Make the table.

    Args:
        names: detectors, see :func:`choose`.
        shape: (height, width) to measure at; None for the published size of each.
        runs: work directories of one's own runs.
        latency: runtimes to time those that have a config with; empty for no timing.
        threads, repeats, clock: of the timing, see :func:`mfdet.benchmark.timing.by_turns`.
        progress: called with a sentence before each longer step.

    Returns:
        Columns, rows and notes.

    Raises:
        InputError: see :func:`choose` and :func:`read_run`.
    """
    entries = choose(names)
    own = [read_run(path) for path in runs]
    rows = [row_of(entry, shape) for entry in entries]
    columns = COLUMNS
    if latency:
        for entry, row in zip(entries, rows, strict=True):
            if entry.config:  # one after the other: all at once do not fit into memory
                configs, size = {entry.name: entry.config}, tuple(shape or entry.shape)
                timed, _ = measure_detectors(configs, size, latency, threads, repeats, clock, progress=progress)
                best = min(timed, key=lambda time: time['ms'])
                row['ms'], row['runtime'] = best['ms'], best['runtime']
        columns += LATENCY
    sources = list(dict.fromkeys(row['source'] for row in rows))
    for row in rows:
        row['ref'] = f'[{sources.index(row["source"]) + 1}]'
    notes = [
        "AP published: of the authors, on COCO val2017, in %. AP here: best validation of a run of one's own. Measured "
        'columns are blank where this project has no config. Multiply-adds (MAdds): where a source counts two FLOPs '
        'for one, its number is halved. Sizes are height × width in pixels; 800×1333 has 2.6 times the pixels of '
        '640×640.',
        '\n'.join(f'- [{i}] {source}' for i, source in enumerate(sources, start=1)),
        '\n'.join(f'- {row["detector"]}: {row["note"]}.' for row in rows if row['note']),
    ]
    return columns, rows + own, [note for note in notes if note]


def plot_table(rows, path, title):
    """Draw AP over multiply-adds, and over latency where that was measured; write a PNG file.

    Args:
        rows: of :func:`measure_table`.
        path: file to write.
        title: what was measured where.
    """
    from matplotlib.figure import Figure

    measures = {'MAdds G': 'multiply-adds in 10⁹, as published or, where that is not, counted here'}
    if any('ms' in row for row in rows):
        measures['ms'] = f'latency in ms here: {title}'
    figure = Figure(figsize=(8 * len(measures), 6), layout='constrained')
    for axes, (key, label) in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures.items(), strict=True):
        curves = {}
        for row in rows:
            cost = row.get('published') or row.get(key) if key == 'MAdds G' else row.get(key)
            if cost and row.get('AP published'):
                curves.setdefault(family_of(row['detector']), []).append((cost, row['AP published'], row))
        taken = []  # where labels are, so that close ones move down
        for family, points in curves.items():
            points.sort(key=lambda point: point[0])
            axes.plot([point[0] for point in points], [point[1] for point in points], **FAMILIES[family])
            for cost, ap, row in points:
                name = row['detector'].removeprefix('RetinaNet, ').replace('Mobile-Former', 'MF')
                if row['size'] not in ('800×1333', '640×640'):
                    name += f', {row["size"]}'
                drop = sum(0.6 < cost / x < 1.7 and abs(ap - y) < 0.8 for x, y in taken)
                taken.append((cost, ap))
                axes.annotate(name, (cost, ap), xytext=(5, 2 - 9 * drop), textcoords='offset points', fontsize=7)
        axes.margins(x=0.12)
        axes.legend(fontsize=8)
        axes.set(xscale='log', xlabel=label, ylabel='AP on COCO val2017, as published, in %')
        axes.grid(alpha=0.3, which='both')
    with replacing(path) as part:
        figure.savefig(part, dpi=120)
