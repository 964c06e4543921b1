"""The training loop: it can go on from the middle of an epoch, stops when asked to, and never trains on nonsense."""

import os
import signal

import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import HOOKS, LOOPS
from mmengine.runner import EpochBasedTrainLoop

from mfdet.data.sampling import seed_items, seed_of, set_random_seed
from mfdet.engine.checkpoint import newest_first
from mfdet.engine.distributed import any_process, bare, telling_of_the_dead
from mfdet.engine.report import read_summary
from mfdet.errors import InputError, NonFiniteError
from mfdet.values import is_count

HINT = 'lower optim_wrapper.optimizer.lr, check the annotations of these images, or train without --amp'
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):
    """Training was asked to stop and has saved its state; the message says where.

    Attributes:
        exit_code: what a shell says of a program that the signal has ended.
    """

    def __init__(self, message, exit_code):
        super().__init__(message)
        self.exit_code = exit_code


class SharedError(NonFiniteError):
    """One that all processes of the training raise together."""


class FiniteOptimWrapper:
    """An optimizer wrapper of mmengine that raises before it uses a loss or a gradient that is not finite.

    With mixed precision the gradients are not looked at: the loss scaler handles theirs.
    """

    def __init__(self, wrapper):
        self.wrapper = wrapper

    def __getattr__(self, name):
        return getattr(self.wrapper, name)

    def update_params(self, loss, step_kwargs=None, zero_kwargs=None):
        """Update as mmengine's wrapper does.

        Raises:
            NonFiniteError: nothing was updated, and the gradients are cleared.
        """
        wrapper = self.wrapper
        if any_process(not torch.isfinite(loss).item()):
            wrapper.zero_grad()
            raise SharedError(f'the loss is not finite; {HINT}')
        wrapper.backward(wrapper.scale_loss(loss))
        if not wrapper.should_update():
            return
        if not isinstance(wrapper, AmpOptimWrapper):
            gradients = [p.grad for group in wrapper.param_groups for p in group['params'] if p.grad is not None]
            norms = torch.stack(torch._foreach_norm(gradients)) if gradients else loss.new_zeros(1)
            if any_process(not torch.isfinite(norms).all().item()):
                wrapper.zero_grad()
                raise SharedError(f'a gradient is not finite; {HINT}')
        wrapper.step(**(step_kwargs or {}))
        wrapper.zero_grad(**(zero_kwargs or {}))


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """mmengine's loop over epochs, whose random numbers depend on seed and iteration alone.

    So a run that goes on from a checkpoint, be it from the middle of an epoch, ends with the weights of one that was
    never interrupted, to the last bit on a CPU; its batches come from
    :class:`mfdet.data.sampling.ResumableBatchSampler`. SIGTERM and SIGINT let the step end, save the state and raise
    :class:`Stopped`.

    Args:
        on_nonfinite: ``'stop'`` at a loss or gradient that is not finite, or ``'skip'`` the step and count it.
        others: of mmengine's EpochBasedTrainLoop.
    """

    def __init__(self, runner, dataloader, max_epochs, on_nonfinite='stop', **others):
        for name, value in (('max_epochs', max_epochs), ('val_interval', others.get('val_interval', 1))):
            if not is_count(value):
                raise InputError(f'train_cfg.{name} must be a whole number from 1 up, got {value!r}')
        super().__init__(runner, dataloader, max_epochs, **others)
        if on_nonfinite not in ('stop', 'skip'):
            raise InputError(f"train_cfg.on_nonfinite must be 'stop' or 'skip', got {on_nonfinite!r}")
        self.on_nonfinite = on_nonfinite
        self.skipped = 0
        self.signal = None
        self.buffers = [(buffer, buffer.clone()) for buffer in runner.model.buffers()]
        if not seed_items(self.dataloader.dataset, self.dataloader.num_workers):
            runner.logger.warning(
                f'Images of {type(self.dataloader.dataset).__name__} are augmented by chance: an interrupted run does '
                'not end with the weights of one left alone'
            )

    def run(self):
        """Train; signals end it in an orderly way meanwhile.

        Raises:
            Stopped: a signal came.
            InputError: the processes start from different iterations, one has died, or the checkpoint is from the
                middle of an epoch and the batch sampler cannot go on there.
        """
        places = dist.all_gather_object(self._iter)
        if len(set(places)) > 1:
            raise InputError(
                f'the processes would go on from different iterations ({", ".join(map(str, places))}): --work-dir must '
                'be a folder that all of them share'
            )
        before = {number: signal.signal(number, self._ask_to_stop) for number in SIGNALS}
        self.runner.register_hook(_StopInValidationHook(self), 'LOWEST')
        try:
            with telling_of_the_dead('go on from the last checkpoint with --resume'):
                model = self._run_epochs()
                dist.barrier()  # no signal is to end what one of them is still writing
            return model
        except RuntimeError:
            if self.signal is not None:  # it has ended a worker of a loader too
                return self._stop_if_asked()
            raise
        finally:
            iterator, self.dataloader._iterator = self.dataloader._iterator, None
            if iterator is not None and self.dataloader.num_workers:
                iterator._shutdown_workers()  # they do not end at the one SIGTERM of Python's exit
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run_epochs(self):
        """Do as mmengine's ``run``; but a validation that the checkpoint was saved before is made up for."""
        self.runner.call_hook('before_train')
        summary = read_summary(self.runner.work_dir)
        is_complete = self._epoch == self._max_epochs and summary.get('epochs') == self._epoch
        if self._iter and self._iter == self._epoch * len(self.dataloader) and not is_complete:
            self._validate_if_due()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_if_due()
        self.runner.call_hook('after_train')
        return self.runner.model

    def _validate_if_due(self):
        self._decide_current_val_interval()
        due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        if self.runner.val_loop is not None and self._epoch >= self.val_begin and due:
            self.runner.val_loop.run()

    def _ask_to_stop(self, number, frame):
        if self.signal == number == signal.SIGINT:  # Ctrl-C twice: at once
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    def run_epoch(self):
        """Run one epoch, or what is left of it."""
        self._stop_if_asked()
        if hasattr(self.dataloader.sampler, 'seed'):
            self.dataloader.sampler.seed = self.runner.seed  # a checkpoint may have brought another
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done = self._iter - self._epoch * len(self.dataloader)
        if done and not hasattr(self.dataloader.batch_sampler, 'skip'):
            raise InputError(
                f'--resume: the checkpoint is from iteration {done} of an epoch, and to go on there the config needs '
                "train_dataloader.batch_sampler = dict(type='ResumableBatchSampler'); take an epoch_*.pth"
            )
        self.dataloader.batch_sampler.skip = done
        for index, batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, batch)
            self._stop_if_asked()
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _stop_if_asked(self):
        """Save the state and raise :class:`Stopped` if a signal has come to any process.

        What is left of the epoch's end and of its validation is left to the run that goes on.
        """
        if not any_process(self.signal is not None):
            return
        name = f'iter_{self._iter}.pth'
        meta = dict(epoch=self._epoch, iter=self._iter)
        self.runner.save_checkpoint(self.runner.work_dir, name, by_epoch=False, meta=meta)
        by = self.signal or signal.SIGTERM
        raise Stopped(
            f'stopped by {by.name} after iteration {self._iter}; the state is in '
            f'{os.path.join(self.runner.work_dir, name)}: go on with --resume',
            128 + by,
        )

    def run_iter(self, idx, data_batch):
        """Run one step, seeded by its number.

        Raises:
            InputError: a loss or gradient is not finite and ``on_nonfinite`` is 'stop'.
        """
        set_random_seed(seed_of(self.runner.seed, self._iter, dist.get_rank()))
        self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        for buffer, before in self.buffers:
            before.copy_(buffer)
        try:
            outputs = self.runner.model.train_step(data_batch, FiniteOptimWrapper(self.runner.optim_wrapper))
        except NonFiniteError as error:
            if dist.get_world_size() > 1 and not isinstance(error, SharedError):
                raise  # the other processes do not know
            self._refuse(str(error), data_batch)
            outputs = None
        if outputs is not None:
            if dist.get_world_size() > 1:
                dist.all_reduce_dict(outputs, 'mean')  # the log is of the whole batch
            self.runner.call_hook('after_train_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1

    def _refuse(self, what, data_batch):
        """Stop, or count the step as skipped."""
        files = ', '.join(sample.metainfo.get('img_path', '?') for sample in data_batch['data_samples'])
        terms = ', '.join(f'{name} {value:.4g}' for name, value in self._loss_terms(data_batch).items())
        with torch.no_grad():
            for buffer, before in self.buffers:  # BatchNorm has taken in what is not finite
                buffer.copy_(before)
        line = f'iteration {self._iter + 1}: {what} (images {files}; {terms})'
        if self.on_nonfinite == 'skip':
            self.skipped += 1
            self.runner.logger.warning(f'{line}; the step is left out, {self.skipped} so far')
            return
        self.runner.save_checkpoint(self.runner.work_dir, 'nonfinite.pth', by_epoch=False, meta=dict(iter=self._iter))
        dist.barrier()
        raise InputError(
            f'{line}. The state before this step is in {os.path.join(self.runner.work_dir, "nonfinite.pth")}; '
            '--on-nonfinite skip leaves such steps out'
        )

    def _loss_terms(self, data_batch):
        """Compute the terms of the loss of a batch once more, as a dict of numbers."""
        model = bare(self.runner.model)
        set_random_seed(seed_of(self.runner.seed, self._iter, dist.get_rank()))
        try:
            with torch.no_grad(), self.runner.optim_wrapper.optim_context(model):
                _, terms = model.parse_losses(model(**model.data_preprocessor(data_batch, True), mode='loss'))
        except NonFiniteError:  # of the matcher, before there is a loss
            return {'loss': float('nan')}
        return {name: float(value) for name, value in terms.items()}


class _StopInValidationHook(Hook):
    """Let a training be stopped in its validation; nothing is lost, since that is made up for.

    Args:
        loop: the :class:`ResumableTrainLoop`.
    """

    def __init__(self, loop):
        self.loop = loop

    def before_val_epoch(self, runner):
        """Find out how many batches all processes have: only so often can they ask each other."""
        self.batches = min(dist.all_gather_object(len(runner.val_dataloader)))

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Stop if a signal has come."""
        if batch_idx < self.batches:
            self.loop._stop_if_asked()


@HOOKS.register_module()
class IterationCheckpointHook(Hook):
    """Save ``iter_N.pth`` every few iterations, beside mmengine's checkpoint of each epoch, and keep the newest two.

    Args:
        interval: iterations between checkpoints.
    """

    priority = 'VERY_LOW'

    def __init__(self, interval):
        self.interval = interval
        self.saved = []

    def before_train(self, runner):
        """Find the checkpoints of this kind that are there already, by age."""
        found = [str(path) for path in newest_first(runner.work_dir) if path.name.startswith('iter_')]
        self.saved = found[::-1]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Save if it is time."""
        if not self.every_n_train_iters(runner, self.interval):
            return
        name = f'iter_{runner.iter + 1}.pth'
        runner.save_checkpoint(runner.work_dir, name, by_epoch=False)
        path = os.path.join(runner.work_dir, name)
        self.saved = [*(old for old in self.saved if old != path), path]
        while len(self.saved) > 2:
            outdated = self.saved.pop(0)
            if dist.is_main_process() and os.path.exists(outdated):
                os.remove(outdated)
