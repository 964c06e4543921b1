"""Detect objects in images, folders, a video or what a camera sees: pictures with boxes, and predictions.json in the
COCO format; --track numbers the objects of a video."""

import contextlib
import itertools
import json
import math
import sys
import time
from pathlib import Path

from mfdet import compat
from mfdet.commands._camera import camera_number, open_shown, run_camera, track_paths
from mfdet.commands._follow import Follower, find_sequence, in_order, load_model
from mfdet.commands._inputs import check_overwriting, find_inputs, picture_name, read_frames, read_images
from mfdet.commands._journal import JOURNAL, Journal, hash_files
from mfdet.commands._run import TORCH_PRECISIONS, check_at_least_one, check_score, command, new_parser
from mfdet.errors import InputError
from mfdet.files import VIDEO_SUFFIXES, make_folder, write_file

EXAMPLE = """examples:
  %(prog)s model.onnx photos --out predictions
  %(prog)s model.xml 'photos/*/*.jpg' extra.png --score-thr 0.5 --batch 4
  %(prog)s work_dirs/run/best_coco_bbox_mAP_epoch_12.pth clip.mp4
  %(prog)s model.onnx clip.mp4 --track --out tracked
  %(prog)s model.onnx 0 --show --out recording.mp4

Exit code: 0 if every image was read, 1 if some were not (each is named), 2 if nothing could be done.
Interrupted, it leaves what was found in --out, as predictions.jsonl: the same command goes on from there."""


def build_parser():
    """Return the argument parser."""
    parser = new_parser('predict', __doc__, EXAMPLE)
    parser.add_argument(
        'model', metavar='MODEL', help='exported model (.onnx, .xml, .tflite, .pte) or checkpoint (.pth, ...)'
    )
    parser.add_argument(
        'input', metavar='INPUT', nargs='+', help='images, folders, globs; one video; or the number of a camera'
    )
    parser.add_argument(
        '--out',
        metavar='DIR',
        help='folder for results (default predictions); of a camera, a new FILE.mp4 to record in',
    )
    least = parser.add_mutually_exclusive_group()
    least.add_argument('--score-thr', metavar='S', type=float, default=0.3, help='least score to keep (default 0.3)')
    least.add_argument('--thresholds', metavar='FILE', help='thresholds.json of a report: least scores of the classes')
    parser.add_argument(
        '--batch', '--batch-size', metavar='N', type=int, default=1, help='images run at a time (default 1)'
    )
    parser.add_argument(
        '--track', action='store_true', help='number the objects of a video, a camera or a folder of frames'
    )
    parser.add_argument(
        '--track-buffer', metavar='SECONDS', type=float, help='how long a lost object keeps its number (default 1)'
    )
    parser.add_argument('--fps', metavar='F', type=float, help='frames per second, if INPUT does not say, or wrongly')
    parser.add_argument('--show', action='store_true', help='show a video or a camera in a window; q or Esc ends it')
    parser.add_argument('--threads', metavar='N', type=int, help='CPU threads; default: as many as the backend likes')
    parser.add_argument('--device', default='cpu', help='device of a checkpoint, such as cuda (default cpu)')
    parser.add_argument(
        '--precision', choices=TORCH_PRECISIONS, default='fp32', help='of a checkpoint on a GPU (default fp32)'
    )
    parser.add_argument('--config', help='config of a checkpoint, if it holds none')
    return parser


