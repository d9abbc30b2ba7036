"""JSON as language models write it: in prose or code fences, with single quotes, Python words, trailing
commas, keys without quotes, or cut off half way.

    >>> [found.value for found in find_objects("Sure: {'model': 'X', steps: 20,}")]
    [{'model': 'X', 'steps': 20}]

One pass from left to right, nothing is evaluated, the depth is bounded, and no character is looked at more
than a bounded number of times, so that the time is linear in the text whatever the text is.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 32
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\W\d][\w .-]{0,60}")
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]{0,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][-+]?\d{1,5})?")
_STRINGS = {
    '"': re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL),
    "'": re.compile(r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL),
    "“": re.compile(r"“([^“”]*)”"),
}
_AFTER_STRING = re.compile(r"\s{0,80}(?:[,:}\])]|$)")
# how far a quote inside a quoted text ('the king's crown') may lie from the quote that closes the text
_INNER_QUOTE_REACH = 200
_ESCAPE = re.compile(r"\\(U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None, "undefined": None}


@dataclass(frozen=True)
class Found:
    """One value of a text: `strict` if it is plain JSON, `complete` if it was closed."""

    value: Any
    strict: bool
    complete: bool


class _Broken(Exception):
    """The object ends at `at`, because what stands there is no part of one."""

    def __init__(self, at: int) -> None:
        self.at = at


def find_objects(text: str) -> Iterator[Found]:
    """The objects of a text in their order; the whole text first where it is plain JSON."""
    try:
        yield Found(json.loads(text), strict=True, complete=True)
        return
    except (ValueError, RecursionError):
        pass
    at = text.find("{")
    while at >= 0:
        target: dict[str, Any] = {}
        try:
            end = _object(text, at, target, 1)
            plain = _plain_json(text[at:end])
            yield Found(target if plain is None else plain, strict=plain is not None, complete=True)
        except _Broken as broken:
            end = max(broken.at, at + 1)
            if target:
                yield Found(target, strict=False, complete=False)
        at = text.find("{", end)


def _plain_json(span: str) -> Any:
    try:
        return json.loads(span)
    except (ValueError, RecursionError):
        return None


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _object(text: str, at: int, target: dict[str, Any], depth: int) -> int:
    """Reads the object whose brace stands at `at` into `target`, which keeps what was read if it breaks."""
    at = _skip(text, at + 1)
    while True:
        while text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        if text[at : at + 1] == "}":
            return at + 1
        key, at = _key(text, at)
        at = _skip(text, at)
        if text[at : at + 1] not in (":", "="):
            raise _Broken(at)
        at = _value(text, _skip(text, at + 1), target, key, depth)
        at = _skip(text, at)


def _key(text: str, at: int) -> tuple[str, int]:
    first = text[at : at + 1]
    if first in _STRINGS:
        return _string(text, at)
    word = _WORD.match(text, at)
    if word is None:
        raise _Broken(at)
    return word.group().strip(), word.end()


def _value(text: str, at: int, target: dict[str, Any], key: str, depth: int) -> int:
    """Reads one value into `target[key]`; what is broken inside it is kept as far as it goes."""
    first = text[at : at + 1]
    if first in ("{", "[", "(") and first:
        if depth >= MAX_DEPTH:
            raise _Broken(at)
        if first == "{":
            inner: dict[str, Any] = {}
            target[key] = inner
            return _object(text, at, inner, depth + 1)
        items: list[Any] = []
        target[key] = items
        return _array(text, at, items, depth + 1)
    if first in _STRINGS:
        target[key], end = _string(text, at)
        return end
    number = _NUMBER.match(text, at)
    if number is not None:
        after = _skip(text, number.end())
        if text[after : after + 1] in (",", "}", "]", ")", ""):
            target[key] = _number(number.group())
            return number.end()
    # a bare word, or text without quotes up to the next comma, brace or line
    end = at
    while end < len(text) and end - at < 200 and text[end] not in ",}])\n{[\"'":
        end += 1
    word = text[at:end].strip()
    if not word:
        raise _Broken(at)
    target[key] = _WORDS.get(word.lower(), word)
    return end


def _array(text: str, at: int, items: list[Any], depth: int) -> int:
    at = _skip(text, at + 1)
    while True:
        while text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        if text[at : at + 1] in ("]", ")"):
            return at + 1
        if at >= len(text):
            raise _Broken(at)
        holder: dict[str, Any] = {}
        try:
            at = _value(text, at, holder, "", depth)
        finally:
            items.extend(holder.values())
        at = _skip(text, at)


def _string(text: str, at: int) -> tuple[str, int]:
    match = _STRINGS[text[at]].match(text, at)
    if match is None:
        raise _Broken(at + 1)
    end = match.end()
    if _AFTER_STRING.match(text, end) is None:
        end = _outer_quote(text, end, text[end - 1])
    return _unescape(text[at + 1 : end - 1]), end


def _outer_quote(text: str, end: int, quote: str) -> int:
    """The end of a string whose quote at `end - 1` may stand inside of it."""
    limit = min(len(text), end + _INNER_QUOTE_REACH)
    other = text.find(quote, end, limit)
    while other >= 0:
        if text[other - 1] != "\\" and _AFTER_STRING.match(text, other + 1) is not None:
            # `"a" "b": 1` is a missing comma and not a quote within a text
            between = text[end:other].strip()
            return end if not between or between[0] in _STRINGS else other + 1
        other = text.find(quote, other + 1, limit)
    return end


def _unescape(content: str) -> str:
    if "\\" not in content:
        return content
    plain = _ESCAPE.sub(_escape, content)
    # \ud83d\ude00 are two halves of one character
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escape(match: re.Match[str]) -> str:
    mark = match.group(1)
    if len(mark) > 1:
        return chr(int(mark[1:], 16))
    return _ESCAPES.get(mark, mark)


def _number(text: str) -> int | float:
    """A number of at most 400 digits; a float that overflows is infinity."""
    digits = text.replace("_", "")
    if digits.lstrip("+-").isdecimal():
        return int(digits)
    return float(digits)
