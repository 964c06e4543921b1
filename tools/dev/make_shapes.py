"""Write a set of generated shapes (mfdet.data.shapes) as PNG files with COCO annotations."""

import argparse
import sys

from mfdet.commands._run import command
from mfdet.data.shapes import write_coco

EXAMPLE = """example:
  python tools/dev/make_shapes.py shapes --count 500 --seed 0 --name train"""


@command
def main(argv=None):
    """Parse the command line, write the set and print where its annotations are."""
    parser = argparse.ArgumentParser(
        'make_shapes.py', description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('out', help="folder for 'images' and 'annotations'; may hold sets of other names")
    parser.add_argument('--count', type=int, default=100, help='number of images (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='number of the set; differ it per split (default: 0)')
    parser.add_argument('--size', type=int, nargs=2, default=(192, 192), metavar=('H', 'W'), help='default: 192 192')
    parser.add_argument('--name', default='shapes', help='names the files, e.g. train (default: %(default)s)')
    args = parser.parse_args(argv)
    print(write_coco(args.out, args.count, args.seed, args.size, args.name))


if __name__ == '__main__':
    sys.exit(main())
