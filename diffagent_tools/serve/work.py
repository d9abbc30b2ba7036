"""The work behind the server: loaded behind an open port, so many at once, each within its time.

work = Work(make_operations)
work.begin()                                                   # in a running event loop
answer = await work.run(lambda operations: operations.check(arguments))
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from diffagent_tools.agents.arguments import SelectArguments
from diffagent_tools.agents.operations import Operations
from retrieval.errors import DiffAgentError

AT_ONCE = 32
"""requests that are worked on at once; more wait for them"""
AT_THE_INDEX = 8
"""beside these, those that may wait for an index: one that is silent must not hold up the others"""
SECONDS = 30.0
"""in which a request is answered, what it waits included"""
_FIRST = SelectArguments(prompt="a lighthouse in a storm")

Found = TypeVar("Found")


class Busy(DiffAgentError):
    """There was no time to begin with a request: others are before it, or the models are loading."""


class TooLong(DiffAgentError):
    """A request that was begun takes more than its time."""


class NotLoaded(DiffAgentError):
    """What answers cannot be loaded; whoever asks again has it tried again."""


class _Places:
    """Threads for so many requests; a thread cannot be stopped, so that it keeps its place until it ends."""

    def __init__(self, count: int) -> None:
        self.free = asyncio.Semaphore(count)
        self.threads = ThreadPoolExecutor(count, "request")

    def begin(self, call: Callable[[], Found]) -> "asyncio.Future[Found]":
        """Begins, in a place that was waited for."""
        working = asyncio.get_running_loop().run_in_executor(self.threads, call)
        working.add_done_callback(self._ended)
        return working

    def _ended(self, done: "asyncio.Future[Any]") -> None:
        self.free.release()
        with suppress(asyncio.CancelledError):
            done.exception()  # nobody may be waiting for it


class Work:
    """Runs requests in threads, over operations that are made once.

    Args:
        make: makes the operations, in a thread.
    """

    def __init__(self, make: Callable[[], Operations]) -> None:
        self._make = make
        self._places = _Places(AT_ONCE)
        self._at_the_index = _Places(AT_THE_INDEX)
        self._loading: asyncio.Task[Operations] | None = None

    def begin(self) -> None:
        """Begins to load, unless that goes on or is done; what failed is tried again."""
        loading = self._loading
        if loading is None or (loading.done() and loading.exception() is not None):
            self._loading = asyncio.create_task(asyncio.to_thread(self._load))
            # nobody may be waiting for it
            self._loading.add_done_callback(lambda done: done.cancelled() or done.exception())

    def end(self) -> None:
        """Lets go of requests that nobody has begun."""
        for places in (self._places, self._at_the_index):
            places.threads.shutdown(wait=False, cancel_futures=True)

    def ready(self) -> Operations | None:
        """The operations, or None while they are loading.

        Raises:
            NotLoaded: they cannot be.
        """
        return self._loading.result() if self._loading is not None and self._loading.done() else None

    async def run(self, call: Callable[[Operations], Found], *, asks_index: bool = False) -> Found:
        """What a call answers.

        Args:
            asks_index: whether it may ask the index.

        Raises:
            Busy, TooLong: its time is over.
            NotLoaded, DiffAgentError: what the loading or the call raises.
        """
        self.begin()
        assert self._loading is not None
        places = self._at_the_index if asks_index else self._places
        working: asyncio.Future[Found] | None = None
        try:
            async with asyncio.timeout(SECONDS):
                operations = await asyncio.shield(self._loading)
                await places.free.acquire()
                working = places.begin(partial(call, operations))
                return await asyncio.shield(working)
        except TimeoutError as error:
            if working is not None:
                raise TooLong(f"the answer takes more than {SECONDS:g} s; ask for less at once") from error
            why = "many are asking" if self._loading.done() else "the models are still loading"
            raise Busy(f"not answered in {SECONDS:g} s, because {why}; ask again") from error

    def _load(self) -> Operations:
        try:
            operations = self._make()
            # what is read at the first request is read before it comes
            operations.select(_FIRST)
        except DiffAgentError as error:
            raise NotLoaded(f"the models cannot be loaded: {error}") from error
        return operations
