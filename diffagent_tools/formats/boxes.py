"""Where an AVIF or HEIF picture keeps its EXIF and XMP: boxes in boxes, each with its size and its name.

for kind, block in metadata_of(data):    # "Exif" or "mime"
"""

import struct
from collections.abc import Iterator

_MAX_BOXES = 5000
_MAX_ITEMS = 2000


def is_boxed(data: bytes) -> bool:
    """Whether a file begins as AVIF and HEIF do."""
    return data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis", b"mif1", b"heic", b"heix", b"msf1")


def metadata_of(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The items that are EXIF or of a MIME type, as they lie in the file."""
    for name, body in _boxes(data):
        if name == b"meta":
            inner = dict(_boxes(body[4:]))
            kinds = dict(_kinds(inner.get(b"iinf", b"")))
            for id_, parts in _places(inner.get(b"iloc", b"")):
                kind = kinds.get(id_)
                if kind in (b"Exif", b"mime"):
                    block = b"".join(data[start : start + length] for start, length in parts)
                    # four bytes say how far behind them the block begins
                    skipped = 4 + int.from_bytes(block[:4], "big") if kind == b"Exif" else 0
                    yield kind.decode(), block[skipped:]
            return


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            return
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        elif size == 0:
            size = len(data) - at
        if size < head:
            return
        yield name, data[at + head : at + size]
        at += size


def _kinds(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Item -> its type."""
    if len(body) < 6:
        return
    for name, entry in _boxes(body[6:] if body[0] == 0 else body[8:]):
        if name != b"infe" or len(entry) < 12:
            continue
        if entry[0] == 2:
            yield int.from_bytes(entry[4:6], "big"), entry[8:12]
        elif entry[0] == 3 and len(entry) >= 14:
            yield int.from_bytes(entry[4:8], "big"), entry[10:14]


def _places(body: bytes) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Item -> where its parts begin in the file and how long they are."""
    if len(body) < 8:
        return
    version = body[0]
    offset_size, length_size = body[4] >> 4, body[4] & 15
    base_size, index_size = body[5] >> 4, body[5] & 15 if version in (1, 2) else 0
    at = 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(body[at - size : at], "big")

    wide = 4 if version == 2 else 2
    for _ in range(min(number(wide), _MAX_ITEMS)):
        id_ = number(wide)
        method = number(2) & 15 if version in (1, 2) else 0
        number(2)
        base = number(base_size)
        parts: list[tuple[int, int]] = []
        for _ in range(min(number(2), _MAX_ITEMS)):
            number(index_size)
            start, length = number(offset_size), number(length_size)
            parts.append((base + start, length))
        if at > len(body):
            return
        if method == 0:
            yield id_, parts