class Progress:
    """Counts images and failures; on a terminal, a line with a bar and the rate, below any messages.

    Args:
        total: number of images, or 0 if it is not known.
    """

    def __init__(self, total):
        self.total = total
        self.done = self.known = self.failed = 0
        self.line = sys.stderr.isatty()
        self.start = time.perf_counter()

    @property
    def rate(self):
        """Images per second so far, without those that an earlier run has done."""
        return (self.done - self.known) / (time.perf_counter() - self.start)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._clear()

    def step(self, known=False):
        """Count an image that is done; ``known``: an earlier run has."""
        self.done += 1
        self.known += known
        self._clear()
        if self.line:
            seen = self.done + self.failed
            bar = '#' * min(20, 20 * seen // self.total) if self.total else ''
            text = f'[{bar:<20}] {seen}/{self.total or "?"}, {self.rate:.1f} images/s'
            print(text, end='', file=sys.stderr, flush=True)

    def report(self, problem):
        """Print why a file fails, and count it."""
        self.failed += 1
        self._clear()
        print(f'error: {problem}', file=sys.stderr)

    def _clear(self):
        if self.line:
            print('\r\033[K', end='', file=sys.stderr)


def encode_picture(path, image):
    """Return an image (H, W, 3) BGR as bytes in the format that the suffix of ``path`` names.

    Raises:
        InputError: the format does not take an image of this size.
    """
    import cv2

    written, data = cv2.imencode(path.suffix, image)
    if not written:
        height, width = image.shape[:2]
        raise InputError(f'{path}: a picture of {width}×{height} pixels cannot be written in this format')
    return data.tobytes()


def predict(model, source, save, journal, progress, score_thr=0.3, batch_size=1, follow=None):
    """Detect objects in images, unless the journal knows them, and save a picture of each.

    Args:
        model: a detector, such as :class:`mfdet.runtime.Detector`.
        source: iterator of (key, image), images uint8 (H, W, 3) BGR.
        save: function that takes the name and the picture.
        journal: a :class:`Journal`.
        progress: a :class:`Progress`.
        score_thr: least score to keep.
        batch_size: number of images run at a time.
        follow: function that takes a key and what was found, in the order of the frames, and returns it tracked.
    """
    while batch := list(itertools.islice(source, batch_size)):
        new = {key: image for key, image in batch if key not in journal.records}
        results = model(list(new.values()), score_thr=score_thr, batch_size=batch_size)
        for (key, image), found in zip(new.items(), results, strict=True):
            journal.add(key, image, found)
        for key, image in batch:
            found = journal.use(key)
            if follow:
                found = journal.records[key].found = follow(key, found)
            save(key[0], found.draw(image))
            progress.step(known=key not in new)


def predict_images(model, files, out, problems, journal, follow=None, **options):
    """Predict image files, see :func:`find_inputs`; returns the :class:`Progress`."""

    def save(name, picture):
        try:
            data = encode_picture(out / picture_name(name), picture)
        except InputError as error:  # the detections still count
            progress.report(error)
        else:
            path = out / picture_name(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, data)

    if follow:
        place = {name: number for number, name in enumerate(files)}
        options.update(follow=lambda key, found: follow(place[key[0]], found))
    with Progress(len(files) + len(problems)) as progress:
        for problem in problems:
            progress.report(problem)
        images = read_images(files, out, journal, progress, again=follow is not None)
        predict(model, images, save, journal, progress, **options)
        return progress


def predict_video(model, path, clip, out, journal, follow=None, window=None, **options):
    """Predict a video, opened as :func:`mfdet.runtime.video.open_video` does; returns the :class:`Progress`."""
    from mfdet.runtime.video import video_writer

    def save(name, picture):
        write(picture)
        if window:
            due[0] = max(due[0] + 1 / rate, time.monotonic())
            window.show(picture, until=due[0])
            if window.closed:
                raise KeyboardInterrupt

    due = [0.0]  # time.monotonic() when the next frame is to be seen
    if follow:
        options.update(follow=lambda key, found: follow(key[-1], found))
    video, rate, expected = clip
    with Progress(expected) as progress, video_writer(out / f'{path.stem}.mp4', rate) as write:
        predict(model, read_frames(video, path, expected, progress), save, journal, progress, **options)
        return progress


def check_options(args):
    """Check the options that need no look at any file.

    Raises:
        InputError: one is wrong, or goes with another that is not there.
    """
    check_score(args.score_thr)
    check_at_least_one(args, 'batch', 'threads')
    if args.fps is not None and not 0 < args.fps < math.inf:
        raise InputError(f'--fps must be above 0, got {args.fps}')
    if args.track_buffer is not None and not 0 <= args.track_buffer < math.inf:
        raise InputError(f'--track-buffer must be 0 seconds or more, got {args.track_buffer}')
    if args.track_buffer is not None and not args.track:
        raise InputError('--track-buffer goes with --track')


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    check_options(args)
    compat.check_opencv()
    if args.track:
        from mfdet.runtime.tracking import import_trackers

        import_trackers()  # said before a model is loaded
    camera = camera_number(args.input)
    with contextlib.ExitStack() as stack:
        return run_files(args, stack) if camera is None else run_camera(args, camera, stack)


def run_files(args, stack):
    """Predict files; returns the exit code.

    Args:
        args: options.
        stack: ``contextlib.ExitStack`` of what is open.
    """
    from mfdet.runtime.detections import coco_dict
    from mfdet.runtime.video import open_video

    out = Path('predictions' if args.out is None else args.out)
    files, problems = find_inputs(args.input, out)
    videos = [path for path in files.values() if path.suffix.lower() in VIDEO_SUFFIXES]
    name, rate = (videos[0].stem if videos else None), args.fps
    if args.track and not videos:
        folder, name, rate = find_sequence(args.input, args.fps)
        files, problems = find_inputs([folder], out)
        files = in_order(files)
    if not files:
        raise InputError('; '.join(problems) or f'INPUT names nothing but results in --out {out}')
    if videos and (len(files) > 1 or problems):
        raise InputError(f'{videos[0]}: a video must be the only INPUT')
    for option, given in (('--show', args.show), ('--fps', args.fps and not args.track)):
        if given and not videos:
            raise InputError(f'{option} is for a video or a camera')
    tracks = track_paths(out, name) if args.track else ()
    names = [f'{videos[0].stem}.mp4'] if videos else list(map(picture_name, files))
    check_overwriting(files.values(), [*(out / name for name in names), *tracks], out)
    clip = None
    if videos:
        video, rate, expected = open_video(videos[0])
        clip = video, args.fps or rate, expected
        if args.track and not clip[1] > 0:
            raise InputError(f'{videos[0]}: does not say how many of its frames make a second; give --fps')
    window = open_shown(args, stack)
    model, score_thr = load_model(args)
    options = dict(score_thr=args.score_thr, batch_size=args.batch)
    made_by = {'MODEL': hash_files(args.model, Path(args.model).with_suffix('.bin')), '--score-thr': args.score_thr}
    if args.precision != 'fp32':
        made_by['--precision'] = args.precision
    if args.track:
        source = videos[0].name if videos else name
        options['follow'] = Follower(source, clip[1] if clip else rate, score_thr, args.track_buffer)
        options['score_thr'] = made_by['--track'] = options['follow'].least_score
    make_folder(out, '--out')  # said now rather than after the first batch
    if args.thresholds:
        made_by['--thresholds'] = hash_files(args.thresholds)
    if args.config:
        made_by['--config'] = hash_files(args.config)
    inputs = [videos[0].name] if videos else files
    try:
        with Journal(out / JOURNAL, made_by, model.classes, inputs) as journal:
            if videos:
                progress = predict_video(model, videos[0], clip, out, journal, window=window, **options)
            else:
                progress = predict_images(model, files, out, problems, journal, **options)
            if not progress.done:
                raise InputError('no image could be read, so there are no predictions')
            images = ((key[0], record.width, record.height, record.found) for key, record in journal.results())
            result = coco_dict(images, model.classes, first_id=0 if videos else 1)
            if args.track:
                options['follow'].tracks.write(*tracks)
            write_file(out / 'predictions.json', json.dumps(result).encode())
    except OSError as error:
        raise InputError(f'--out {out} cannot be written: {error.strerror}; name another folder') from error
    objects = f'{options["follow"].count} tracks, ' if args.track else ''
    print(
        f'{progress.done} images, {len(result["annotations"])} detections, {objects}{progress.rate:.1f} images/s, '
        f'{progress.failed} could not be read; {out}'
    )
    return 1 if progress.failed else 0
