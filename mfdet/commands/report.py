"""Say what is wrong with a detector and what to do: a page with figures and pictures, from COCO results."""

import os
import shlex
import sys

from mfdet.commands._run import check_score, command, new_parser, program
from mfdet.errors import InputError

EXAMPLE = """example:
  %(prog)s instances_val2017.json results.json --images val2017 --out report

RESULTS.json is of any detector: a list of {"image_id", "category_id", "bbox": [x, y, width, height], "score"}, with the
ids of GT.json. DIR/index.html is the page, DIR/thresholds.json the score threshold of best F1 for each class, which
predict takes (--thresholds)."""


def build_parser():
    """Return the argument parser."""
    parser = new_parser('report', __doc__, EXAMPLE)
    parser.add_argument('ground_truth', metavar='GT.json', help='COCO annotation file')
    parser.add_argument('results', metavar='RESULTS.json', help='COCO results file, boxes in pixels')
    parser.add_argument('--out', metavar='DIR', required=True, help='folder for the report')
    parser.add_argument('--images', metavar='DIR', help='folder of the images; without it there are no pictures')
    parser.add_argument('--score-thr', metavar='S', type=float, help='score threshold; default: that of best F1')
    parser.add_argument('--work-dir', metavar='DIR', help='folder of the training, for its curves.png')
    return parser


def summary(findings, out):
    """Return what a report says in short: where it is, and what to do."""
    from mfdet.report.advice import advise
    from mfdet.report.text import printable

    stats, at = findings.result.stats, findings.at
    lines = [
        f'{os.path.join(out, "index.html")}: AP {stats["AP"]:.3f}, AP50 {stats["AP50"]:.3f}; at a score of '
        f'{at.threshold:.3f} precision {at.precision:.3f}, recall {at.recall:.3f}'
    ]
    return '\n'.join([*lines, *(f'- {printable(advice)}' for advice in advise(findings))])


def command_line(tool, argv=None):
    """Return the command as it was typed, for the record."""
    return shlex.join([*program(tool).split(), *(sys.argv[1:] if argv is None else map(str, argv))])


def image_reader(ground_truth, folder):
    """Return a function from an image id to the image, uint8 (H, W, 3) BGR, that reads it from a folder.

    Raises:
        InputError: the folder is not there, or has none of the images.
    """
    from mfdet.data.check import check_image_folder
    from mfdet.runtime import read_image

    check_image_folder(ground_truth.dataset['images'], folder)

    def read(image_id):
        name = ground_truth.imgs[image_id].get('file_name')
        if not isinstance(name, str):
            raise InputError(f'image {image_id!r} has no file_name')
        return read_image(os.path.join(folder, name))

    return read


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    try:
        from mfdet.evaluation.coco import load_ground_truth, load_results
        from mfdet.report.write import check_folder, write_report
    except ImportError as error:
        raise InputError(
            f'{error.name} cannot be found; install what this needs: pip install pycocotools matplotlib'
        ) from error
    if args.score_thr is not None:
        check_score(args.score_thr)
    if args.work_dir and not os.path.isdir(args.work_dir):
        raise InputError(f'--work-dir {args.work_dir}: no such folder')
    ground_truth = load_ground_truth(args.ground_truth)
    results = load_results(args.results, ground_truth)
    read = image_reader(ground_truth, args.images) if args.images else None
    check_folder(args.out, '--out')
    made_by = {
        'Command': command_line('report', argv),
        'Annotations': os.path.abspath(args.ground_truth),
        'Results': os.path.abspath(args.results),
    }
    findings = write_report(args.out, ground_truth, results, made_by, read, args.work_dir, score_thr=args.score_thr)
    print(summary(findings, args.out))
