"""The texts in a picture's EXIF and XMP, whoever wrote them, in whatever order of bytes.

    exif_texts(block)        # {"parameters": "a corgi\\nSteps: 20, …"}

A1111 and its kin write into UserComment, ComfyUI `prompt:{…}` and `workflow:{…}` into other tags, Draw Things
into XMP. The standard leaves much open, and programs do not keep to the rest.
"""

import html
import re
import struct
from collections.abc import Iterator

_MAX_FOLDERS = 20
_MAX_ENTRIES = 1000
_COMMENT, _EXIF_FOLDER, _DESCRIPTION = 0x9286, 0x8769, 0x010E
_TEXT_TYPES = (2, 129)
# XPTitle, XPComment and XPSubject, of which each text is in UTF-16
_WIDE_TAGS = (0x9C9B, 0x9C9C, 0x9C9F)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 129: 1}
_MARKS = (b"UNICODE\x00", b"ASCII\x00\x00\x00", b"JIS\x00\x00\x00\x00\x00", bytes(8))
_SCORED = 4000
_XMP_ITEM, _XMP_ITEM_END = re.compile(r"<rdf:li[^>]{0,200}>"), "</rdf:li>"


def exif_texts(data: bytes) -> dict[str, str]:
    """The texts of an EXIF block by their names; UserComment and a description are `parameters`."""
    data = data.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return {}
    texts: dict[str, str] = {}
    described = ""
    for tag, kind, value in _all_entries(data, order):
        if tag == _COMMENT:
            texts["parameters"] = comment(value)
        elif tag in _WIDE_TAGS:
            described = described or value.decode("utf-16-le", "replace").strip("\x00")
        elif kind in _TEXT_TYPES:
            text = value.rstrip(b"\x00").decode("utf-8", "replace")
            label, colon, rest = text.partition(":")
            if colon and label.strip().lower() in ("prompt", "workflow") and rest.lstrip()[:1] == "{":
                texts[label.strip().lower()] = rest
            elif tag == _DESCRIPTION:
                described = text
    if described and not texts.get("parameters", "").strip():
        texts["parameters"] = described
    return {label: text for label, text in texts.items() if text.strip()}


def xmp_texts(xmp: str) -> dict[str, str]:
    """The comment of an XMP packet, else its description, as `parameters`.

    The packet is searched and not parsed, so that no entity of it is ever expanded.
    """
    for name in ("UserComment", "description"):
        start = re.search(rf"<(?:\w{{1,20}}:)?{name}\b", xmp, re.IGNORECASE)
        if start is None:
            continue
        end = re.compile(rf"</(?:\w{{1,20}}:)?{name}>", re.IGNORECASE).search(xmp, start.end())
        inner = xmp[start.end() : end.start() if end else len(xmp)]
        # looked for one after the other: of a thousand beginnings without an end only the first is read on
        item = _XMP_ITEM.search(inner)
        item_end = inner.find(_XMP_ITEM_END, item.end()) if item else -1
        written = inner[item.end() : item_end] if item and item_end >= 0 else inner.partition(">")[2]
        text = html.unescape(written).strip()
        if text:
            return {"parameters": text}
    return {}


def comment(value: bytes) -> str:
    """A UserComment: eight bytes should say how it is written, and often say it wrongly."""
    mark = value[:8]
    text = value[8:] if mark.upper() in _MARKS else value
    for bom, name in ((b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le"), (b"\xef\xbb\xbf", "utf-8")):
        if text.startswith(bom):
            return _clean(text[len(bom) :].decode(name, "replace"))
    names = ("utf-8", "utf-16-be", "utf-16-le")
    return _clean(text.decode(max(names, key=lambda name: _plausible(text, name)), "replace"))


def _plausible(text: bytes, name: str) -> float:
    """How much of a text makes sense in an encoding: the settings at its end are in Latin letters."""
    # at an even place, where a character of two bytes begins
    start = max(0, len(text) - _SCORED)
    decoded = text[start + start % 2 :].decode(name, "replace")
    if not decoded:
        return 0.0
    readable = sum(char in "\n\r\t" or " " <= char <= "~" for char in decoded)
    broken = sum(char in "\x00\ufffd" for char in decoded)
    return (readable - 2 * broken) / len(decoded)


def _clean(text: str) -> str:
    return text.strip("\x00\ufeff")


def _all_entries(data: bytes, order: str) -> Iterator[tuple[int, int, bytes]]:
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
            else:
                yield tag, kind, value


def _entries(data: bytes, start: int, order: str) -> Iterator[tuple[int, int, bytes]]:
    if start + 2 > len(data):
        return
    for i in range(min(struct.unpack_from(f"{order}H", data, start)[0], _MAX_ENTRIES)):
        at = start + 2 + 12 * i
        if at + 12 > len(data):
            return
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, at)
        size = count * _SIZES.get(kind, 0)
        where = at + 8 if size <= 4 else struct.unpack_from(f"{order}I", data, at + 8)[0]
        yield tag, kind, data[where : where + size]
