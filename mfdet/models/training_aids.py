"""What helps training and is no part of the trained model: ``dense_aid`` of the head, in config and weights."""

AID = 'dense_aid'


def drop_aids(model):
    """Leave the training aids out of a model config, in place, for all that does not train."""
    head = model.get('bbox_head')
    if isinstance(head, dict):
        head.pop(AID, None)


def without_aids(state_dict):
    """Return the weights without those of training aids."""
    return {name: value for name, value in state_dict.items() if not name.startswith(f'bbox_head.{AID}.')}
