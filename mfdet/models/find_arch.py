"""Telling the variant of a classifier from its weights."""

import torch

from mfdet.errors import InputError
from mfdet.models.classifier import MobileFormerClassifier, MobileViTClassifier
from mfdet.models.mobile_former import ARCHS
from mfdet.models.mobilevit import MOBILEVITS
from mfdet.weights import check_state_dict


def find_arch(state_dict, source='state dict'):
    """Find the variant whose classifier has exactly the entries and shapes of ``state_dict``.

    Args:
        state_dict: weights in the layout of our classifiers, with any number of classes.
        source: where they come from, for the message.

    Returns:
        The variant, such as '508m' or 'xxs', and the number of classes.

    Raises:
        InputError: weights are not finite, or no variant fits; the first difference to the nearest variant is named.
    """
    classifier = state_dict.get('head.classifier.weight')
    if classifier is None or classifier.ndim != 2:
        raise InputError(f"{source}: entry 'head.classifier.weight' is missing or no matrix; expected a classifier")
    num_classes = len(classifier)
    candidates = {}
    mobilevit = any(name.startswith('backbone.stages.') for name in state_dict)
    classifier, archs = (MobileViTClassifier, MOBILEVITS) if mobilevit else (MobileFormerClassifier, ARCHS)
    for arch in archs:
        with torch.device('meta'):
            model = classifier(arch, num_classes)
        candidates[arch] = model.state_dict()

    def alike(arch):
        return sum(
            name in state_dict and state_dict[name].shape == value.shape for name, value in candidates[arch].items()
        )

    nearest, family = max(candidates, key=alike), 'MobileViT' if mobilevit else 'Mobile-Former'
    check_state_dict(state_dict, candidates[nearest], source, f'{family} {nearest}, the nearest variant')
    return nearest, num_classes
