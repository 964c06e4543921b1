import time

from mmengine.model import BaseModel

from mfdet.engine.runner import ConsoleRunner


class Model(BaseModel):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs


def test_runs_of_the_same_second_have_logs_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(time, 'time', lambda: 1e9)
    first, second = (
        ConsoleRunner(Model(), work_dir=str(tmp_path / name), experiment_name='run') for name in ('first', 'second')
    )
    assert first.logger is not second.logger
    assert first.message_hub is not second.message_hub
    second.logger.info('said by the second')
    (log,) = (tmp_path / 'second').glob('*/*.log')
    assert 'said by the second' in log.read_text()
