"""Images per second of a classifier's loader alone, with several ways to read JPEG files."""

import copy
import os
import tempfile

import cv2
import numpy as np
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image

from mfdet.benchmark.timing import by_turns
from mfdet.data.classification import LoadReducedImage
from mfdet.data.shapes import generate
from mfdet.data.transforms import LoadImage
from mfdet.errors import InputError
from mfdet.runtime.images import from_pil

COLUMNS = ('reader', 'workers', 'images/s', 'ratio')
QUALITY = 95  # with the grain below, files of ImageNet's size: about 110 kB at 500×375
GRAIN = 6  # standard deviation of the pixels' noise


class LoadDraft(LoadReducedImage):
    """Read an image as :class:`LoadReducedImage` does, with Pillow: its draft mode reduces JPEG files."""

    def transform(self, results):
        """Read ``results['img_path']`` into ``img``, uint8 (H, W, 3), and its ``img_shape`` and ``ori_shape``."""
        with Image.open(results['img_path']) as file:
            file.draft('RGB', (self.least_side, self.least_side))
            image = from_pil(file, results['img_path'])
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results


def readers(least_side):
    """Return the ways to read an image, a dict of name to the first step of a pipeline; the training's comes first."""
    return {
        'OpenCV, reduced': LoadReducedImage(least_side),
        'OpenCV, full size': LoadImage(),
        'Pillow, draft': LoadDraft(least_side),
    }


def write_folder(root, count, shape, classes=2):
    """Write generated JPEG files with grain like that of photographs into ``root/train/<class>/``.

    Args:
        root: the folder.
        count: files in all.
        shape: (height, width) in pixels.
        classes: folders.
    """
    for index in range(count):
        folder = os.path.join(root, 'train', str(index % classes))
        os.makedirs(folder, exist_ok=True)
        noise = np.random.default_rng(index).normal(0, GRAIN, (*shape, 3))
        image = np.clip(generate(index, size=tuple(shape)).image + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(os.path.join(folder, f'{index}.jpg'), image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def open_images(config, data_root, count):
    """Return the first images of a training folder as a data set, and the mean size of their files in bytes."""
    settings = dict(config.train_dataloader.dataset.to_dict(), pipeline=[], indices=count)
    dataset = DATASETS.build(dict(settings, data_root=data_root))
    paths = [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]
    return dataset, np.mean([os.path.getsize(path) for path in paths])


def build_loader(config, dataset, reader, workers, batch_size):
    """Build the training's loader over a data set whose images are read by ``reader``."""
    dataset = copy.copy(dataset)
    dataset.pipeline = Compose([reader, *config.train_dataloader.dataset.pipeline[1:]])
    settings = dict(batch_size=batch_size, num_workers=workers, persistent_workers=workers > 0, dataset=dataset)
    return Runner.build_dataloader({**config.train_dataloader.to_dict(), **settings}, seed=0)


def measure_loading(config, data_root, shape, count, batch_size, workers, threads, repeats, progress=print):
    """Time passes over images by turns: read, augmented by the config, collated and normalised.

    Args:
        config: of a classifier, whose training pipeline begins with LoadReducedImage.
        data_root: folder that holds the training images as for a training; None generates them.
        shape: (height, width) in pixels of generated images.
        count: images of a pass at most.
        batch_size: images of a batch.
        workers: numbers of worker processes, 0 for none.
        threads: CPU threads of the normalisation, which the process that trains does.
        repeats: timed passes of each.
        progress: called with a line now and then.

    Returns:
        Rows with the keys of :data:`COLUMNS`, and notes.

    Raises:
        InputError: the config is none of a classifier, or the images are missing or too few.
    """
    steps = config.train_dataloader.dataset.get('pipeline', []) if config.get('train_dataloader') else []
    if not steps or steps[0].type != 'LoadReducedImage':
        raise InputError(
            f'{config.filename}: its training does not begin with LoadReducedImage; take the config of a classifier, '
            'such as configs/imagenet/mobile_former_294m.py'
        )
    init_default_scope('mmdet')
    torch.set_num_threads(threads)
    cv2.setNumThreads(0)  # as in a training
    normalise = MODELS.build(config.model.data_preprocessor)
    with tempfile.TemporaryDirectory() as folder:
        if data_root is None:
            progress(f'writing {count} images')
            write_folder(folder, count, shape)
        dataset, size = open_images(config, data_root or folder, count)
        if len(dataset) < batch_size:
            raise InputError(f'--batch-size {batch_size}: there are {len(dataset)} images; take at most so many')
        loaders = {
            (name, number): build_loader(config, dataset, reader, number, batch_size)
            for number in workers
            for name, reader in readers(steps[0].least_side).items()
        }

        def load(loader):
            for batch in loader:
                normalise(batch, training=True)

        progress(f'loading {len(dataset)} images in {len(loaders)} ways, {repeats + 1} times each')
        seconds = by_turns({key: lambda it=it: load(it) for key, it in loaders.items()}, repeats, warmup=1)
    images = len(dataset) // batch_size * batch_size
    rates = {key: images / passed for key, passed in seconds.items()}
    first = next(iter(readers(1)))
    rows = [
        {'reader': name, 'workers': number, 'images/s': rate, 'ratio': rate / rates[first, number]}
        for (name, number), rate in rates.items()
    ]
    what = f'of {data_root}' if data_root else f'generated, {shape[1]}×{shape[0]}'
    return rows, [
        f'{images} images a pass ({what}, {size / 1000:.0f} kB a file), training pipeline of {config.filename}, '
        f'batches of {batch_size}; the ratio is to {first} with as many workers.'
    ]
