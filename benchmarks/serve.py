"""`diffagent serve`: 50 requests at once against one at a time, equal answers; then 100 users for a minute.

    python benchmarks/serve.py --workers 2
    python benchmarks/serve.py --workers 2 --users 100 --seconds 60

The server and its clients share this machine's processors; the clients speak bare HTTP over kept connections,
so that they cost little. Where other programs run, too, the server's own processor time is the steadier
figure. Memory is what its processes hold together (PSS: shared pages count once).
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PARTS = (
    ("a red", "a cute", "a stormy", "a dark", "an old", "a tiny", "a golden", "a lonely", "a futuristic"),
    (
        "corgi",
        "castle",
        "ship on the sea",
        "knight in armour",
        "city street",
        "forest",
        "portrait of a woman",
    ),
    ("at night", "in the rain", "in winter", "on a hill", "at sunrise"),
    ("watercolor", "pixel art", "anime", "photograph", "oil painting", "low poly"),
)
"""Of which the requests are made: as long as people's, and no two the same."""


def wishes(count: int) -> list[str]:
    """Different requests, in an order in which neighbours share few words."""
    every = [f"{a} {b} {c}, {d}" for a, b, c, d in itertools.product(*PARTS)]
    return [every[place * 607 % len(every)] for place in range(count)]


@contextmanager
def server(workers: int) -> Iterator[tuple[int, int]]:
    """Process id and port of a server whose models are loaded."""
    command = [sys.executable, "-m", "diffagent_tools", "serve", "--port", "0", "--workers", str(workers)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        found = re.search(r":(\d+)$", process.stderr.readline().strip())
        assert found, "the server does not start"
        asyncio.run(_warm(int(found[1]), workers))
        yield process.pid, int(found[1])
    finally:
        process.terminate()
        process.wait(30)


class Client:
    """One kept connection, over which requests go one after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def select(self, wish: str) -> tuple[int, bytes]:
        """Status and body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        body = json.dumps({"prompt": wish}).encode()
        writer.write(
            b"POST /select HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length[1]) if length else 0)

    def close(self) -> None:
        """Lets the connection go."""
        if self._streams is not None:
            self._streams[1].close()


async def _warm(port: int, workers: int) -> None:
    # which process takes a connection is chance: more of them than processes, until all answer quickly
    for _ in range(3):
        await many(port, wishes(16 * workers), 8 * workers)


async def many(port: int, asked: list[str], at_once: int) -> tuple[float, list[tuple[int, bytes]]]:
    """Seconds, and the answers in order."""
    answers: list[tuple[int, bytes]] = [(0, b"")] * len(asked)
    places = iter(range(len(asked)))

    async def user() -> None:
        client = Client(port)
        for place in places:
            answers[place] = await client.select(asked[place])
        client.close()

    began = time.perf_counter()
    await asyncio.gather(*(user() for _ in range(at_once)))
    return time.perf_counter() - began, answers


async def crowd(port: int, users: int, seconds: float, look: Callable[[], float]) -> None:
    """Users who ask again as soon as they are answered: prints errors, times and memory."""
    took: list[float] = []
    wrong: list[str] = []
    memory: list[float] = []
    endless = itertools.cycle(wishes(1500))
    until = time.perf_counter() + seconds

    async def user() -> None:
        client = Client(port)
        while time.perf_counter() < until:
            began = time.perf_counter()
            try:
                status, body = await client.select(next(endless))
            except (OSError, asyncio.IncompleteReadError) as error:
                wrong.append(repr(error))
                client = Client(port)
                continue
            took.append(time.perf_counter() - began)
            if status != 200:
                wrong.append(f"{status} {body[:100]!r}")
        client.close()

    async def watch() -> None:
        while time.perf_counter() < until:
            memory.append(look())
            await asyncio.sleep(seconds / 12)

    await asyncio.gather(watch(), *(user() for _ in range(users)))
    memory.append(look())
    p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
    print(
        f"{users} users, {seconds:g} s: {len(took):,} answers, {len(wrong)} errors {sorted(set(wrong))[:3]}"
    )
    print(f"  {len(took) / seconds:.0f} a second, p50 {p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms")
    print(f"  memory {', '.join(f'{each:.0f}' for each in memory)} MB")


def held_by(pid: int) -> float:
    """MB that a process and those below it hold; pages that they share count once."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return (int(found[1]) / 1024 if found else 0.0) + sum(held_by(int(child)) for child in children)


def processor_of(pid: int) -> float:
    """Seconds of processor that a process and those below it have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(processor_of(int(child)) for child in children)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {given.workers} workers")
    with server(given.workers) as (pid, port):
        asked = wishes(given.requests)
        seconds: list[float] = []
        answers = []
        for users in (1, given.at_once):
            busy = processor_of(pid)
            took, found = asyncio.run(many(port, asked, users))
            each = (processor_of(pid) - busy) / len(asked) * 1000
            print(f"{users} at once: {len(asked) / took:.1f} a second, {each:.1f} ms of processor each")
            seconds.append(took)
            answers.append(found)
        equal = sum(one == other for one, other in zip(*answers, strict=True))
        print(f"{seconds[0] / seconds[1]:.2f} times the throughput; equal answers: {equal} of {len(asked)}")
        if given.users:
            asyncio.run(crowd(port, given.users, given.seconds, lambda: held_by(pid)))


if __name__ == "__main__":
    main()
