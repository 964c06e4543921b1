"""Reading weights safely, and mapping released layouts onto ours."""

from mfdet.weights.files import read_checkpoint, state_dict_of
from mfdet.weights.load import check_finite, check_state_dict, load_backbone
from mfdet.weights.mobilevit import convert_to_mobilevit
from mfdet.weights.official import convert_official, convert_to_official, is_official
from mfdet.weights.released import convert_released, is_released

__all__ = [
    'check_finite',
    'check_state_dict',
    'convert_official',
    'convert_released',
    'convert_to_mobilevit',
    'convert_to_official',
    'is_official',
    'is_released',
    'load_backbone',
    'read_checkpoint',
    'state_dict_of',
]
