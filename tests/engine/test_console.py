"""What a run says on a pipe and on a terminal, and what its log file has beside."""

import contextlib
import os
import pty
import re
import sys
import threading
from types import SimpleNamespace

import pytest
from quick import QUICK, lengths

from mfdet.commands import test as test_command
from mfdet.commands import train as train_command
from mfdet.engine import console
from mfdet.engine.console import Console, ConsoleHook, in_words

CONFIG = 'shapes/e2e_paper_mf26m'
OPTIONS = ['--cfg-options', *QUICK, *lengths(4, 3), 'train_cfg.max_epochs=2']
LOSS = r'loss \d+\.\d{3}, lr \d\.\de-\d\d(, \d:\d\d:\d\d left)?(, \d+\.\d GiB of GPU memory)?'
AP = r'AP \d\.\d{3}, AP50 \d\.\d{3}, AP75 \d\.\d{3}'


@contextlib.contextmanager
def terminal(monkeypatch):
    """Make stdout a terminal; yields its other end and a list that holds, afterwards, what was written."""
    master, slave = pty.openpty()
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('COLUMNS', '100')
    shown, stream = [], open(slave, 'w')  # noqa: SIM115

    def read():
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(master, 4096):
                shown.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with monkeypatch.context() as patch:
        patch.setattr(sys, 'stdout', stream)
        yield master, shown
    stream.close()
    reader.join()
    os.close(master)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A work directory after two tiny epochs, and what they have written to a pipe."""
    folder = tmp_path_factory.mktemp('trained')
    with open(folder / 'output', 'w+') as output, contextlib.redirect_stdout(output):
        assert train_command.main([CONFIG, '--work-dir', str(folder / 'run'), *OPTIONS]) == 0
        output.seek(0)
        return folder / 'run', output.read().splitlines()


def test_a_pipe_gets_a_line_for_each_epoch_and_validation(trained):
    folder, lines = trained
    expected = [
        'The backbone starts from scratch; .*',
        r'Training: 4 images, \d+ objects: .*',
        r'Validation: 3 images, \d+ objects: .*',
        rf'Training on the CPU for 2 epochs of 2 steps; checkpoints go to {folder}, the full log to {folder}/.*\.log',
        f'Epoch 1/2: {LOSS}',
        f'Epoch 1/2, validation: {AP}, the best so far',
        f'Epoch 2/2: {LOSS}',
        f'Epoch 2/2, validation: {AP}(, the best so far)?',
        f'Curves and summary are in {folder}: curves.png, summary.json',
    ]
    lines = [line for line in lines if not line.startswith('warning: ')]  # of so few images
    assert len(lines) == len(expected), lines
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line)


def test_the_log_file_has_it_all(trained):
    (log,) = trained[0].glob('*/*.log')
    text = log.read_text()
    assert len(re.findall(r'Epoch\(train\) .*base_lr: .*data_time: .*d0\.loss_cls: ', text)) == 4
    assert text.count('AR100') == 2
    for part in ('System environment', 'Hooks will be executed', 'Checkpoints will be saved to', 'Training: 4 images'):
        assert part in text


def test_a_test_shows_its_tables_and_no_more(trained, tmp_path, capsys):
    arguments = [CONFIG, str(trained[0] / 'epoch_2.pth'), '--work-dir', str(tmp_path), *OPTIONS]
    assert test_command.main(arguments) == 0
    first, *lines = capsys.readouterr().out.split('\n')
    assert re.fullmatch(r'Testing .*epoch_2\.pth on 3 images', first)
    words = [line.split()[0] for line in lines if line]
    assert words[:2] == ['metric', 'AP']
    assert words[12:15] == ['ARl', 'class', 'ellipse']
    assert len(words) == 13 + 7  # the two tables


def test_a_terminal_has_a_bar_below_the_lines(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(console, 'FRAME', 0)
    with terminal(monkeypatch) as (_, shown):
        resume = ['--resume', str(trained[0] / 'epoch_1.pth')]
        assert train_command.main([CONFIG, '--work-dir', str(tmp_path), *resume, *OPTIONS]) == 0
    text = b''.join(shown).decode()
    for cursor in ('\x1b[?25l', '\x1b[?25h'):  # hidden, and shown again
        assert cursor in text
    frames = re.split(r'[\r\n]+', re.sub(r'\x1b\[[\d;?]*[a-zA-Z]', '', text))
    assert f'Goes on from {trained[0]}/epoch_1.pth, after iteration 2' in frames
    for pattern in (
        rf'Epoch 2/2 ━\S+ 1/2 {LOSS}',
        f'Epoch 2/2: {LOSS}',
        r'Epoch 2/2, validation ━\S+ \d/\d \d:\d\d:\d\d left',
        f'Epoch 2/2, validation: {AP}(, the best so far)?',
    ):
        assert any(re.fullmatch(pattern, frame.rstrip()) for frame in frames), pattern
    assert 'mmengine' not in text


def test_a_terminal_that_goes_away_does_not_end_the_run(monkeypatch):
    monkeypatch.setattr(console, 'FRAME', 0)
    master, slave = pty.openpty()
    monkeypatch.setenv('TERM', 'xterm')
    stream = open(slave, 'w')  # noqa: SIM115
    with monkeypatch.context() as patch:
        patch.setattr(sys, 'stdout', stream)
        handler = Console()
        with handler.running():
            handler.begin('Epoch 1/1', 3)
            os.close(master)
            handler.step(1, lambda: 'lost')
            handler.say('lost')
            assert handler.progress is None
            patch.setattr(console.logging, 'raiseExceptions', False)  # as ConsoleRunner does
            handler.say('lost too')
    with contextlib.suppress(OSError):
        stream.close()


@pytest.mark.parametrize('levels', [('INFO', True), ('WARNING', False)])
def test_the_level_of_the_log_is_that_of_the_console(levels, capsys):
    handler = Console()
    handler.setLevel(levels[0])
    handler.say('said')
    assert (capsys.readouterr().out == 'said\n') == levels[1]


def test_long_epochs_have_a_first_sign_and_a_line_each_quarter(monkeypatch):
    said, clock = [], [0.0]
    monkeypatch.setattr(console.time, 'monotonic', lambda: clock[0])
    hook = ConsoleHook(SimpleNamespace(progress=None, say=said.append, begin=lambda *_: None))
    for epoch in (1, 2):
        hook._begin(f'Epoch {epoch}/2', 100)
        for done in range(1, 101):
            clock[0] += 10
            hook._step(done, lambda: 'loss')
    assert said == [f'Epoch 1/2, {done}/100: loss' for done in (3, 25, 50, 75)] + [
        f'Epoch 2/2, {done}/100: loss' for done in (25, 50, 75)
    ]
    hook._begin('short', 4)
    for done in range(1, 5):
        clock[0] += 7
        hook._step(done, lambda: 'loss')
    assert said[-1].startswith('Epoch 2/2')


def test_the_time_left_counts_the_validations_to_come():
    def runner(epoch, val_interval, val_loop=True):
        loop = SimpleNamespace(val_interval=val_interval, val_begin=1)
        return SimpleNamespace(epoch=epoch, max_epochs=12, train_loop=loop, val_loop=val_loop or None)

    counts = [ConsoleHook._validations_left(runner(*case)) for case in ((0, 5), (4, 5), (5, 5), (11, 5), (0, 1))]
    assert counts == [3, 3, 2, 1, 12]
    assert ConsoleHook._validations_left(runner(0, 1, val_loop=False)) == 0


def test_on_a_gpu_a_line_has_its_memory(monkeypatch):
    monkeypatch.setattr(console.torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(console.torch.cuda, 'max_memory_allocated', lambda: 3.5 * 2**30)
    losses = SimpleNamespace(mean={50: 1.25}.get)
    runner = SimpleNamespace(
        message_hub=SimpleNamespace(get_scalar={'train/loss': losses}.get, get_info=dict(eta=90.0).get),
        optim_wrapper=SimpleNamespace(get_lr=lambda: dict(base_lr=[1e-3], lr=[1e-4])),
        val_loop=None,
    )
    words = ConsoleHook(None)._of_training(runner, 50)
    assert words == 'loss 1.250, lr 1.0e-03, 0:01:30 left, 3.5 GiB of GPU memory'


def test_metrics_in_words():
    coco = {'coco/bbox_mAP': 0.19142, 'coco/bbox_mAP_50': 0.5, 'coco/bbox_mAP_75': -1.0, 'coco/bbox_mAP_s': 0.1}
    assert in_words(coco) == 'AP 0.191, AP50 0.500, AP75 undefined'
    assert in_words({'accuracy/top1': 62.5, 'accuracy/top5': 100.0}) == 'top-1 62.50 %, top-5 100.00 %'
    assert in_words({'mine/recall': 0.25, 'mine/curve': [1, 2]}) == 'mine/recall 0.25'
