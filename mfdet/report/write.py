"""Writing a report: a folder with ``index.html`` that opens from the disk."""

import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path

from mfdet import __version__
from mfdet.errors import InputError
from mfdet.files import make_folder, write_file
from mfdet.report.figures import draw_figures
from mfdet.report.findings import analyse
from mfdet.report.page import GENERATOR, compose, fill
from mfdet.report.pictures import draw_pictures

PACKAGES = (
    'numpy',
    'pycocotools',
    'faster-coco-eval',
    'matplotlib',
    'opencv-python-headless',
    'torch',
    'onedl-mmdetection',
)
PARTS = ('index.html', 'thresholds.json', 'curves.png', 'figures', 'pictures')


def check_folder(out, option):
    """Make the folder of a report, and check that nothing but an earlier report would be overwritten.

    Args:
        out: the folder.
        option: the option that names it, for the message.

    Raises:
        InputError: it cannot be written, or holds other files of these names.
    """
    page = Path(out, 'index.html')
    if not (page.is_file() and GENERATOR in page.read_text(encoding='utf-8', errors='replace')):
        taken = next((path for path in (Path(out, part) for part in PARTS) if os.path.lexists(path)), None)
        if taken:
            raise InputError(f'{option} {out}: {taken} is there already, and no earlier report; name another folder')
    make_folder(out, option)


def write_report(out, ground_truth, results, made_by, read=None, work_dir=None, most=30, **options):
    """Write a report into a folder that :func:`check_folder` has made.

    Until all is there, the page says that it is not.

    Args:
        out: the folder.
        ground_truth: what :func:`mfdet.evaluation.coco.load_ground_truth` returned.
        results: what :func:`mfdet.evaluation.coco.load_results` returned.
        made_by: dict of what the report is made of, such as ``{'Command': ...}``.
        read: function from an image id to the image, see :func:`mfdet.report.pictures.draw_pictures`; None for no
            pictures.
        work_dir: folder that may have the ``curves.png`` of the training.
        most: how many pictures of each kind.
        options: of :func:`mfdet.report.findings.analyse`.

    Returns:
        The :class:`mfdet.report.findings.Findings`.

    Raises:
        InputError: see :func:`mfdet.report.findings.analyse`, or a file cannot be written.
    """
    out = Path(out)
    findings = analyse(ground_truth, results, **options)
    figures = draw_figures(findings)
    write_file(out / 'index.html', fill('Unfinished report', '<p>Make it again by the same command.</p>').encode())
    _clear(out)
    for name, data in figures.items():
        write_file(out / 'figures' / f'{name}.svg', data)
    pictures = draw_pictures(findings, ground_truth, read, most) if read else None
    for picture in (picture for shown in pictures or () for picture in shown if picture.data):
        write_file(out / 'pictures' / picture.name, picture.data)
    thresholds = findings.thresholds()
    if thresholds:
        write_file(out / 'thresholds.json', json.dumps(thresholds, indent=2).encode())
    curves = Path(work_dir, 'curves.png') if work_dir else None
    if curves and curves.is_file():
        write_file(out / 'curves.png', curves.read_bytes())
    made_by = {**made_by, **_counts(findings, ground_truth), 'Date': time.strftime('%Y-%m-%d %H:%M %Z'), **_versions()}
    page = compose(findings, figures, pictures, bool(curves and curves.is_file()), made_by)
    write_file(out / 'index.html', page.encode())
    return findings


def _clear(out):
    """Remove what an earlier report has left, so that nothing of it is taken for this one's."""
    for part in ('thresholds.json', 'curves.png'):
        (out / part).unlink(missing_ok=True)
    for folder, ending in (('figures', '.svg'), ('pictures', '.jpg')):
        (out / folder).mkdir(exist_ok=True)
        for path in (out / folder).glob(f'*{ending}'):
            path.unlink()


def _counts(findings, ground_truth):
    crowds = int(findings.matches.objects.crowd.sum())
    return {
        'Counted': f'{len(ground_truth.imgs)} images, {findings.objects} objects and {crowds} crowds of '
        f'{len(findings.matches.classes)} classes, {len(findings.matches.found.score)} detections (of each class the '
        'first 100 of an image)'
    }


def _versions():
    versions = [f'mfdet {__version__}', f'Python {platform.python_version()}']
    for name in PACKAGES:
        try:
            versions.append(f'{name} {metadata.version(name)}')
        except metadata.PackageNotFoundError:
            continue
    return {'Versions': ', '.join(versions)}
