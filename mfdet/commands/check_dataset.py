"""Check a COCO data set before training: annotation file and images."""

import argparse
import dataclasses
import json
import os

from mfdet.commands._run import command, new_parser
from mfdet.errors import InputError
from mfdet.files import check_writable

EXAMPLE = """example:
  %(prog)s cells/train.json --images cells/images --plot sizes.png

exit code: 0 without problems, 1 with warnings only, 2 with errors"""


def _count(text):
    """Read a whole number from 0 up from the command line."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'must be a whole number from 0 up, got {text!r}')
    return int(text)


def add_most(parser):
    """Add ``--most``."""
    parser.add_argument('--most', type=_count, default=50, metavar='N', help='problems to print (default: 50)')


def print_problems(problems, most):
    """Print the first problems, and how many more there are."""
    for problem in problems[:most]:
        print(problem)
    if len(problems) > most:
        print(f'... and {len(problems) - most} more; --most {len(problems)} prints all')


def build_parser():
    """Return the argument parser."""
    parser = new_parser('check_dataset', __doc__, EXAMPLE)
    parser.add_argument('annotations', metavar='ANN.json', help='annotation file, COCO JSON')
    parser.add_argument('--images', metavar='DIR', help='folder of the images; without it they are not looked at')
    parser.add_argument('--json', action='store_true', help='print one JSON object: summary and problems')
    parser.add_argument('--plot', metavar='FILE.png', help='draw object sizes and classes')
    add_most(parser)
    return parser


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    from mfdet.data.check import (
        ERROR,
        check_annotations,
        check_image,
        check_image_folder,
        draw_sizes,
        read_annotations,
        summarize,
    )

    if args.images and not os.path.isdir(args.images):  # said before a large file is read
        raise InputError(f'--images {args.images}: no such folder')
    if args.plot:
        check_writable(args.plot, '--plot')
        if not args.plot.endswith('.png'):
            raise InputError(f'--plot {args.plot}: must end in .png')
    content = read_annotations(args.annotations)
    problems = check_annotations(content, args.annotations)
    if args.images:
        named = check_image_folder(content['images'], args.images)
        checked = (check_image(image, os.path.join(args.images, image['file_name'])) for image in named)
        problems += [problem for problem in checked if problem]
    summary = summarize(content)
    if args.plot:
        draw_sizes(content, args.plot)
    errors = sum(problem.severity == ERROR for problem in problems)
    if args.json:
        print(json.dumps(dict(summary=summary, errors=errors, problems=[dataclasses.asdict(p) for p in problems])))
    else:
        print_text(args, summary, problems, errors)
    return 2 if errors else int(bool(problems))


def print_text(args, summary, problems, errors):
    """Print what was found, for people."""
    sizes = ', '.join(f'{count} {name}' for name, count in summary['sizes'].items())
    print(
        f'{args.annotations}: {summary["images"]} images ({summary["images_without_objects"]} without objects), '
        f'{summary["objects"]} objects ({sizes}; {summary["crowds"]} crowds)'
    )
    for name, count in summary['classes'].items():
        print(f'  {name:<24}{count:>8}')
    print_problems(problems, args.most)
    print(f'{errors} errors, {len(problems) - errors} warnings')
