"""Calls of many threads at once, computed together: while one batch is computed, the next one gathers.

    double = Together(lambda numbers: [2 * number for number in numbers], most=16)
    double(21)      # 42, from any thread

Nobody waits for company: a call that comes alone is computed at once, alone.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


class _Call(Generic[Item, Found]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.found: list[Found] = []
        self.error: BaseException | None = None

    @property
    def done(self) -> bool:
        return bool(self.found) or self.error is not None


class Together(Generic[Item, Found]):
    """Hands what threads ask for at once to one computation.

    Args:
        compute: one answer for each item, in order. What it raises is raised in each thread of its batch.
        most: items of a batch; those beyond it are the next one's.
    """

    def __init__(self, compute: Callable[[Sequence[Item]], Iterable[Found]], most: int) -> None:
        self._compute = compute
        self._most = most
        self._changed = threading.Condition()
        self._waiting: list[_Call[Item, Found]] = []
        self._busy = False

    def __call__(self, item: Item) -> Found:
        """The answer to one item."""
        call: _Call[Item, Found] = _Call(item)
        with self._changed:
            self._waiting.append(call)
        while (batch := self._turn(call)) is not None:
            self._answer(batch)
        if call.error is not None:
            raise call.error
        return call.found[0]

    def _turn(self, call: _Call[Item, Found]) -> list[_Call[Item, Found]] | None:
        """What this thread computes for all; None once its own call is answered."""
        with self._changed:
            self._changed.wait_for(lambda: call.done or not self._busy)
            if call.done:
                return None
            self._busy = True
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            return batch

    def _answer(self, batch: list[_Call[Item, Found]]) -> None:
        found: list[Found] = []
        error: BaseException | None = None
        try:
            found = list(self._compute([call.item for call in batch]))
        except BaseException as raised:
            error = raised
        with self._changed:
            for place, call in enumerate(batch):
                call.error = error
                if error is None:
                    call.found.append(found[place])
            self._busy = False
            self._changed.notify_all()
