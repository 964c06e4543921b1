"""The page of a report, as HTML."""

import html
import string
from importlib import resources

from mfdet.evaluation.coco import METRICS
from mfdet.evaluation.confusion import most_confused
from mfdet.evaluation.errors import KINDS, MEANINGS
from mfdet.report.advice import advise
from mfdet.report.figures import CONFUSED, PANELS
from mfdet.report.text import number, printable

GENERATOR = '<meta name="generator" content="mfdet report">'  # by which a page is known as one of this project
MEASURES = {
    'AP': 'precision, mean of IoU 0.50 to 0.95',
    'AP50': 'precision at IoU 0.50',
    'AP75': 'precision at IoU 0.75',
    'APs': 'objects up to 32×32 pixels',
    'APm': '32×32 to 96×96 pixels',
    'APl': 'above 96×96 pixels',
    'AR1': 'recall, 1 detection a class and image',
    'AR10': 'recall, 10 detections',
    'AR100': 'recall, 100 detections',
    'ARs': 'recall, objects up to 32×32 pixels',
    'ARm': 'recall, 32×32 to 96×96 pixels',
    'ARl': 'recall, above 96×96 pixels',
}


def text(value):
    """Return text that can stand in HTML."""
    return html.escape(printable(value))


def table(header, rows, told=False):
    """Return an HTML table; figures stand right, names in the first column left, and texts in the last if ``told``."""

    def line(tag, cells):
        return f'<tr>{"".join(f"<{tag}>{text(cell)}</{tag}>" for cell in cells)}</tr>'

    lines = [line('th', header), *(line('td', row) for row in rows)]
    kind = ' class="told"' if told else ''
    return f'<div class="scroll"><table{kind}>\n' + '\n'.join(lines) + '\n</table></div>'


def fill(title, body):
    """Return the page with a title and its HTML below."""
    template = (resources.files('mfdet.report') / 'template.html').read_text(encoding='utf-8')
    return string.Template(template).substitute(title=text(title), body=body)


def compose(findings, figures, pictures, curves, made_by):
    """Return the page.

    Args:
        findings: a :class:`mfdet.report.findings.Findings`.
        figures: names of those in ``figures``, see :func:`mfdet.report.figures.draw_figures`.
        pictures: two lists of :class:`mfdet.report.pictures.Picture`, or None if there are no images.
        curves: whether ``curves.png`` is there.
        made_by: dict of what the report was made of.
    """

    def figure(name, caption):
        if name not in figures:
            return f'<p class="note">{caption}: there is nothing to draw.</p>'
        path = f'figures/{name}.svg'
        shown = f'<a href="{path}"><img src="{path}" alt="{caption}"></a>'
        return f'<figure>{shown}<figcaption>{caption}</figcaption></figure>'

    sections = {
        'What to do': _advice(findings),
        'Average precision': _precision(findings),
        'Precision over recall': _curves(findings, figure),
        'Score thresholds': _thresholds(findings, figure),
        'Errors by kind': _errors(findings, figure),
        'Confusion of classes': _confusion(findings, figure),
        'Recall by size and crowding': _recall(findings, figure),
        'Are the scores probabilities?': _calibration(findings, figure),
        **_pictures(findings, pictures),
    }
    if curves:
        shown = '<a href="curves.png"><img src="curves.png" alt="curves of the training"></a>'
        sections['Training'] = f'<figure>{shown}<figcaption>Curves of the training.</figcaption></figure>'
    listed = ''.join(f'<dt>{text(name)}</dt><dd>{text(value)}</dd>' for name, value in made_by.items())
    sections['How this was made'] = f'<dl>{listed}</dl>'
    body = '\n'.join(f'<h2>{title}</h2>\n{content}' for title, content in sections.items())
    return fill('What is wrong with the detector, and what to do', body)


def _advice(findings):
    items = ''.join(f'<li><b>{text(advice.finding)}</b>: {text(advice.action)}.</li>\n' for advice in advise(findings))
    if not items:
        return '<p>No rule found anything to mend.</p>'
    return f'<ol>\n{items}</ol>\n<p class="note">By plain rules, the largest figure first.</p>'


def _precision(findings):
    stats = findings.result.stats
    names = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')
    rows = [[row['name'], row['objects'], *(number(row[name]) for name in names)] for row in findings.table]
    return (
        table(['class', 'objects', *names], rows)
        + '<p class="note">COCO\'s numbers are from 0 to 1; – where there is no object of that kind.</p>'
        + table(
            ['all classes', 'value', 'over'], [[name, number(stats[name]), MEASURES[name]] for name in METRICS], True
        )
    )


def _curves(findings, figure):
    number_of = sum(bool(total) for total in findings.matches.totals)
    which = f'The {PANELS} classes of least AP' if number_of > PANELS else 'Each class'
    return figure('precision', 'Mean of the classes, at IoU 0.50, 0.75 and as the mean of 0.50 to 0.95') + figure(
        'classes', f'{which}, with its AP: precision (up) over recall, both from 0 to 1, in the same colours'
    )


