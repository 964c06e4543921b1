"""The maps of a backbone as an end-to-end head takes them, from the coarsest to the finest."""

from mfdet.layers.mobile import halve
from mfdet.layers.position import map_extent


def scales_of(feats, valid):
    """Return map, mask of its valid cells and extent of the images in its cells for each scale, coarse to fine.

    Args:
        feats: maps (B, C, H, W), fine to coarse, each half the size of the one before.
        valid: bool (B, 1, H, W) of the finest map, False at padding; None if it is all image.
    """
    masks, extents = [valid], [map_extent(feats[0], valid)]
    for _ in feats[1:]:
        masks.append(halve(masks[-1]))
        extents.append(extents[-1] / 2)
    return list(zip(reversed(feats), reversed(masks), reversed(extents), strict=True))
