"""Description reconstruction: what a model makes, said in this project's own sentences.

    stats = TermStats.of(profiles)          # profiles: {model id: {term: share of its sample prompts}}
    describe(facts, stats)

The describer is extractive and deterministic. Class-based TF-IDF picks the terms that a model's sample
prompts hold and other models' do not; word lists (finetune/lexicon.py) turn terms, tags and names into
styles, kinds of picture and subjects; a few sentence patterns, chosen by the model's id, put them together.
Nothing is quoted: single words and two-word terms are all that comes from prompts, and `forbidden` runs of
three words are kept out.
"""

import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from finetune.lexicon import MEDIA, QUALITY, STYLES, SUBJECTS
from finetune.profiles import TermStats
from finetune.screen import is_blocked
from retrieval.terms import prompt_terms, words

MAX_WORDS = 60
_MOTIFS = 6
_ORDERS = 48  # of a list that are tried before it is shortened
_MIN_MODELS = 3  # a motif must be common language, which a name is not: several models' prompts hold it,
_MIN_MODELS_WORD = 8  # and each of its words
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class RecordFacts:
    """What the describer may know of a model; `terms` as `term_profile` makes them."""

    model_id: int
    model: str
    type: str
    base_model: str
    tags: tuple[str, ...] = ()
    trigger_words: tuple[str, ...] = ()
    terms: Mapping[str, float] = field(default_factory=dict)
    description_terms: Mapping[str, float] = field(default_factory=dict)


def describe(facts: RecordFacts, stats: TermStats, *, forbidden: Collection[tuple[str, ...]] = ()) -> str:
    """One to three sentences of at most 60 words.

    Args:
        forbidden: runs of three lower-case words that the description must not hold.
    """
    slots = _Slots.of(facts, stats)
    text = ""
    for sentences in (_openings(facts, slots), _subjects(facts, slots), _motif_lists(facts, slots)):
        for sentence in sentences:
            longer = f"{text} {sentence}".strip()
            # the family's name is a fact, whoever else wrote it
            checked = runs(longer.replace(facts.base_model, "BASEMODEL"))
            if len(longer.split()) > MAX_WORDS or is_blocked(longer):
                continue
            if not any(run in forbidden for run in checked):
                text = longer
                break
    return text or f"{facts.base_model} {_kind(facts)}."


def runs(text: str) -> Iterator[tuple[str, str, str]]:
    """Every run of three neighbouring words, in lower case, whatever stands between them."""
    found = [word.casefold() for word in _WORD.findall(text)]
    return zip(found, found[1:], found[2:], strict=False)


@dataclass(frozen=True)
class _Slots:
    styles: list[str]
    media: list[str]
    subjects: list[str]
    motifs: list[str]

    @classmethod
    def of(cls, facts: RecordFacts, stats: TermStats) -> "_Slots":
        evidence = _evidence(facts, stats)
        styles = _named(evidence, STYLES, 3)
        if "photorealistic" in styles:
            styles = [style for style in styles if style != "realistic"]
        styles = styles[:2]
        media = _named(evidence, MEDIA, 2)
        subjects = _named(evidence, SUBJECTS, 4)
        said = {word for phrase in (*styles, *media, *subjects) for word in words(phrase)}
        return cls(styles, media, subjects, _motifs(facts, stats, said))


def _evidence(facts: RecordFacts, stats: TermStats) -> dict[str, float]:
    """How much speaks for each term: tags and the name most, then what is more frequent here."""
    evidence: dict[str, float] = {}
    for term, share in facts.terms.items():
        usual = stats.total.get(term, 0.0) / max(stats.count, 1)
        evidence[term] = max(share - usual, 0.0)
    if not facts.terms:
        for term, share in facts.description_terms.items():
            evidence[term] = 0.3 * share
    for text, bonus in ((facts.model, 0.8), *((tag, 0.6) for tag in facts.tags)):
        for term in {*prompt_terms(text), text.casefold()}:
            evidence[term] = evidence.get(term, 0.0) + bonus
    return evidence


def _named(evidence: Mapping[str, float], table: Mapping[str, str], count: int) -> list[str]:
    scores: dict[str, float] = {}
    for term, said in table.items():
        if term in evidence:
            scores[said] = scores.get(said, 0.0) + evidence[term]
    best = sorted((said for said in scores if scores[said] >= 0.1), key=lambda said: (-scores[said], said))
    return best[:count]


