"""The files of a raw store: parts of gzip members that can be read past a broken one, and small JSON files.

for record in read_part(Path("raw/models/00000.jsonl.gz"), length, Counter()):
    ...

Each commit of the store is one gzip member. A member that is broken costs itself: the next one begins with
bytes that are known, so reading goes on there.
"""

import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from retrieval.errors import StorageError

_CHUNK = 1 << 16
# magic number, deflate, no flags, no time: how every member of ours begins
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


def part_path(store: Path, kind: str, number: int) -> Path:
    """Where a part lies."""
    return store / kind / f"{number:05}.jsonl.gz"


def append_member(part: Path, length: int, lines: Sequence[bytes]) -> int:
    """Writes a member behind the first `length` bytes of a part and returns the new length.

    Raises:
        StorageError: the disk is full or not writable.
    """
    member = gzip.compress(b"".join(lines), 6, mtime=0)
    try:
        part.parent.mkdir(exist_ok=True)
        with part.open("r+b" if part.exists() else "x+b") as stream:
            # a commit that failed or was killed may have left bytes behind those that count
            stream.truncate(length)
            stream.seek(length)
            stream.write(member)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise cannot_write(part, error) from error
    return length + len(member)


def read_part(part: Path, length: int, problems: Counter[str]) -> Iterator[dict[str, Any]]:
    """The records in the first `length` bytes of a part; what cannot be read is counted by its reason."""
    try:
        with part.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size < length:
                problems["part shorter than it was written"] += 1
            for member in _members(stream, length):
                if member is None:
                    problems["broken gzip member of a part"] += 1
                else:
                    yield from _records(member, problems)
    except OSError:
        problems["part that cannot be opened"] += 1


def _members(stream: IO[bytes], length: int) -> Iterator[bytes | None]:
    """The members' contents, None for a broken stretch."""
    start = 0
    while start < length:
        content, end = _member(stream, start, length)
        yield content
        start = _next_header(stream, start + 1, length) if content is None else end


def _member(stream: IO[bytes], start: int, length: int) -> tuple[bytes | None, int]:
    """A member's content and where it ends; None when it is broken or does not end before `length`."""
    decoder = zlib.decompressobj(wbits=31)
    pieces: list[bytes] = []
    stream.seek(start)
    position = start
    while not decoder.eof:
        chunk = stream.read(min(_CHUNK, length - position))
        if not chunk:
            return None, length
        position += len(chunk)
        try:
            pieces.append(decoder.decompress(chunk))
        except zlib.error:
            return None, length
    return b"".join(pieces), position - len(decoder.unused_data)


def _next_header(stream: IO[bytes], start: int, length: int) -> int:
    """Where the next member begins, from `start` on; `length` when none does."""
    stream.seek(start)
    position, kept = start, b""
    while chunk := stream.read(min(_CHUNK, length - position)):
        window = kept + chunk
        found = window.find(_HEADER)
        if found >= 0:
            return position - len(kept) + found
        position += len(chunk)
        kept = window[-(len(_HEADER) - 1) :]
    return length


def _records(member: bytes, problems: Counter[str]) -> Iterator[dict[str, Any]]:
    for line in member.splitlines():
        record, problem = read_record(line)
        if record is None:
            problems[problem] += 1
        else:
            yield record


def read_record(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """A JSON object, or None and why there is none."""
    value, problem = read_value(line)
    if isinstance(value, dict):
        return value, ""
    return None, problem or "record that is no object"


def read_value(text: bytes) -> tuple[Any, str]:
    """A JSON value, or None and why there is none."""
    try:
        return json.loads(text), ""
    except (ValueError, RecursionError):
        # ValueError: no JSON, no UTF-8, or a number of more digits than Python reads
        return None, "broken JSON"


def read_json(path: Path) -> dict[str, Any]:
    """One of the store's own small files.

    Raises:
        StorageError: it cannot be read or holds no object.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"cannot read {path} ({error.strerror or error}); without it the store cannot be gone on with: "
            "collect into a new folder"
        ) from error
    value, problem = read_record(content)
    if value is None:
        raise StorageError(f"{path} is damaged ({problem}); collect into a new folder")
    return value


def replace_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a small file so that a reader sees the old one or the whole new one.

    The temporary name is always the same, so a killed process leaves no litter; only the holder of the
    store's lock writes.

    Raises:
        StorageError: the disk is full or not writable.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as stream:
            stream.write(json.dumps(value).encode("ascii"))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> StorageError:
    """The error for a disk that takes no more."""
    return StorageError(
        f"cannot write {path} ({error.strerror or error}); free some space or name another --output"
    )
