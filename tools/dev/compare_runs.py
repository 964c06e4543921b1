"""Compare trainings by their validation AP: mean and range over the seeds, as a table and as curves."""

import statistics

from mfdet.commands._run import command, new_parser
from mfdet.engine.report import read_scalars
from mfdet.errors import InputError
from mfdet.files import check_writable, replacing

EXAMPLE = """example, two seeds of one detector beside one of another:
  %(prog)s RetinaNet=work_dirs/r0,work_dirs/r1 E2E-MF+=work_dirs/e0 --out curves.png"""
METRICS = dict(AP='coco/bbox_mAP', AP50='coco/bbox_mAP_50', AP75='coco/bbox_mAP_75')


def read_run(folder):
    """Return the validation records of a work directory, a dict of epoch to the metrics of :data:`METRICS`.

    Raises:
        InputError: there are none, or they cannot be read.
    """
    try:
        _, val = read_scalars(folder)
        run = {record['step']: {name: record[key] for name, key in METRICS.items()} for record in val}
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(
            f'{folder}: its scalars.json cannot be read ({type(error).__name__}: {error}); the run must have ended'
        ) from error
    if not run:
        raise InputError(f'{folder}: no validation was logged there; name a work directory of tools/train.py')
    undefined = [epoch for epoch, metrics in run.items() if min(metrics.values()) < 0]
    if undefined:
        raise InputError(f'{folder}: AP after epoch {undefined[0]} is undefined, as the validation data has no object')
    return run


def read_groups(texts):
    """Return a dict of label to runs from texts such as ``RetinaNet=work_dirs/r0,work_dirs/r1``.

    Raises:
        InputError: a text is of another form, something is named twice, or runs of one label were validated after
            other epochs.
    """
    groups = {}
    for text in texts:
        label, equals, folders = text.partition('=')
        names = folders.split(',')
        if not (label and equals and all(names)):
            raise InputError(f'{text}: must be LABEL=WORK_DIR,WORK_DIR,...')
        if label in groups or len(set(names)) < len(names):
            raise InputError(f'{text}: a label or a work directory is given twice')
        runs = {folder: read_run(folder) for folder in names}
        first, *others = runs.items()
        for folder, run in others:
            if run.keys() != first[1].keys():
                raise InputError(
                    f'{label}: {folder} was validated after epochs {list(run)}, {first[0]} after {list(first[1])}; '
                    'give runs of one schedule'
                )
        groups[label] = list(runs.values())
    return groups


def table(groups):
    """Return Markdown: AP after each epoch (mean over the runs), of the last one also AP50, AP75 and the range."""
    epochs = sorted({epoch for runs in groups.values() for epoch in runs[0]})
    head = ['', 'runs', *(f'AP after {epoch}' for epoch in epochs), 'range', 'AP50', 'AP75']
    rows = [head, ['---'] * len(head)]
    for label, runs in groups.items():

        def mean(epoch, metric, runs=runs):
            return f'{statistics.fmean(run[epoch][metric] for run in runs):.3f}' if epoch in runs[0] else '-'

        last = max(runs[0])
        ends = [run[last]['AP'] for run in runs]
        spread = f'{min(ends):.3f}–{max(ends):.3f}'
        rows.append(
            [label, str(len(runs)), *(mean(e, 'AP') for e in epochs), spread, mean(last, 'AP50'), mean(last, 'AP75')]
        )
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def draw(groups, path):
    """Draw the validation AP over the epochs, a line for each label and the range of its runs around it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout='constrained')
    axes = figure.subplots()
    for label, runs in groups.items():
        epochs = sorted(runs[0])
        values = [[run[epoch]['AP'] for run in runs] for epoch in epochs]
        (line,) = axes.plot(epochs, [statistics.fmean(v) for v in values], marker='o', markersize=3, label=label)
        axes.fill_between(
            epochs, [min(v) for v in values], [max(v) for v in values], alpha=0.15, color=line.get_color()
        )
    axes.set(xlabel='epoch', ylabel='validation AP, mean and range of the runs', ylim=(0, None))
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as part:
        figure.savefig(part, dpi=120, format='png')


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    parser = new_parser('compare_runs.py', __doc__, EXAMPLE)
    parser.add_argument('runs', nargs='+', metavar='LABEL=DIR,...', help='a name, and work directories of its seeds')
    parser.add_argument('--out', metavar='PNG', help='draw the curves')
    args = parser.parse_args(argv)
    groups = read_groups(args.runs)
    if args.out:
        check_writable(args.out)
        draw(groups, args.out)
    print(table(groups))


if __name__ == '__main__':
    raise SystemExit(main())
