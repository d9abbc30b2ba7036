"""The texts that programs keep in a picture, read without decoding it.

    picture_texts_of(Path("picture.png"))     # {"parameters": "a corgi\\nSteps: 20, …", "prompt": "{…}"}

PNG: the chunks tEXt, zTXt and iTXt. JPEG and WebP: EXIF, the UserComment of A1111 (as `parameters`) and the
`prompt:` and `workflow:` of ComfyUI. The pixels are passed over; sizes are checked before anything is
unpacked.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from retrieval.errors import InvalidInput

MAX_FILE_BYTES = 64_000_000
MAX_TEXT_BYTES = 8_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 100_000
_MAX_FOLDERS = 20
_COMMENT, _EXIF_FOLDER = 0x9286, 0x8769


def picture_texts_of(path: Path) -> dict[str, str]:
    """The texts by their names; those of a file that is cut off as far as they are there.

    Raises:
        InvalidInput: it cannot be read, is too large, no picture, holds no text, or one too large to unpack.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InvalidInput(
                f"{path.name} has {size / 1e6:,.0f} MB and at most {MAX_FILE_BYTES / 1e6:.0f} MB are read; "
                "give the picture as the program saved it"
            )
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read {path} ({error.strerror}); name a readable file") from error
    if data.startswith(_PNG):
        texts, whole = _png(data, path.name)
    elif data.startswith(b"\xff\xd8"):
        texts, whole = _jpeg(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        texts, whole = _webp(data)
    else:
        raise InvalidInput(f"{path.name} is no PNG, JPEG or WebP; give a picture as the program saved it")
    if not texts:
        cut = "" if whole else ", and the file is cut off"
        raise InvalidInput(
            f"{path.name} holds no text of the program that made it{cut}; programs that send pictures on "
            "often take it out: give the file as it was saved"
        )
    return texts


def _png(data: bytes, name: str) -> tuple[dict[str, str], bool]:
    texts: dict[str, str] = {}
    at = len(_PNG)
    for _ in range(_MAX_CHUNKS):
        if at + 12 > len(data):
            return texts, False
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return texts, True
        if at + 12 + length > len(data):
            return texts, False
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            found = _chunk(kind, data[at + 8 : at + 8 + length], name)
            if found:
                texts.setdefault(*found)
        at += 12 + length
    return texts, False


def _chunk(kind: bytes, body: bytes, name: str) -> tuple[str, str] | None:
    """Name and text of a chunk; None if it is broken."""
    key, _, rest = body.partition(b"\x00")
    label = key.decode("latin-1")
    if kind == b"tEXt":
        return label, _limited(rest, name).decode("latin-1")
    if kind == b"zTXt":
        unpacked = _unpack(rest[1:], name)
        return None if unpacked is None else (label, unpacked.decode("latin-1"))
    packed = rest[:1] == b"\x01"
    parts = rest[2:].split(b"\x00", 2)
    if len(parts) < 3:
        return None
    plain = _unpack(parts[2], name) if packed else _limited(parts[2], name)
    return None if plain is None else (label, plain.decode("utf-8", "replace"))


def _limited(text: bytes, name: str) -> bytes:
    if len(text) > MAX_TEXT_BYTES:
        raise InvalidInput(
            f"{name} holds a text of more than {MAX_TEXT_BYTES / 1e6:.0f} MB, which is no workflow; "
            "give another picture"
        )
    return text


def _unpack(packed: bytes, name: str) -> bytes | None:
    """Never more than the limit, however much is packed; None if it is broken."""
    try:
        return _limited(zlib.decompressobj().decompress(packed, MAX_TEXT_BYTES + 1), name)
    except zlib.error:
        return None


def _jpeg(data: bytes) -> tuple[dict[str, str], bool]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xDA:
            break
        body = data[at + 4 : at + 2 + length]
        if marker == 0xE1 and body.startswith(b"Exif\x00\x00"):
            return _exif(body[6:]), True
        at += 2 + max(length, 2)
    return {}, data.endswith(b"\xff\xd9")


def _webp(data: bytes) -> tuple[dict[str, str], bool]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            return _exif(data[at + 8 : at + 8 + length].removeprefix(b"Exif\x00\x00")), True
        at += 8 + length + length % 2
    return {}, at <= len(data) + 1


def _exif(data: bytes) -> dict[str, str]:
    """A1111's UserComment, and the tags into which ComfyUI writes `prompt:{…}` and `workflow:{…}`."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return {}
    texts: dict[str, str] = {}
    folders: list[int] = [struct.unpack_from(f"{order}I", data, 4)[0]]
    seen: set[int] = set()
    while folders:
        start = folders.pop()
        if start in seen or len(seen) == _MAX_FOLDERS:
            continue
        seen.add(start)
        for tag, kind, value in _entries(data, start, order):
            if tag == _EXIF_FOLDER and len(value) == 4:
                folders.append(struct.unpack(f"{order}I", value)[0])
            elif tag == _COMMENT:
                texts["parameters"] = _comment(value, order)
            elif kind == 2:
                label, colon, text = value.rstrip(b"\x00").decode("utf-8", "replace").partition(":")
                if colon and label.lower() in ("prompt", "workflow"):
                    texts[label.lower()] = text
    return {label: text for label, text in texts.items() if text.strip()}


def _entries(data: bytes, start: int, order: str) -> Iterator[tuple[int, int, bytes]]:
    if start + 2 > len(data):
        return
    for i in range(struct.unpack_from(f"{order}H", data, start)[0]):
        at = start + 2 + 12 * i
        if at + 12 > len(data):
            return
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, at)
        size = count * {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}.get(kind, 0)
        where = at + 8 if size <= 4 else struct.unpack_from(f"{order}I", data, at + 8)[0]
        yield tag, kind, data[where : where + size]


def _comment(value: bytes, order: str) -> str:
    """A UserComment: eight bytes say how it is written."""
    mark, text = value[:8], value[8:]
    if mark == b"UNICODE\x00":
        # the standard leaves the order of the bytes open; a text that is mostly Latin tells it
        big = text[0:200:2].count(0) > text[1:200:2].count(0)
        little = text[1:200:2].count(0) > text[0:200:2].count(0)
        name = "utf-16-be" if big or (not little and order == ">") else "utf-16-le"
        return text.decode(name, "replace").strip("\x00\ufeff")
    return (
        (text if mark in (b"ASCII\x00\x00\x00", bytes(8)) else value).decode("utf-8", "replace").strip("\x00")
    )
