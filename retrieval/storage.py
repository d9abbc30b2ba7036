"""Where this project keeps files on a user's machine, and how it reads and writes them.

DIFFAGENT_HOME=/data/diffagent diffagent info
"""

import gzip
import hashlib
import json
import os
import secrets
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from retrieval.errors import DataError, StorageError

T = TypeVar("T")
_GZIP_MAGIC = b"\x1f\x8b"

Progress = Callable[[str], None]
"""Told, in one line each, what takes long."""


def home() -> Path:
    """The folder for everything that can be made again: `DIFFAGENT_HOME`, else the user's cache folder."""
    chosen = os.environ.get("DIFFAGENT_HOME")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("diffagent", appauthor=False)


def cache_dir(*parts: str) -> Path:
    """A folder below `home()`, made if it is missing.

    Raises:
        StorageError: the folder cannot be made or written.
    """
    path = home().joinpath(*parts)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {path} ({error.strerror}); {_WHAT_TO_DO}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise StorageError(f"cannot write to the folder {path} (permission denied); {_WHAT_TO_DO}")
    return path


def atomic_write(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Writes a file so that a reader sees the old one or the whole new one, never a part.

    Args:
        content: the bytes, or a function that writes them to the temporary path it is given.

    Raises:
        StorageError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # the suffix is kept, because writers such as safetensors and gzip look at it
        temporary = path.parent / f".{path.stem}-{secrets.token_hex(8)}{path.suffix}"
        # not mkstemp, whose files nobody else may read
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(handle, "wb") as stream:
            if isinstance(content, bytes):
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        if callable(content):
            content(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(f"cannot write {path} ({error.strerror or error}); {_WHAT_TO_DO}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def folder_size(folder: Path) -> int:
    """Bytes of all files below, links not followed; what vanishes meanwhile counts nothing."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_size
            except OSError:
                continue
    return total


def sha256_of(path: Path) -> str:
    """The SHA256 of a file's content, in lower case; raises OSError where it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_unpacked(path: Path) -> bytes:
    """A file's content; of gzip, whatever the file is called, what is packed in it.

    Raises:
        OSError: there is no such file, or its gzip is broken.
    """
    content = path.read_bytes()
    try:
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (EOFError, zlib.error) as error:
        raise OSError(f"broken gzip: {error}") from error


def read_jsonl(
    path: Path, needed: Sequence[str], parse: Callable[[dict[str, Any]], T], *, hint: str
) -> list[T]:
    """Reads `.jsonl` or `.jsonl.gz`, one object a line; empty lines are passed over.

    Args:
        needed: fields that every object must have.
        parse: makes of an object what is wanted; a ValueError, TypeError, KeyError or OverflowError of it
            names the line.
        hint: where such a file comes from, for the messages.

    Raises:
        DataError: the file cannot be read or holds no line, or a line is not what is needed; it is named.
    """
    try:
        content = read_unpacked(path)
    except OSError as error:
        raise DataError(
            f"cannot read {path} ({error.strerror or error}); needed is a .jsonl or .jsonl.gz file: {hint}"
        ) from error
    parsed: list[T] = []
    # not splitlines(), which takes a line separator inside a JSON string for an end of line
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"line {number} of {path}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} is no JSON ({error}); mend or delete the line") from error
        if not isinstance(row, dict):
            raise DataError(f"{where} is no JSON object; mend or delete the line")
        if missing := [name for name in needed if name not in row]:
            raise DataError(f"{where} has no {', '.join(missing)}; fill it in or delete the line")
        try:
            parsed.append(parse(row))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{where}: {said}; mend or delete the line") from error
    if not parsed:
        raise DataError(f"{path} holds no line; {hint}")
    return parsed


_WHAT_TO_DO = "free some space or name a folder that you may write in DIFFAGENT_HOME"
