"""Convert a Pascal-VOC or YOLO data set to a COCO annotation file; the images stay where they are."""

import json
import os

from mfdet.commands._run import command, new_parser
from mfdet.commands.check_dataset import add_most, print_problems
from mfdet.errors import InputError
from mfdet.files import check_writable, replacing

EXAMPLE = """examples:
  %(prog)s voc cells --split train --out cells/train.json
  %(prog)s yolo traffic --split train --out traffic/train.json

exit code: 0 if everything was converted, 1 if something was left out or is odd; it is named"""


def build_parser():
    """Return the argument parser."""
    parser = new_parser('convert_dataset', __doc__, EXAMPLE)
    parser.add_argument('kind', choices=('voc', 'yolo'), help='what SRC is')
    parser.add_argument('source', metavar='SRC', help='folder of the data set')
    parser.add_argument('--out', required=True, metavar='ANN.json', help='file to write; it must not exist')
    parser.add_argument('--split', metavar='NAME', help='image set of VOC, sub-folder of YOLO (default: everything)')
    parser.add_argument(
        '--annotations', metavar='DIR', help='VOC: folder of the .xml files in SRC (default: the one that holds some)'
    )
    parser.add_argument(
        '--images', metavar='DIR', help='VOC: folder of the images in SRC (default: the one that holds them)'
    )
    parser.add_argument(
        '--one-based', action='store_true', help='VOC: pixels count from 1, as in the original PASCAL VOC'
    )
    add_most(parser)
    return parser


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    from mfdet.data.convert import CONVERTERS, voc_folders

    if not os.path.isdir(args.source):
        raise InputError(f'{args.source}: no such folder')
    check_writable(args.out, '--out')
    if os.path.exists(args.out):
        raise InputError(f'--out {args.out}: is there already; take another name or remove it')
    options = {option: getattr(args, option) for option in ('one_based', 'annotations', 'images')}
    if args.kind != 'voc':
        given = [option for option, value in options.items() if value]
        if given:
            raise InputError(f'--{given[0].replace("_", "-")} goes with voc')
        options = {}
    content, problems = CONVERTERS[args.kind](args.source, args.split, **options)
    with replacing(args.out) as part, open(part, 'w', encoding='utf-8') as file:
        json.dump(content, file, allow_nan=False)
    print_problems(problems, args.most)
    names = ', '.join(category['name'] for category in content['categories'])
    if args.kind == 'voc':
        print('annotations of {}, images of {}'.format(*voc_folders(args.source, args.annotations, args.images)))
    print(
        f'{args.out}: {len(content["images"])} images, {len(content["annotations"])} objects of {names}; '
        f'{len(problems)} problem{"" if len(problems) == 1 else "s"}'
    )
    return int(bool(problems))
