"""Reading weights safely, and mapping the released Mobile-Former layout onto ours."""

from mfdet.weights.files import read_checkpoint, state_dict_of
from mfdet.weights.load import check_finite, check_state_dict, load_backbone
from mfdet.weights.official import convert_official, convert_to_official, is_official

__all__ = [
    'check_finite',
    'check_state_dict',
    'convert_official',
    'convert_to_official',
    'is_official',
    'load_backbone',
    'read_checkpoint',
    'state_dict_of',
]
