"""What every model of a catalogue is made for, read from its record by one program.

    purposes = Purposes(catalogue)
    purposes.strength("watercolor")                    # [N] in [0, 1]: 1 is made for it, .5 does it
    purposes.scores(asked_facets("a lighthouse, watercolor"))["facets.fit"]

The facets are those of retrieval/tables/facets.txt. Evidence is the name, then tags, trigger words, the
creator's strongest words and those of sample prompts; each piece alone may be wrong, so they add up as a
noisy-or. A model that claims many tags is less of each.
"""

import copy
import functools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from retrieval.kept import packed, unpacked
from retrieval.records.model import ModelRecord
from retrieval.search.terms import words
from retrieval.tables.facets import Phrases, facets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.kept import Tables

    Scores = NDArray[np.float32]

# how much one piece of evidence alone says that a model is made for a facet
_NAME, _TAG, _TAG_PART, _TRIGGER, _CREATOR, _SAMPLES = 0.65, 0.75, 0.7, 0.5, 0.5, 0.2
_TRIGGERS, _LATER_TRIGGER = 5, 0.3
_FEW_TAGS = 0.75  # facets that a model may claim by tags before each counts less
_DIVIDED = 0.2  # how much each other medium that a model is made for takes from one
_SURE = 1.4  # weak evidence counts less than its share
_NEAR = 0.45
# a medium is asked for; worlds and subjects are what most models can draw anyway
_WEIGHTS = {"medium": 1.0, "look": 0.35, "genre": 0.5, "subject": 0.05}
_SHOWN = 0.07
"""of a thing that belongs to a genre or medium, where a style is named beside it"""
_LEAST = 0.5
"""of all weights together: a subject alone says less than a style"""
_PLAIN = 0.5
"""how plain a request is that names a thing and no style, beside one that names nothing"""
_EFFECTS = frozenset(
    ("noise", "offset", "vae", "slider", "tweaker", "enhancer", "detailer", "contrast", "blur")
)
_EMPTY_WORDS = "a an the of in on with any kind style look like and or too very so much"
_EMPTY = frozenset(_EMPTY_WORDS.split())
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|_")
STYLE_TAGS = frozenset({"style", "styles", "art style", "artstyle", "style lora", "style art"})
# "a robot painting a portrait" and "drawing his sword" say what is done, not how the picture is made
_VERB = re.compile(
    r"\b(?:painting|drawing|sketching|knitting|photographing|rendering|filming|doodling|building)"
    r"(?= (?:an?|the|his|her|its|their|my|your|our|some|on|at|with) )(?! (?:on|with) (?:canvas|paper|wood))",
    re.IGNORECASE,
)
_LONG = 8
_NO_MISTAKE = frozenset(("pointing", "printing", "planting", "backlight", "backlit", "stationary"))
"""English words that are one letter from a word of the vocabulary"""
MADE_FOR = 0.25
"""the strength of a facet from which a model is said to be made for it"""
ALL_ROUND = ("photo", "digital painting", "fantasy")
"""looks of which one does for a request that names none"""
WIDE = frozenset((*ALL_ROUND, "anime", "illustration", "painting"))
"""media that most models can do: no model is narrow for them"""


