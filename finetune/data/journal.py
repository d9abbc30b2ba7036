"""Files of answers that grow while a run goes on: a line that says which run it is, then one JSON a line.

journal = Journal(path, run, read, asked=digests, key=lambda answer: answer.case, another="delete it")
with journal.appending() as write:
    for case in cases[len(journal.done) :]:      # what is not answered already
        write(asdict(answer(case)))
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from retrieval.errors import DataError, StorageError

T = TypeVar("T")


class Journal(Generic[T]):
    """What a file holds of a run; a new file is begun with the line that says which run it is.

    Args:
        run: what tells this run from another: mode, catalogue, adapter ...
        read: makes an answer of a line.
        asked: of everything that is asked, in order, what tells it from others (`key` of its answer).
        batch: answers that are made together; only whole batches are kept.
        another: what to do where the file is of another run, for the message.

    Attributes:
        done: the answers to the first ones that are asked.

    Raises:
        DataError: the file is of another run, answers something else, or is damaged.
        StorageError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        run: Mapping[str, Any],
        read: Callable[[dict[str, Any]], T],
        *,
        asked: Sequence[str],
        key: Callable[[T], str],
        batch: int = 1,
        another: str,
    ) -> None:
        self._path = path
        header = json.dumps({"run": dict(run)}, ensure_ascii=False, sort_keys=True)
        content = self._content()
        # a line that was being written when the run was stopped has no end
        lines = content[: content.rfind(b"\n") + 1].split(b"\n")[:-1]
        if not lines:
            self._write(header.encode() + b"\n")
        elif lines[0] != header.encode():
            found = lines[0].decode("utf-8", "replace")
            raise DataError(f"{path} is of another run: {found[:500]}; {another}")
        try:
            held = [read(json.loads(line)) for line in lines[1:]]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} is damaged ({error}); delete it, and all is asked again") from error
        for number, (answer, what) in enumerate(zip(held, asked, strict=False), start=1):
            if key(answer) != what:
                raise DataError(f"{path} answers another request in place {number}; {another}")
        kept = len(held) if len(held) >= len(asked) else len(held) // batch * batch
        whole = b"".join(line + b"\n" for line in lines[: kept + 1])
        if lines and len(whole) < len(content):
            self._write(whole)
        self.done: list[T] = held[: min(kept, len(asked))]

    @contextmanager
    def appending(self) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """What writes a further answer; a full disk inside becomes StorageError, and what came is kept."""
        try:
            with self._path.open("a", encoding="utf-8") as stream:

                def write(answer: Mapping[str, Any]) -> None:
                    stream.write(json.dumps(answer, ensure_ascii=False) + "\n")
                    stream.flush()

                yield write
        except OSError as error:
            raise StorageError(
                f"cannot write {self._path} ({error.strerror}); free some space, then run again"
            ) from error

    def _content(self) -> bytes:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return self._path.read_bytes() if self._path.exists() else b""
        except OSError as error:
            raise self._cannot_write(error) from error

    def _write(self, content: bytes) -> None:
        try:
            self._path.write_bytes(content)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> StorageError:
        return StorageError(f"cannot write {self._path} ({error.strerror}); name a folder that you may write")
