"""Everyday requests that nobody wrote: captions as content, facets as style, in many wordings.

    made = sentences(captions, 1500, seed=0)
    made[0].text, made[0].facets        # "can you draw a dog on a beach in watercolor?", ("watercolor",)

Captions are short sentences that say what a picture shows, such as those of COCO or Parti. The style is a
phrase of the closed vocabulary (retrieval/tables/facets.txt); a fourth of the requests names none. Misspelt
words, capitals and articles vary as people vary them.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.tables.facets import Facet, facets

_PLAIN = 0.25
_MISSPELT = 0.06
_LOWERED = 0.8
_NO_ARTICLE = 0.25
_SHORT = 0.6
_SECOND_STYLE = 0.35
_TERSE = 0.7
# "a man in a red hat riding a horse" begins with "a man"
_CUT = re.compile(
    r"^(?:(?:an?|the) )?(?:[\w-]+ ){0,2}?[\w-]+(?= (?:of|on|in|with|and|is|are|at|by|to|next|that|\w+ing)\b)",
    re.IGNORECASE,
)
_WORDINGS = (
    "{content}, {style}",
    "{style}, {content}",
    "{style} of {content}",
    "{content} in {style} style",
    "{content} as {style}",
    "{content} {style}",
    "{style} {content}",
    "a {style} picture of {content}",
    "please make {content}, {style}",
    "I want {content} in {style}",
    "I need {content}, {style} please",
    "can you draw {content} in {style} style?",
    "could you make me {content} ({style})",
    "{content}. It should look like {style}.",
    "looking for something like {style}: {content}",
)
_TELEGRAPHIC = frozenset(
    ("{content}, {style}", "{style}, {content}", "{content} {style}", "{style} {content}")
)
_PLAIN_WORDINGS = (
    "{content}",
    "a picture of {content}",
    "please draw {content}",
    "can you make {content}?",
    "I would like to see {content}",
    "{content} please",
)


@dataclass(frozen=True)
class Sentence:
    """A made request, and the facets whose phrases it names."""

    text: str
    facets: tuple[str, ...]


def sentences(captions: Sequence[str], count: int, seed: int = 0) -> list[Sentence]:
    """Made requests, the same for the same seed.

    Args:
        captions: what pictures show, a short sentence each; at least one.
    """
    drawn = random.Random(seed)
    styles = [facet for facet in facets() if facet.kind != "subject" and facet.said]
    return [_made(drawn, drawn.choice(captions), styles) for _ in range(count)]


def _made(drawn: random.Random, caption: str, styles: Sequence[Facet]) -> Sentence:
    content = caption.strip().rstrip(".")
    short = _CUT.match(content) if drawn.random() < _SHORT else None
    if short:
        content = short.group()
    if drawn.random() < _LOWERED:
        content = content[:1].lower() + content[1:]
    if drawn.random() < _NO_ARTICLE:
        first, _, rest = content.partition(" ")
        content = rest if first.casefold() in ("a", "an", "the") and rest else content
    wording = drawn.choice(_WORDINGS)
    if short and wording in _TELEGRAPHIC and drawn.random() < _TERSE:
        content = re.sub(r"^(?:an?|the) ", "", content, flags=re.IGNORECASE)
    if drawn.random() < _PLAIN:
        return Sentence(_misspelt(drawn, drawn.choice(_PLAIN_WORDINGS).format(content=content)), ())
    facet = drawn.choice(styles)
    text = wording.format(content=content, style=drawn.choice(facet.said))
    named = [facet.name]
    if drawn.random() < _SECOND_STYLE:
        other = drawn.choice(styles)
        text = f"{text.rstrip('.?')}, {drawn.choice(other.said)}"
        named.append(other.name)
    return Sentence(_misspelt(drawn, text), tuple(dict.fromkeys(named)))


def _misspelt(drawn: random.Random, text: str) -> str:
    """The text, now and then with two letters of a long word in the wrong order."""
    said = text.split(" ")
    for place, word in enumerate(said):
        if len(word) > 5 and word.isalpha() and drawn.random() < _MISSPELT / 2:
            cut = drawn.randrange(1, len(word) - 2)
            said[place] = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :]
    return " ".join(said)
