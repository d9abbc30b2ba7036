"""What a visitor said and got, kept while the program runs, so that a reload of the page loses nothing.

The browser holds a random name of the session and no words of it; here are the words, in memory alone.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from diffagent_tools.chat.conversation import State
from diffagent_tools.ui.html import Line

MOST = 200
"""Sessions that are kept; the ones that were not used for longest go first."""
_NAME_CHARS = 64


@dataclass
class Sessions:
    """The talks of all visitors by the names of their sessions; safe for many threads."""

    _kept: OrderedDict[str, tuple[State, tuple[Line, ...]]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, name: str, state: State, log: tuple[Line, ...]) -> None:
        """Remembers where a talk stands; a name that is none is passed over."""
        if not name or len(name) > _NAME_CHARS:
            return
        with self._lock:
            self._kept[name] = (state, log)
            self._kept.move_to_end(name)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)

    def find(self, name: str) -> tuple[State, tuple[Line, ...]] | None:
        """Where a talk stood; None for a new one."""
        with self._lock:
            return self._kept.get(name)
