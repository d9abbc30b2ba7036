"""The describer's sentence patterns: how styles, kinds of picture, subjects and motifs become English.

    leads(Parts("LoRA", "SD 1.5", ["anime"], ["illustrations"], ["women"]), turn=7371)

Every function yields the richest wording first, so that a caller takes the first that passes its checks.
`turn`, a model's id, decides which pattern comes first: neighbours in a list do not read alike.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ORDERS = 24  # of a list that are tried before it is shortened
_PEOPLE = ("women", "men", "characters", "warriors", "knights", "elves", "wizards", "robots", "aliens")
# styles that say how a picture is made; another style stands before them without "and"
_MANNERS = frozenset(
    ("anime", "photorealistic", "realistic", "semi-realistic", "2.5D", "3D", "cartoon")
) | frozenset(("comic-book", "chibi", "isometric", "low-poly", "painterly", "monochrome"))


@dataclass(frozen=True)
class Parts:
    """What a lead says; lists with what counts most first."""

    kind: str
    base: str
    styles: Sequence[str] = ()
    media: Sequence[str] = ()
    subjects: Sequence[str] = ()


def leads(parts: Parts, turn: int) -> Iterator[str]:
    """What a model makes, in one or two sentences; fewer styles and subjects the longer one asks."""
    for count in range(len(parts.subjects), -1, -1):
        for styles, media in itertools.product(_shorter(parts.styles), _shorter(parts.media)):
            for subjects in _subject_phrases(parts.subjects[:count]):
                yield from _rotated(_lead(parts, style_phrase(styles), listed(media), subjects), turn)


def motif_sentences(motifs: Sequence[str], turn: int) -> Iterator[str]:
    """Nothing for fewer than two: a single motif is as likely chance."""
    for count in range(len(motifs), 1, -1):
        for chosen in itertools.islice(itertools.permutations(motifs[:count]), _ORDERS):
            said = listed(chosen)
            yield from _rotated(
                (
                    f"Recurring details: {said}.",
                    f"Its samples return to {said}.",
                    f"Typical details: {said}.",
                    f"Frequent in its samples: {said}.",
                    f"Details that keep returning: {said}.",
                    f"Sample pictures often include {said}.",
                ),
                turn // 7,
            )


def _lead(parts: Parts, style: str, media: str, subjects: str) -> tuple[str, ...]:
    kind, base = parts.kind, parts.base
    made = f"{style} {media}".strip() if media else f"{style} pictures" if style else ""
    if made and subjects:
        return (
            f"Makes {made}, mostly {subjects}. {_article(base)} {base} {kind}.",
            f"{_article(base)} {base} {kind} for {made}; favourite subjects are {subjects}.",
            f"{capital(made)} are what this {kind} makes, chiefly {subjects}.",
            f"{base} {kind} producing {made}. Its subjects are mainly {subjects}.",
            f"Renders {subjects} as {made}. {_article(base)} {base} {kind}.",
            f"{capital(made)} with {subjects} as main subjects. {_article(base)} {base} {kind}.",
            f"{_article(base)} {base} {kind} for {made}, especially of {subjects}.",
            f"Gives {made}. {capital(subjects)} dominate; {kind} on {base}.",
        )
    if made:
        return (
            f"Makes {made}. {_article(base)} {base} {kind}.",
            f"{_article(base)} {base} {kind} for {made}.",
            f"{capital(made)} are what this {kind} makes.",
            f"{base} {kind} producing {made}.",
            f"Gives {made}; {kind} on {base}.",
        )
    if subjects:
        return (
            f"{_article(base)} {base} {kind} whose main subjects are {subjects}.",
            f"Mostly renders {subjects}. {_article(base)} {base} {kind}.",
            f"{capital(subjects)} are what this {kind} renders most.",
            f"{_article(base)} {base} {kind} with {subjects} as main subjects.",
            f"Renders {subjects}; {kind} on {base}.",
        )
    return (f"{_article(base)} {base} {kind}.", f"{capital(kind)} for {base}.", f"{base} {kind}.")


def style_phrase(styles: Sequence[str]) -> str:
    """ "fantasy anime", "retro and gothic": a manner stands last and needs no "and"."""
    manners = [style for style in styles if style in _MANNERS]
    others = [style for style in styles if style not in _MANNERS]
    return " ".join(part for part in (listed(others), listed(manners)) if part)


def _subject_phrases(subjects: Sequence[str]) -> Iterator[str]:
    """The list in several orders; "portraits" and people become "portraits of people"."""
    people = [subject for subject in subjects if subject in _PEOPLE]
    if "portraits" in subjects and people:
        rest = [subject for subject in subjects if subject not in ("portraits", people[0])]
        for portraits in (f"portraits of {people[0]}", f"{people[0]} in portraits"):
            for order in itertools.islice(itertools.permutations([portraits, *rest]), _ORDERS):
                yield listed(order)
    for order in itertools.islice(itertools.permutations(subjects), _ORDERS):
        yield listed(order)


def _shorter(items: Sequence[str]) -> list[Sequence[str]]:
    """The list, the list reversed, its items alone, nothing."""
    pairs = [items, items[::-1]] if len(items) > 1 else []
    return [*pairs, *((item,) for item in items), ()]


def _rotated(patterns: tuple[str, ...], turn: int) -> tuple[str, ...]:
    start = turn % len(patterns)
    return patterns[start:] + patterns[:start]


def listed(items: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def _article(text: str) -> str:
    return "An" if text[:1].casefold() in "aeiou" or text.startswith(("SD", "SDXL", "LCM", "NSD")) else "A"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
