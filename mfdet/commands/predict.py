"""Detect objects in images, folders or a video: pictures with boxes, and predictions.json in the COCO format."""

import functools
import itertools
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from mfdet import compat
from mfdet.commands._journal import Journal, file_key, hash_files
from mfdet.commands._run import check_at_least_one, check_score, command, new_parser
from mfdet.errors import InputError
from mfdet.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, images_below, make_folder, matches_of, write_file

EXAMPLE = """examples:
  %(prog)s model.onnx photos --out predictions
  %(prog)s model.xml 'photos/*/*.jpg' extra.png --score-thr 0.5 --batch 4
  %(prog)s work_dirs/run/best_coco_bbox_mAP_epoch_12.pth clip.mp4

Exit code: 0 if every image was read, 1 if some were not (each is named), 2 if nothing could be done.
Interrupted, it leaves what was found in --out, as predictions.jsonl: the same command goes on from there."""
JOURNAL = 'predictions.jsonl'


def build_parser():
    """Return the argument parser."""
    parser = new_parser('predict', __doc__, EXAMPLE)
    parser.add_argument('model', metavar='MODEL', help='exported model (.onnx, .xml) or checkpoint (.pth, ...)')
    parser.add_argument('input', metavar='INPUT', nargs='+', help='images, folders, globs, or one video')
    parser.add_argument('--out', metavar='DIR', default='predictions', help='folder for results (default predictions)')
    least = parser.add_mutually_exclusive_group()
    least.add_argument('--score-thr', metavar='S', type=float, default=0.3, help='least score to keep (default 0.3)')
    least.add_argument('--thresholds', metavar='FILE', help='thresholds.json of a report: least scores of the classes')
    parser.add_argument(
        '--batch', '--batch-size', metavar='N', type=int, default=1, help='images run at a time (default 1)'
    )
    parser.add_argument('--threads', metavar='N', type=int, help='CPU threads; default: as many as the backend likes')
    parser.add_argument('--device', default='cpu', help='device of a checkpoint, such as cuda (default cpu)')
    parser.add_argument('--config', help='config of a checkpoint, if it holds none')
    return parser


def find_inputs(inputs, out):
    """Find the files that the user means.

    Args:
        inputs: names of files and folders, and globs. Folders are searched for images, with all that is below them.
        out: folder for results; files in it are left out, unless all inputs lie there.

    Returns:
        A dict from name to path, where the name is the path below the folder that all inputs have in common; and a
        list of sentences on inputs that give nothing.
    """
    files, folders, problems = [], [], []
    for text in inputs:
        matches = matches_of(text)
        if not matches:
            problems.append(f'{text}: no such file or folder')
        for match in map(Path, matches):
            if match.is_dir():
                found = list(map(Path, images_below(match)))
                if not found:
                    problems.append(f'{match}: holds no images, files that end in {", ".join(IMAGE_SUFFIXES)}')
            else:
                found = [match]
            files += found
            folders.append(os.path.abspath(match if match.is_dir() else match.parent))
    root, out = os.path.commonpath(folders or ['.']), os.path.abspath(out)
    names = {os.path.relpath(path, root): path for path in files}
    if Path(root) in Path(out).parents:  # a second run must not take the pictures of the first
        names = {name: path for name, path in names.items() if Path(out) not in Path(root, name).parents}
    return names, problems


def check_overwriting(sources, targets, out):
    """Raise :class:`InputError` if a result would overwrite an input, another result, or a file of another origin."""
    folder_of = functools.cache(os.path.realpath)  # there are many files, in few folders

    def real(path):
        folder, name = os.path.split(path)
        return os.path.realpath(path) if os.path.islink(path) else os.path.join(folder_of(folder), name)

    taken = set(map(real, targets))
    for source in sources:
        if real(source) in taken:
            raise InputError(f'--out {out}: the results would overwrite {source}; name another folder')
    if len(set(targets)) < len(targets):
        twice = Counter(targets).most_common(1)[0][0]
        raise InputError(f'--out {out}: two inputs would both be drawn as {twice}; run them one after the other')
    if not ((out / 'predictions.json').exists() or (out / JOURNAL).exists()):  # else it is the folder of a run
        taken = next((path for path in targets if path.exists()), None)
        if taken:
            raise InputError(f'--out {out}: {taken} is there already, and no earlier prediction; name another folder')


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


def read_images(files, out, journal, progress):
    """Yield (key in the journal, image) of the files that can be read and are not done; report those that cannot.

    Raises:
        InputError: the folder of a file is no longer there, such as a network share that is gone.
    """
    from mfdet.runtime import read_image

    for name, path in files.items():
        try:
            key = file_key(name, path)
            if key in journal.records and (out / picture_name(name)).exists():
                journal.use(key)
                progress.step(known=True)
                continue
            image = read_image(path)
        except InputError as error:
            if not path.parent.is_dir():
                raise InputError(f'{path.parent}: this folder is no longer there') from error
            progress.report(error)
        else:
            yield key, image


