"""How far a long command has come: a bar on a terminal, a line now and then elsewhere.

with show_progress() as show:
    show("versions", 120, 9_800)
tell = now_and_then()    # for a command whose answer is what counts
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from diffagent_tools.exits import tell

Show = Callable[[str, int, int | None], None]
"""Told what is counted, how many are done, and how many there are where that is known."""

LINE_SECONDS = 15.0


class Meter:
    """The rate of one count since it was first shown; what an earlier run did is not in it."""

    def __init__(self, done: int, now: float) -> None:
        """Starts at a count and a moment in seconds."""
        self._first = done
        self._began = now

    def sentence(self, what: str, done: int, total: int | None, now: float) -> str:
        """Such as "120 of 9,800 versions, 1.9 a second, 1 h 25 min left"."""
        of = f" of {total:,}" if total is not None else ""
        parts = [f"{done:,}{of} {what}"]
        rate = (done - self._first) / (now - self._began) if now > self._began else 0.0
        if rate > 0:
            parts.append(f"{rate:,.1f} a second" if rate >= 0.1 else f"{rate * 60:,.1f} a minute")
            if total is not None and total > done:
                parts.append(f"{duration((total - done) / rate)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """Such as "45 s", "12 min" or "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def now_and_then(
    speak: Callable[[str], None] = tell, clock: Callable[[], float] = time.monotonic
) -> Callable[[str], None]:
    """Passes on what begins, and of the counts after it ("256 of 995 ...") one in `LINE_SECONDS`.

    So what is done in a moment is one line, and who waits longer sees that it goes on.
    """
    begun: set[str] = set()
    told = 0.0
    lock = Lock()

    def passed_on(line: str) -> None:
        nonlocal told
        kind = re.sub(r"\d[\d,.]*", "#", line)
        with lock:
            now = clock()
            new = not kind.startswith("#") and kind not in begun
            if not new and now - told < LINE_SECONDS:
                return
            begun.add(kind)
            told = now
        speak(line)

    return passed_on


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Something that moves on a terminal's standard error, for the seconds before an answer; else nothing."""
    if not sys.stderr.isatty():
        yield
        return
    from diffagent_tools.cli.cards import make_console

    with make_console(stderr=True).status(what):
        yield


@contextmanager
def show_progress() -> Iterator[Show]:
    """Shows counts on standard error."""
    if sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        with _lines() as show:
            yield show


@contextmanager
def _bars() -> Iterator[Show]:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

    from diffagent_tools.cli.cards import make_console

    meters: dict[str, tuple[Meter, TaskID]] = {}
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=make_console(stderr=True)) as progress:

        def show(what: str, done: int, total: int | None) -> None:
            now = time.monotonic()
            if what not in meters:
                meters[what] = Meter(done, now), progress.add_task(what, total=total)
            meter, task = meters[what]
            sentence = meter.sentence(what, done, total, now)
            progress.update(task, completed=done, total=total, description=sentence)

        yield show


@contextmanager
def _lines() -> Iterator[Show]:
    meters: dict[str, Meter] = {}
    told = time.monotonic()

    def show(what: str, done: int, total: int | None) -> None:
        nonlocal told
        now = time.monotonic()
        meter = meters.setdefault(what, Meter(done, now))
        if now - told >= LINE_SECONDS:
            told = now
            tell(meter.sentence(what, done, total, now))

    yield show
