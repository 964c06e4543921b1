"""Check a COCO data set before training: annotation file and images."""

import argparse
import dataclasses
import json
import os

from mfdet.commands._run import command, program
from mfdet.errors import InputError

EXAMPLE = """example:
  %(prog)s cells/train.json --images cells/images --plot sizes.png

exit code: 0 without problems, 1 with warnings only, 2 with errors"""


def build_parser():
    """Return the argument parser."""
    parser = argparse.ArgumentParser(
        program('check_dataset'),
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('annotations', metavar='ANN.json', help='annotation file, COCO JSON')
    parser.add_argument('--images', metavar='DIR', help='folder of the images; without it they are not looked at')
    parser.add_argument('--json', action='store_true', help='print one JSON object: summary and problems')
    parser.add_argument('--plot', metavar='FILE.png', help='draw object sizes and classes')
    parser.add_argument('--most', type=int, default=50, metavar='N', help='problems to print (50); --json has all')
    return parser


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    from mfdet.data.check import ERROR, check_annotations, check_image, draw_sizes, read_annotations, summarize

    if args.images and not os.path.isdir(args.images):
        raise InputError(f'--images {args.images}: no such folder')
    if args.plot and (not args.plot.endswith('.png') or not os.path.isdir(os.path.dirname(args.plot) or '.')):
        raise InputError(f'--plot {args.plot}: must be a .png file in a folder that exists')
    if args.most < 0:
        raise InputError(f'--most must be 0 or more, got {args.most}')
    content = read_annotations(args.annotations)
    problems = check_annotations(content, args.annotations)
    if args.images:
        named = [image for image in content['images'] if isinstance(image.get('file_name'), str)]
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
    for problem in problems[: args.most]:
        print(problem)
    if len(problems) > args.most:
        print(f'... and {len(problems) - args.most} more; --json lists all')
    print(f'{errors} errors, {len(problems) - errors} warnings')
