"""Where things stand in a config: plain look-ups that any part of the project may need."""


def dataset_of(dataloader):
    """Return the innermost data set config of a dataloader config (inside RepeatDataset and the like)."""
    dataset = dataloader['dataset']
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def backbone_of(model):
    """Return the part of a model config that holds the options of the backbone; a classifier's stand among its own."""
    return model.get('backbone', model)


def evaluators_of(config, split):
    """Return the evaluator configs of a split as a list; a config may hold one or several."""
    evaluators = config[f'{split}_evaluator']
    return evaluators if isinstance(evaluators, list) else [evaluators]


def image_shape(config):
    """Return (height, width) in pixels of the images, if wide, that a config tests with; None if it resizes none."""
    if not config.get('test_dataloader'):
        return None
    dataset = dataset_of(config.test_dataloader)
    if 'image_size' in dataset:  # generated ones
        return tuple(dataset.image_size)
    for step in reversed(dataset.get('pipeline', [])):
        size = step.get('crop_size', step.get('scale'))
        if size is not None:
            return (min(size), max(size)) if isinstance(size, (list, tuple)) else (size, size)
    return None


def image_side(config):
    """Return the longer side of :func:`image_shape`, None if there is none."""
    shape = image_shape(config)
    return None if shape is None else max(shape)
