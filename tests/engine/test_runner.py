import multiprocessing
import signal
import time

from mmengine.model import BaseModel

from mfdet.engine.runner import ConsoleRunner, _end_workers


class Model(BaseModel):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs


def test_runs_of_the_same_second_have_logs_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(time, 'time', lambda: 1e9)
    first, second = (
        ConsoleRunner(Model(), work_dir=str(tmp_path / name), experiment_name='run', default_scope='mmdet')
        for name in ('first', 'second')
    )
    assert first.logger is not second.logger
    assert first.message_hub is not second.message_hub
    second.logger.info('said by the second')
    (log,) = (tmp_path / 'second').glob('*/*.log')
    assert 'said by the second' in log.read_text()


def test_workers_end_although_a_handler_raises_at_each_that_dies():
    def raises(number, frame):
        raise RuntimeError('DataLoader worker is killed')

    before = signal.signal(signal.SIGCHLD, raises)
    try:
        for _ in range(3):
            multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,)).start()
        _end_workers()
        assert multiprocessing.active_children() == []
        assert signal.getsignal(signal.SIGCHLD) is raises
    finally:
        signal.signal(signal.SIGCHLD, before)
