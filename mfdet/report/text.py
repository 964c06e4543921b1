"""Names and numbers as the page and its figures show them."""


def printable(text, most=None):
    """Return text with what cannot be shown, control characters and lone surrogates, spelt out; at most so long."""
    text = ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in str(text))
    return text if most is None or len(text) <= most else text[: most - 1] + '…'


def number(value, digits=3):
    """Return a figure with so many digits after the point, – where it is undefined (-1, nan or None)."""
    return '–' if value is None or value == -1 or value != value else f'{value:.{digits}f}'
