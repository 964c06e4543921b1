import re
import subprocess
import sys
import threading
import time

import pytest

from mfdet.commands import _run
from mfdet.errors import InputError


def test_exit_codes(capsys):
    @_run.command
    def main(argv=None):
        if argv == 'mistake':
            raise InputError('file.json: wrong')
        if argv == 'stop':
            raise KeyboardInterrupt
        return argv

    assert [main(), main(3), main('mistake'), main('stop')] == [0, 3, 2, 130]
    assert capsys.readouterr().err == 'error: file.json: wrong\ninterrupted\n'


def test_long_work_says_what_it_is_and_how_long_it_has_been(capsys):
    with _run.announced('converting', every=0.05):
        time.sleep(0.3)
    assert re.fullmatch(r'converting \.\.\.( 0 s)+\n', capsys.readouterr().err)
    before = threading.active_count()
    with pytest.raises(InputError, match=f'{before + 1} threads'), _run.announced('nothing', every=60):
        raise InputError(f'{threading.active_count()} threads')
    assert threading.active_count() == before
    assert capsys.readouterr().err == 'nothing ...\n'


@pytest.mark.parametrize(
    'tool',
    [
        'train',
        'test',
        'evaluate',
        'get_flops',
        'convert_weights',
        'dev/make_shapes',
        'dev/subset_coco',
        'dev/benchmark_checksum',
        'dev/benchmark_nms',
        'dev/exit_test',
    ],
)
def test_help_fits_a_screen_and_gives_an_example(tool):
    path = f'{__file__.rsplit("/tests/", 1)[0]}/tools/{tool}.py'
    done = subprocess.run([sys.executable, path, '--help'], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 120
    assert 'example' in done.stdout


@pytest.mark.parametrize('tool', ['train', 'test', 'get_flops', 'convert_weights'])
def test_without_the_training_packages_every_tool_says_so(tool, tmp_path):
    root = __file__.rsplit('/tests/', 1)[0]
    # An interpreter without site-packages stands for a plain `pip install mfdet`.
    script = (
        f'import sys; sys.path = [p for p in sys.path if "site-packages" not in p] + [{root!r}]\n'
        f'from mfdet.commands.{tool} import main\n'
        'sys.exit(main(["a", "b"]))'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith('error: torch and mmengine and mmcv and mmdet cannot be found')
