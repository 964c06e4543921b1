"""Latency over image size beside what is about as accurate (Mobile-Former, Figure 5): each variant with its peers."""

from mfdet.benchmark.latency import best_times
from mfdet.benchmark.published import CLASSIFIERS
from mfdet.benchmark.timing import markdown
from mfdet.files import replacing

OURS = 'Mobile-Former'
TOP1 = {entry.name: entry.top1 for entry in CLASSIFIERS}
PANELS_IN_A_ROW = 3


def groups_of(names, points):
    """Return what is about as accurate as each Mobile-Former: name to the names of its peers, closest first.

    Args:
        names: backbones, keys of :data:`mfdet.benchmark.peers.BACKBONES`.
        points: greatest difference of the published top-1, in percentage points.
    """
    groups = {}
    for ours in sorted((name for name in names if name.startswith(OURS)), key=TOP1.get):
        apart = {name: abs(TOP1[name] - TOP1[ours]) for name in names if not name.startswith(OURS)}
        close = sorted((name for name in apart if apart[name] <= points + 1e-9), key=apart.get)
        if close:
            groups[ours] = close
    return groups


def sizes_of_both(best, ours, peer):
    """Return the sizes at which two models were timed, in order."""
    return sorted(best[ours].keys() & best[peer].keys())


def ratio_rows(best, groups):
    """Return a row for each pair: the time of the Mobile-Former over that of the peer, by size.

    Args:
        best: of :func:`mfdet.benchmark.latency.best_times`.
        groups: of :func:`groups_of`.
    """
    return [
        {'model': ours, 'top-1': TOP1[ours], 'peer': peer, 'top-1 of peer': TOP1[peer]}
        | {f'{size} px': best[ours][size] / best[peer][size] for size in sizes_of_both(best, ours, peer)}
        for ours, peers in groups.items()
        for peer in peers
    ]


def notes_of(rows, points):
    """Return the table of ratios and where its accuracies are from, as Markdown; nothing if no models are alike.

    Args:
        rows: of :func:`mfdet.benchmark.latency.measure_latency`.
        points: see :func:`groups_of`.
    """
    best = best_times(rows)
    pairs = ratio_rows(best, groups_of(best, points))
    if not pairs:
        return []
    named = {row[key] for row in pairs for key in ('model', 'peer')}
    sources = dict.fromkeys(entry.source for entry in CLASSIFIERS if entry.name in named)
    others = [f'{entry.name} at {entry.size}' for entry in CLASSIFIERS if entry.name in named and entry.size != 224]
    at = f' ({", ".join(others)})' if others else ''
    return [
        f'At equal accuracy: time of a Mobile-Former over that of a peer whose top-1 on ImageNet differs by {points:g} '
        f'points at most, by the side of the image; best runtime of each. Top-1 in % as published, at 224 px{at}: '
        f'{"; ".join(sources)}.',
        markdown(max(map(list, pairs), key=len), pairs),
    ]


def plot_equal_accuracy(rows, points, path):
    """Draw a panel for each Mobile-Former with its peers: latency over size and, below, the ratios; write a PNG file.

    Args:
        rows: of :func:`mfdet.benchmark.latency.measure_latency`.
        points: see :func:`groups_of`.
        path: file to write.

    Returns:
        Whether there was anything to draw.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    best = best_times(rows)
    groups = groups_of(best, points)
    if not groups:
        return False
    colors = {name: f'C{i}' for i, name in enumerate(sorted({peer for peers in groups.values() for peer in peers}))}
    wide = min(len(groups), PANELS_IN_A_ROW)
    high = -(-len(groups) // wide)
    figure = Figure(figsize=(4.2 * wide, 4.6 * high), layout='constrained')
    grid = figure.subplots(2 * high, wide, squeeze=False, sharex=True, height_ratios=(2, 1) * high)
    for axes in grid.flat:
        axes.set_visible(False)
    for i, (ours, peers) in enumerate(groups.items()):
        above, below = grid[2 * (i // wide) : 2 * (i // wide) + 2, i % wide]
        for axes in (above, below):
            axes.set_visible(True)
            axes.grid(alpha=0.3, which='both')
        lowest, highest = 0.75, 1.5
        for name, color in ((ours, 'black'), *((peer, colors[peer]) for peer in peers)):
            label = f'{name.replace(OURS, "MF")}: {TOP1[name]:.1f} %'
            sizes = sizes_of_both(best, ours, name)
            above.plot(sizes, [best[name][size] for size in sizes], color=color, marker='.', label=label)
            if name != ours:
                ratios = [best[ours][size] / best[name][size] for size in sizes]
                below.plot(sizes, ratios, color=color, marker='.')
                lowest, highest = min(lowest, *ratios), max(highest, *ratios)
        below.axhline(1, color='black', linewidth=1)
        above.set(title=ours, ylabel='latency in ms', yscale='log')
        above.legend(fontsize=8)
        below.set(ylabel=f'{ours.replace(OURS, "MF")} / peer', yscale='log', ylim=(lowest / 1.15, highest * 1.15))
        for axes, digits in ((above, (1, 2, 5)), (below, (1, 1.5, 2, 3, 5, 7))):
            axes.yaxis.set_major_locator(LogLocator(subs=digits))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
            axes.tick_params(labelbottom=axes is below, labelsize=8)
        if i >= len(groups) - wide:
            below.set_xlabel('side of the image in pixels')
    with replacing(path) as part:
        figure.savefig(part, dpi=120)
    return True
