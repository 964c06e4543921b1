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


def image_side(config):
    """Return the longer side in pixels of the images that a config tests with, None if it leaves them as they are."""
    for step in reversed(dataset_of(config.test_dataloader).pipeline if config.get('test_dataloader') else []):
        size = step.get('crop_size', step.get('scale'))
        if size is not None:
            return max(size) if isinstance(size, (list, tuple)) else size
    return None
