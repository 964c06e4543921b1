"""Draw what object queries look at, and how their boxes move from block to block."""

import os

import cv2

from mfdet.commands._run import add_config_options, command, new_parser
from mfdet.compat import check_environment
from mfdet.errors import InputError
from mfdet.files import write_file
from mfdet.runtime.images import read_image

EXAMPLE = """example:
  %(prog)s configs/shapes/e2e_paper_mf26m.py work_dirs/shapes/e2e_paper_mf26m/best_*.pth \\
      image.png --out queries"""


def build_parser():
    """Return the argument parser."""
    parser = new_parser('visualize_queries', __doc__, EXAMPLE)
    parser.add_argument('config', help='config of an end-to-end detector, such as configs/e2e_mf508m.py')
    parser.add_argument('checkpoint', help='checkpoint of the training')
    parser.add_argument('image', help='image file')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the picture, <image name>_queries.png')
    parser.add_argument('--queries', type=int, nargs='+', metavar='I', help='queries to draw, from 0; default: --top')
    add_config_options(parser, 'those of the training')
    parser.add_argument('--top', type=int, default=4, metavar='N', help='draw the N best-scored queries (default 4)')
    return parser


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    check_environment()
    args = build_parser().parse_args(argv)
    from mfdet.engine.queries import Observer, picture

    image = read_image(args.image)
    observer = Observer(args.checkpoint, args.config, args.cfg_options)
    if args.top < 1:
        raise InputError(f'--top must be at least 1, got {args.top}')
    if args.queries and not set(args.queries) <= set(range(observer.count)):
        raise InputError(f'--queries must be from 0 to {observer.count - 1}, got {" ".join(map(str, args.queries))}')
    seen = observer(image)
    sheet = picture(image, args.queries or seen.best(args.top), seen)
    path = os.path.join(args.out, f'{os.path.splitext(os.path.basename(args.image))[0]}_queries.png')
    try:
        os.makedirs(args.out, exist_ok=True)
    except OSError as error:
        raise InputError(f'--out {args.out}: {error.strerror}; name a folder that can be written') from error
    write_file(path, cv2.imencode('.png', sheet)[1])
    print(f'{path}: one row for each query; boxes after each block, then the attention of the last block of each scale')
