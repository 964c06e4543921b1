import os
import subprocess
import sys
from pathlib import Path

import pytest

from mfdet.errors import InputError
from mfdet.files import check_writable, make_folder, read_json, remove_left_parts, replacing


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')

    def write():
        with replacing(path) as part, open(part, 'w') as file:
            file.write('half')
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('flush', [False, True])
def test_a_write_replaces_what_was_there(tmp_path, flush):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with replacing(path, flush) as part:
        assert part.endswith('.txt')
        with open(part, 'w') as file:
            file.write('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new'
    assert list(tmp_path.iterdir()) == [path]


def test_where_nothing_is_written_something_is_wrong(tmp_path):
    with pytest.raises(InputError, match=r'a\.txt: cannot be written: No such file'), replacing(tmp_path / 'a.txt'):
        pass
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_named(tmp_path):
    path = tmp_path / 'none' / 'a.txt'
    with pytest.raises(InputError, match=r'a\.txt: cannot be written: No such file'), replacing(path) as part:
        Path(part).write_text('new')
    with pytest.raises(InputError, match=r'--out .*a\.txt: its folder does not exist'):
        check_writable(path, '--out')
    with pytest.raises(InputError, match='is a folder, name a file'):
        check_writable(tmp_path)
    check_writable(tmp_path / 'a.txt')


def test_what_is_no_json_is_said(tmp_path):
    path = tmp_path / 'a.json'
    for text in ('{', '[' * 100_000):
        path.write_text(text)
        with pytest.raises(InputError, match=r'a\.json: is not a JSON file'):
            read_json(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    make_folder(tmp_path / 'new' / 'one', '--out')
    assert (tmp_path / 'new' / 'one').is_dir()
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match=r'--out .*file cannot be written: File exists; name another folder'):
        make_folder(tmp_path / 'file', '--out')
    with pytest.raises(InputError, match=r'--out .*below cannot be written: Not a directory'):
        make_folder(tmp_path / 'file' / 'below', '--out')


@pytest.mark.parametrize(
    'check', [lambda folder: make_folder(folder, '--out'), lambda folder: check_writable(folder / 'b.txt')]
)
def test_what_a_killed_process_has_left_is_removed(tmp_path, check):
    script = (
        'import os, sys; from mfdet.files import replacing\n'
        f'with replacing({str(tmp_path / "a.txt")!r}) as part: open(part, "w").close(); os._exit(0)'
    )
    subprocess.run([sys.executable, '-c', script], check=True)
    (left,) = tmp_path.glob('.part.*')
    others = [tmp_path / '.part.00000000-1.a.txt', tmp_path / '.part.a.txt', tmp_path / '.part.00000000-1.a.pth']
    for path in others:
        path.touch()
    with replacing(tmp_path / 'a.txt') as part:
        Path(part).touch()
        assert part != str(left)  # two processes do not write into one file
        check(tmp_path)
        assert sorted(map(str, tmp_path.iterdir())) == sorted([part, *map(str, others)])
    os.utime(others[0], (1, 1))
    remove_left_parts(tmp_path, ('.pth',))
    assert sorted(tmp_path.iterdir()) == [others[1], tmp_path / 'a.txt']
