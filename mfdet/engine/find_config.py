"""The shipped configs, found by name from any folder: in a clone, or as they were installed."""

import difflib
import os
from pathlib import Path

import mfdet
from mfdet.errors import InputError

PACKAGE = Path(mfdet.__file__).parent
INSTALLED, IN_CLONE = PACKAGE / 'configs', PACKAGE.parent / 'configs'
FOLDER = INSTALLED if INSTALLED.is_dir() else IN_CLONE


def shipped_configs():
    """Return the shipped configs, a dict of name to path; the name is the path below ``configs/``, without suffix."""
    paths = {path.relative_to(FOLDER).with_suffix('').as_posix(): path for path in sorted(FOLDER.rglob('*.py'))}
    return {name: path for name, path in paths.items() if not name.startswith('_base_/')}


def find_config(name):
    """Return the path of a config: a file, or the name of a shipped one.

    Args:
        name: a file name, or a shipped config's, such as ``configs/cpu/e2e_mf26m.py``, ``cpu/e2e_mf26m`` or, where
            only one is called so, ``e2e_mf508m``.

    Raises:
        InputError: there is none, or several are called so; the message says which there are.
    """
    if os.path.isfile(name):
        return name
    shipped = shipped_configs()
    wanted = Path(name).as_posix().removesuffix('.py').removeprefix('configs/')
    if wanted in shipped:
        return str(shipped[wanted])
    same = [known for known in shipped if known.endswith(f'/{wanted}')]
    if len(same) > 1:
        raise InputError(f'{name}: several configs are called so; name one of {", ".join(same)}')
    if same:
        return str(shipped[same[0]])
    last = {known: known.rpartition('/')[2] for known in shipped}
    close = difflib.get_close_matches(wanted, {*last, *last.values()})
    near = dict.fromkeys(known for match in close for known in shipped if match in (known, last[known]))
    hint = f'did you mean {", ".join(near)}?' if near else f'the shipped ones are in {FOLDER}'
    raise InputError(f'{name}: no such config file; {hint}')
