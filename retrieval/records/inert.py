"""Text of strangers made inert: no control characters, no invisible instructions, nothing that turns a line.

    >>> one_line("Night\\x1b[2J City\\nSteps: 1")
    'Night [2J City Steps: 1'

A name or a trigger word reaches terminals, prompts of language models, pages and other programs. What a
reader cannot see there is taken out; the letters of every script stay, with the two joiners that spelling
and emoji need.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode's categories of control, invisible (bidi overrides, tags), private, broken, line and paragraph."""
_JOINERS = "\u200c\u200d"


def is_hidden(char: str) -> bool:
    """Whether a character shows nothing by itself and may change what stands around it."""
    return unicodedata.category(char) in HIDDEN


def one_line(text: str) -> str:
    """The text with a space for hidden characters, line ends among them; other text comes back as it is."""
    # nearly all text is printable, which is asked of all of its characters at once
    if text.isprintable():
        return text
    return "".join(" " if is_hidden(char) and char not in _JOINERS else char for char in text)


def lines(text: str) -> str:
    """As `one_line`, but line feeds and tabs stay; a carriage return with a line feed is one line end."""
    if text.isprintable():
        return text
    parts = re.split(r"([\n\t])", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(part if part in ("\n", "\t") else one_line(part) for part in parts)


def inert(value: Any) -> Any:
    """JSON values whose texts are `lines`, keys among them."""
    if isinstance(value, str):
        return lines(value)
    if isinstance(value, Mapping):
        return {inert(key): inert(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [inert(item) for item in value]
    return value


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON with the letters of every script as they are and hidden characters as escapes.

    A program reads every character that was there; a terminal obeys none of them.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    if char == "\n" or not is_hidden(char):  # an indented text has line feeds, inside a string they are \\n
        return char
    return json.dumps(char)[1:-1]
