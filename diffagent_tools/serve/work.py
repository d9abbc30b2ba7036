"""The work behind the server: loaded behind an open port, so many at once, each within its time.

work = Work(make_operations)
work.begin()                                                   # in a running event loop
answer = await work.run(lambda operations: operations.check(arguments))
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from diffagent_tools.agents.arguments import SelectArguments
from diffagent_tools.agents.operations import Operations
from retrieval.errors import DiffAgentError

AT_ONCE = 32
"""requests that are worked on at once; more wait for them"""
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


class Work:
    """Runs requests in threads, over operations that are made once.

    Args:
        make: makes the operations, in a thread.
    """

    def __init__(self, make: Callable[[], Operations]) -> None:
        self._make = make
        self._threads = ThreadPoolExecutor(AT_ONCE, "request")
        self._free = asyncio.Semaphore(AT_ONCE)
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
        self._threads.shutdown(wait=False, cancel_futures=True)

    def ready(self) -> Operations | None:
        """The operations, or None while they are loading.

        Raises:
            NotLoaded: they cannot be.
        """
        return self._loading.result() if self._loading is not None and self._loading.done() else None

    async def run(self, call: Callable[[Operations], Found]) -> Found:
        """What a call answers.

        Raises:
            Busy, TooLong: its time is over.
            NotLoaded, DiffAgentError: what the loading or the call raises.
        """
        self.begin()
        assert self._loading is not None
        working: asyncio.Future[Found] | None = None
        try:
            async with asyncio.timeout(SECONDS):
                operations = await asyncio.shield(self._loading)
                await self._free.acquire()
                working = asyncio.get_running_loop().run_in_executor(self._threads, call, operations)
                working.add_done_callback(self._ended)
                # a thread cannot be stopped: it keeps its place until it ends
                return await asyncio.shield(working)
        except TimeoutError as error:
            if working is not None:
                raise TooLong(f"the answer takes more than {SECONDS:g} s; ask for less at once") from error
            why = "many are asking" if self._loading.done() else "the models are still loading"
            raise Busy(f"not answered in {SECONDS:g} s, because {why}; ask again") from error

    def _ended(self, done: "asyncio.Future[Any]") -> None:
        self._free.release()
        with suppress(asyncio.CancelledError):
            done.exception()  # nobody may be waiting for it

    def _load(self) -> Operations:
        try:
            operations = self._make()
            # what is read at the first request is read before it comes
            operations.select(_FIRST)
        except DiffAgentError as error:
            raise NotLoaded(f"the models cannot be loaded: {error}") from error
        return operations
