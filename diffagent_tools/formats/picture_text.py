"""The texts that programs keep in a picture, read without decoding it.

    picture_texts_of(Path("picture.png"))     # {"parameters": "a corgi\\nSteps: 20, …", "prompt": "{…}"}

PNG: the chunks tEXt, zTXt, iTXt and eXIf. JPEG, WebP and AVIF: EXIF and XMP. The pixels are passed over;
sizes are checked before anything is unpacked.
"""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from diffagent_tools.formats.boxes import is_boxed, metadata_of
from diffagent_tools.formats.exif import exif_texts, xmp_texts
from retrieval.errors import InvalidInput

MAX_FILE_BYTES = 64_000_000
MAX_TEXT_BYTES = 8_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".avif")
_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 100_000
_XMP = "XML:com.adobe.xmp"
_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\x00"


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
    return texts_of(data, path.name)


def is_picture(data: bytes) -> bool:
    """Whether bytes begin as a picture does."""
    return _reader(data) is not None


def texts_of(data: bytes, name: str) -> dict[str, str]:
    """`picture_texts_of` for a picture that was read already; `name` is for messages.

    Raises:
        InvalidInput: as `picture_texts_of`.
    """
    if len(data) > MAX_FILE_BYTES:
        raise InvalidInput(
            f"{name} has more than {MAX_FILE_BYTES / 1e6:.0f} MB; give the picture as the program saved it"
        )
    read = _reader(data)
    if read is None:
        raise InvalidInput(f"{name} is no PNG, JPEG, WebP or AVIF; give a picture as the program saved it")
    texts, whole = read(data, name)
    for text in texts.values():
        _limited(text.encode("utf-8", "replace"), name)
    if not texts:
        cut = "" if whole else ", and the file is cut off"
        raise InvalidInput(
            f"{name} holds no text of the program that made it{cut}; programs that send pictures on "
            "often take it out: give the file as it was saved"
        )
    return texts


def _reader(data: bytes) -> Callable[[bytes, str], tuple[dict[str, str], bool]] | None:
    if data.startswith(_PNG):
        return _png
    if data.startswith(b"\xff\xd8"):
        return lambda data, _: _jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return lambda data, _: _webp(data)
    return (lambda data, _: _boxed(data)) if is_boxed(data) else None


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
            if found and found[0] == _XMP:
                texts = xmp_texts(found[1]) | texts
            elif found:
                texts[found[0]] = texts.get(found[0]) or found[1]
        elif kind == b"eXIf":
            texts = exif_texts(data[at + 8 : at + 8 + length]) | texts
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
    texts: dict[str, str] = {}
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xDA:
            break
        body = data[at + 4 : at + 2 + length]
        if marker == 0xE1 and body.startswith(b"Exif\x00\x00"):
            texts = exif_texts(body) | texts
        elif marker == 0xE1 and body.startswith(_XMP_HEAD):
            texts = xmp_texts(body[len(_XMP_HEAD) :].decode("utf-8", "replace")) | texts
        elif marker == 0xFE:
            texts.setdefault("comment", body.decode("utf-8", "replace").strip("\x00"))
        at += 2 + max(length, 2)
    return texts, bool(texts) or data.endswith(b"\xff\xd9")


def _webp(data: bytes) -> tuple[dict[str, str], bool]:
    texts: dict[str, str] = {}
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        if kind == b"EXIF":
            texts = exif_texts(body) | texts
        elif kind == b"XMP ":
            texts = xmp_texts(body.decode("utf-8", "replace")) | texts
        at += 8 + length + length % 2
    return texts, at <= len(data) + 1


def _boxed(data: bytes) -> tuple[dict[str, str], bool]:
    texts: dict[str, str] = {}
    for kind, block in metadata_of(data):
        if kind == "Exif":
            texts = exif_texts(block) | texts
        else:
            texts |= xmp_texts(block.decode("utf-8", "replace"))
    return texts, True
