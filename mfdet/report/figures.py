"""The figures of a report, as SVG."""

import io
import itertools
import warnings

import numpy as np

from mfdet.evaluation.confusion import most_confused
from mfdet.evaluation.curves import precision_curves
from mfdet.evaluation.errors import KINDS
from mfdet.report.text import printable

SIZE = (5, 3.6)  # inches, of a figure that fits a phone
PANELS = 100  # classes with a curve of their own
CONFUSED = 30  # classes in the confusion matrix
COLOURS = {'IoU 0.50': 'tab:blue', 'IoU 0.75': 'tab:orange', 'mean of 0.50:0.95': 'tab:green'}


def _figure(size=SIZE):
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout='constrained')
    return figure, figure.subplots()


def _svg(figure):
    """Return a figure as the bytes of an SVG file, whose text stays text."""
    import matplotlib

    data = io.BytesIO()
    with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': 'mfdet'}), warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph')  # the reader's browser has more fonts than matplotlib
        figure.savefig(data, format='svg', metadata={'Date': None})
    return data.getvalue()


def draw_figures(findings):
    """Draw what there is to draw.

    Args:
        findings: a :class:`mfdet.report.findings.Findings`.

    Returns:
        dict of name to SVG bytes: ``precision``, ``classes``, ``scores``, ``errors``, ``confusion``, ``area``,
        ``count``, ``overlap``, ``calibration``; those that would be empty are left out.
    """
    figures = {
        'precision': _precision(findings),
        'classes': _classes(findings),
        'scores': _scores(findings),
        'errors': _errors(findings),
        'confusion': _confusion(findings),
        'area': _recall(findings.by_area, 'side of the object, √area in pixels', lambda edges: np.sqrt(edges)),
        'count': _recall(findings.by_count, 'objects in the image'),
        'overlap': _recall(findings.by_overlap, 'largest IoU with another object'),
        'calibration': _calibration(findings.calibration),
    }
    return {name: _svg(figure) for name, figure in figures.items() if figure is not None}


