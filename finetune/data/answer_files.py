"""Files of answers that grow while a run goes on: a line that says which run it is, then one JSON a line.

done = resume(path, run, read, another="name another --output")   # what is answered already
check_order(path, [answer.case for answer in done], cases, another="name another --output")
with appending(path) as lines:
    lines.write(...)
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

from finetune.data.cases import Case
from retrieval.errors import DataError, StorageError

T = TypeVar("T")


def resume(
    path: Path, run: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T], *, another: str
) -> list[T]:
    """What the file holds; a new file is begun with the line that says which run it is.

    Args:
        run: what tells this run from another: mode, catalogue, adapter ...
        read: makes an answer of a line.
        another: what to do where the file is of another run, for the message.

    Raises:
        DataError: the file is of another run, or damaged.
        StorageError: the file cannot be written.
    """
    header = json.dumps({"run": dict(run)}, ensure_ascii=False, sort_keys=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        # a line that was being written when the run was stopped has no end
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.decode("utf-8").split("\n")[:-1]
        if not lines:
            path.write_text(header + "\n", encoding="utf-8")
            return []
        if len(whole) < len(content):
            path.write_bytes(whole)
    except OSError as error:
        raise StorageError(
            f"cannot write {path} ({error.strerror}); name a folder that you may write"
        ) from error
    except ValueError as error:
        raise _damaged(path, error) from error
    if lines[0] != header:
        raise DataError(f"{path} is of another run: {lines[0]}; {another}")
    try:
        return [read(json.loads(line)) for line in lines[1:]]
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, error) from error


def check_order(path: Path, digests: Sequence[str], cases: Sequence[Case], *, another: str) -> None:
    """Raises DataError where the file answers other requests than the cases, as far as it goes."""
    for number, (digest, case) in enumerate(zip(digests, cases, strict=False), start=1):
        if digest != case.digest:
            raise DataError(f"{path} answers another request in place {number}; {another}")


@contextmanager
def appending(path: Path) -> Iterator[TextIO]:
    """The file to write more lines to; a full disk inside becomes StorageError, and what came is kept."""
    try:
        with path.open("a", encoding="utf-8") as lines:
            yield lines
    except OSError as error:
        raise StorageError(
            f"cannot write {path} ({error.strerror}); free some space, then run again"
        ) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is damaged ({error}); delete it, and the requests are asked again")
