"""Detectors that come with the package, for trainings to start from."""

import os
from pathlib import Path

from mfdet.errors import InputError

PRETRAINED = {  # name: what it is
    'e2e_plus_mf26m_shapes': 'E2E-MF+ with Mobile-Former-26M, trained on generated shapes',
}


def find_weights(name, option):
    """Return the path of a detector to start from: a file, or one of :data:`PRETRAINED`.

    Args:
        name: path of a checkpoint, or a name.
        option: of the command line, for the message.

    Raises:
        InputError: there is neither such a file nor such a name.
    """
    path = os.path.expanduser(name)
    if not os.path.isfile(path) and name in PRETRAINED:
        path = str(Path(__file__).with_name(f'{name}.safetensors'))
    if not os.path.isfile(path):
        known = ', '.join(PRETRAINED)
        raise InputError(
            f'{name or "the empty name"}: no such checkpoint file ({option}); what comes with mfdet: {known}'
        )
    return path
