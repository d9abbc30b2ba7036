"""Holds what is written to what several people write: nothing that a single creator's prompts hold comes out.

    joined("a lighthouse in a storm", ["sharp focus", "best quality"])    # as many as may be said, in order

Phrases are common language, five words in a row may still be one person's. The table beside this file holds
hashes of the five-word sequences that are in the training prompts of one creator alone and have a word of the
vocabulary in them (finetune/data/one_creator.py).
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

GUARD_FILE = Path(__file__).with_name("guard.safetensors")
TABLE = "five_words"
LENGTH = 5


def spoken(text: str) -> list[str]:
    """The words of a text in lower case; marks between them do not count."""
    return re.findall(r"\w+", text.lower())


def sequence_hash(five: Sequence[str]) -> int:
    """32 bits of five words."""
    return int.from_bytes(hashlib.blake2b(" ".join(five).encode(), digest_size=4).digest(), "big")


def joined(start: str, phrases: Iterable[str]) -> list[str]:
    """The phrases that may follow a text, one after the other. One that would end five words of one creator
    waits until another stands before it, and is left out where none helps."""
    said = spoken(start)
    kept: list[str] = []
    waiting = list(phrases)
    while waiting:
        free = next((phrase for phrase in waiting if _may_follow(said, spoken(phrase))), None)
        if free is None:
            break
        waiting.remove(free)
        kept.append(free)
        said += spoken(free)
    return kept


def _may_follow(said: Sequence[str], added: Sequence[str]) -> bool:
    row = [*said[1 - LENGTH :], *added]
    return not any(
        sequence_hash(row[first : first + LENGTH]) in _table() for first in range(len(row) - LENGTH + 1)
    )


@functools.cache
def _table() -> frozenset[int]:
    from safetensors.numpy import load_file

    return frozenset(load_file(GUARD_FILE)[TABLE].tolist())
