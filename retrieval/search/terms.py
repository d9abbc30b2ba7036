"""How a prompt becomes the words and two-word terms that profiles are made of and searched by.

>>> prompt_terms("(masterpiece:1.2), pixel art corgi")
['masterpiece', 'pixel', 'art', 'corgi', 'pixel art', 'art corgi']
"""

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

# letters of one script run together, digits kept with Latin letters ("8k", "sdxl10")
_WORD = re.compile(r"[a-z0-9]+|[^\W\d_a-z]+")
# scripts that write no spaces: their words are taken as pairs of characters
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_TAG = re.compile(r"<[^<>]{0,200}>")
_WEIGHT = re.compile(r":\s*\d+(?:\.\d+)?")
_SEGMENT = re.compile(r"[,\n|.;]+")


def words(text: str) -> list[str]:
    """Lower-case words after NFKC; runs of Chinese, Japanese or Korean become overlapping character pairs."""
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).lower()):
        if len(word) > 1 and _UNSPACED.search(word):
            found.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            found.append(word)
    return found


def prompt_terms(prompt: str) -> list[str]:
    """Words, then two-word terms, of a prompt: `<lora:...>` tags and attention weights left out.

    A two-word term never reaches over a comma, a full stop or a line's end, because what stands on the two
    sides of one are separate wishes.
    """
    single: list[str] = []
    double: list[str] = []
    for segment in _SEGMENT.split(_WEIGHT.sub("", _TAG.sub(" ", prompt))):
        found = words(segment)
        single.extend(found)
        double.extend(f"{first} {second}" for first, second in pairwise(found))
    return single + double


def squash(text: str) -> str:
    """Letters and digits only, in lower case, without spaces: "ReV_Animated" and "rev animated" meet here."""
    return "".join(_WORD.findall(unicodedata.normalize("NFKC", text).lower()))


def all_terms(texts: Iterable[str]) -> list[str]:
    """The terms of several texts one after the other; no term reaches from one text into the next."""
    return [term for text in texts for term in prompt_terms(text)]
