"""A page in the browser to try detectors on images and videos of one's own."""

from mfdet import compat
from mfdet.commands._run import command, new_parser

EXAMPLE = """examples:
  %(prog)s cells.onnx
  %(prog)s work_dirs/run/best_coco_bbox_mAP_epoch_30.pth cells.onnx --examples photos --port 8000

The page is for this machine alone, works without internet and keeps nothing. With --host 0.0.0.0 all who reach
the machine can use it, without a password."""


def build_parser():
    """Return the argument parser."""
    parser = new_parser('demo', __doc__, EXAMPLE)
    parser.add_argument(
        'models',
        metavar='MODEL',
        nargs='+',
        help='exported models (.onnx, .tflite, ...) or checkpoints (.pth, ...), to choose',
    )
    parser.add_argument('--port', type=int, default=7860, help='port; 0 for any that is free (default 7860)')
    parser.add_argument('--host', default='127.0.0.1', help='address to serve on (default 127.0.0.1)')
    parser.add_argument('--examples', metavar='DIR', help='folder of example images; default: generated ones')
    return parser


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    compat.check_opencv()
    from mfdet.page.serve import serve

    serve(args.models, args.host, args.port, args.examples)