def _precision(findings):
    curves = precision_curves(findings.result)
    if curves is None:
        return None
    figure, axes = _figure()
    for label, precision in curves.items():
        axes.plot(np.linspace(0, 1, 101), precision, label=f'{label}: {precision.mean():.3f}', color=COLOURS[label])
    axes.set(xlabel='recall', ylabel='precision, mean of the classes', xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def shown_classes(findings):
    """Return the indices of the classes that have a curve: those with objects, of many the ones of least AP."""
    rows = [i for i, row in enumerate(findings.table) if row['objects'] and row['AP'] >= 0]
    return sorted(sorted(rows, key=lambda i: findings.table[i]['AP'])[:PANELS])


def _classes(findings):
    """Small curves side by side, in one system of axes: a hundred of them would take matplotlib half a minute."""
    from matplotlib.collections import LineCollection

    shown = shown_classes(findings)
    if not shown:
        return None
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = _figure((2 * columns, 1.9 * rows + 0.3))
    recall = np.linspace(0, 1, 101)
    corners = [(1.15 * (k % columns), -1.35 * (k // columns)) for k in range(len(shown))]
    lines = {label: [] for label in COLOURS}
    for i, (x, y) in zip(shown, corners, strict=True):
        for label, precision in precision_curves(findings.result, i).items():
            lines[label].append(np.column_stack([x + recall, y + precision]))
        row = findings.table[i]
        text = f'{printable(row["name"], 18)}: {row["AP"]:.3f}'
        axes.text(x, y + 1.06, text, fontsize=8, parse_math=False)
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)])
    axes.add_collection(LineCollection([square + corner for corner in corners], colors='0.7', linewidths=0.8))
    for label, paths in lines.items():
        axes.add_collection(LineCollection(paths, colors=COLOURS[label], linewidths=1.2, label=label))
    axes.set(xlim=(-0.05, 1.15 * columns), ylim=(corners[-1][1] - 0.05, 1.3))
    axes.axis('off')
    return figure


def _scores(findings):
    found, total = findings.matches.found, findings.objects
    score, right = found.score[~found.ignored], found.right[~found.ignored]
    if not len(score) or not total:
        return None
    order = np.argsort(-score)
    kept, true = np.arange(1, len(order) + 1), np.cumsum(right[order])
    picked = np.unique(np.linspace(0, len(order) - 1, 500).astype(int))
    figure, axes = _figure()
    for label, values in (('precision', true / kept), ('recall', true / total), ('F1', 2 * true / (kept + total))):
        axes.plot(score[order][picked], values[picked], label=label)
    axes.axvline(findings.at.threshold, color='grey', linestyle='--', label=f'threshold {findings.at.threshold:.2f}')
    axes.set(xlabel='score threshold', ylabel='all classes, IoU 0.5', ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _errors(findings):
    costs = [findings.errors.cost(kind) for kind in KINDS]
    figure, axes = _figure((5, 2.6))
    bars = axes.barh(KINDS[::-1], costs[::-1], color='tab:red')
    axes.bar_label(bars, fmt='%.3f', padding=3, fontsize=8)
    axes.set(xlabel='AP50 gained by mending it alone (dAP)')
    axes.margins(x=0.15)
    return figure


def confused_classes(findings):
    """Return the indices of the classes in the confusion matrix: all, of many those most confused with others."""
    number = len(findings.matches.classes)
    if number <= CONFUSED:
        return list(range(number))
    named = [i for true, seen, _ in most_confused(findings.confusion) for i in (true, seen)]
    return sorted(list(dict.fromkeys([*named, *range(number)]))[:CONFUSED])


def _confusion(findings):
    shown = [*confused_classes(findings), len(findings.matches.classes)]
    table = findings.confusion[np.ix_(shown, shown)]
    names = [printable(name, 20) for name in [*findings.matches.classes, 'background']]
    side = max(4, 1.6 + 0.3 * len(shown))
    figure, axes = _figure((side, side))
    share = table / np.maximum(1, findings.confusion[shown].sum(1, keepdims=True))
    axes.imshow(share, cmap='Blues', vmin=0, vmax=1)
    ticks = range(len(shown))
    axes.set_xticks(ticks, [names[i] for i in shown], rotation=90, fontsize=8, parse_math=False)
    axes.set_yticks(ticks, [names[i] for i in shown], fontsize=8, parse_math=False)
    axes.set(xlabel='detected as', ylabel='true class')
    for row, column in zip(*np.nonzero(table), strict=True):
        colour = 'white' if share[row, column] > 0.5 else 'black'
        axes.text(column, row, table[row, column], ha='center', va='center', fontsize=6, color=colour)
    return figure


def _recall(bins, label, shown=lambda edges: edges):
    if bins is None:
        return None
    figure, axes = _figure()
    places = np.arange(len(bins.objects))
    axes.bar(places - 0.2, bins.recall, 0.4, label='at any score', color='tab:blue')
    axes.bar(places + 0.2, bins.kept, 0.4, label='at the threshold', color='tab:orange')
    edges = [f'{edge:.3g}' for edge in shown(bins.edges)]
    names = [f'{low}–{high}' for low, high in itertools.pairwise(edges)]
    axes.set_xticks(places, [f'{name}\n{n}' for name, n in zip(names, bins.objects, strict=True)], fontsize=7)
    axes.set(xlabel=f'{label}; below, how many objects', ylabel='recall, IoU 0.5', ylim=(0, 1.02))
    axes.grid(alpha=0.3, axis='y')
    axes.legend(fontsize=8, loc='lower right')
    return figure


def _calibration(found):
    if found is None:
        return None
    figure, axes = _figure()
    centres = (np.arange(len(found.score)) + 0.5) / len(found.score)
    axes.bar(centres, np.nan_to_num(found.precision), 0.9 / len(centres), color='tab:blue', label='share that is right')
    axes.plot(found.score, found.score, 'o', color='tab:red', markersize=4, label='mean score')
    axes.plot([0, 1], [0, 1], color='grey', linewidth=0.8, linestyle='--')
    axes.set(xlabel='score', ylabel='precision, IoU 0.5', xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(fontsize=8, loc='upper left')
    return figure
