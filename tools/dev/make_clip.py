"""Write a clip of generated shapes that move and hide each other, and its true tracks as text of the MOT Challenge."""

import sys
from pathlib import Path

from mfdet.commands._run import check_at_least_one, command, new_parser
from mfdet.data.moving_shapes import DIAMETERS, frames
from mfdet.errors import InputError
from mfdet.files import check_writable, write_file
from mfdet.runtime.video import CODECS, video_writer

EXAMPLE = """example:
  python tools/dev/make_clip.py clip.mp4 --frames 250 --objects 5
  python tools/predict.py shapes.onnx clip.mp4 --track --out tracked
  trackers eval --gt clip_truth.txt --tracker tracked/clip.txt --metrics CLEAR Identity"""


@command
def main(argv=None):
    """Parse the command line, write both files and print what they hold."""
    parser = new_parser('make_clip.py', __doc__, EXAMPLE)
    parser.add_argument('out', metavar='OUT.mp4', help='the clip; its tracks go beside it, as OUT_truth.txt')
    parser.add_argument('--frames', type=int, default=250, help='number of frames (default: %(default)s)')
    parser.add_argument('--fps', type=int, default=25, help='frames per second (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='number of the clip (default: 0)')
    parser.add_argument('--size', type=int, nargs=2, default=(384, 384), metavar=('H', 'W'), help='default: 384 384')
    parser.add_argument('--objects', type=int, default=4, help='number of objects (default: %(default)s)')
    parser.add_argument('--clutter', type=float, default=0.25, help='difficulty, 0 to 1 (default: %(default)s)')
    parser.add_argument(
        '--diameters',
        type=float,
        nargs=2,
        default=DIAMETERS,
        metavar=('MIN', 'MAX'),
        help='of a shape, as a share of the short side (default: %(default)s)',
    )
    args = parser.parse_args(argv)
    check_at_least_one(args, 'frames', 'fps', 'objects')
    out = Path(args.out)
    if out.suffix not in CODECS:
        raise InputError(f'{out}: must end in {" or ".join(CODECS)}')
    check_writable(args.out)
    lines = []
    with video_writer(out, args.fps) as write:
        clip = frames(args.frames, args.seed, args.size, args.objects, diameters=args.diameters, clutter=args.clutter)
        for frame, ((image, boxes, _), numbers) in enumerate(clip, 1):
            write(image)
            for number, (x1, y1, x2, y2) in zip(numbers, boxes.tolist(), strict=True):
                lines.append(f'{frame},{number},{x1 + 1:g},{y1 + 1:g},{x2 - x1:g},{y2 - y1:g},1,1,1\n')
    truth = out.with_name(f'{out.stem}_truth.txt')
    write_file(truth, ''.join(lines).encode())
    print(f'{out}: {args.frames} frames, {args.objects} objects; {truth}: {len(lines)} boxes')


if __name__ == '__main__':
    sys.exit(main())
