"""Checks for installations that import but are broken, or that fail to import for a known reason."""

import importlib.util

from mfdet.errors import InputError

# Each fork installs the same importable package, hence the same files, as these originals.
_ORIGINALS = {
    'onedl-mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full'),
    'onedl-mmdetection': ('mmdet',),
    'onedl-mmengine': ('mmengine', 'mmengine-lite'),
}


def check_distributions():
    """Raise :class:`InputError` if an original mm package is installed beside the fork of it.

    Whichever was installed last has overwritten files of the other. Uninstalling the original deletes files of the
    fork, which is why the fork must be installed anew.
    """
    twice, remove, reinstall = [], [], []
    for fork, originals in _ORIGINALS.items():
        fork_version = _version(fork)
        beside = [name for name in originals if _version(name)] if fork_version else []
        if beside:
            twice.append(f'{" and ".join(f"{name} {_version(name)}" for name in beside)} beside {fork} {fork_version}')
            remove += beside
            reinstall.append(f'{fork}=={fork_version}')
    if twice:
        raise InputError(
            f'packages that overwrite each other are installed, {", ".join(twice)}; run '
            f'`pip uninstall -y {" ".join(remove)}` and then '
            f'`pip install --force-reinstall --no-deps {" ".join(reinstall)}`'
        )


def check_opencv():
    """Raise :class:`InputError` if OpenCV cannot be imported for want of a desktop's libraries (libGL, libgthread)."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        if 'cannot open shared object file' not in str(error):
            raise
        raise InputError(
            f'OpenCV cannot be imported ({error}): this system lacks a library that only its desktop build needs; run '
            '`pip uninstall -y opencv-python opencv-python-headless` and then `pip install opencv-python-headless`'
        ) from error


def _version(name):
    # Imported here because it takes longer than the whole of `import mfdet`.
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_environment():
    """Check that what training needs is installed, and that it is not overwritten by another distribution.

    Raises:
        InputError: a package is missing or clashes; the message says what to install or uninstall.
    """
    missing = [name for name in ('torch', 'mmengine', 'mmcv', 'mmdet') if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f'{" and ".join(missing)} cannot be found; install what this needs: pip install "mfdet[train]"'
        )
    check_distributions()
    check_opencv()
