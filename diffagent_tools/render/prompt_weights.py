"""A1111's prompt language: which words weigh how much, and where a chunk of 75 tokens ends.

    >>> parse_weights("a (corgi:1.3), [dull] BREAK night")
    (Part('a '), Part('corgi', 1.3), Part(', '), Part('dull', 0.909...), Part(' '), None, Part(' night'))

`(x)` weighs 1.1, `(x:1.3)` what it says, `[x]` 1/1.1; they nest and multiply; `\\(` is a bracket. `BREAK`
(None above) begins a new chunk. Prompts on Civitai are written in this language, not in that of compel.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CHUNK = 75
# a chunk ends at its last comma, if that leaves at most this many tokens for the next one (as A1111 does)
COMMA_REACH = 20
_UP = 1.1
_TOKEN = re.compile(
    r"\\[()\[\]\\]|\\|\(|\[|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|\)|\]|\bBREAK\b|[^\\()\[\]:B]+|:|B"
)


@dataclass(frozen=True)
class Part:
    """A piece of the prompt and its weight."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class Chunk:
    """Up to 75 tokens and the weight of each."""

    tokens: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()


def parse_weights(prompt: str) -> tuple[Part | None, ...]:
    """The pieces of a prompt in their order, None for `BREAK`; brackets left open end with the prompt."""
    pieces: list[list[float | str] | None] = []
    rounds: list[int] = []
    squares: list[int] = []

    def weigh(start: int, factor: float) -> None:
        for piece in pieces[start:]:
            if piece is not None:
                piece[1] = float(piece[1]) * factor

    for match in _TOKEN.finditer(prompt):
        text, number = match[0], match[1]
        if text == "(":
            rounds.append(len(pieces))
        elif text == "[":
            squares.append(len(pieces))
        elif number is not None and rounds:
            weigh(rounds.pop(), float(number))
        elif text == ")" and rounds:
            weigh(rounds.pop(), _UP)
        elif text == "]" and squares:
            weigh(squares.pop(), 1 / _UP)
        elif text == "BREAK":
            pieces.append(None)
        else:
            pieces.append([text[1:] if text[0] == "\\" and len(text) > 1 else text, 1.0])
    for start in rounds:
        weigh(start, _UP)
    for start in squares:
        weigh(start, 1 / _UP)
    return _joined(pieces)


def _joined(pieces: Sequence[list[float | str] | None]) -> tuple[Part | None, ...]:
    """Neighbours of one weight as one part."""
    parts: list[Part | None] = []
    for piece in pieces:
        last = parts[-1] if parts else None
        if piece is None:
            parts.append(None)
            continue
        text, weight = str(piece[0]), float(piece[1])
        if last is not None and math.isclose(last.weight, weight):
            parts[-1] = Part(last.text + text, weight)
        else:
            parts.append(Part(text, weight))
    return tuple(parts)


def chunks_of(
    parts: Sequence[Part | None], tokenize: Callable[[str], Sequence[int]], comma: int | None = None
) -> tuple[Chunk, ...]:
    """The tokens of a prompt in chunks of at most 75, at least one chunk.

    Args:
        tokenize: text -> token ids, without begin and end.
        comma: the id of the comma, at which a chunk is ended rather than within a phrase.
    """
    chunks: list[Chunk] = []
    tokens: list[int] = []
    weights: list[float] = []

    def close(count: int) -> None:
        chunks.append(Chunk(tuple(tokens[:count]), tuple(weights[:count])))
        del tokens[:count], weights[:count]

    for part in parts:
        if part is None:
            close(len(tokens))
            continue
        for token in tokenize(part.text):
            if len(tokens) == CHUNK:
                after = CHUNK - tokens[::-1].index(comma) if comma in tokens else 0
                close(after if CHUNK - after <= COMMA_REACH and token != comma else CHUNK)
            tokens.append(token)
            weights.append(part.weight)
    if tokens or not chunks:
        close(len(tokens))
    return tuple(chunks)
