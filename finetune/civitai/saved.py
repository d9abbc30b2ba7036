"""Reads saved API objects into a raw store: models and images that somebody has collected before.

    with RawStore.open(Path("raw"), describe_source(source)) as store:
        collect_saved(source, store)

A source is a file or a folder of files: JSON lines (`.jsonl`, `.ndjson`), or one JSON value (`.json`: an
object, a list, or a page with `items`), each also with `.gz`. Objects are kept as they are; what is neither
a model nor an image, and what cannot be read, is counted by its reason.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from finetune.civitai.collect import Show, reason_against
from finetune.civitai.store import Kind, RawStore, read_images, read_models
from retrieval.errors import DataError, InvalidInput

MAX_LINE = 50_000_000
MAX_FILE = 1_000_000_000
COMMIT_EVERY = 200
_LINES = (".jsonl", ".ndjson")
_ENDINGS = (*_LINES, ".json")

Saved = tuple[Any, str]
"""An object and "", or None and why it could not be read."""


def files_of(source: Path) -> list[Path]:
    """The files of a source, in the order in which they are read.

    Raises:
        InvalidInput: there is no such file, or none in the folder.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InvalidInput(
            f"no file or folder {source}; give saved API objects as .jsonl or .json, or a folder"
        )
    found = sorted(
        path for path in source.rglob("*") if path.is_file() and _plain_name(path).endswith(_ENDINGS)
    )
    if not found:
        raise InvalidInput(f"no file of saved API objects in {source}; their names end in .jsonl or .json")
    return found


def describe_source(source: Path) -> dict[str, Any]:
    """A source as the store remembers it: its name and size, not where it lies."""
    files = files_of(source)
    return {"from": source.resolve().name, "files": len(files), "bytes": sum(f.stat().st_size for f in files)}


def collect_saved(source: Path, store: RawStore, show: Show | None = None) -> None:
    """Copies the objects of a source into a store, going on where the store stands.

    Raises:
        DataError: there is no model and no image in it.
        StorageError: the disk is full or not writable.
    """
    if store.finished:
        return
    state = store.state or {"file": 0, "read": 0}
    seen: dict[Kind, set[int]] = {
        "models": {model["id"] for model in read_models(store.path)},
        "images": {image["id"] for image in read_images(store.path)},
    }
    files = files_of(source)
    for number, path in list(enumerate(files))[state["file"] :]:
        behind = state["read"] if number == state["file"] else 0
        for count, (record, problem) in enumerate(read_objects(path), start=1):
            if count <= behind:
                continue
            _keep(store, record, problem, seen)
            if count % COMMIT_EVERY == 0:
                store.commit({"file": number, "read": count})
                if show:
                    show("saved objects", store.count("models") + store.count("images"), None)
        store.commit({"file": number + 1, "read": 0})
    store.commit({"file": len(files), "read": 0}, finished=True)
    if not store.count("models") and not store.count("images"):
        raise DataError(
            f"{source} holds no model and no image as Civitai's API returns them "
            f"({', '.join(f'{reason}: {n:,}' for reason, n in store.dropped.items()) or 'it is empty'})"
        )


def _keep(store: RawStore, record: Any, problem: str, seen: dict[Kind, set[int]]) -> None:
    if problem:
        store.dropped[problem] += 1
        return
    kind = kind_of(record)
    if kind is None:
        store.dropped["object that is neither a model nor an image"] += 1
        return
    reason = reason_against("model" if kind == "models" else "image", record, seen[kind])
    if reason:
        store.dropped[reason] += 1
        return
    seen[kind].add(record["id"])
    store.append(kind, [record])


def kind_of(record: Any) -> Kind | None:
    """Whether an object is a model or an image; None when it is neither."""
    if not isinstance(record, dict):
        # counted as what it most likely was
        return "models"
    if "modelVersions" in record or ("name" in record and "type" in record):
        return "models"
    return "images" if "meta" in record or ("url" in record and "width" in record) else None


def read_objects(path: Path) -> Iterator[Saved]:
    """Every object of a file, pages and lists taken apart; what cannot be read comes as its reason.

    A compressed file that is broken gives what lies before the break.
    """
    opener: Any = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as stream:
            lines = _plain_name(path).endswith(_LINES)
            yield from _read_lines(stream) if lines else _read_whole(stream)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        yield None, "rest of a file whose gzip is broken"
    except OSError:
        yield None, "file that cannot be read"


def _read_lines(stream: IO[bytes]) -> Iterator[Saved]:
    first = True
    while line := stream.readline(MAX_LINE):
        if len(line) >= MAX_LINE and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            yield None, f"line of more than {MAX_LINE // 1_000_000} MB"
            continue
        if first:
            line, first = line.removeprefix(b"\xef\xbb\xbf"), False
        if line.strip():
            yield from _taken_apart(line)


def _read_whole(stream: IO[bytes]) -> Iterator[Saved]:
    content = stream.read(MAX_FILE)
    if stream.read(1):
        yield None, f"file of more than {MAX_FILE // 1_000_000} MB"
        return
    yield from _taken_apart(content.removeprefix(b"\xef\xbb\xbf"))


def _taken_apart(text: bytes) -> Iterator[Saved]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # ValueError: no JSON, no UTF-8, or a number of more digits than Python reads
        yield None, "broken JSON"
        return
    if isinstance(value, dict) and isinstance(value.get("items"), list):
        value = value["items"]
    yield from ((item, "") for item in (value if isinstance(value, list) else [value]))


def _plain_name(path: Path) -> str:
    return path.name.lower().removesuffix(".gz")
