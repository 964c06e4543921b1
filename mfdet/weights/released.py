"""All released layouts that are known, whatever the model."""

from mfdet.errors import InputError
from mfdet.weights.mobilevit import convert_mobilevit, is_mobilevit
from mfdet.weights.official import convert_official, is_official

LAYOUTS = ((is_official, convert_official), (is_mobilevit, convert_mobilevit))


def is_released(state_dict):
    """Tell whether the names of ``state_dict`` are those of a released checkpoint, of Mobile-Former or MobileViT."""
    return any(fits(state_dict) for fits, _ in LAYOUTS)


def convert_released(state_dict, source):
    """Map a released state dict onto the layout of our classifiers; one in our layout stays as it is.

    Args:
        state_dict: ``{name: value}``; values are passed through.
        source: where it comes from, for the message.

    Raises:
        InputError: an entry is not one of the released layout; it is named.
    """
    for fits, convert in LAYOUTS:
        if fits(state_dict):
            try:
                return convert(state_dict)
            except InputError as error:
                raise InputError(f'{source}: {error}') from error
    return state_dict
