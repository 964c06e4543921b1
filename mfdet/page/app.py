"""The page itself: what is where, and which function answers what the user does."""

import contextlib
import json
import os
import uuid
from pathlib import Path

import gradio

from mfdet.errors import InputError
from mfdet.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, write_file
from mfdet.page.clip import annotate
from mfdet.page.detect import LEAST_SCORE, choices, detect, png, problem, stem, summary, table, view
from mfdet.page.uploads import IMAGE_BYTES, MEGABYTE, VIDEO_BYTES, read_upload
from mfdet.page.watch import watch
from mfdet.runtime.tracking import can_track

SESSIONS = 16  # whose images are kept
KEPT = 3600  # seconds that files and images of a user are kept
SCALES = 3  # of an end-to-end detector, at most
EVERY = 0.5  # seconds between two signs of progress
# Local fonts alone: the page loads nothing from elsewhere.
THEME = dict(font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'])
CSS = """
.gradio-container {max-width: 1280px !important; margin: auto; width: 100%}
.gradio-container main {width: 100%}
.line, .chips, .times {margin: 2px 0}
.title b {font-size: 1.5em; margin-right: .4em}
.times {opacity: .7; font-size: .9em}
.chips {display: flex; flex-wrap: wrap; gap: 4px 8px}
.chip {border: 1px solid var(--border-color-primary); border-radius: 12px; padding: 0 10px}
.chip i {display: inline-block; width: .75em; height: .75em; border-radius: 50%; margin-right: 6px}
.problem {border-left: 4px solid #d33; padding: 6px 10px; background: var(--error-background-fill)}
.hint {opacity: .7}
#table table {width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums}
#table table, #table tr {border: 0}
#table caption {text-align: left; opacity: .7; font-size: .9em}
#table th {position: sticky; top: 0; background: var(--background-fill-secondary)}
#table th, #table td {padding: 4px 8px; text-align: right; border: 0;
  border-bottom: 1px solid var(--border-color-primary)}
#table th:first-child, #table td:first-child {text-align: left; overflow-wrap: break-word}
@media (max-width: 500px) {#table table {font-size: 13px} #table th, #table td {padding: 4px}}
#picture img {max-height: 75vh; object-fit: contain}
"""
TITLE = '<div class="title"><b>mfdet</b> What a detector finds, in images of your own.</div>'
HINT = '<div class="hint">Drop an image, or take one of the examples.</div>'


def build(models, examples, thumbnails, folder):
    """Build the page.

    Args:
        models: :class:`mfdet.page.models.Models`, the first of them loaded.
        examples, thumbnails: paths of images, see :func:`mfdet.page.examples.make_examples`.
        folder: where files for the user are written; it must be gradio's own folder for such.

    Returns:
        ``gradio.Blocks``, to be served by :func:`mfdet.page.serve.serve`.
    """
    answers = _Answers(models, examples, folder)
    first = models.names[0]
    with gradio.Blocks(title='mfdet', analytics_enabled=False, delete_cache=(600, KEPT)) as page:
        found = gradio.State(time_to_live=KEPT)
        seen = gradio.State(time_to_live=KEPT)
        with gradio.Row(equal_height=True):
            gradio.HTML(TITLE, min_width=320)
            model = gradio.Dropdown(
                models.names, value=first, label='Model', visible=len(models.names) > 1, min_width=300
            )
        with gradio.Tabs() as tabs:
            with gradio.Tab('Image', id='image'), gradio.Row():
                with gradio.Column(scale=1, min_width=280):
                    upload = gradio.File(
                        label=f'Image, up to {IMAGE_BYTES // MEGABYTE} MB',
                        file_types=list(IMAGE_SUFFIXES),
                        height=130,
                        elem_id='upload',
                    )
                    gallery = gradio.Dataset(
                        label='Examples',
                        components=[gradio.Image(visible=False)],
                        samples=[[path] for path in thumbnails],
                        type='index',
                        samples_per_page=6,
                    )
                    score = gradio.Slider(LEAST_SCORE, 1, 0.3, step=0.01, label='Least score', elem_id='score')
                    classes = gradio.Dropdown(
                        models.detector(first).classes,
                        multiselect=True,
                        label='Classes',
                        info='None chosen: all.',
                        elem_id='classes',
                    )
                with gradio.Column(scale=2, min_width=320):
                    line = gradio.HTML(HINT, elem_id='line')
                    picture = gradio.Image(
                        show_label=False, interactive=False, buttons=['fullscreen'], elem_id='picture'
                    )
                    with gradio.Row():
                        picture_file = gradio.DownloadButton(
                            'Picture (PNG)', interactive=False, size='sm', min_width=130
                        )
                        coco_file = gradio.DownloadButton(
                            'Boxes (COCO JSON)', interactive=False, size='sm', min_width=130
                        )
                    boxes = gradio.HTML(elem_id='table', max_height=340)
            with gradio.Tab('Video', id='video'), gradio.Row():
                with gradio.Column(scale=1, min_width=280):
                    video = gradio.File(
                        label=f'Video, up to {VIDEO_BYTES // MEGABYTE} MB',
                        file_types=list(VIDEO_SUFFIXES),
                        height=130,
                        elem_id='video_upload',
                    )
                    video_score = gradio.Slider(LEAST_SCORE, 1, 0.3, step=0.01, label='Least score')
                    track = gradio.Checkbox(
                        label='Track objects',
                        info='Each keeps a number from frame to frame.',
                        visible=can_track(),
                        elem_id='track',
                    )
                    with gradio.Row():
                        start = gradio.Button('Find objects', variant='primary', size='md', min_width=130)
                        stop = gradio.Button('Stop', size='md', min_width=130)
                with gradio.Column(scale=2, min_width=320):
                    video_line = gradio.HTML('<div class="hint">Drop a video.</div>', elem_id='video_line')
                    clip = gradio.Video(show_label=False, interactive=False, buttons=['download'], elem_id='clip')
            with gradio.Tab('Queries', id='queries', visible=models.has_queries(first)) as queries:
                chosen = gradio.Dropdown([], label='Detection', info='Of those shown in the tab Image.')
                query_line = gradio.HTML(elem_id='query_line')
                with gradio.Row():
                    panels = [gradio.Image(interactive=False, visible=False, buttons=[]) for _ in range(1 + SCALES)]

        shown = [line, picture, picture_file, coco_file, boxes, chosen]
        filters = [found, score, classes]
        answer = dict(concurrency_limit=1, concurrency_id='model')  # the detector takes all cores by itself
        upload.upload(
            answers.upload, [upload, model, score, classes], [found, seen, upload, *shown], api_name='detect', **answer
        )
        gallery.click(
            answers.example, [gallery, model, score, classes], [found, seen, *shown], api_name='example', **answer
        )
        model.input(
            answers.choose,
            [model, found, score],
            [found, seen, classes, queries, tabs, *shown],
            api_name='choose',
            **answer,
        )
        for control in (score, classes):
            control.change(
                answers.show,
                filters,
                shown,
                api_name='filter' if control is score else False,
                trigger_mode='always_last',
                show_progress='hidden',
                concurrency_limit=4,
            )
        running = start.click(
            answers.video,
            [video, model, video_score, track],
            [video_line, clip],
            api_name='video',
            concurrency_limit=1,
            show_progress_on=[clip],
        )
        stop.click(answers.stopped, None, video_line, cancels=[running], api_name=False, queue=False)
        for event in (queries.select, chosen.input):
            event(
                answers.watch, [*filters, seen, chosen], [seen, chosen, query_line, *panels], api_name=False, **answer
            )
    page.state_session_capacity = SESSIONS
    page.has_launched = True  # gradio checks only then that a file which a request names has been uploaded
    return page


class _Answers:
    """What the page answers: arguments and results are those of the components in :func:`build`."""

    def __init__(self, models, examples, folder):
        self._models, self._examples, self._folder = models, examples, Path(folder)

    def upload(self, path, model, score, classes):
        try:
            found = self._detect(path, model)
        except InputError as error:
            return None, None, None, *_nothing(error)
        finally:
            _remove(path)
        return found, None, None, *self.show(found, score, classes)

    def example(self, number, model, score, classes):
        try:
            found = self._detect(self._examples[number], model)
        except InputError as error:
            return None, None, *_nothing(error)
        return found, None, *self.show(found, score, classes)

    def choose(self, model, found, score):
        """Take another detector, for the image that is there too."""
        try:
            detector, watchable = self._models.detector(model), self._models.has_queries(model)
            if found is not None:
                found = detect(detector, model, found.image, found.name)
        except InputError as error:
            return None, None, gradio.skip(), gradio.Tab(visible=False), gradio.skip(), *_nothing(error)
        tabs = gradio.skip() if watchable else gradio.Tabs(selected='image')
        classes = gradio.Dropdown(detector.classes, value=[])
        return found, None, classes, gradio.Tab(visible=watchable), tabs, *self.show(found, score, [])

    def show(self, found, score, classes):
        """Show what was found, at another score or of other classes."""
        if found is None:
            return [HINT, None, *[gradio.DownloadButton(interactive=False)] * 2, '', gradio.Dropdown([], value=None)]
        shown = view(found, score, classes)
        picture = self._file(f'{stem(found)}.png', png(shown.picture))
        coco = self._file(f'{stem(found)}.json', json.dumps(shown.coco).encode())
        return [
            summary(found, shown),
            picture,
            gradio.DownloadButton(value=picture, interactive=True),
            gradio.DownloadButton(value=coco, interactive=True),
            table(shown),
            gradio.Dropdown(choices(shown), value=0 if shown.rows else None),
        ]

    def video(self, path, model, score, track, progress=gradio.Progress()):  # noqa: B008  as gradio wants it
        if path is None:
            yield problem('Drop a video first.'), None
            return
        out, last = self._new_file(f'{Path(path).stem}_detections.webm'), 0.0
        try:
            done = None
            for done in annotate(self._models.detector(model), path, out, score, track):
                if done.seconds - last >= EVERY:
                    last = done.seconds
                    progress((done.frames, done.expected or None), unit='frames')
                    yield _clip_line(done), None
            if done is None:
                raise InputError(f'{Path(path).name}: is a video without frames')
        except InputError as error:
            yield problem(str(error).replace(str(out.parent) + os.sep, '')), None
            return
        yield _clip_line(done) + (problem(done.problem) if done.problem else ''), str(out)

    def stopped(self):
        return '<div class="hint">Stopped.</div>'

    def watch(self, found, score, classes, seen, number):
        """Draw what the query of a detection does."""
        detections = found and found.detections.filter(score, classes or None)
        if not detections:
            return None, None, HINT, *[gradio.Image(visible=False)] * (1 + SCALES)
        number = min(number or 0, len(detections) - 1)
        try:
            seen, drawn = watch(self._models.observer(found.model), found, seen, detections, number)
        except InputError as error:
            return None, None, problem(error), *[gradio.Image(visible=False)] * (1 + SCALES)
        images = [
            gradio.Image(value=self._file(f'{i}.png', png(part)), label=title, visible=True)
            for i, (title, part) in enumerate(drawn)
        ]
        text = (
            'The box of its query after each block, from blue to red, then where that looks at each scale: red, most.'
        )
        images += [gradio.Image(visible=False)] * (1 + SCALES - len(images))
        return seen, number, f'<div class="hint">{text}</div>', *images

    def _detect(self, path, model):
        image = read_upload(path)
        return detect(self._models.detector(model), model, image, os.path.basename(path))

    def _file(self, name, data):
        path = self._new_file(name)
        write_file(path, data)
        return str(path)

    def _new_file(self, name):
        """Return a path of this name in a folder of its own, which nobody can guess."""
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        return folder / name


def _nothing(error):
    """Return what is shown in place of detections when something is wrong."""
    off = gradio.DownloadButton(value=None, interactive=False)
    return [problem(error), None, off, off, '', gradio.Dropdown([], value=None)]


def _clip_line(done):
    of = f' of {done.expected}' if done.expected else ''
    rate = done.frames / done.seconds
    return f'<div class="line">{done.frames}{of} frames, {done.detections} detections, {rate:.1f} frames/s</div>'


def _remove(path):
    """Remove an upload that has been read; a page that is left open must not fill the disk."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
