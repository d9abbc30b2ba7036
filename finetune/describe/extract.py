"""Description reconstruction: what a model is for, said in this project's own sentences.

    stats = TermStats.of(profiles)          # profiles: {model id: {term: share of its sample prompts}}
    describe(facts, stats)                  # "Made for pixel art; an SD 1.5 LoRA. Seen on landscapes."

The describer is extractive and deterministic. The facets that a model is made for
(retrieval/search/purpose.py) and the category that its tags name say the purpose; a word list
(finetune/describe/lexicon.py) turns the terms of its sample prompts into what it was seen on; sentence
patterns (finetune/describe/patterns.py), chosen by the model's id, put them together. Nothing is quoted:
single words and two-word terms are all that comes from prompts, and `forbidden` runs of three words are kept
out.
"""

import re
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from finetune.describe.lexicon import FACETS, SUBJECTS, THINGS
from finetune.describe.patterns import Parts, leads, seen_sentences, trigger_sentences
from finetune.describe.profiles import TermStats
from retrieval.search.purpose import STYLE_TAGS, WIDE, is_special, strengths
from retrieval.search.terms import prompt_terms, words
from retrieval.tables.facets import facets
from retrieval.tables.screen import is_blocked

MAX_WORDS = 60
_MADE_FOR, _SUBJECT_MADE_FOR, _FACETS = 0.3, 0.5, 3
_BROAD = WIDE | {"2.5d"}
"""what a checkpoint may be best at and still be an all-rounder"""
_TRIGGER_WORDS, _TRIGGER_CHARS, _MENU, _OFTEN = 2, 24, 2, 0.5
_WORD = re.compile(r"[^\W_]+")
_PLAIN = re.compile(r"[\w '.+-]+")  # a word that nobody can take for markup
_SAME_SUBJECT = (
    {"cars", "vehicles"},
    {"knights", "warriors"},
    {"mechs", "robots"},
    {"space", "spacecraft"},
    {"dragons", "monsters"},
    {"furniture", "interiors"},
    {"flowers", "plants"},
    {"skulls", "undead"},
    {"women", "characters"},
    {"men", "characters"},
    {"aircraft", "spacecraft"},
)


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


def describe(facts: RecordFacts, stats: TermStats, *, forbidden: Container[tuple[str, ...]] = ()) -> str:
    """One to three sentences of at most 60 words. Of a whole catalogue: `complete` in catalogue.py.

    Args:
        facts: of one model.
        stats: of all models' `terms`.
        forbidden: runs of three lower-case words that the description must not hold.
    """
    parts = _parts(facts)

    def is_fit(text: str) -> bool:
        # the family's name is a fact, whoever else wrote it
        checked = runs(text.replace(facts.base_model, "BASEMODEL"))
        return (
            len(text.split()) <= MAX_WORDS
            and not is_blocked(text)
            and not any(run in forbidden for run in checked)
        )

    said = next(filter(is_fit, leads(parts, facts.model_id)), f"{facts.base_model} {parts.kind}.")
    for more in (
        trigger_sentences(_trigger(facts), facts.model_id),
        seen_sentences(_seen(facts, stats, parts.made), facts.model_id, sampled=bool(facts.terms)),
    ):
        said = next(filter(is_fit, (f"{said} {sentence}" for sentence in more)), said)
    return said


def runs(text: str) -> Iterator[tuple[str, str, str]]:
    """Every run of three neighbouring words, in lower case, whatever stands between them."""
    found = [word.casefold() for word in _WORD.findall(text)]
    return zip(found, found[1:], found[2:], strict=False)


def _parts(facts: RecordFacts) -> Parts:
    found = strengths(facts)
    kinds = {facet.name: facet.kind for facet in facets()}
    made = [
        name
        for name in sorted(found, key=lambda name: (kinds[name] == "subject", -found[name], name))
        if found[name] >= (_SUBJECT_MADE_FOR if kinds[name] == "subject" else _MADE_FOR)
    ]
    narrow = any(kinds[name] == "medium" and name not in _BROAD for name in made)
    tags = {tag.casefold() for tag in facts.tags}
    own_style = not tags.isdisjoint(STYLE_TAGS)
    thing = next((said for tag, said in THINGS.items() if tag in tags), "")
    return Parts(
        kind="LoRA" if facts.type == "LORA" else "checkpoint",
        base=facts.base_model,
        made=[FACETS[name] for name in made[:_FACETS]],
        thing=thing if is_special(facts) else "",
        all_round=facts.type == "Checkpoint" and not narrow and not (own_style and facts.trigger_words),
        own_style=own_style,
    )


def _trigger(facts: RecordFacts) -> str:
    """The one word that a model wants to be said; nothing where its trigger words are a menu."""
    if not facts.trigger_words:
        return ""
    first = facts.trigger_words[0].strip()
    said = words(first)
    is_word = 0 < len(said) <= _TRIGGER_WORDS and len(first) <= _TRIGGER_CHARS and _PLAIN.fullmatch(first)
    often = facts.terms.get(" ".join(said), 0.0) >= _OFTEN
    return first if is_word and (len(facts.trigger_words) <= _MENU or often) else ""


def _seen(facts: RecordFacts, stats: TermStats, made: Collection[str]) -> list[str]:
    """What sample prompts show more than others' do, and tags name, but for what the model is made for."""
    evidence: dict[str, float] = {}
    for term, share in facts.terms.items():
        usual = stats.total.get(term, 0.0) / max(stats.count, 1)
        evidence[term] = max(share - usual, 0.0)
    for tag in facts.tags:
        for term in {*prompt_terms(tag), tag.casefold()}:
            evidence[term] = evidence.get(term, 0.0) + 0.6
    # weak evidence is better than none
    named = _named(evidence, SUBJECTS, 6, least=0.25) or _named(evidence, SUBJECTS, 2, floor=0.02)
    seen = _apart(named, _SAME_SUBJECT)
    return [subject for subject in seen if subject not in made][:4]


def _named(
    evidence: Mapping[str, float],
    table: Mapping[str, str],
    count: int,
    *,
    least: float = 0.2,
    floor: float = 0.15,
) -> list[str]:
    """What the table says for the terms with evidence, the strongest first.

    Args:
        least: of the strongest's score, what another needs.
        floor: the score that any needs.
    """
    scores: dict[str, float] = {}
    for term, said in table.items():
        # a plural that the table has itself says what it says there
        for spelled in (term, f"{term}s"):
            if spelled in evidence and (spelled == term or spelled not in table):
                scores[said] = scores.get(said, 0.0) + evidence[spelled]
    enough = max(floor, least * max(scores.values(), default=0.0))
    best = sorted((said for said in scores if scores[said] >= enough), key=lambda said: (-scores[said], said))
    return best[:count]


def _apart(chosen: Sequence[str], groups: Sequence[Collection[str]]) -> list[str]:
    """Without those that say nearly what an earlier one said."""
    kept: list[str] = []
    for said in chosen:
        if not any(said in group and not set(kept).isdisjoint(group) for group in groups):
            kept.append(said)
    return kept
