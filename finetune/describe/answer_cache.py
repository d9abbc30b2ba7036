"""A chat model's answers on disk, by key: one SQLite file, written answer by answer.

cache = AnswerCache(Path("said.sqlite"))
cache.put("9f86d0", 7371, "Makes castles in fog.")
cache.get("9f86d0")
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.errors import StorageError


class AnswerCache:
    """Usable from several threads; without a path it keeps answers in memory.

    Raises:
        StorageError: the file cannot be opened, read or written, or is something else.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._plain_errors():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._answers = sqlite3.connect(path or ":memory:", check_same_thread=False, timeout=30)
            with self._answers:
                self._answers.execute(
                    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, model_id INTEGER, answer TEXT)"
                )

    def get(self, key: str) -> str | None:
        with self._lock, self._plain_errors():
            row = self._answers.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, model_id: int, answer: str) -> None:
        """On disk when this returns."""
        with self._lock, self._plain_errors(), self._answers:
            self._answers.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)",
                (key, model_id, answer.encode("utf-8", "replace").decode()),
            )

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise StorageError(
                f"the cache of answers {self._path} cannot be used ({error}); needed is a file that this "
                "user may write, with room on the disk. Name another, or delete it if it is no such cache"
            ) from error
