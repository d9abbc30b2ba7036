"""Spreads pieces of work over the workers of a Ray cluster; the only file that imports Ray.

    for result in spread(pieces, make_worker, address="auto", gpus=1): ...

`make_worker()` is called once in each worker and gives the function that does a piece. A worker that dies
(killed, out of memory, its machine gone) is replaced, and its unfinished piece is given to another; what is
finished comes back once. It knows nothing of images.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from diffagent_tools.extras import require
from retrieval.errors import InvalidInput, RenderError

Piece = TypeVar("Piece")
Result = TypeVar("Result")
MAX_DEATHS = 3


def spread(
    pieces: Sequence[Piece],
    make_worker: Callable[[], Callable[[Piece], Result]],
    *,
    address: str = "auto",
    workers: int | None = None,
    gpus: float = 0.0,
) -> Iterator[Result]:
    """The result of each piece, as they come.

    Args:
        address: of a running cluster, "auto" for the one of this machine, "local" to start one.
        workers: how many; as many as the cluster's GPUs (or processors, without `gpus`) carry if None.
        gpus: that each worker takes for itself.

    Raises:
        MissingExtra: Ray is not installed.
        RenderError: no cluster answers, or a piece has killed three workers.
        DiffAgentError: what a worker raised.
    """
    if not pieces:
        return
    ray = _cluster(address)
    count = min(len(pieces), workers or _room(ray, gpus))
    if count < 1:
        raise InvalidInput(f"{workers} workers; needed is at least 1")

    remote = ray.remote(num_cpus=1, num_gpus=gpus)(_worker(make_worker))
    waiting, deaths = deque(range(len(pieces))), Counter[int]()
    busy: dict[Any, tuple[Any, int]] = {}

    def give(actor: Any) -> None:
        number = waiting.popleft()
        busy[actor.do.remote(pieces[number])] = actor, number

    try:
        for _ in range(count):
            give(remote.remote())
        while busy:
            (ready,), _ = ray.wait(list(busy), num_returns=1)
            actor, number = busy.pop(ready)
            try:
                result = ray.get(ready)
            except ray.exceptions.RayActorError as error:
                deaths[number] += 1
                if deaths[number] == MAX_DEATHS:
                    raise RenderError(
                        f"three workers died of the same piece of work, {str(pieces[number])[:200]} "
                        f"({str(error).strip().splitlines()[-1][:300]}); look at its memory and its files"
                    ) from error
                waiting.append(number)
                actor = remote.remote()
            else:
                yield result
            if waiting:
                give(actor)
            else:
                ray.kill(actor)
    finally:
        for actor, _ in busy.values():
            ray.kill(actor)


def _cluster(address: str) -> Any:
    """Ray, connected."""
    ray = require("ray")
    if not ray.is_initialized():
        try:
            ray.init(
                address=address, log_to_driver=False, include_dashboard=False if address == "local" else None
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise RenderError(
                f"no Ray cluster at {address!r} ({str(error).splitlines()[0]}); start one with "
                "`ray start --head`, or use --ray local for this machine"
            ) from error
    return ray


def _worker(make: Callable[[], Callable[[Any], Any]]) -> type:
    """A class whose code travels with it: workers cannot import what only this process has."""

    class Worker:
        def __init__(self) -> None:
            self._do = make()

        def do(self, piece: Any) -> Any:
            return self._do(piece)

    return Worker


def _room(ray: Any, gpus: float) -> int:
    there = ray.cluster_resources()
    return int(there.get("GPU", 0) // gpus) if gpus else int(there.get("CPU", 0))
