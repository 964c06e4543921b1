"""What a training or a test says while it runs: on a terminal a bar, elsewhere a few lines of each epoch.

The log file of the run has more: every line of mmengine, and the tables of all validations.
"""

import contextlib
import datetime
import logging
import os
import re
import sys
import time

import mmcv
import mmdet
import mmengine
import torch
from mmengine.hooks import Hook
from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

import mfdet

LOG_FILE_ONLY = dict(log_file_only=True)  # ``extra`` of a line that the console does not show
LIBRARIES = tuple(os.path.dirname(module.__file__) + os.sep for module in (mmengine, mmdet, mmcv))
EVALUATION = os.path.join(os.path.dirname(mfdet.__file__), 'evaluation', '')
NOISE = re.compile('"FileClient"|"HardDiskBackend"|is skipped since its requires_grad=False')  # warnings of no use
METRICS = {  # in short, and how it is written
    'coco/bbox_mAP': 'AP {:.3f}',
    'coco/bbox_mAP_50': 'AP50 {:.3f}',
    'coco/bbox_mAP_75': 'AP75 {:.3f}',
    'accuracy/top1': 'top-1 {:.2f} %',
    'accuracy/top5': 'top-5 {:.2f} %',
}
WINDOW = 50  # steps that the loss shown within an epoch is the mean of
PARTS = 4  # of an epoch after which there is a line, where there is no bar
SILENCE = 30  # seconds between such lines, at least
FRAME = 0.1  # seconds between two states of the bar


class Console(logging.StreamHandler):
    """Handler that writes to stdout what people want to know of a run, below it a bar if that is a terminal.

    Of what is logged these are the warnings and the lines of mfdet, without mmengine's, and, while it is trained,
    without the tables of its validations.
    """

    def __init__(self):
        super().__init__(sys.stdout)
        self.addFilter(self._is_for_people)
        self.in_training = False
        self.progress = None
        self._shown = 0.0

    def _is_for_people(self, record):
        if record.levelno >= logging.WARNING:
            return not NOISE.search(record.getMessage())
        hidden = (*LIBRARIES, EVALUATION) if self.in_training else LIBRARIES
        return not (record.pathname.startswith(hidden) or getattr(record, 'log_file_only', False))

    def format(self, record):
        """Return the message, with its level if that is a warning or worse."""
        level = f'{record.levelname.lower()}: ' if record.levelno >= logging.WARNING else ''
        return level + super().format(record)

    def emit(self, record):
        """Write a line, above the bar."""
        if self.progress is None:
            return super().emit(record)
        text = self.format(record)
        self._draw(lambda bar: bar.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True))

    def say(self, text):
        """Write a line that is not logged."""
        if self.level <= logging.INFO:
            self.handle(logging.makeLogRecord(dict(msg=text, levelno=logging.INFO)))

    @contextlib.contextmanager
    def running(self):
        """Keep a line for the bar on a terminal, while the block runs."""
        if not self.stream.isatty() or os.environ.get('TERM') == 'dumb' or self.level > logging.INFO:
            yield
            return
        columns = (
            TextColumn('{task.description}'),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn('{task.fields[text]}'),
        )
        # Not refreshed by a thread: the workers of loaders are forked from this process.
        progress = Progress(*columns, console=RichConsole(file=self.stream), auto_refresh=False, transient=True)
        self.progress = progress
        self._draw(Progress.start)
        try:
            yield
        finally:
            self.progress = None
            with contextlib.suppress(OSError):
                progress.stop()

    def begin(self, what, total):
        """Start the bar anew, for ``total`` steps."""
        if self.progress is not None:
            for task in self.progress.task_ids:
                self.progress.remove_task(task)
            self.progress.add_task(what, total=total, text='')
            self._draw(Progress.refresh)

    def step(self, done, text):
        """Move the bar; what ``text()`` returns stands behind it."""
        now = time.monotonic()
        if self.progress is not None and now - self._shown >= FRAME:
            self._shown = now
            self.progress.update(self.progress.task_ids[0], completed=done, text=text())
            self._draw(Progress.refresh)

    def _draw(self, do):
        """Call ``do`` with the bar; a terminal that has gone must not end the run."""
        try:
            do(self.progress)
        except OSError:
            self.progress = None


def in_words(metrics):
    """Return metrics of mmengine in words: AP, AP50 and AP75, or top-1 and top-5; of others, each by its name."""
    known = {name: METRICS[name] for name in METRICS if name in metrics}
    known = known or {name: f'{name} {{:.4g}}' for name, value in metrics.items() if isinstance(value, (int, float))}
    # -1 is what mmengine has for an AP without any object
    return ', '.join(
        form.format(metrics[name]) if metrics[name] >= 0 else f'{form.split()[0]} undefined'
        for name, form in known.items()
    )


