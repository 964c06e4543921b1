"""Write a set of generated shapes (mfdet.data.shapes) as PNG files with COCO annotations."""

import sys

from mfdet.commands._run import command, new_parser
from mfdet.data.shapes import DIAMETERS, write_coco

EXAMPLE = """example:
  python tools/dev/make_shapes.py shapes --count 500 --seed 0 --name train
  python tools/dev/make_shapes.py easy --size 96 96 --max-objects 3 --diameters 0.3 0.7 --clutter 0.25"""


@command
def main(argv=None):
    """Parse the command line, write the set and print where its annotations are."""
    parser = new_parser('make_shapes.py', __doc__, EXAMPLE)
    parser.add_argument('out', help="folder for 'images' and 'annotations'; may hold sets of other names")
    parser.add_argument('--count', type=int, default=100, help='number of images (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='number of the set; differ it per split (default: 0)')
    parser.add_argument('--size', type=int, nargs=2, default=(192, 192), metavar=('H', 'W'), help='default: 192 192')
    parser.add_argument('--name', default='shapes', help='names the files, e.g. train (default: %(default)s)')
    parser.add_argument('--max-objects', type=int, default=8, help='most objects in an image (default: %(default)s)')
    parser.add_argument(
        '--diameters',
        type=float,
        nargs=2,
        default=DIAMETERS,
        metavar=('MIN', 'MAX'),
        help='of a shape, as a share of the short side (default: %(default)s)',
    )
    parser.add_argument('--clutter', type=float, default=1.0, help='difficulty, 0 to 1 (default: %(default)s)')
    args = parser.parse_args(argv)
    options = args.max_objects, args.diameters, args.clutter
    print(write_coco(args.out, args.count, args.seed, args.size, args.name, *options))


if __name__ == '__main__':
    sys.exit(main())