def _thresholds(findings, figure):
    points = [('all classes', findings.objects, findings.best)]
    points += zip(findings.matches.classes, findings.matches.totals, findings.best_of, strict=True)
    rows = [
        [name, total, *(number(point and getattr(point, key)) for key in ('threshold', 'f1', 'precision', 'recall'))]
        for name, total, point in points
    ]
    told = (
        '<a href="thresholds.json">thresholds.json</a> has them for <code>mfdet predict --thresholds</code>.'
        if findings.best
        else 'No detection is right, so there are none.'
    )
    return (
        f'<p>The least score to keep for the best F1, at IoU 0.5. {told} What counts at a score threshold on this '
        f'page is at {findings.at.threshold:.3f}.</p>'
        + figure('scores', 'Precision, recall and F1 of all classes over the score threshold')
        + table(['class', 'objects', 'threshold', 'F1', 'precision', 'recall'], rows)
    )


def _errors(findings, figure):
    errors = findings.errors
    confident = findings.matches.found.score >= findings.at.threshold
    rows = [
        [
            kind,
            number(errors.cost(kind)),
            errors.count(kind),
            '–' if kind == 'missed' else errors.count(kind, confident),
        ]
        for kind in KINDS
    ]
    gains = [
        [name, number(ap50), *(number(errors.fixed[kind][i] - ap50) for kind in KINDS)]
        for i, (name, ap50) in enumerate(zip(findings.matches.classes, errors.ap50, strict=True))
    ]
    return (
        figure('errors', 'AP50 that mending each kind alone would gain')
        + table(['kind', 'dAP', 'errors', 'at the threshold'], rows)
        + '<dl>'
        + ''.join(f'<dt>{kind}</dt><dd>{meaning}</dd>' for kind, meaning in MEANINGS.items())
        + '</dl>'
        + '<p class="note">As <a href="https://arxiv.org/abs/2008.08115">TIDE</a> defines them: an object is found '
        'from IoU 0.5 on, up to 0.1 it lies on background; dAP is AP50 with that kind alone mended, less AP50; '
        'gains do not add up.</p><details><summary>For each class</summary>' + table(['class', 'AP50', *KINDS], gains)
    ) + '</details>'


def _confusion(findings, figure):
    classes, totals = findings.matches.classes, findings.matches.totals
    pairs = most_confused(findings.confusion)[:10]
    rows = [
        [f'{classes[true]} taken for {classes[seen]}', count, f'{100 * count / totals[true]:.1f} %']
        for true, seen, count in pairs
    ]
    which = f' The {CONFUSED} classes most confused with others.' if len(classes) > CONFUSED else ''
    caption = (
        f'Objects of a class (rows) by the class that they are detected as, at a score of {findings.at.threshold:.3f} '
        'and IoU 0.5; the colour is the share of the row. Last column: not detected; last row: detected where there '
        f'is no object.{which}'
    )
    confused = table(['', 'times', 'of its objects'], rows) if rows else '<p>No class is taken for another.</p>'
    return figure('confusion', caption) + confused


def _recall(findings, figure):
    content = (
        figure('area', 'Recall over the size of objects, in groups of about as many')
        + figure('count', 'Recall over the number of objects in the image')
        + figure('overlap', 'Recall over the largest IoU with another object')
    )
    return f'<div class="figures">{content}</div>'


def _calibration(findings, figure):
    if findings.calibration is None:
        return '<p>There are no detections, or scores are not from 0 to 1.</p>'
    said = f'Expected calibration error: {findings.calibration.error:.3f}, the mean distance of bars from points.'
    return f'<p>{said}</p>' + figure('calibration', 'Share of detections that are right, by score')


def _pictures(findings, pictures):
    """Return the sections with pictures, by their titles."""
    titles = 'The worst images', 'The most doubtful annotations'
    if pictures is None:
        return dict.fromkeys(titles, '<p>No pictures: the images were not given (<code>--images</code>).</p>')
    said = (
        'Most false positives and missed objects together, truth left and detections right, at a score of '
        f'{findings.at.threshold:.3f}.',
        f'{len(findings.unlabelled)} detections of that score or more overlap no object by an IoU of 0.5, those of '
        f'high score and little overlap first; {len(findings.undetected)} objects are overlapped by no detection of '
        'any class and score by an IoU of 0.5, the least overlapped first. The box in question has a magenta frame.',
    )
    sections = {}
    for title, note, shown in zip(titles, said, pictures, strict=True):
        items = []
        for picture in shown:
            path = f'pictures/{picture.name}'
            link = f'<a href="{path}"><img src="{path}" loading="lazy" alt=""></a>' if picture.data else ''
            items.append(f'<figure>{link}<figcaption>{text(picture.caption)}</figcaption></figure>')
        content = f'<div class="figures">{"".join(items)}</div>' if items else '<p>None.</p>'
        sections[title] = f'<p class="note">{note}</p>{content}'
    return sections
