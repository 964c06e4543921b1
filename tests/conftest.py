import functools

from yapf.yapflib import yapf_api

import mfdet  # noqa: F401  makes mmdet importable, whichever test runs first

_format_code = yapf_api.FormatCode


@functools.cache
def _format_once(text, style):
    return _format_code(text, style_config=dict(style))


def _format(text, style_config):
    return _format_once(text, tuple(style_config.items()))


yapf_api.FormatCode = _format  # mmengine formats the same config for each checkpoint: a third of a tiny training's time
