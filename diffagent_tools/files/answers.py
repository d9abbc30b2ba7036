"""What Civitai says of a file, looked at before it is used: its name, size and address.

    >>> safe_name("../../etc/passwd.safetensors", 8)
    'passwd.safetensors'

An answer is text of strangers. Whatever it holds, a name stays in its folder, a size is one that a file can
have, and an address is one of the web.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from diffagent_tools.files.folder import SUFFIX
from diffagent_tools.files.wanted import WantedFile
from diffagent_tools.quoting import NAME_CHARS, plain
from retrieval.errors import FetchError

_MAX_KILOBYTES = 2**40
_ODD = re.compile(r"[^\w.()\[\]+@ -]+")
# a file name has at most 255 bytes in most file systems, and `.part`, version and ending come to it
_NAME_BYTES = 200


def safe_name(name: str, version_id: int) -> str:
    """A file name of a stranger as one that stays in the folder."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem = _ODD.sub("_", last.removesuffix(SUFFIX)).strip(". _")
    # counted in bytes, of which a letter of another script than Latin has two to four
    short = stem.encode("utf-8", "ignore")[:_NAME_BYTES].decode("utf-8", "ignore").rstrip(". _")
    return f"{short or version_id}{SUFFIX}"


def stated_size(kilobytes: object, wanted: WantedFile) -> int:
    """In bytes; 0 where none is stated.

    Raises:
        FetchError: it is no number, or none that a file can have.
    """
    if kilobytes is None:
        return 0
    is_number = isinstance(kilobytes, int | float) and not isinstance(kilobytes, bool)
    if not is_number or not 0 <= kilobytes <= _MAX_KILOBYTES:  # type: ignore[operator]  # it is a number
        said = plain(repr(kilobytes)[:NAME_CHARS], 40)
        raise FetchError(
            f"Civitai states the size {said} for {wanted.label}, which no file has; try again later, or "
            "choose another version"
        )
    return int(float(kilobytes) * 1024)  # type: ignore[arg-type]


def address_of(given: object, wanted: WantedFile, base: str = "") -> str:
    """An address of the web, whole where it is relative to `base`.

    Raises:
        FetchError: it is none.
    """
    try:
        if not isinstance(given, str):
            raise ValueError("no text")
        address = urljoin(base, given)
        parts = urlsplit(address)
        _ = parts.port  # raises where it is no port
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("no address of the web")
    except ValueError as error:
        # never the address itself: it may be signed
        raise FetchError(
            f"Civitai gave an address for {wanted.label} that cannot be used ({type(error).__name__}); try "
            "again later, or choose another version"
        ) from error
    return address


def host_of(address: str) -> str:
    """Of an address only the host: the rest may be signed."""
    try:
        return plain(urlsplit(address).hostname or "", NAME_CHARS) or "the address"
    except ValueError:
        return "the address"


def is_usable(file: Mapping[str, Any]) -> bool:
    hashes = file.get("hashes")
    digest = hashes.get("SHA256") if isinstance(hashes, dict) else None
    return (
        str(file.get("name", "")).lower().endswith(SUFFIX)
        and file.get("type") in (None, "Model", "Pruned Model")
        and isinstance(digest, str)
        and re.fullmatch(r"[0-9a-fA-F]{64}", digest) is not None
    )
