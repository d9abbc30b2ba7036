"""Many requests: JSON lines in, JSON lines out, in order, resumable after an interruption.

    diffagent select --input prompts.jsonl --output apis.jsonl

A line in is `{"prompt": ..., "negative_prompt": ..., "id": ...}`; other fields are passed over, and without
an id the line's number is its id. A line out is `{"id", "api", "ranked"}` or `{"id", "error", "ranked": []}`.
"""

import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from diffagent_tools.select.selection import BatchItem
from retrieval.errors import InvalidInput, StorageError
from retrieval.records.api import Instruction, read_instruction
from retrieval.records.inert import json_text

BATCH = 16
_PROGRESS_EVERY = 100
_FIELDS = {"prompt": "prompt", "negativeprompt": "negative prompt"}

Choose = Callable[[list[Instruction]], Iterable[BatchItem]]
"""One item for each request, in order; their ids are not read."""


@dataclass(frozen=True)
class Line:
    """A line of the input: its id, and the request or why there is none."""

    id: str | int
    request: Instruction | None
    error: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How many lines were kept from an interrupted run, answered, and could not be answered; and how many of
    those that were kept have an error."""

    kept: int
    answered: int
    failed: int
    kept_failed: int = 0


def read_lines(stream: Iterable[bytes]) -> Iterator[Line]:
    """The requests of a JSONL file; a broken line is a `Line` with its error, an empty one is passed over."""
    for number, raw in enumerate(stream, start=1):
        text = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        if text.strip():
            yield _read_line(number, text)


def _read_line(number: int, raw: bytes) -> Line:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else "not UTF-8, or nested too deeply"
        return Line(number, None, f'line {number} is no JSON ({why}); needed is {{"prompt": "..."}}')
    name: str | int = number
    if isinstance(value, Mapping) and value.get("id") is not None:
        given = value["id"]
        if not isinstance(given, str | int) or isinstance(given, bool):
            return Line(
                number, None, f"line {number}: the id is {str(given)[:60]}; needed is text or a number"
            )
        name = given
    try:
        return Line(name, read_instruction(_request(value)))
    except InvalidInput as error:
        return Line(name, None, f"line {number}: {error}")


def _request(value: Any) -> Any:
    """The fields of a request; a data file has others beside them."""
    if not isinstance(value, Mapping):
        return value
    known = {key: _FIELDS.get(key.lower().replace("_", "").replace(" ", "")) for key in value}
    return {name: value[key] for key, name in known.items() if name is not None}


def run_batch(
    source: Path | None, target: Path | None, choose: Choose, *, tell: Callable[[str], None]
) -> Outcome:
    """Answers every line of `source` into `target`; None is standard input or output.

    What a `target` already holds of an earlier run is kept, up to the last complete line whose id is the one
    expected there. Every line is flushed when it is written.

    Raises:
        InvalidInput: `source` cannot be read, or `target` holds something else.
        StorageError: `target` cannot be written.
    """
    answered = failed = 0
    with _reading(source) as stream:
        lines = read_lines(stream)
        kept, lines, end, kept_failed = _resume(lines, target)
        if kept:
            tell(f"{kept:,} lines of {target} are kept; going on after them")
        with _writing(target, end) as out:
            while chunk := list(itertools.islice(lines, BATCH)):
                for item in answer_lines(chunk, choose):
                    _write(out, target, item)
                    answered += item.error is None
                    failed += item.error is not None
                    if (answered + failed) % _PROGRESS_EVERY == 0:
                        tell(f"{kept + answered + failed:,} lines")
    return Outcome(kept, answered, failed, kept_failed)


def answer_lines(chunk: list[Line], choose: Choose) -> Iterator[BatchItem]:
    """One item for each line, in order, with the line's id."""
    requests = [line.request for line in chunk if line.request is not None]
    chosen = iter(choose(requests)) if requests else iter(())
    for line in chunk:
        if line.request is None:
            yield BatchItem(id=line.id, error=line.error)
            continue
        item = next(chosen).model_copy(update={"id": line.id})
        if item.error is None and not item.ranked:
            item = item.model_copy(update={"error": "no model passes the filters"})
        yield item


def _resume(lines: Iterator[Line], target: Path | None) -> tuple[int, Iterator[Line], int, int]:
    """How many lines are answered already, those that are not, the size of what is kept in bytes, and how "
    "many
    of it have an error."""
    written = [] if target is None else _written(target)
    kept, end, failed = 0, 0, 0
    for (answered, length, error), line in zip(written, lines, strict=False):
        if answered != line.id:
            lines = itertools.chain([line], lines)
            break
        kept += 1
        end += length
        failed += error
    if target is not None and written and not kept:
        raise InvalidInput(
            f"{target} holds something else than answers to this input; name another output, or delete it"
        )
    return kept, lines, end, failed


def _written(target: Path) -> list[tuple[Any, int, bool]]:
    """Id, length and whether it has an error, of every complete line up to the first that is none; ids that "
    "are
    missing are None."""
    found: list[tuple[Any, int, bool]] = []
    try:
        if not target.exists():
            return found
        with target.open("rb") as stream:
            for raw in stream:
                if not raw.endswith(b"\n"):
                    break
                try:
                    value = json.loads(raw)
                except (ValueError, RecursionError):
                    value = None
                known = isinstance(value, dict) and "ranked" in value
                found.append((value.get("id") if known else None, len(raw), known and "error" in value))
                if not known:
                    break
    except OSError as error:
        raise _cannot_write(target, error) from error
    return found


@contextmanager
def _reading(source: Path | None) -> Iterator[IO[bytes]]:
    if source is None:
        yield sys.stdin.buffer
        return
    try:
        stream = source.open("rb")
    except OSError as error:
        raise InvalidInput(f"cannot read {source} ({error.strerror}); name a file of JSON lines") from error
    with stream:
        yield stream


@contextmanager
def _writing(target: Path | None, end: int) -> Iterator[IO[bytes]]:
    if target is None:
        yield sys.stdout.buffer
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = target.open("r+b" if target.exists() else "x+b")
        stream.truncate(end)
        stream.seek(end, io.SEEK_SET)
    except OSError as error:
        raise _cannot_write(target, error) from error
    with stream:
        yield stream


def _write(out: IO[bytes], target: Path | None, item: BatchItem) -> None:
    line = json_text(item.to_wire()) + "\n"
    try:
        out.write(line.encode("utf-8", "backslashreplace"))
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(target or Path(os.devnull), error) from error


def _cannot_write(target: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write {target} ({error.strerror or error}); free some space or name another file"
    )
