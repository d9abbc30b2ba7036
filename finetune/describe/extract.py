"""Description reconstruction: what a model makes, said in this project's own sentences.

    stats = TermStats.of(profiles)          # profiles: {model id: {term: share of its sample prompts}}
    describe(facts, stats)

The describer is extractive and deterministic. Class-based TF-IDF picks the terms that a model's sample
prompts hold and other models' do not; word lists (finetune/describe/lexicon.py) turn terms, tags and names
into styles, kinds of picture and subjects; sentence patterns (finetune/describe/patterns.py), chosen by the
model's id, put them together. Nothing is quoted: single words and two-word terms are all that comes from
prompts, and `forbidden` runs of three words are kept out.
"""

import re
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from finetune.describe.lexicon import ADJECTIVES, MEDIA, NOUNS_IN_ING, QUALITY, STYLES, SUBJECTS
from finetune.describe.patterns import Parts, leads, motif_sentences
from finetune.describe.profiles import TermStats
from retrieval.search.terms import prompt_terms, words
from retrieval.tables.screen import is_blocked

MAX_WORDS = 60
_MOTIFS = 6
_MIN_MODELS = 3  # a motif must be common language, which a name is not: several models' prompts hold it,
_MIN_MODELS_WORD = 8  # and each of its words
_JOINED = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")
_NO_START = frozenset({"extreme", "armor", "motion", "four", "shaped", "complicated", "complex", "another"})
_FRAGMENTS = frozenset({"traditional media", "teal hairstyle", "futuristic sci", "colorful water"})
_SAME_STYLE = (
    {"photorealistic", "realistic", "semi-realistic"},
    {"retro", "vintage"},
    {"futuristic", "science-fiction", "cyberpunk"},
    {"fantasy", "dark fantasy"},
    {"2.5D", "3D"},
    {"horror", "gothic"},
)
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
    slots = _Slots.of(facts, stats)
    kind = "LoRA" if facts.type == "LORA" else "checkpoint"
    parts = Parts(kind, facts.base_model, slots.styles, slots.media, slots.subjects)

    def is_fit(text: str) -> bool:
        # the family's name is a fact, whoever else wrote it
        checked = runs(text.replace(facts.base_model, "BASEMODEL"))
        return (
            len(text.split()) <= MAX_WORDS
            and not is_blocked(text)
            and not any(run in forbidden for run in checked)
        )

    lead = next(filter(is_fit, leads(parts, facts.model_id)), f"{facts.base_model} {kind}.")
    longer = (f"{lead} {sentence}" for sentence in motif_sentences(slots.motifs, facts.model_id))
    return next(filter(is_fit, longer), lead)


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
        styles = _apart(_named(evidence, STYLES, 4), _SAME_STYLE)[:2]
        media = _named(evidence, MEDIA, 2, least=0.4)
        if "pixel-art" in styles and not {"game assets", "game icons"} & set(media):
            styles.remove("pixel-art")
            media = ["pixel art"]
        if "photorealistic" in styles and "photographs" in media:
            media.remove("photographs")
            media = media or ["images"]
        elif "realistic" in styles and "photographs" in media:
            styles.remove("realistic")
        if "3D" in styles and "renders" not in media and not media:
            media = ["renders"]
        subjects = _apart(_named(evidence, SUBJECTS, 6, least=0.25), _SAME_SUBJECT)
        if "architectural views" in media and len(subjects) > 1:
            subjects = [subject for subject in subjects if subject != "buildings"]
        if not (styles or media or subjects):  # weak evidence is better than none
            styles, subjects = (
                _named(evidence, STYLES, 1, floor=0.05),
                _named(evidence, SUBJECTS, 2, floor=0.05),
            )
        subjects = subjects[:4]
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
            # "buy me a coffee" is not about food
            evidence[term] = 0.0 if term == "coffee" else 0.25 * share
    for part in words(_JOINED.sub(" ", facts.model)):
        if part in STYLES:  # "SurrealismAI" speaks of surrealism, "MachineCode" of no machines
            evidence[part] = evidence.get(part, 0.0) + 0.4
    for text, bonus in ((facts.model, 0.8), *((tag, 0.6) for tag in facts.tags)):
        for term in {*prompt_terms(text), text.casefold()}:
            evidence[term] = evidence.get(term, 0.0) + bonus
    return evidence


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


def _motifs(facts: RecordFacts, stats: TermStats, said: Collection[str]) -> list[str]:
    tagged = {word for tag in facts.tags for word in words(tag)}
    own = {_stem(word) for word in words(facts.model) if word not in tagged}
    own |= {_stem(word) for text in facts.trigger_words for word in words(text)}
    # a creator's text speaks of downloads and thanks; only sample prompts and tags speak of pictures
    profile = {**facts.terms}
    for tag in facts.tags:
        if len(tag.split()) <= 2:
            profile[tag.casefold()] = profile.get(tag.casefold(), 0.0) + 0.5
    rarest = min(facts.terms.values(), default=0.0)
    # of many prompts two must hold a motif
    if rarest <= 0.25:
        profile = {term: share for term, share in profile.items() if share > 1.5 * rarest}
    scored = sorted(profile, key=lambda term: (-_motif_weight(term, profile[term], stats), term))
    motifs: list[str] = []
    used = {_stem(word) for word in said}
    for term in scored:
        stems = {_stem(part) for part in term.split()}
        if (
            stems.isdisjoint(own)
            and stems.isdisjoint(used)
            and _is_common(term, stats)
            and _is_thing(term)
            and not is_blocked(term)
        ):
            motifs.append(term)
            used |= stems
        if len(motifs) == _MOTIFS:
            break
    return motifs


def _is_common(term: str, stats: TermStats) -> bool:
    return stats.models.get(term, 0) >= _MIN_MODELS and all(
        stats.models.get(part, 0) >= _MIN_MODELS_WORD for part in term.split()
    )


def _is_thing(term: str) -> bool:
    """Whether a term may be a thing in a picture, as far as lists and endings tell."""
    parts = term.split()
    last = parts[-1]
    if not term.isascii() or min(map(len, parts)) <= 2 or not QUALITY.isdisjoint(parts):
        return False
    if term in STYLES or term in MEDIA or term in SUBJECTS or any(part in MEDIA for part in parts):
        return False
    if any(part.endswith("ly") and part not in ("butterfly", "lily") for part in parts):
        return False
    if term in _FRAGMENTS or last in ADJECTIVES or (len(parts) > 1 and parts[0] in _NO_START):
        return False
    return not last.endswith(("ing", "ed")) or last in NOUNS_IN_ING


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _motif_weight(term: str, share: float, stats: TermStats) -> float:
    return stats.weight(term, share) * (1.3 if " " in term else 1.0)
