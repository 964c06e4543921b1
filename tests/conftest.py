import functools

import pytest
from yapf.yapflib import yapf_api

import mfdet  # noqa: F401  makes mmdet importable, whichever test runs first

_format_code = yapf_api.FormatCode


@functools.cache
def _format_once(text, style):
    return _format_code(text, style_config=dict(style))


def _format(text, style_config):
    return _format_once(text, tuple(style_config.items()))


yapf_api.FormatCode = _format  # mmengine formats the same config for each checkpoint: a third of a tiny training's time


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep what shares dear fixtures in one process of pytest-xdist: a file, and all files about exports."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder == 'export' else f'{folder}/{item.path.name}'))
