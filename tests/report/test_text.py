from mfdet.report.text import number, printable


def test_what_cannot_be_shown_is_spelt_out():
    assert printable('Ställe 画像 $x$') == 'Ställe 画像 $x$'
    assert printable('a\nb\x00\x1b\u202e\udce9') == r'a\nb\x00\x1b\u202e\udce9'
    assert printable('abcdef', 4) == 'abc…'
    assert printable('abcd', 4) == 'abcd'
    assert printable(7) == '7'


def test_numbers():
    assert [number(value) for value in (0.12345, 0, -1, float('nan'), None)] == ['0.123', '0.000', '–', '–', '–']
