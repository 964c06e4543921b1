import cv2
import pytest
from pictures import grey

from mfdet.errors import InputError
from mfdet.page.examples import make_examples


def test_generated(tmp_path):
    examples, thumbnails = make_examples(tmp_path)
    assert len(examples) == len(set(examples)) == len(thumbnails) == 6
    assert {cv2.imread(path).shape for path in examples} == {(160, 240, 3)}
    assert max(cv2.imread(thumbnails[0]).shape) == 160


def test_of_a_folder_those_that_can_be_read(tmp_path):
    for i in range(13):
        grey(str(tmp_path / 'in' / f'{i:02}.png'), 10 * i)
    (tmp_path / 'in' / '00.jpg').write_text('no image')
    examples, thumbnails = make_examples(tmp_path, str(tmp_path / 'in'))
    assert examples == [str(tmp_path / 'in' / f'{i:02}.png') for i in range(12)]
    assert [cv2.imread(path)[0, 0, 0] for path in thumbnails] == [10 * i for i in range(12)]


@pytest.mark.parametrize(
    ('files', 'says'),
    [(None, 'no such folder'), ([], 'holds no images'), (['a.png'], 'none of its images can be read')],
    ids=['missing', 'empty', 'unreadable'],
)
def test_mistakes(tmp_path, files, says):
    source = tmp_path / 'in'
    if files is not None:
        source.mkdir()
        for name in files:
            (source / name).write_text('no image')
    with pytest.raises(InputError, match=f'^--examples {source}: {says}'):
        make_examples(tmp_path, str(source))
