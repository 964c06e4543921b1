"""What is asked of files for phones of either kind."""

import json
import shutil

import numpy as np
import pytest
from torch import nn

from mfdet.commands import export, test
from mfdet.detector import load_detector
from mfdet.errors import InputError
from mfdet.runtime import Detector

PICTURES = [
    np.random.default_rng(i).integers(256, size=(*size, 3), dtype=np.uint8)
    for i, size in enumerate([(80, 100), (60, 300), (300, 60)])
]


class Normed(nn.Module):
    """Convolutions with group norms, as in the head of RetinaNet, with the inputs of a detector."""

    def __init__(self, layout):
        super().__init__()
        self.layout = layout
        self.layers = nn.Sequential(nn.Conv2d(3, 16, 3), nn.GroupNorm(8, 16), nn.Conv2d(16, 16, 3), nn.GroupNorm(8, 16))

    def forward(self, images, sizes):
        """Return a map of images (1, H, W, 3) or (1, 3, H, W)."""
        return dict(map=self.layers(images.permute(0, 3, 1, 2) if self.layout == 'NHWC' else images))


def without_checksum(detector):
    """Return the metadata of a detector, without what no two files have alike."""
    return {key: value for key, value in detector.metadata.items() if key != 'checksum'}


def exported(trained, kind, suffix, folder, *options):
    """Export the trained detector for images of 128×128; RetinaNet with its normalisation inside."""
    model, config, checkpoint = trained
    path = folder / f'detector{suffix}'
    inside = ['--preprocess'] if is_retinanet(model) else []
    args = [config, checkpoint, '--format', kind, '--fixed-size', 128, 128, '--output', path, *inside, *options]
    assert export.main([str(arg) for arg in args]) == 0
    assert [item.name for item in folder.iterdir()] == [path.name]
    return path


def int8_by_the_command(path, trained, kind, data, folder, monkeypatch, *options):
    """Make an INT8 file of a float one that is there, without measuring AP; return it and the arguments."""
    _, config, checkpoint = trained
    monkeypatch.setattr('mfdet.export.phone_files.export_for_phones', lambda *args: (shutil.copy(path, args[2]), None))
    monkeypatch.setattr('mfdet.benchmark.quantized.score', lambda path, config: 0.5)
    output = folder / f'int8{path.suffix}'
    args = [config, checkpoint, '--format', kind, '--fixed-size', 128, 128, '--output', output, '--precision', 'int8']
    args += ['--calibration', data[1] / 'images', '--force', *data, *options]
    if not Detector(path).metadata['normalized']:
        args.append('--preprocess')
    args = [str(arg) for arg in args]
    assert export.main(args) == 0
    assert [item.name for item in folder.iterdir()] == [output.name]
    assert Detector(output).metadata['precision'] == 'int8'
    return output, args


def is_retinanet(model):
    """Tell which of the two it is."""
    return type(model).__name__ == 'RetinaNet'


def check_description(path, trained, layout, folder):
    """It says what it expects and gives; a changed byte is noticed."""
    metadata = Detector(path).metadata
    assert metadata['classes'] == ['round', 'long', 'flat']
    assert (metadata['fixed_size'], metadata['layout']) == ([128, 128], layout)
    nms = dict(iou_threshold=0.5, score_thr=0.05, min_size=0, max_per_img=20)
    assert metadata.get('nms') == (nms if is_retinanet(trained[0]) else None)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = folder / f'damaged{path.suffix}'
    damaged.write_bytes(content)
    with pytest.raises(InputError, match='does not match its checksum'):
        Detector(damaged)


def check_detections(path, trained):
    """Images of other sizes are fitted in; what masks padding finds what PyTorch finds."""
    model, config, checkpoint = trained
    found = Detector(path, threads=1)(PICTURES, batch_size=3)
    assert all(len(item) for item in found)
    assert 100 < found[2].boxes[:, 3].max() <= 300
    if not is_retinanet(model):
        expected = load_detector(checkpoint, config=config)(PICTURES[:1])
        np.testing.assert_allclose(found[0].scores, expected[0].scores, atol=1e-4)
        np.testing.assert_allclose(found[0].boxes, expected[0].boxes, atol=1e-2)


def check_test_command(path, trained, data, backend, folder):
    """``tools/test.py`` finds what it finds with the checkpoint; padded to the same size, RetinaNet as well."""
    _, config, checkpoint = trained
    same = ['--cfg-options', 'model.data_preprocessor.pad_size_divisor=128']
    found = []
    for file, options in ((checkpoint, same), (path, ['--backend', backend])):
        out = folder / 'results.json'
        options = [*data, *options, '--out', out, '--work-dir', folder / 'work']
        assert test.main([str(arg) for arg in [config, file, *options]]) == 0
        found.append(sorted(json.loads(out.read_text()), key=lambda item: (item['image_id'], -item['score'])))
    assert len(found[0]) == len(found[1]) > 30
    for expected, actual in zip(*found, strict=True):
        assert actual['image_id'] == expected['image_id']
        assert actual['score'] == pytest.approx(expected['score'], abs=1e-4)
