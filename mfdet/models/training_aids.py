"""What helps training and is no part of the trained model: options of the head, whose weights have the same names."""

AIDS = ('dense_aid', 'denoising', 'query_groups')


def drop_aids(model):
    """Leave the training aids out of a model config, in place, for all that does not train."""
    head = model.get('bbox_head')
    if isinstance(head, dict):
        for aid in AIDS:
            head.pop(aid, None)


def without_aids(state_dict):
    """Return the weights without those of training aids."""
    prefixes = tuple(f'bbox_head.{aid}.' for aid in AIDS)
    return {name: value for name, value in state_dict.items() if not name.startswith(prefixes)}
