"""Libraries that draw bars and log, silenced for as long as some thread wants them so.

    with quiet(transformers.utils.logging):
        model = BertModel.from_pretrained(folder)

A library's bars and level belong to the process. The first thread to come keeps what they were and the last
to go gives it back; with a copy each, the second would keep the silence of the first, and leave it behind.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_LOCK = threading.Lock()
_HELD: dict[str, "_Held"] = {}


@dataclass
class _Held:
    level: int
    bars: bool
    threads: int = 0


@contextmanager
def quiet(*libraries: Any) -> Iterator[None]:
    """Neither bars nor anything below an error from the libraries; may be nested, and shared by threads.

    Args:
        libraries: each by its module of logging, such as `transformers.utils.logging`.
    """
    for library in libraries:
        _silence(library)
    try:
        yield
    finally:
        for library in libraries:
            _release(library)


def _silence(library: Any) -> None:
    with _LOCK:
        held = _HELD.get(library.__name__)
        if held is None:
            held = _Held(library.get_verbosity(), library.is_progress_bar_enabled())
            _HELD[library.__name__] = held
            library.set_verbosity_error()
            library.disable_progress_bar()
        held.threads += 1


def _release(library: Any) -> None:
    with _LOCK:
        held = _HELD[library.__name__]
        held.threads -= 1
        if held.threads == 0:
            del _HELD[library.__name__]
            library.set_verbosity(held.level)
            if held.bars:
                library.enable_progress_bar()
