import json

from mfdet.engine.report import draw_curves, read_scalars


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
