"""The describer's sentence patterns: how a model's purpose becomes English.

    leads(Parts("LoRA", "SD 1.5", ["pixel art"]), turn=7371)     # "Made for pixel art; an SD 1.5 LoRA.", ...

Every function yields the richest wording first, so that a caller takes the first that passes its checks.
`turn`, a model's id, decides which pattern comes first: neighbours in a list do not read alike.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ORDERS = 24  # of a list that are tried before it is shortened


@dataclass(frozen=True)
class Parts:
    """What a lead says: what the model is made for, what counts most first; the one `thing` that a special
    LoRA adds; whether a checkpoint does for anything; whether it changes the style, whatever that is."""

    kind: str
    base: str
    made: Sequence[str] = ()
    thing: str = ""
    all_round: bool = False
    own_style: bool = False


def leads(parts: Parts, turn: int) -> Iterator[str]:
    """What a model is for, in one or two sentences; fewer styles the longer one asks."""
    for made in _phrases(parts.made):
        yield from _rotated(_lead(parts, made), turn)


def trigger_sentences(trigger: str, turn: int) -> Iterator[str]:
    if trigger:
        yield from _rotated((f"Add “{trigger}”.", f"Trigger: “{trigger}”.", f"“{trigger}” starts it."), turn)


def seen_sentences(subjects: Sequence[str], turn: int, *, sampled: bool) -> Iterator[str]:
    """Nothing for an empty list; without sample prompts, what the tags name."""
    for said in _phrases(subjects):
        if said:
            if not sampled:
                yield f"Its tags name {said}."
                continue
            yield from _rotated(
                (f"Seen on {said}.", f"Its samples: {said}.", f"Sampled with {said}.", f"Shown on {said}."),
                turn // 3,
            )


def _lead(parts: Parts, made: str) -> tuple[str, ...]:
    named = f"{parts.base} {parts.kind}"
    one = f"{_article(parts.base)} {named}"
    if parts.thing:
        style = f", in the look of {made}" if made else ""
        return (
            f"For {parts.thing}{style}: {_lower(one)}.",
            f"{one} for {parts.thing}{style}.",
            f"{one}; it adds {parts.thing}{style}.",
        )
    if parts.all_round and made:
        return (
            f"An all-round {named}, strongest at {made}.",
            f"All-round {named}; best: {made}.",
            f"An all-round {named}, best at {made}.",
        )
    if parts.all_round:
        return (f"An all-round {named}.", f"All-round {named}.")
    if made:
        return (
            f"Made for {made}; {_lower(one)}.",
            f"{one} made for {made}.",
            f"{_capital(made)}: {_lower(one)}.",
            f"{one}; purpose: {made}.",
        )
    if parts.own_style:
        return (f"{one} with a look of its own.", f"A look of its own: {_lower(one)}.", f"{one}; own style.")
    return (f"{one}.", f"{_capital(parts.kind)} for {parts.base}.", f"{named}.")


def _phrases(items: Sequence[str]) -> Iterator[str]:
    """The list in several orders, then shorter, then nothing."""
    for count in range(len(items), 0, -1):
        for order in itertools.islice(itertools.permutations(items[:count]), _ORDERS):
            yield listed(order)
    yield ""


def _rotated(patterns: tuple[str, ...], turn: int) -> tuple[str, ...]:
    start = turn % len(patterns)
    return patterns[start:] + patterns[:start]


def listed(items: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def _article(text: str) -> str:
    return "An" if text[:1].casefold() in "aeiou" or text.startswith(("SD", "SDXL", "LCM", "NSD")) else "A"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