class Described(Protocol):
    """What is read of a model: a record, or the facts that one is made of."""

    @property
    def model(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def tags(self) -> Sequence[str]: ...
    @property
    def trigger_words(self) -> Sequence[str]: ...
    @property
    def terms(self) -> Mapping[str, float]: ...
    @property
    def description_terms(self) -> Mapping[str, float]: ...


@functools.cache
def request_phrases() -> Phrases:
    """What requests call the facets."""
    return _phrases(
        (facet.name, (*facet.said, *facet.shown, *facet.asked, *facet.asked_shown)) for facet in facets()
    )


@functools.cache
def record_phrases() -> Phrases:
    """What names, tags, trigger words and descriptions of models call the facets."""
    return _phrases((facet.name, (facet.name, *facet.said, *facet.shown, *facet.also)) for facet in facets())


@functools.cache
def _shown() -> frozenset[str]:
    """The phrases that name a thing and no style, as `asked_facets` gives them."""
    listed = (phrase for facet in facets() for phrase in (*facet.shown, *facet.asked_shown))
    return frozenset(" ".join(words(phrase)) for phrase in listed)


@functools.cache
def _strangers() -> dict[str, tuple[str, ...]]:
    """For each facet the media that are neither itself nor near to it."""
    pairs = {(facet.name, near) for facet in facets() for near in facet.near}
    media = [facet.name for facet in facets() if facet.kind == "medium"]
    return {
        facet.name: tuple(
            other
            for other in media
            if other != facet.name and (facet.name, other) not in pairs and (other, facet.name) not in pairs
        )
        for facet in facets()
    }


def is_medium(name: str) -> bool:
    """Whether a facet says how a picture is made, as "watercolor" does."""
    return any(facet.name == name and facet.kind == "medium" for facet in facets())


def is_subject(name: str) -> bool:
    """Whether a facet says what is to be seen, as "food" does, and no style."""
    return any(facet.name == name and facet.kind == "subject" for facet in facets())


def asked_facets(text: str) -> dict[str, str]:
    """The facets that a request names, each with the phrase that names it."""
    found: dict[str, str] = {}
    spoken = [_spelt(word) for word in words(_VERB.sub(" ", text))]
    for facet, phrase, _ in request_phrases().found(spoken):
        found.setdefault(facet, phrase)
    return found


@functools.cache
def _spellings() -> tuple[list[str], frozenset[str]]:
    """The long words that stand for a style alone, and all words of the vocabulary."""
    said = [
        words(phrase)
        for facet in facets()
        if facet.kind != "subject"
        for phrase in (*facet.said, *facet.shown, *facet.asked, *facet.asked_shown)
    ]
    alone = sorted({phrase[0] for phrase in said if len(phrase) == 1 and len(phrase[0]) >= _LONG})
    return alone, frozenset(word for phrase in said for word in phrase) | _NO_MISTAKE


@functools.lru_cache(maxsize=10_000)
def _spelt(word: str) -> str:
    """A long word as the vocabulary spells it, if one letter is wrong, left out, doubled or misplaced."""
    if len(word) < _LONG - 1 or not word.isascii():
        return word
    alone, known = _spellings()
    if word in known:
        return word
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    same_start = [other for other in alone if other[0] == word[0]]
    best = process.extractOne(word, same_start, scorer=OSA.distance, score_cutoff=1)
    return best[0] if best else word


def _phrases(named: Iterable[tuple[str, tuple[str, ...]]]) -> Phrases:
    table: dict[tuple[str, ...], dict[str, None]] = {}
    for name, phrases in named:
        for phrase in phrases:
            table.setdefault(tuple(words(phrase)), {})[name] = None
    return Phrases({phrase: tuple(names) for phrase, names in table.items() if phrase})


class Purposes:
    """The facets of all records of a catalogue.

    Args:
        records: in the order of the returned scores.
        tables: what `purpose_tables` makes of them; the records are not read then.
    """

    def __init__(self, records: Iterable[ModelRecord], tables: "Tables | None" = None) -> None:
        import numpy as np

        made = tables if tables is not None else purpose_tables(records)
        vocabulary = facets()
        self._column = {facet.name: column for column, facet in enumerate(vocabulary)}
        self._weight = {facet.name: _WEIGHTS[facet.kind] for facet in vocabulary}
        self._strengths: Scores = made["purposes.strengths"]
        self._near = {
            facet.name: [self._column[other] for other in facet.near if other in self._column]
            for facet in vocabulary
        }
        self._checkpoint: Scores = made["purposes.checkpoint"]
        downloads: Scores = made["purposes.downloads"]
        self._popular = _scaled(np.log10(downloads + 100))
        self._downloads = np.log(downloads + 10)
        self._special: Scores = made["purposes.special"]
        # of each model's name, tags and trigger words; read when something is refused
        self._spoken = functools.cache(
            lambda: [frozenset(spoken) for spoken in unpacked(made["purposes.spoken"])]
        )
        self._rows: NDArray[np.intp] = np.arange(len(self._strengths))

    def at(self, rows: "NDArray[np.intp]") -> "Purposes":
        """The same of some of the records, in the order of `rows`."""
        part = copy.copy(self)
        for name in ("strengths", "checkpoint", "popular", "downloads", "special", "rows"):
            setattr(part, f"_{name}", getattr(self, f"_{name}")[rows])
        return part

    def strength(self, facet: str) -> "Scores":
        """How much each model is made for a facet, [N] in [0, 1]."""
        found: Scores = self._strengths[:, self._column[facet]]
        return found

    def scores(self, asked: Mapping[str, str]) -> "dict[str, Scores]":
        """ "facets.fit": the weighted mean over the asked facets, [N]; a neighbour does for less than half.
        "facets.general": how well a model does where no style is asked for. "popular" and "checkpoint": what
        users take most. "special": it is for one narrow thing;
        "facets.unasked": it is made for another medium, as icons or pixel art."""
        return {**self.fitting(asked), "facets.unasked": self._unasked(asked)}

    def fitting(self, asked: Mapping[str, str]) -> "dict[str, Scores]":
        """`scores` without "facets.unasked", which costs more than all others."""
        import numpy as np

        styles = [name for name in asked if self._weight[name] > _WEIGHTS["subject"]]
        shown = {name for name in styles if asked[name] in _shown()}
        named = len(shown) < len(styles)
        fit = np.zeros(len(self._strengths), np.float32)
        if asked:
            weights = np.asarray(
                [_SHOWN if named and name in shown else self._weight[name] for name in asked], np.float32
            )
            each = np.stack([self._does(name) for name in asked], 1)
            fit = each @ weights / np.float32(max(float(weights.sum()), _LEAST))
        plain = np.float32(0 if named else _PLAIN if styles else 1)
        general = plain * np.max([self.strength(name) for name in ALL_ROUND], axis=0)
        return {
            "facets.fit": fit,
            "facets.general": general,
            "popular": self._popular,
            "downloads": self._downloads,
            "checkpoint": self._checkpoint,
            "special": self._special,
            "narrow": plain * (1 - self._checkpoint),
        }

    def _unasked(self, asked: Mapping[str, str]) -> "Scores":
        """How much each model is made for a medium that is neither asked for nor near to what is, [N]."""
        import numpy as np

        known = {facet.name: facet for facet in facets()}
        fitting = {near for name in asked for near in (name, *known[name].near)} | WIDE
        others = [
            self._column[facet.name]
            for facet in known.values()
            if facet.kind == "medium" and facet.name not in fitting
        ]
        found: Scores = np.maximum(self._strengths[:, others].max(1, initial=0) - 0.5, 0) * 2
        return found

    def against(self, refused: Sequence[str]) -> "Scores":
        """How much each model is made for each refused thing, [r, N] in [0, 1]: by its facets, and by its
        name, tags and trigger words where it is no facet."""
        import numpy as np

        rows: list[Scores] = []
        for text in refused:
            asked = asked_facets(text)
            rows += [self.strength(name) for name in asked]
            if not asked:
                rows.append(self._says(text))
        return np.stack(rows) if rows else np.zeros((0, len(self._strengths)), np.float32)

    def _says(self, text: str) -> "Scores":
        import numpy as np

        said = set(words(text)) - _EMPTY
        spoken = self._spoken()
        share = [len(said & spoken[row]) / len(said) if said else 0.0 for row in self._rows]
        return np.asarray(share, np.float32) * np.float32(_TAG_PART)

    def _does(self, name: str) -> "Scores":
        import numpy as np

        own: Scores = self.strength(name)
        near = self._near[name]
        return np.maximum(own, _NEAR * self._strengths[:, near].max(1)) if near else own


def purpose_tables(records: Iterable[ModelRecord]) -> "dict[str, NDArray[Any]]":
    """All that a `Purposes` knows of its records, as arrays by name."""
    import numpy as np

    listed = list(records)
    vocabulary = facets()
    column = {facet.name: place for place, facet in enumerate(vocabulary)}
    found = np.zeros((len(listed), len(vocabulary)), np.float32)
    for row, record in enumerate(listed):
        for name, value in strengths(record).items():
            found[row, column[name]] = value
    spoken = [" ".join((record.model, *record.tags, *record.trigger_words[:_TRIGGERS])) for record in listed]
    return {
        "purposes.strengths": found,
        "purposes.checkpoint": np.asarray([record.type == "Checkpoint" for record in listed], np.float32),
        "purposes.downloads": np.asarray([record.stats.downloads or 0 for record in listed], np.float32),
        "purposes.special": np.asarray([is_special(record) for record in listed], np.float32),
        "purposes.spoken": packed([sorted(set(_words(text))) for text in spoken]),
    }


def strengths(record: Described) -> dict[str, float]:
    """How much a model is made for each facet that its record speaks of, in (0, 1]."""
    evidence = [
        {facet: _NAME for facet, _, _ in record_phrases().found(_words(record.model))},
        _of_tags(record.tags),
        _of_triggers(record.trigger_words[:_TRIGGERS]),
        _of_terms(record.description_terms, _CREATOR),
        _of_terms(record.terms, _SAMPLES),
    ]
    doubt: dict[str, float] = {}
    for found in evidence:
        for facet, value in found.items():
            doubt[facet] = doubt.get(facet, 1.0) * (1 - value)
    return _divided({facet: (1 - left) ** _SURE for facet, left in doubt.items()})


def _divided(found: Mapping[str, float]) -> dict[str, float]:
    """Who claims several media that have nothing to do with each other is made for none of them alone."""
    strangers = _strangers()
    others = {name: sum(found[other] ** 2 for other in strangers[name] if other in found) for name in found}
    return {name: value / math.sqrt(1 + _DIVIDED * others[name]) for name, value in found.items()}


def is_special(record: Described) -> bool:
    """A LoRA that changes no style: a character, an outfit, a pose, one kind of object; or what adds an
    effect, such as more detail or darkness, whatever style it names."""
    if not _EFFECTS.isdisjoint(_words(record.model)):
        return True
    return record.type == "LORA" and not STYLE_TAGS.intersection(tag.casefold() for tag in record.tags)


def _of_tags(tags: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for tag in tags:
        for facet, _, whole in record_phrases().found(_words(tag)):
            found[facet] = max(found.get(facet, 0.0), _TAG if whole else _TAG_PART)
    breadth = min(1.0, math.sqrt(_FEW_TAGS / max(1, len(found))))
    return {facet: value * breadth for facet, value in found.items()}


def _of_triggers(triggers: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for place, trigger in enumerate(triggers):
        for facet, _, _ in record_phrases().found(_words(trigger)):
            found[facet] = max(found.get(facet, 0.0), _TRIGGER / (1 + _LATER_TRIGGER * place))
    return found


def _of_terms(terms: Mapping[str, float], most: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for term, weight in terms.items():
        for facet, _, whole in record_phrases().found(term.split()):
            if whole:
                found[facet] = max(found.get(facet, 0.0), min(1.0, weight) * most)
    return found


def _words(text: str) -> list[str]:
    """Words, those of "RetroFuturismAI" apart."""
    return words(_HUMP.sub(" ", text))


def _scaled(values: "Scores") -> "Scores":
    if not values.size or values.max() == values.min():
        return values * 0
    scaled: Scores = (values - values.min()) / (values.max() - values.min())
    return scaled