class ConsoleHook(Hook):
    """Tell a :class:`Console` how far a training or a test is.

    Args:
        console: of this run; its process is the only one that says something.
    """

    PRIORITY = 95  # after the checkpoints, before the report

    def __init__(self, console):
        self.console = console
        self._validation = None  # seconds of the last
        self._has_said = False

    def _begin(self, what, total):
        self.what, self.total = what, total
        self._parts, self._last = 0, time.monotonic()
        self.console.begin(what, total)

    def _step(self, done, text):
        """Show a step: ``text()`` is what there is to say of it."""
        if self.console.progress is not None:
            self.console.step(done, text)
            return
        parts, now = PARTS * done // self.total, time.monotonic()
        if done <= 0.9 * self.total and (parts > self._parts or not self._has_said) and now - self._last >= SILENCE:
            self.console.say(f'{self.what}, {done}/{self.total}: {text()}')
            self._parts, self._last, self._has_said = parts, now, True

    def before_train(self, runner):
        """Say what is going to happen, and where it is kept."""
        self.console.in_training = True
        if runner.iter:
            self.console.say(f'Goes on from {runner.cfg.load_from}, after iteration {runner.iter}')
        where = 'the GPU' if torch.cuda.is_available() else 'the CPU'
        if runner.world_size > 1:
            where += f' in {runner.world_size} processes'
        self.console.say(
            f'Training on {where} for {runner.max_epochs} epochs of {runner.max_iters // runner.max_epochs} steps; '
            f'checkpoints go to {runner.work_dir}, the full log to {runner.logger.log_file}'
        )

    def before_train_epoch(self, runner):
        """Begin an epoch."""
        self._steps = 0
        self._begin(f'Epoch {runner.epoch + 1}/{runner.max_epochs}', runner.max_iters // runner.max_epochs)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Show a step."""
        self._steps += 1
        self._step(batch_idx + 1, lambda: self._of_training(runner, min(self._steps, WINDOW)))

    def after_train_epoch(self, runner):
        """Say how the epoch went; its loss is the mean of its steps."""
        if self._steps:
            self.console.say(f'{self.what}: {self._of_training(runner, self._steps)}')

    def _of_training(self, runner, window):
        """Return loss, rate, time left and memory in words."""
        hub = runner.message_hub
        loss, rate = hub.get_scalar('train/loss').mean(window), runner.optim_wrapper.get_lr()
        parts = [f'loss {loss:.3f}', f'lr {rate.get("base_lr", rate["lr"])[0]:.1e}']
        left = hub.get_info('eta') + self._validations_left(runner) * (self._validation or 0)
        if left >= 1:
            parts.append(f'{datetime.timedelta(seconds=round(left))} left')
        if torch.cuda.is_available():
            parts.append(f'{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of GPU memory')
        return ', '.join(parts)

    @staticmethod
    def _validations_left(runner):
        if runner.val_loop is None:
            return 0
        loop, last = runner.train_loop, runner.max_epochs
        ends = range(max(runner.epoch + 1, loop.val_begin), last + 1)
        return sum(end % loop.val_interval == 0 or end == last for end in ends)

    def before_val_epoch(self, runner):
        """Begin a validation."""
        self._start = time.monotonic()
        self._best = runner.message_hub.runtime_info.get('best_ckpt')
        self._begin(f'Epoch {runner.epoch}/{runner.max_epochs}, validation', len(runner.val_dataloader))

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Show a batch of the validation."""
        self._step(batch_idx + 1, lambda: self._of_evaluation(runner))

    def after_val_epoch(self, runner, metrics=None):
        """Say what the validation has come to."""
        self._validation = time.monotonic() - self._start
        best = runner.message_hub.runtime_info.get('best_ckpt')
        praise = ', the best so far' if best != self._best else ''
        self.console.say(f'{self.what}: {in_words(metrics)}{praise}')

    def before_test_epoch(self, runner):
        """Begin a test."""
        self.console.say(
            f'Testing {runner.cfg.get("load_from") or "the model"} on {len(runner.test_dataloader.dataset)} images'
        )
        self._begin('Testing', len(runner.test_dataloader))

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Show a batch of the test."""
        self._step(batch_idx + 1, lambda: self._of_evaluation(runner))

    @staticmethod
    def _of_evaluation(runner):
        return f'{datetime.timedelta(seconds=round(runner.message_hub.get_info("eta")))} left'
