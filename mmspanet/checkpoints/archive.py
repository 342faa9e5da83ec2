"""The directory of a zip archive as ``torch.save`` writes it: entries that are not compressed.

Python's ``zipfile`` reads any archive, of any number of entries and any compression. A checkpoint
needs less, and with less there is no entry that grows when it is read.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from .pickles import CUT_SHORT, RefusedError, printable

END = struct.Struct('<4s4H2LH')  # the record at the end of the archive
END64_PLACE = struct.Struct('<4sLQL')  # where that of a large archive is
END64 = struct.Struct('<4sQ2H2L4Q')
ENTRY = struct.Struct('<4s6H3L5H2L')  # of the directory
HEADER = struct.Struct('<4s5H3L2H')  # in front of an entry's data
MAX_DIRECTORY = 32 << 20  # bytes; an entry takes about 100


@dataclass(frozen=True)
class Entry:
    """Where an entry starts in the file, how many bytes it takes, and whether it is compressed."""

    start: int
    size: int
    is_packed: bool
    checksum: int  # CRC-32


class Archive:
    """The entries of a zip archive by name, none overlapping another.

    Args:
        file: A file, open for reading, that starts with a zip archive.
        file_size: Its size in bytes.

    Raises:
        RefusedError: If it is cut short, damaged, or not such an archive.
    """

    def __init__(self, file: BinaryIO, file_size: int) -> None:
        self._file = file
        self._file_size = file_size
        self._headers: dict[str, Entry] = {}
        position, directory = self._directory()
        at = 0
        while at < len(directory):
            at += self._read_entry(directory, at)
        if sum(entry.size for entry in self._headers.values()) > position:
            raise RefusedError('is a zip archive whose entries overlap: it is damaged')

    @property
    def names(self) -> list[str]:
        """The names of the entries, in the order of the directory."""
        return list(self._headers)

    def find(self, name: str) -> Entry:
        """The place of an entry's data.

        Raises:
            RefusedError: If there is none of that name, it is compressed, or not in the file.
        """
        entry = self._headers.get(name)
        if entry is None:
            raise RefusedError(f'lacks its part {printable(name)}: it is damaged, copy it again')
        if entry.is_packed:
            raise RefusedError(
                'is a zip archive whose parts are compressed, which torch.save does not do: load '
                'it with torch.load where you trust it, and save it again'
            )
        magic, *_, name_size, extra_size = HEADER.unpack(self._read(entry.start, HEADER.size))
        start = entry.start + HEADER.size + name_size + extra_size
        if magic != b'PK\3\4' or start + entry.size > self._file_size:
            raise RefusedError(DAMAGED)
        return Entry(start, entry.size, is_packed=False, checksum=entry.checksum)

    def is_intact(self) -> bool:
        """Whether all entries have the checksums that the directory says.

        Raises:
            RefusedError: See :meth:`find`.
        """
        return all(self._checksum(entry) == entry.checksum for entry in map(self.find, self.names))

    def _checksum(self, entry: Entry) -> int:
        self._file.seek(entry.start)
        checksum, left = 0, entry.size
        while left and (data := self._file.read(min(left, 1 << 20))):
            checksum = zlib.crc32(data, checksum)
            left -= len(data)
        return checksum

    def _read(self, start: int, size: int) -> bytes:
        if not 0 <= start <= start + size <= self._file_size:
            raise RefusedError(DAMAGED)
        self._file.seek(start)
        return self._file.read(size)

    def _directory(self) -> tuple[int, bytes]:
        """Where the directory starts, and its bytes."""
        tail_start = max(0, self._file_size - (1 << 16) - END.size)
        tail = self._read(tail_start, self._file_size - tail_start)
        end = tail.rfind(b'PK\5\6')
        if end < 0 or end + END.size > len(tail):
            raise RefusedError(CUT_SHORT)
        *_, size, start, _ = END.unpack_from(tail, end)
        place = end - END64_PLACE.size
        if place >= 0 and tail[place : place + 4] == b'PK\6\7':
            _, _, end64, _ = END64_PLACE.unpack_from(tail, place)
            *_, size, start = END64.unpack(self._read(end64, END64.size))
        if size > MAX_DIRECTORY:
            raise RefusedError('is a zip archive of too many entries for a checkpoint')
        return start, self._read(start, size)

    def _read_entry(self, directory: bytes, at: int) -> int:
        """Take in the entry at a place of the directory; returns how long it is there."""
        fields = ENTRY.unpack_from(directory, at)
        magic, flags, method, packed, size = fields[0], fields[3], fields[4], fields[8], fields[9]
        name_size, extra_size, comment_size = fields[10:13]
        start = fields[16]
        body = at + ENTRY.size
        name = directory[body : body + name_size].decode('utf-8')
        extra = directory[body + name_size : body + name_size + extra_size]
        large = [value == 0xFFFFFFFF for value in (size, packed, start)]
        if any(large):
            values = iter(struct.unpack(f'<{sum(large)}Q', _zip64_field(extra, 8 * sum(large))))
            size, packed, start = (
                next(values) if is_large else value
                for value, is_large in zip((size, packed, start), large, strict=True)
            )
        if magic != b'PK\1\2' or name in self._headers:
            raise RefusedError(DAMAGED)
        is_packed = bool(method or flags & 1 or packed != size)
        self._headers[name] = Entry(start, packed, is_packed, fields[7])
        return ENTRY.size + name_size + extra_size + comment_size


DAMAGED = 'is a damaged zip archive: copy it again'


def _zip64_field(extra: bytes, size: int) -> bytes:
    """The first bytes of the field that holds the sizes of large entries."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from('<2H', extra, at)
        if kind == 1 and length >= size:
            return extra[at + 4 : at + 4 + size]
        at += 4 + length
    raise RefusedError(DAMAGED)
