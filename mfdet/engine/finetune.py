"""Training that starts from a trained detector, of other classes if need be, and that keeps part of it as it was."""

from mmengine.hooks import Hook

from mfdet.config_parts import backbone_of
from mfdet.engine.checkpoint import checkpoint_classes
from mfdet.engine.distributed import bare
from mfdet.engine.plain_config import other_boxes, plain_part
from mfdet.errors import InputError
from mfdet.models.training_aids import without_aids
from mfdet.weights import check_finite, is_released, state_dict_of
from mfdet.weights.transfer import transfer


class FineTuneHook(Hook):
    """Fit the checkpoint of ``load_from`` to the model and the classes of the training, and log what was taken over.

    Everything but the weights stays behind. Training aids start anew, as they are no part of a trained model. It is
    given to the runner and not to the config, which is written into the work directory and may be tested or resumed.
    """

    priority = 'VERY_HIGH'  # the other hooks see the weights as they will be

    def after_load_checkpoint(self, runner, checkpoint):
        """Replace the weights in ``checkpoint``.

        Raises:
            InputError: it is of another detector, or holds no weights of one.
        """
        source = str(runner.cfg.load_from)
        weights = without_aids(state_dict_of(checkpoint, source))
        if is_released(weights) or not any(name.startswith('bbox_head.') for name in weights):
            raise InputError(
                f'--load-from {source}: it holds no detector; --backbone-weights takes the weights of a backbone or '
                'classifier'
            )
        check_finite(weights, source)
        classes = runner.train_dataloader.dataset.metainfo['classes']
        before = checkpoint_classes(checkpoint, source)
        made_of = made_of_what(checkpoint)
        fresh = bare(runner.model).state_dict()
        taken = transfer(weights, without_aids(fresh), before, classes, source, made_of)
        runner.logger.info(f'Fine-tuning starts from {source}{f" ({made_of})" if made_of else ""}: {taken}')
        differing = other_boxes(checkpoint, runner.cfg.model)
        if differing:
            name, then, now = differing
            runner.logger.info(
                f'It was trained with {name}={then} and goes on with {now}: its boxes have to be learned anew'
            )
        checkpoint.pop('message_hub', None)  # the curves of that training are not of this one
        checkpoint.pop('ema_state_dict', None)
        checkpoint['state_dict'] = {**fresh, **taken.weights}


def made_of_what(checkpoint):
    """Return in words what detector a checkpoint is of, '' if it does not say."""
    model = plain_part(checkpoint, 'config', 'model')
    if not isinstance(model, dict):
        return ''
    parts = [(model.get(part) or {}) for part in ('backbone', 'neck', 'bbox_head')]
    backbone, neck, head = (part if isinstance(part, dict) else {} for part in parts)
    words = [str(backbone.get('type')), str(backbone.get('arch', backbone.get('depth', '')))]
    if neck:
        words.append(f'with {neck.get("type")} of {neck.get("out_channels")} channels')
    words.append(f'and {head.get("type")} of {head.get("num_classes")} classes')
    return ' '.join(word for word in words if word)


def log_frozen(runner):
    """Log how much of the backbone is kept as it is, if any is."""
    parameters = list(bare(runner.model).parameters())
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    if frozen:
        count, total = (sum(parameter.numel() for parameter in some) for some in (frozen, parameters))
        runner.logger.info(f'Frozen: {count:,} of {total:,} parameters keep their values')


def match_frozen(config, checkpoint, source, given):
    """Make a run that goes on freeze what it froze before.

    Args:
        config: of the run, changed in place.
        checkpoint: that it goes on from.
        source: its file, for the message.
        given: whether this call says what to freeze.

    Raises:
        InputError: it froze other stages, as optimisers hold a state for what is not frozen alone.
    """
    stored = plain_part(checkpoint, 'config', 'model')
    if not isinstance(stored, dict):
        return
    backbone = backbone_of(config.model)
    before, now = backbone_of(stored).get('frozen_stages', -1), backbone.get('frozen_stages', -1)
    if before == now:
        return
    if given or now != -1:
        was = f'had --freeze {before}' if before != -1 else 'froze nothing'
        raise InputError(f'--resume {source}: its run {was}, this one freezes stages up to {now}; freeze the same')
    backbone.frozen_stages = before
