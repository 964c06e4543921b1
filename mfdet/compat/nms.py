"""Non-maximum suppression without a compiler: the greedy one (mmcv's ``nms``) and Soft-NMS (``softnms``).

Both compute the IoU as mmcv's and torchvision's CPU kernels do: widths are ``x2 - x1 + offset``, the sides of the
intersection are clamped at 0 and those of the boxes are not, and an IoU that is not a number (two boxes of zero area)
is no overlap. OpenCV's ``cv2.dnn.NMSBoxes`` is not used because it cannot be made to agree: tried with OpenCV 4.12, it
lets one zero-area box suppress another, refuses a negative score threshold, drops every score at or below it, and by
taking the IoU as ``1 - float(distance)`` decides otherwise where the IoU equals the threshold, 1/6 for example.
"""

import functools

import numpy as np
import torch
from torch import Tensor

from mfdet.suppression import areas_of, greedy, iou_with


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Greedy non-maximum suppression.

    Boxes are visited by descending score, the lower index first among equal scores; one is dropped when its IoU with a
    box kept before it exceeds the threshold.

    Args:
        boxes: (N, 4), ``x1, y1, x2, y2`` in pixels. float64 is computed as such, anything else in float32.
        scores: (N,), any real values.
        iou_threshold: rounded to the precision of the computation, as mmcv's kernels do.
        offset: 1 where ``x2`` and ``y2`` are the last pixel inside the box, else 0.

    Returns:
        (K,) int64 indices of the kept boxes by descending score, on the device of ``boxes``.
    """
    boxes = boxes.detach()
    if boxes.dtype != torch.float64:
        boxes = boxes.float()
    threshold = torch.tensor(iou_threshold, dtype=boxes.dtype).item()
    scores, order = scores.detach().sort(descending=True, stable=True)
    # Only float32 without an offset means the same there; its sort is stable, so casting sorted scores is harmless.
    torchvision_nms = _torchvision_nms(boxes.device.type) if offset == 0 and boxes.dtype == torch.float32 else None
    if torchvision_nms:
        return order[torchvision_nms(boxes[order], scores.to(boxes.dtype), threshold)]
    kept = greedy(boxes.cpu().numpy(), order.cpu().numpy(), threshold, offset)
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


@np.errstate(all='ignore')
def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017): overlapping boxes lose score instead of being dropped.

    The box with the highest score is taken (the lower index first among equal ones), the scores of all others are
    multiplied by a weight that depends on their IoU with it, those that fall below ``min_score`` are dropped, and so on
    with what is left. The first box is always taken.

    Args:
        boxes: (N, 4), ``x1, y1, x2, y2`` in pixels, on the CPU.
        scores: (N,).
        dets: (N, 5), filled in place: its first K rows become the boxes taken and their scores at that moment.
        iou_threshold: the IoU from which methods 0 and 1 apply their weight.
        sigma: the width of method 2.
        min_score: the score below which a box is dropped.
        method: 0, weight 0; 1, weight ``1 - IoU``; 2, weight ``exp(-IoU ** 2 / sigma)`` whatever the threshold.
        offset: 1 where ``x2`` and ``y2`` are the last pixel inside the box, else 0.

    Returns:
        (K,) int64 indices of the boxes taken, in that order.
    """
    dtype = torch.float64 if boxes.dtype == torch.float64 else torch.float32
    corners = boxes.detach().to(dtype).T.contiguous().numpy()
    scores = scores.detach().to(dtype).numpy().copy()
    threshold = scores.dtype.type(iou_threshold)
    areas = areas_of(corners, offset)
    left = np.arange(len(scores))
    taken, taken_scores = [], []
    while len(left):
        top = int(scores.argmax())
        taken.append(left[top])
        taken_scores.append(scores[top])
        iou = iou_with(corners, areas, top, slice(None), offset)
        iou[np.isnan(iou)] = 0
        if method == 2:
            scores *= np.exp(-(iou * iou) / sigma)
        else:
            scores *= np.where(iou >= threshold, 1 - iou if method == 1 else 0, 1).astype(scores.dtype)
        keep = ~(scores < min_score)
        keep[top] = False
        left, scores, corners, areas = left[keep], scores[keep], corners[:, keep], areas[keep]
    indices = torch.from_numpy(np.array(taken, dtype=np.int64))
    dets[: len(taken), :4] = boxes.detach()[indices].to(dets.dtype)
    dets[: len(taken), 4] = torch.from_numpy(np.array(taken_scores, dtype=scores.dtype))
    return indices


@functools.cache
def _torchvision_nms(device_type: str):
    """``torchvision.ops.nms`` if a tiny call of it works on this type of device, else None.

    A torchvision built for another torch raises RuntimeError at its import or at the call, one built without CUDA
    raises NotImplementedError there.
    """
    try:
        from torchvision.ops import nms as torchvision_nms

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]], device=device_type)
        kept = torchvision_nms(boxes, torch.tensor([0.5, 0.75], device=device_type), 0.5)
    except (ImportError, AttributeError, OSError, RuntimeError):
        return None
    return torchvision_nms if kept.tolist() == [1] else None
