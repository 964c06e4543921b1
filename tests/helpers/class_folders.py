"""Class folders of generated shapes, and options that make training on them a matter of seconds."""

import os
from pathlib import Path

import cv2
from quick import QUICK

from mfdet.data.shapes import CLASSES, generate

CONFIG = str(Path(__file__).parents[2] / 'configs' / 'cpu' / 'mobile_former_26m.py')
TINY = [
    *QUICK,
    'train_cfg.max_epochs=2',
    'train_dataloader.batch_size=4',
    'train_dataloader.dataset.pipeline.1.size=32',
    *(f'{split}_dataloader.dataset.pipeline.1.scale=(1000,36)' for split in ('val', 'test')),
    *(f'{split}_dataloader.dataset.pipeline.2.crop_size=32' for split in ('val', 'test')),
]


def write_folders(root, train=5, val=3, classes=('cross', 'ring'), size=(48, 40)):
    """Write images with one shape each into ``root/train/<class>/`` and ``root/val/<class>/``; return the root."""
    for seed, (split, count) in enumerate((('train', train), ('val', val))):
        left = dict.fromkeys(classes, count)
        index = 0
        while any(left.values()):
            shapes = generate(index, seed, size, max_objects=1, diameters=(0.5, 0.9), clutter=0.25)
            index += 1
            name = CLASSES[shapes.labels[0]] if len(shapes.labels) else None
            if left.get(name):
                folder = os.path.join(root, split, name)
                os.makedirs(folder, exist_ok=True)
                cv2.imwrite(os.path.join(folder, f'{left[name]}.png'), shapes.image)
                left[name] -= 1
    return root
