"""The account of a build: every record that was read, and for each that is gone the rule that dropped it."""

import gzip
import json
from collections import Counter
from io import BytesIO
from typing import Any

from finetune.dabench.model_rules import Dropped

LEVELS = ("records", "models", "versions", "images")


class Account:
    """Counts what was read and dropped, and keeps a line for each drop."""

    def __init__(self) -> None:
        self._read: Counter[str] = Counter()
        self._dropped: dict[str, Counter[str]] = {level: Counter() for level in LEVELS}
        self._lines = BytesIO()
        self._stream = gzip.GzipFile(fileobj=self._lines, mode="wb", compresslevel=6, mtime=0)

    def read(self, level: str, count: int = 1) -> None:
        """So many records of a level came in."""
        self._read[level] += count

    def drop(self, level: str, dropped: Dropped, count: int = 1, **ids: int | str | None) -> None:
        """A record is gone; `ids` say which."""
        self._dropped[level][dropped.rule] += count
        line = {"level": level, "rule": dropped.rule, "found": dropped.found, **ids}
        self._stream.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")

    def read_count(self, level: str) -> int:
        """How many came in."""
        return self._read[level]

    def kept(self, level: str) -> int:
        """How many are left."""
        return self._read[level] - self._dropped[level].total()

    def funnel(self) -> list[dict[str, Any]]:
        """For each level: its name, what was read, what each rule dropped (most first), what is kept."""
        return [
            {
                "level": level,
                "read": self._read[level],
                "dropped": dict(sorted(self._dropped[level].items(), key=lambda item: (-item[1], item[0]))),
                "kept": self.kept(level),
            }
            for level in LEVELS
            if self._read[level]
        ]

    def drops(self) -> bytes:
        """The lines of all drops, compressed; nothing can be dropped any more."""
        self._stream.close()
        return self._lines.getvalue()
