"""Weights of a trained detector for another one: other classes, another number of queries, all else the same."""

import dataclasses
import re

from mfdet.errors import InputError
from mfdet.values import listed

# Layers that have rows of classes, as patterns, and how: 'anchors' has (A·K, ...), by anchor, then by class;
# 'background' (A·(K + 1), ...), background being the last class; 'no-object' K, and one more if scores are a softmax.
CLASS_LAYERS = {
    r'bbox_head\.retina_cls': 'anchors',
    r'bbox_head\.fc_cls': 'no-object',
    r'bbox_head\.selection\.classify': 'anchors',
    r'bbox_head\.cls_convs\.\d+\.\d+': 'background',  # of SSD; the towers of other heads end in .conv and .gn
}
QUERIES = ('bbox_head.query_features', 'bbox_head.query_positions', 'bbox_head.query_references')  # a row for each


@dataclasses.dataclass
class Transfer:
    """What a detector takes over from another.

    Attributes:
        weights: the state dict, complete.
        loaded: numbers (of parameters and of BatchNorm's statistics) that are taken over.
        total: how many there are.
        known: classes whose rows are taken over.
        fresh: classes whose rows are not.
        unnamed: the checkpoint names no classes.
        queries: how many rows of queries are taken over and how many there are; None without learned queries.
    """

    weights: dict
    loaded: int = 0
    total: int = 0
    known: list = dataclasses.field(default_factory=list)
    fresh: list = dataclasses.field(default_factory=list)
    unnamed: bool = False
    queries: tuple | None = None

    def __str__(self):
        parts = [f'{self.loaded:,} of {self.total:,} weights are taken over']
        if self.known:
            parts.append(f'it knew {listed(self.known)}')
        if self.fresh:
            why = 'as the checkpoint names no classes' if self.unnamed else 'which the checkpoint has not'
            parts.append(f'the class layer starts anew for {listed(self.fresh)}, {why}')
        if self.queries and self.queries[0] < self.queries[1]:
            parts.append(f'{self.queries[1] - self.queries[0]} of {self.queries[1]} queries start anew')
        return '; '.join(parts)


def transfer(weights, fresh, classes_before, classes, source, made_of=''):
    """Fit the weights of a trained detector to one of other classes.

    All entries are taken over as they are, but for the class layer, row by row by the names of the classes, and for
    learned queries, in order as far as they go. What has no counterpart stays as in ``fresh``.

    Args:
        weights: ``{name: tensor}`` of the checkpoint.
        fresh: the state dict of the new detector, initialised.
        classes_before: class names of the checkpoint; None if it names none, then no class is known.
        classes: class names of the new detector.
        source: the checkpoint's file, for the message.
        made_of: what the checkpoint is of, for the message.

    Returns:
        :class:`Transfer`.

    Raises:
        InputError: another entry differs in shape, is missing or unknown (the first is named), or a class occurs twice.
    """
    classes_before = list(classes_before or [])
    twice = [name for name in classes_before if classes_before.count(name) > 1]
    if twice:
        raise InputError(f'{source}: it names the class {twice[0]!r} twice, so its rows cannot be told apart')
    result = Transfer(dict.fromkeys(fresh), unnamed=not classes_before)
    result.known = [name for name in classes if name in classes_before]
    result.fresh = [name for name in classes if name not in classes_before]
    for name, target in fresh.items():
        if name not in weights:
            raise _misfit(source, made_of, f'the entry {name!r} is missing in it')
        value, layer = weights[name], name.rpartition('.')[0]
        layout = next((kind for pattern, kind in CLASS_LAYERS.items() if re.fullmatch(pattern, layer)), None)
        by_row = bool(layout) or name in QUERIES
        fits = value.dim() == target.dim() and value.shape[by_row:] == target.shape[by_row:]
        fits = fits and value.is_floating_point() == target.is_floating_point()
        pairs = []
        if fits and layout:
            pairs = _class_rows(layout, len(value), len(target), classes_before, list(classes))
        elif fits and name in QUERIES:
            shared = min(len(value), len(target))
            pairs = [(row, row) for row in range(shared)]
            result.queries = shared, len(target)
        if not fits:
            here = f'it is {_kind(value)}, here {_kind(target)}'
            raise _misfit(source, made_of, f'the first entry that differs is {name!r}: {here}')
        if pairs is None:
            rows = f'its entry {name!r} has {len(value)} rows for {len(classes_before)} classes'
            raise _misfit(source, made_of, f'{rows}, here there are {len(target)} for {len(classes)}')
        merged = target.clone() if by_row else value
        for row, row_before in pairs:
            merged[row] = value[row_before].to(target.dtype)
        result.weights[name] = merged
        result.total += target.numel()
        result.loaded += len(pairs) * target[0].numel() if by_row else target.numel()
    unknown = [name for name in weights if name not in fresh]
    if unknown:
        raise _misfit(source, made_of, f'its entry {unknown[0]!r} has no counterpart here')
    return result


def _class_rows(layout, rows_before, rows, classes_before, classes):
    """Return pairs (row, row before) of a class layer; None if it has not the rows that its classes need."""
    if not classes_before:
        return []
    extra = rows - len(classes) if layout == 'no-object' else int(layout == 'background')
    width, width_before = len(classes) + extra, len(classes_before) + extra
    anchors = rows // width
    if rows_before != anchors * width_before:
        return None
    of_anchor = [(row, classes_before.index(name)) for row, name in enumerate(classes) if name in classes_before]
    of_anchor += [(width - 1, width_before - 1)] * extra
    return [
        (anchor * width + row, anchor * width_before + before) for anchor in range(anchors) for row, before in of_anchor
    ]


def _kind(tensor):
    return f'{tuple(tensor.shape)} of {tensor.dtype}'


def _misfit(source, made_of, what):
    """Return the error for a checkpoint that is of another detector."""
    of = f', which is of {made_of},' if made_of else ''
    return InputError(
        f'{source}{of} does not fit this config: {what}; take the config that it was trained with (--load-from)'
    )
