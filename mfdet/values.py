"""Values that come out of files and from callers: texts without lone surrogates, whole numbers, lists of names."""

import math
from numbers import Integral


def escaped(text):
    r"""Return text with each lone surrogate as ``\udc80`` in letters; OpenCV crashes at the bare one, others raise."""
    return text.encode('utf-8', 'backslashreplace').decode()


def is_text(value):
    """Tell whether a value is a text without lone surrogates, which JSON and pickles can hold and no file takes."""
    return isinstance(value, str) and escaped(value) == value


def is_count(value, most=math.inf):
    """Tell whether a value is a whole number, of Python or NumPy, from 1 to ``most``."""
    return isinstance(value, Integral) and not isinstance(value, bool) and 1 <= value <= most


def listed(names, most=10):
    """Join names for a sentence, at most a few of them."""
    return ', '.join(map(str, names[:most])) + (f' and {len(names) - most} more' if len(names) > most else '')


def rounded_up(number, step=32):
    """Return the smallest multiple of ``step`` that is no less than a whole number, or than each of an array."""
    return -(-number // step) * step
