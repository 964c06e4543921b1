"""What ``predict`` is given: which files, whether results would overwrite any, and their images."""

import functools
import os
from collections import Counter
from pathlib import Path

from mfdet.commands._journal import JOURNAL, file_key
from mfdet.errors import InputError
from mfdet.files import IMAGE_SUFFIXES, images_below, matches_of


def find_inputs(inputs, out):
    """Find the files that the user means.

    Args:
        inputs: names of files and folders, and globs. Folders are searched for images, with all that is below them.
        out: folder for results; files in it are left out, unless all inputs lie there.

    Returns:
        A dict from name to path, where the name is the path below the folder that all inputs have in common; and a
        list of sentences on inputs that give nothing.
    """
    files, folders, problems = [], [], []
    for text in inputs:
        matches = matches_of(text)
        if not matches:
            problems.append(f'{text}: no such file or folder')
        for match in map(Path, matches):
            if match.is_dir():
                found = list(map(Path, images_below(match)))
                if not found:
                    problems.append(f'{match}: holds no images, files that end in {", ".join(IMAGE_SUFFIXES)}')
            else:
                found = [match]
            files += found
            folders.append(os.path.abspath(match if match.is_dir() else match.parent))
    root, out = os.path.commonpath(folders or ['.']), os.path.abspath(out)
    names = {os.path.relpath(path, root): path for path in files}
    if Path(root) in Path(out).parents:  # a second run must not take the pictures of the first
        names = {name: path for name, path in names.items() if Path(out) not in Path(root, name).parents}
    return names, problems


def check_overwriting(sources, targets, out):
    """Raise :class:`InputError` if a result would overwrite an input, another result, or a file of another origin."""
    folder_of = functools.cache(os.path.realpath)  # there are many files, in few folders

    def real(path):
        folder, name = os.path.split(path)
        return os.path.realpath(path) if os.path.islink(path) else os.path.join(folder_of(folder), name)

    taken = set(map(real, targets))
    for source in sources:
        if real(source) in taken:
            raise InputError(f'--out {out}: the results would overwrite {source}; name another folder')
    if len(set(targets)) < len(targets):
        twice = Counter(targets).most_common(1)[0][0]
        raise InputError(f'--out {out}: two inputs would both be drawn as {twice}; run them one after the other')
    if not ((out / 'predictions.json').exists() or (out / JOURNAL).exists()):  # else it is the folder of a run
        taken = next((path for path in targets if path.exists()), None)
        if taken:
            raise InputError(f'--out {out}: {taken} is there already, and no earlier prediction; name another folder')


def read_images(files, out, journal, progress, again=False):
    """Yield (key in the journal, image) of the files that can be read and are not done; report those that cannot.

    With ``again``, those that are done come too.

    Raises:
        InputError: the folder of a file is no longer there, such as a network share that is gone.
    """
    from mfdet.runtime import read_image

    for name, path in files.items():
        try:
            key = file_key(name, path)
            if not again and key in journal.records and (out / picture_name(name)).exists():
                journal.use(key)
                progress.step(known=True)
                continue
            image = read_image(path)
        except InputError as error:
            if not path.parent.is_dir():
                raise InputError(f'{path.parent}: this folder is no longer there') from error
            progress.report(error)
        else:
            yield key, image


def read_frames(video, path, expected, progress):
    """Yield (key in the journal, image) of a video's frames, numbered from 0; report a video that ends early."""
    from mfdet.runtime.video import frames_of

    key = file_key(path.name, path)
    for number, image in enumerate(frames_of(video, path, expected, progress.report)):
        yield (*key, number), image


def picture_name(name):
    """Return the name of an image's picture: its own, if OpenCV can write such files."""
    return name if name.lower().endswith(IMAGE_SUFFIXES) else f'{name}.png'
