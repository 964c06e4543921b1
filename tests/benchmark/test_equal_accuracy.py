"""tools/benchmark.py latency: each Mobile-Former beside what is about as accurate."""

from mfdet.benchmark.equal_accuracy import groups_of, notes_of, plot_equal_accuracy
from mfdet.benchmark.peers import BACKBONES
from mfdet.benchmark.published import CLASSIFIERS

ROWS = [
    dict(model=model, size=size, runtime=runtime, ms=ms * size / 64)
    for model, runtime, ms in (
        ('Mobile-Former-151M', 'straightforward', 1.0),  # not a runtime to choose
        ('Mobile-Former-151M', 'openvino', 3.0),
        ('Mobile-Former-151M', 'onnxruntime', 4.0),
        ('MobileNetV3-Large', 'openvino', 2.5),
        ('MobileNetV3-Large', 'onnxruntime', 2.0),
        ('MobileViT-S', 'onnxruntime', 1.0),
    )
    for size in (64, 128)
]


def test_every_backbone_has_an_accuracy_with_its_source():
    assert {entry.name for entry in CLASSIFIERS} == set(BACKBONES)
    assert len(CLASSIFIERS) == len(BACKBONES)
    for entry in CLASSIFIERS:
        assert 60 < entry.top1 < 80
        assert 'arXiv' in entry.source or entry.source.startswith('https://')


def test_groups_hold_what_is_within_so_many_points():
    assert groups_of(BACKBONES, 1.2) == {
        'Mobile-Former-52M': ['MobileViT-XXS', 'ShuffleNetV2', 'ResNet-18'],
        'Mobile-Former-96M': ['MobileNetV2'],
        'Mobile-Former-151M': ['MobileNetV3-Large', 'MobileViT-XS', 'ResNet-50'],
        'Mobile-Former-214M': ['ResNet-50'],
        'Mobile-Former-294M': ['MobileViT-S'],
        'Mobile-Former-508M': ['MobileViT-S'],
    }
    assert groups_of(BACKBONES, 0) == {'Mobile-Former-151M': ['MobileNetV3-Large']}
    assert groups_of(['Mobile-Former-96M', 'MobileNetV2'], 0.8) == {'Mobile-Former-96M': ['MobileNetV2']}
    assert groups_of(['MobileNetV2', 'ResNet-18'], 99) == {}


def test_ratios_are_of_the_best_runtimes():
    text, table = notes_of(ROWS, 1.2)
    assert table.splitlines()[0] == '| model | top-1 | peer | top-1 of peer | 64 px | 128 px |'
    assert table.splitlines()[2:] == ['| Mobile-Former-151M | 75.2 | MobileNetV3-Large | 75.2 | 1.50 | 1.50 |']
    assert 'at 224 px: https://github.com/AAboys/MobileFormer; MobileNetV3, Howard' in text
    assert len(notes_of(ROWS, 3.2)[1].splitlines()) == 4
    assert '224 px (MobileViT-S at 256): ' in notes_of(ROWS, 3.2)[0]


def test_a_plot_is_drawn(tmp_path):
    assert plot_equal_accuracy(ROWS, 1.2, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').stat().st_size > 0


def test_sizes_at_which_a_peer_was_not_timed_are_left_open(tmp_path):
    rows = [row for row in ROWS if (row['model'], row['size']) != ('MobileNetV3-Large', 128)]
    assert notes_of(rows, 3.2)[1].splitlines()[2:] == [
        '| Mobile-Former-151M | 75.2 | MobileNetV3-Large | 75.2 | 1.50 | – |',
        '| Mobile-Former-151M | 75.2 | MobileViT-S | 78.4 | 3.00 | 3.00 |',
    ]
    assert plot_equal_accuracy(rows, 3.2, tmp_path / 'plot.png')


def test_nothing_is_written_where_nothing_is_alike(tmp_path):
    rows = [row for row in ROWS if row['model'] != 'MobileNetV3-Large']
    assert notes_of(rows, 1.2) == []
    assert not plot_equal_accuracy(rows, 1.2, tmp_path / 'plot.png')
    assert not list(tmp_path.iterdir())
