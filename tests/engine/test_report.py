import json
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from mfdet.engine import report
from mfdet.engine.report import ReportHook, advice_on_loading, draw_curves, loss_curves, read_scalars


def write(folder, run, records):
    path = folder / run / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(json.dumps(record) for record in records))


def test_resumed_runs_join_and_the_later_wins(tmp_path):
    write(tmp_path, '20260101_000000', [dict(loss=3.0, loss_cls=2.0, step=1), dict(loss=2.0, step=2)])
    later = [dict(loss=1.5, loss_cls=1.0, step=2), dict(step=1, **{'coco/bbox_mAP': 0.25, 'coco/bbox_mAP_50': 0.5})]
    write(tmp_path, '20260102_000000', later)
    train, val = read_scalars(tmp_path)
    assert [record['loss'] for record in train] == [3.0, 1.5]
    assert [record['coco/bbox_mAP'] for record in val] == [0.25]
    assert draw_curves(tmp_path, tmp_path / 'curves.png')
    assert (tmp_path / 'curves.png').stat().st_size > 5000


def test_nothing_logged_draws_nothing(tmp_path):
    assert not draw_curves(tmp_path, tmp_path / 'curves.png')
    assert not (tmp_path / 'curves.png').exists()


def test_the_terms_drawn_add_up_to_the_total():
    terms = {'loss_cls': 1.0, 'loss_iou': 2.0, 'd0.loss_cls': 4.0, 'd12.loss_iou': 8.0, 'dn.loss_cls': 16.0}
    terms.update({'o2m.loss_cls': 32.0, 'dn.d0.loss_cls': 64.0, 'dn.d1.loss_cls': 128.0})
    first = dict(loss=1.0, loss_cls=1.0, step=10)
    curves = loss_curves([first, dict(terms, loss=sum(terms.values()), step=20, lr=1e-3)])
    assert {label: values[-1] for label, (_, values) in curves.items()} == {
        'loss': 255.0,
        'loss_cls': 1.0,
        'loss_iou': 2.0,
        'auxiliary blocks': 12.0,
        'dn.*': 16.0,
        'o2m.*': 32.0,
        'dn.d.*': 192.0,
    }
    assert all(steps == (10, 20) for steps, _ in curves.values())
    assert sum(values[0] for label, (_, values) in curves.items() if label != 'loss') == 1.0


@pytest.mark.parametrize(('epochs', 'ap'), [(1, 0.02), (2, 0.02), (3, -1.0), (40, 0.7)])
def test_axes_fit_the_data(tmp_path, monkeypatch, epochs, ap):
    figures = []
    monkeypatch.setattr(Figure, 'savefig', lambda figure, path, **_: figures.append(figure) or open(path, 'w').close())
    val = [{'coco/bbox_mAP': ap, 'coco/bbox_mAP_50': ap, 'step': epoch + 1} for epoch in range(epochs)]
    write(tmp_path, '20260101_000000', [dict(loss=3.0, step=1), *val])
    assert draw_curves(tmp_path, tmp_path / 'curves.png')
    axes = figures[0].axes[1]
    figures[0].draw_without_rendering()
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
    low, high = axes.get_ylim()
    assert low == 0
    assert max(ap, 0) <= high <= max(1.2 * ap, 1.0 if ap < 0 else 0.0)


def test_curves_of_a_classifier_are_accuracies(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, 'savefig', lambda figure, path, **_: figures.append(figure) or open(path, 'w').close())
    val = [{'accuracy/top1': 20.0 * epoch, 'accuracy/top5': 50.0, 'step': epoch} for epoch in (1, 2)]
    write(tmp_path, '20260101_000000', [dict(loss=3.0, step=1), *val])
    assert draw_curves(tmp_path, tmp_path / 'curves.png')
    axes = figures[0].axes[1]
    assert axes.get_ylabel() == 'validation accuracy in %'
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines == {'top-1': [[1, 20], [2, 40]], 'top-5': [[1, 50], [2, 50]]}


def report_epochs(monkeypatch, epochs):
    """Return the lines and the summary of epochs of steps, each (seconds to wait for its batch, seconds or None)."""
    lines, clock = [], [0.0]
    monkeypatch.setattr(report.time, 'monotonic', lambda: clock[0])
    logger = SimpleNamespace(
        info=lambda text, extra=None: lines.append(text), warning=lambda text: lines.append(f'WARNING {text}')
    )
    runner = SimpleNamespace(logger=logger, epoch=0, train_dataloader=SimpleNamespace(num_workers=1))
    hook = ReportHook()
    hook.before_train(runner)
    for runner.epoch, steps in enumerate(epochs):
        clock[0] += 100  # a validation
        hook.before_train_epoch(runner)
        for index, (waiting, seconds) in enumerate(steps):
            clock[0] += waiting
            hook.before_train_iter(runner, index)
            clock[0] += seconds or 50
            if seconds:
                hook.after_train_iter(runner, index, dict(inputs=[0] * 4))
        hook.after_train_epoch(runner)
    return lines, hook


def test_the_log_tells_how_long_a_training_waits_for_its_images(monkeypatch):
    monkeypatch.setattr(report.os, 'cpu_count', lambda: 4)
    monkeypatch.delenv('LOCAL_WORLD_SIZE', raising=False)
    lines, hook = report_epochs(monkeypatch, [[(1, 9), (1, 9)], [(3, 7), (5, 5)], [(3, 7)], [(0, None)]])
    assert lines == [
        'Epoch 1: 10 % of the time of its steps went by waiting for the loader',
        'WARNING Epoch 2: 40 % of the time of its steps went by waiting for the loader; give it more worker processes '
        '(--cfg-options train_dataloader.num_workers=2, now 1), or store the images closer to the size that the model '
        'sees, on a fast disk',
        'Epoch 3: 30 % of the time of its steps went by waiting for the loader',
    ]
    assert (hook._waited, hook._seconds, hook._images) == (13, 50, 20)


def test_skipped_steps_are_no_waiting(monkeypatch):
    lines, _ = report_epochs(monkeypatch, [[(2, None), (1, 15), (3, 15)]])
    assert lines == ['Epoch 1: 14 % of the time of its steps went by waiting for the loader']  # 5 of 35


def test_no_more_workers_than_cores_are_advised(monkeypatch):
    monkeypatch.setattr(report.os, 'cpu_count', lambda: 6)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '2')
    assert 'num_workers=2, now 0' in advice_on_loading(0)
    assert 'num_workers=3, now 2' in advice_on_loading(2)
    assert advice_on_loading(3).startswith('it has 3 worker processes, as many as there are cores: store the images')
