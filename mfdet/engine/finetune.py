"""Training that starts from a trained detector, of other classes if need be."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mfdet.engine.checkpoint import checkpoint_classes
from mfdet.engine.distributed import bare
from mfdet.errors import InputError
from mfdet.models.training_aids import AID, without_aids
from mfdet.weights import check_finite, is_official, state_dict_of
from mfdet.weights.transfer import transfer


@HOOKS.register_module()
class FineTuneHook(Hook):
    """Fit the checkpoint of ``load_from`` to the model and the classes of the training, and log what was taken over.

    Everything but the weights stays behind. Training aids start anew, as they are no part of a trained model.
    """

    priority = 'VERY_HIGH'  # the other hooks see the weights as they will be

    def after_load_checkpoint(self, runner, checkpoint):
        """Replace the weights in ``checkpoint``.

        Raises:
            InputError: it is of another detector, or holds no weights of one.
        """
        source = str(runner.cfg.load_from)
        weights = without_aids(state_dict_of(checkpoint, source))
        if is_official(weights) or not any(name.startswith('bbox_head.') for name in weights):
            raise InputError(
                f'--load-from {source}: it holds no detector; --backbone-weights takes the weights of a backbone or '
                'classifier'
            )
        check_finite(weights, source)
        classes = runner.train_dataloader.dataset.metainfo['classes']
        before = checkpoint_classes(checkpoint, source)
        made_of = made_of_what(checkpoint)
        fresh = bare(runner.model).state_dict()
        aids = {name: value for name, value in fresh.items() if name.startswith(f'bbox_head.{AID}.')}
        taken = transfer(weights, without_aids(fresh), before, classes, source, made_of)
        runner.logger.info(f'Fine-tuning starts from {source}{f" ({made_of})" if made_of else ""}: {taken}')
        checkpoint.pop('message_hub', None)  # the curves of that training are not of this one
        checkpoint.pop('ema_state_dict', None)
        checkpoint['state_dict'] = {**taken.weights, **aids}


def made_of_what(checkpoint):
    """Return in words what detector a checkpoint is of, '' if it does not say."""
    model = checkpoint
    for key in ('meta', 'mfdet', 'config', 'model'):
        model = model.get(key) if isinstance(model, dict) else None
    if not isinstance(model, dict):
        return ''
    parts = [(model.get(part) or {}) for part in ('backbone', 'neck', 'bbox_head')]
    backbone, neck, head = (part if isinstance(part, dict) else {} for part in parts)
    words = [str(backbone.get('type')), str(backbone.get('arch', backbone.get('depth', '')))]
    if neck:
        words.append(f'with {neck.get("type")} of {neck.get("out_channels")} channels')
    words.append(f'and {head.get("type")} of {head.get("num_classes")} classes')
    return ' '.join(word for word in words if word)
