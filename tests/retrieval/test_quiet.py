"""Silence that several threads want at once: it lasts as long as one of them, and is then given back."""

import threading
from types import SimpleNamespace

import pytest
from transformers.utils import logging

from retrieval.quiet import quiet


class Library(SimpleNamespace):
    """A library's module of logging, as far as `quiet` uses it."""

    def __init__(self, name: str, *, level: int = 30, bars: bool = True) -> None:
        super().__init__(__name__=name, level=level, bars=bars)

    def get_verbosity(self) -> int:
        return int(self.level)

    def set_verbosity(self, level: int) -> None:
        self.level = level

    def set_verbosity_error(self) -> None:
        self.level = 40

    def is_progress_bar_enabled(self) -> bool:
        return bool(self.bars)

    def disable_progress_bar(self) -> None:
        self.bars = False

    def enable_progress_bar(self) -> None:
        self.bars = True


def state(library: Library) -> tuple[int, bool]:
    return library.level, library.bars


def test_the_first_to_go_leaves_the_silence_to_the_second() -> None:
    library = Library("library")
    first_in, second_in, first_out = (threading.Event() for _ in range(3))
    seen = []

    def first() -> None:
        with quiet(library):
            first_in.set()
            assert second_in.wait(10)
        first_out.set()

    def second() -> None:
        assert first_in.wait(10)
        with quiet(library):
            second_in.set()
            assert first_out.wait(10)
            seen.append(state(library))

    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == [(40, False)]
    assert state(library) == (30, True)


def test_it_nests_and_an_error_ends_it() -> None:
    one, other = Library("one"), Library("other", level=20, bars=False)
    with quiet(one):
        with quiet(one, other):
            assert (state(one), state(other)) == ((40, False), (40, False))
        with pytest.raises(ZeroDivisionError), quiet(one, other):
            raise ZeroDivisionError
        assert (state(one), state(other)) == ((40, False), (20, False))
    assert state(one) == (30, True)


def test_transformers_is_such_a_library() -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_info()
    logging.enable_progress_bar()
    try:
        with quiet(logging):
            assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (logging.ERROR, False)
        assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (logging.INFO, True)
    finally:
        logging.set_verbosity(before[0])
        if not before[1]:
            logging.disable_progress_bar()
