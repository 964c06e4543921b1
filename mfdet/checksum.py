"""Checksums in files of weights: damage by a disk or a copy must not pass for other weights.

A PyTorch file is a zip archive, which has one for each entry, though torch does not look at them. An exported file has
one of its own in its metadata: the CRC-32 of all its bytes, in which the eight digits of the checksum count as zeros,
for OpenVINO followed by those of the ``.bin`` file. Files without a checksum pass.
"""

import mmap
import os
import struct
import zipfile
import zlib

from mfdet.errors import InputError

MARK = b'mfdet-crc32:'
ZEROS = b'00000000'
FOLDER = 0x10  # of a zip entry's attributes
BLANK = (MARK + ZEROS).decode()  # for the metadata of a file that `stamp` goes over


def stamp(path):
    """Write the checksum into an exported file whose metadata holds :data:`BLANK`, or an older checksum."""
    place, _, right = _read(path)
    with open(path, 'r+b') as file:
        file.seek(place)
        file.write(right)


def check_exported(path):
    """Check an exported file, and for OpenVINO the ``.bin`` beside it.

    Raises:
        InputError: its content is not what was written.
    """
    try:
        place, stated, right = _read(path)
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror}') from error
    if place is not None and stated != right:
        raise InputError(
            f'{path}: its content does not match its checksum, so it is damaged; copy it or export it again (if you '
            'changed it on purpose, remove "checksum" from its metadata)'
        )


def check_archive(path):
    """Check the entries of a PyTorch file; one in torch's format before 1.6 has no checksums.

    Raises:
        InputError: an entry is damaged.
        Exception: of almost any type, from :mod:`zipfile`: the archive is no whole one.
    """
    with open(path, 'rb') as file:
        if file.read(4) != b'PK\x03\x04':  # what torch goes by
            return
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
        checked = any(entry.CRC for entry in entries)  # torch can be told to leave them out
        # In place, which takes two thirds of the time of ZipFile.testzip: loading must not become a tenth slower.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            for entry in entries:
                lengths = content[entry.header_offset + 26 : entry.header_offset + 30]  # of the name and what follows
                start = entry.header_offset + 30 + sum(struct.unpack('<HH', lengths))
                with view[start : start + entry.compress_size] as part:
                    right = len(part) == entry.file_size and (not checked or zlib.crc32(part) == entry.CRC)
                # Where the bit for folders is set, torch takes a tensor for what happens to lie in memory.
                if not right or entry.compress_type != zipfile.ZIP_STORED or entry.external_attr & FOLDER:
                    raise InputError(
                        f'{path} is damaged: its part {entry.filename} is not as it was written; copy it again'
                    )


def _read(path):
    """Return where an exported file has the digits of its checksum, these and the right ones; None if it has none."""
    stem, suffix = os.path.splitext(path)
    size = os.path.getsize(path)
    if not size:
        return None, None, None
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # ONNX and OpenVINO keep metadata at their end, safetensors in front of the tensors.
        end = 8 + int.from_bytes(content[:8], 'little') if suffix.lower() == '.safetensors' else size
        mark = content.rfind(MARK, 0, min(end, size))
        if mark < 0:
            return None, None, None
        place = mark + len(MARK)
        with memoryview(content) as view, view[:place] as before, view[place + len(ZEROS) :] as after:
            stated = content[place : place + len(ZEROS)]
            crc = zlib.crc32(after, zlib.crc32(ZEROS, zlib.crc32(before)))
    if suffix.lower() == '.xml':
        if not os.path.isfile(f'{stem}.bin'):
            return None, None, None  # openvino says what is missing
        with open(f'{stem}.bin', 'rb') as file:
            while part := file.read(1 << 20):
                crc = zlib.crc32(part, crc)
    return place, stated, b'%08x' % crc