def _motifs(facts: RecordFacts, stats: TermStats, said: Collection[str]) -> list[str]:
    own = {word for text in (facts.model, *facts.trigger_words, *facts.tags) for word in words(text)}
    kept = {**STYLES, **MEDIA, **SUBJECTS}
    # a creator's text speaks of downloads and thanks; only sample prompts speak of pictures
    profile = facts.terms
    scored = sorted(profile, key=lambda term: (-_motif_weight(term, profile[term], stats), term))
    motifs: list[str] = []
    used: set[str] = set(said)
    for term in scored:
        parts = set(term.split())
        plain = parts.isdisjoint(QUALITY) and parts.isdisjoint(own) and parts.isdisjoint(used)
        common = stats.models.get(term, 0) >= _MIN_MODELS and all(
            stats.models.get(part, 0) >= _MIN_MODELS_WORD for part in parts
        )
        if plain and common and term.isascii() and min(map(len, parts)) > 2:
            if term in kept or is_blocked(term):
                continue
            motifs.append(term)
            used |= parts
        if len(motifs) == 12:
            break
    return motifs


def _motif_weight(term: str, share: float, stats: TermStats) -> float:
    return stats.weight(term, share) * (1.3 if " " in term else 1.0)


def _openings(facts: RecordFacts, slots: _Slots) -> Iterator[str]:
    """First sentences, the richest first; which pattern comes first turns with the model's id."""
    for styles, media in itertools.product(_shorter(slots.styles, facts), _shorter(slots.media, facts)):
        yield from _rotated(_opening(facts, _list(styles), _list(media)), facts.model_id)


def _opening(facts: RecordFacts, style: str, media: str) -> tuple[str, ...]:
    kind, base, article = _kind(facts), facts.base_model, _article(style)
    if style and media:
        return (
            f"{_capital(style)} {media} from this {base} {kind}.",
            f"{article} {style} {kind} producing {media}.",
            f"{_capital(kind)} tuned towards {style} {media}.",
            f"{base} {kind} whose {media} look {style}.",
            f"Yields {style} {media}; {kind}, {base}.",
        )
    if style:
        return (
            f"{_capital(style)} {kind} made for {base}.",
            f"{article} {style} {kind} on {base}.",
            f"{_capital(kind)} tuned towards {article.lower()} {style} look.",
            f"{base} {kind} leaning {style}.",
            f"Yields {style} pictures; {kind}, {base}.",
        )
    if media:
        return (
            f"{_capital(media)} from this {base} {kind}.",
            f"{base} {kind} producing {media}.",
            f"{_capital(kind)} tuned towards {media}.",
            f"{_capital(kind)} mainly yielding {media}.",
            f"Yields {media}; {kind}, {base}.",
        )
    return (f"{_capital(kind)} for {base}.", f"{base} {kind}.", f"{_capital(kind)} built upon {base}.")


def _subjects(facts: RecordFacts, slots: _Slots) -> Iterator[str]:
    for count in range(len(slots.subjects), 0, -1):
        for chosen in itertools.permutations(slots.subjects[:count]):
            listed = _list(list(chosen))
            yield from _rotated(
                (
                    f"Favours {listed}.",
                    f"Subjects: {listed}.",
                    f"Mostly renders {listed}.",
                    f"Depicts {listed}.",
                ),
                facts.model_id,
            )


def _motif_lists(facts: RecordFacts, slots: _Slots) -> Iterator[str]:
    for count in range(min(len(slots.motifs), _MOTIFS), 0, -1):
        for chosen in itertools.islice(itertools.permutations(slots.motifs[:count]), _ORDERS):
            listed = ", ".join(chosen)
            yield from _rotated(
                (
                    f"Motifs: {listed}.",
                    f"Typical: {listed}.",
                    f"Recurring: {listed}.",
                    f"Often with {listed}.",
                ),
                facts.model_id,
            )


def _shorter(items: list[str], facts: RecordFacts) -> list[list[str]]:
    """The list, the list reversed, its items alone, nothing."""
    pairs = [items, items[::-1]] if len(items) > 1 else []
    return [*(pairs[::-1] if facts.model_id % 2 else pairs), *([item] for item in items), []]


def _rotated(patterns: tuple[str, ...], turn: int) -> tuple[str, ...]:
    start = turn % len(patterns)
    return patterns[start:] + patterns[:start]


def _kind(facts: RecordFacts) -> str:
    return "LoRA" if facts.type == "LORA" else "checkpoint"


def _turned(items: list[str], shift: int) -> list[str]:
    """The list in another order: as it is, reversed, sorted, sorted reversed."""
    return (items, items[::-1], sorted(items), sorted(items, reverse=True))[shift]


def _list(items: list[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def _article(text: str) -> str:
    return "An" if text[:1].casefold() in "aeiou" or text.startswith(("SD", "SDXL")) else "A"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
