"""Makes mmdet importable and usable where mmcv was installed without its compiled operators."""


def install():
    """Placeholder until the finder is written."""