def read_frames(video, path, expected, progress):
    """Yield (key in the journal, image) of a video's frames, numbered from 0; report a video that ends early."""
    from mfdet.runtime.video import frames_of

    key = file_key(path.name, path)
    for number, image in enumerate(frames_of(video, path, expected, progress.report)):
        yield (*key, number), image


def picture_name(name):
    """Return the name of an image's picture: its own, if OpenCV can write such files."""
    return name if name.lower().endswith(IMAGE_SUFFIXES) else f'{name}.png'


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


def predict(model, source, save, journal, progress, score_thr=0.3, batch_size=1):
    """Detect objects in images, unless the journal knows them, and save a picture of each.

    Args:
        model: a detector, such as :class:`mfdet.runtime.Detector`.
        source: iterator of (key, image), images uint8 (H, W, 3) BGR.
        save: function that takes the name and the picture.
        journal: a :class:`Journal`.
        progress: a :class:`Progress`.
        score_thr: least score to keep.
        batch_size: number of images run at a time.
    """
    while batch := list(itertools.islice(source, batch_size)):
        new = {key: image for key, image in batch if key not in journal.records}
        results = model(list(new.values()), score_thr=score_thr, batch_size=batch_size)
        for (key, image), found in zip(new.items(), results, strict=True):
            journal.add(key, image, found)
        for key, image in batch:
            found = journal.use(key)
            save(key[0], found.draw(image))
            progress.step(known=key not in new)


def predict_images(model, files, out, problems, journal, **options):
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

    with Progress(len(files) + len(problems)) as progress:
        for problem in problems:
            progress.report(problem)
        predict(model, read_images(files, out, journal, progress), save, journal, progress, **options)
        return progress


def predict_video(model, path, out, journal, **options):
    """Predict the frames of a video; returns the :class:`Progress`."""
    from mfdet.runtime.video import open_video, video_writer

    video, rate, expected = open_video(path)
    with Progress(expected) as progress, video_writer(out / f'{path.stem}.mp4', rate) as write:
        frames = read_frames(video, path, expected, progress)
        predict(model, frames, lambda _, picture: write(picture), journal, progress, **options)
        return progress


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    args = build_parser().parse_args(argv)
    check_score(args.score_thr)
    check_at_least_one(args, 'batch', 'threads')
    compat.check_opencv()
    from mfdet.detector import load_detector
    from mfdet.runtime.detections import coco_dict
    from mfdet.runtime.thresholds import ThresholdedDetector, read_thresholds

    out = Path(args.out)
    files, problems = find_inputs(args.input, out)
    if not files:
        raise InputError('; '.join(problems) or f'INPUT names nothing but results in --out {out}')
    videos = [path for path in files.values() if path.suffix.lower() in VIDEO_SUFFIXES]
    if videos and (len(files) > 1 or problems):
        raise InputError(f'{videos[0]}: a video must be the only INPUT')
    names = [f'{videos[0].stem}.mp4'] if videos else list(map(picture_name, files))
    check_overwriting(files.values(), [out / name for name in names], out)
    model = load_detector(args.model, args.config, args.device, args.threads)
    options = dict(score_thr=args.score_thr, batch_size=args.batch)
    if args.thresholds:
        model = ThresholdedDetector(model, read_thresholds(args.thresholds, model.classes))
    make_folder(out, '--out')  # said now rather than after the first batch
    made_by = {'MODEL': hash_files(args.model, Path(args.model).with_suffix('.bin')), '--score-thr': args.score_thr}
    if args.thresholds:
        made_by['--thresholds'] = hash_files(args.thresholds)
    if args.config:
        made_by['--config'] = hash_files(args.config)
    inputs = [videos[0].name] if videos else files
    try:
        with Journal(out / JOURNAL, made_by, model.classes, inputs) as journal:
            if videos:
                progress = predict_video(model, videos[0], out, journal, **options)
            else:
                progress = predict_images(model, files, out, problems, journal, **options)
            if not progress.done:
                raise InputError('no image could be read, so there are no predictions')
            images = ((key[0], record.width, record.height, record.found) for key, record in journal.results())
            result = coco_dict(images, model.classes, first_id=0 if videos else 1)
            write_file(out / 'predictions.json', json.dumps(result).encode())
    except OSError as error:
        raise InputError(f'--out {out} cannot be written: {error.strerror}; name another folder') from error
    print(
        f'{progress.done} images, {len(result["annotations"])} detections, {progress.rate:.1f} images/s, '
        f'{progress.failed} could not be read; {out}'
    )
    return 1 if progress.failed else 0
