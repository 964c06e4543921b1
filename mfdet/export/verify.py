"""Every exported file is run against the PyTorch model before it is called done."""

import numpy as np
import torch
from mmdet.structures import DetDataSample

from mfdet.data.shapes import generate
from mfdet.errors import InputError
from mfdet.runtime.preprocessing import collate, resized_shape

SCORE_TOLERANCE = 1e-4
BOX_TOLERANCE = 1e-3  # pixels, for each 100 pixels of the longer side


def sizes_to_try(metadata):
    """Return three (height, width): the test size, an odd one and a small one; of a fixed size, that as well."""
    resize = metadata['resize'] or dict(scale=[96, 96], keep_ratio=True)
    height, width = resized_shape(3, 4, resize, metadata.get('fixed_size'))
    if metadata.get('fixed_size'):
        return [tuple(metadata['fixed_size']), (height, width), (height * 5 // 8 | 1, width * 7 // 8 | 1)]
    return [(height, width), (height * 5 // 8 | 1, width * 7 // 8 | 1), (max(33, height // 2), max(40, width // 3))]


def predict(model, images, sizes):
    """Return boxes, scores and labels of each image by the PyTorch model, through mmdet's own prediction.

    Args:
        model: the detector.
        images: float32 array (B, 3, H, W), normalised and padded.
        sizes: (B, 2) heights and widths.
    """
    common = dict(scale_factor=(1.0, 1.0), batch_input_shape=images.shape[2:])
    samples = [DetDataSample(metainfo=dict(common, img_shape=tuple(map(int, size)))) for size in sizes]
    with torch.no_grad():
        found = model.predict(torch.from_numpy(images), samples, rescale=False)
    found = [sample.pred_instances for sample in found]
    return [(item.bboxes.numpy(), item.scores.numpy(), item.labels.numpy()) for item in found]


def compare(expected, actual, box_tolerance, score_tolerance=SCORE_TOLERANCE, capacity=None, score_thr=0.0):
    """Count detections of one image without a partner of the same label, score and box on the other side.

    A detection may lack its partner only where rounding can have cut that off: at the score threshold, or at the last
    score of the other side if that side is full.

    Args:
        expected, actual: boxes (N, 4), scores (N,) and labels (N,), best first.
        box_tolerance, score_tolerance: greatest difference of a coordinate and of a score.
        capacity: most detections of an image.
        score_thr: least score of a detection.

    Returns:
        The number of detections without a partner, and the greatest difference of coordinates and of scores among
        partners.
    """
    unmatched, box_error, score_error = 0, 0.0, 0.0
    for (boxes, scores, labels), (others, other_scores, other_labels) in ((expected, actual), (actual, expected)):
        cut = other_scores[-1] if len(other_scores) and len(other_scores) == capacity else score_thr
        for box, score, label in zip(boxes, scores, labels, strict=True):
            box_errors = np.abs(others - box).max(1, initial=0)
            score_errors = np.abs(other_scores - score)
            fits = (other_labels == label) & (box_errors <= box_tolerance) & (score_errors <= score_tolerance)
            if fits.any():
                best = np.flatnonzero(fits)[box_errors[fits].argmin()]
                box_error = max(box_error, float(box_errors[best]))
                score_error = max(score_error, float(score_errors[best]))
            elif not score <= cut + score_tolerance:
                unmatched += 1
    return unmatched, box_error, score_error


def verify(model, run, metadata, name, box_tolerance=BOX_TOLERANCE, score_tolerance=SCORE_TOLERANCE):
    """Check an exported detector against its model, alone and in batches of images of different sizes.

    Args:
        model: the detector in PyTorch.
        run: the exported one, from images and sizes to boxes, scores and labels, as ``Detector.run``.
        metadata: of the exported file.
        name: how messages call it.
        box_tolerance: pixels for each 100 pixels of the longer side.
        score_tolerance: of scores.

    Returns:
        The greatest differences of coordinates (pixels) and of scores, and the number of detections compared.

    Raises:
        InputError: a detection has no partner on the other side.
    """
    pictures = [generate(i, seed=9, size=size, max_objects=6).image for i, size in enumerate(sizes_to_try(metadata))]
    plain = dict(metadata, resize=None)
    score_thr = model.test_cfg.get('score_thr', 0) if model.test_cfg else 0
    worst, compared = np.zeros(2), 0
    for batch in [[picture] for picture in pictures] + [pictures]:
        images, sizes, _ = collate(batch, plain)
        normalised = collate(batch, dict(plain, normalized=True))[0]
        outputs = run(images, sizes)
        for i, expected in enumerate(predict(model, normalised, sizes)):
            boxes, scores, labels = (output[i] for output in outputs)
            used = ~(scores <= 0)
            sound = np.isfinite(boxes).all() and np.isfinite(scores).all() and (np.diff(scores) <= 0).all()
            if not sound:
                raise InputError(
                    f'{name} gives scores that do not fall, or numbers that are not finite; nothing was written'
                )
            actual = boxes[used], scores[used], labels[used]
            tolerance = box_tolerance * max(100, *sizes[i]) / 100
            unmatched, *errors = compare(expected, actual, tolerance, score_tolerance, len(scores), score_thr)
            if unmatched:
                raise InputError(
                    f'{name} differs from the PyTorch model: {unmatched} of {len(expected[1])} and {len(actual[1])} '
                    f'detections have no partner within {tolerance:.2g} pixels and {score_tolerance:.0e} in score '
                    f'(batch of {len(batch)}, image {sizes[i][0]}×{sizes[i][1]}); nothing was written'
                )
            worst, compared = np.maximum(worst, errors), compared + len(expected[1])
    return *worst.tolist(), compared


def verify_classifier(model, run, name, tolerance=1e-3):
    """Check an exported classifier: logits of batches 1 and 3 at three sizes; returns the greatest difference."""
    worst = 0.0
    for batch, height, width in ((1, 224, 224), (3, 224, 224), (1, 160, 288), (3, 96, 64)):
        images = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            error = np.abs(model(images).numpy() - run(images.numpy())).max()
        if not error <= tolerance:
            raise InputError(
                f'{name} differs from the PyTorch model: logits by {error:.2g} (batch of {batch}, {height}×{width}); '
                'nothing was written'
            )
        worst = max(worst, float(error))
    return worst
