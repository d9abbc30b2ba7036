"""Which models a search may find: one filter as Chroma's `where`, as a mask over a catalogue, on a record.

All three read the same facets of a record, so that they agree; the index stores them beside the vector.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput, NoPictureAsked
from retrieval.kept import packed, unpacked
from retrieval.records.api import Instruction
from retrieval.records.model import SAFE, ModelRecord
from retrieval.requests.understanding import Names, Understood, reads_as_prompt, understand
from retrieval.tables.families import family_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.kept import Tables

_TYPES = {"lora": "LORA", "checkpoint": "Checkpoint"}
_LICENCES: dict[bool | None, str] = {True: "yes", False: "no", None: "unknown"}
_LEVELS = (1, 2, 4, 8, 16, 32)  # Civitai's browsing levels, the last for what is blocked
_UNRATED = len(_LEVELS) + 1

Facet = str | int | bool


def facets(record: ModelRecord) -> dict[str, Facet]:
    """What filters ask of a record; `level` counts browsing levels from 1, the lowest it is within."""
    level = record.browsing_level
    return {
        "family": record.base_model,
        "type": record.type,
        "available": record.available,
        "commercial": _LICENCES[record.allows_commercial_use()],
        "level": level.bit_length() if level is not None else _UNRATED,
    }


class FilterWords(TypedDict, total=False):
    """Which models may be found, as callers say it.

    `base_model`: a family's name or any spelling of it. `type`: "LORA" or "Checkpoint". `commercial_use`
    True: only models whose licence is known to allow selling images; False asks for nothing. `exclude`: model
    ids, names or AIRs. `max_nsfw`: the highest browsing level of Civitai (1 PG, 2 PG-13, 4 R, 8 X, 16 XXX).
    """

    base_model: str | None
    type: str | None
    commercial_use: bool | None
    exclude: Iterable[int | str]
    max_nsfw: int | None


@dataclass(frozen=True)
class Filter:
    """What a search may find; None, or nothing, where a facet does not matter.

    `unrated`: what nobody rated passes any level. `nobody`: no model of a real person or of a minor.
    """

    family: str | None = None
    type: str | None = None
    commercial: str | None = None
    level: int | None = None
    available: bool | None = None
    exclude: frozenset[int] = frozenset()
    unrated: bool = False
    nobody: bool = False

    @classmethod
    def of(cls, catalogue: Catalogue, *, available: bool | None = True, **words: Unpack[FilterWords]) -> Self:
        """The filter that a caller's words mean; nothing else is kept out, see `offered`.

        Args:
            available: None for withdrawn models too.

        Raises:
            UnknownBaseModel: `base_model` is of no known family and no model of the catalogue has it.
            InvalidInput: `type` is neither a LoRA nor a checkpoint, `max_nsfw` no browsing level, or
                something to exclude is no name of the catalogue.
        """
        kind, level, family = words.get("type"), words.get("max_nsfw"), words.get("base_model")
        if kind is not None and kind.casefold() not in _TYPES:
            raise InvalidInput(f"the type {kind!r} is not known; it is LORA or Checkpoint")
        if level is not None and level < 1:
            raise InvalidInput(f"the browsing level {level} is not known; it is 1, 2, 4, 8 or 16")
        if family is not None and family not in catalogue.families:
            family = family_of(family).name
        return cls(
            family=family,
            type=_TYPES[kind.casefold()] if kind is not None else None,
            commercial=_LICENCES[True] if words.get("commercial_use") else None,
            level=min(level.bit_length(), len(_LEVELS)) if level is not None else None,
            available=available,
            exclude=frozenset(_ids_of(catalogue, words.get("exclude", ()))),
        )

    @classmethod
    def offered(cls, catalogue: Catalogue, **words: Unpack[FilterWords]) -> Self:
        """As `of`, for whoever offers models to people: nobody's likeness, and nothing above `max_nsfw`.

        Without `max_nsfw` only what is safe passes. What nobody rated passes, unless its own words say that
        it is explicit; the answer says so.
        """
        asked = words.copy()
        if asked.get("max_nsfw") is None:
            asked["max_nsfw"] = SAFE
        found = cls.of(catalogue, **asked)
        return replace(found, unrated=True, nobody=True)

    @property
    def max_nsfw(self) -> int | None:
        """The highest browsing level that may be found; None: any."""
        return None if self.level is None else _LEVELS[self.level - 1]

    def admits(self, record: ModelRecord) -> bool:
        """Whether rating and consent let the record pass, whatever else is asked for."""
        return (self.level is None or self._within(facets(record)["level"])) and not (
            self.nobody and record.shows_a_person
        )

    def _within(self, level: Facet) -> bool:
        return self.level is None or int(level) <= self.level or (self.unrated and level == _UNRATED)

    def _equal(self) -> dict[str, Facet]:
        wanted = {
            "family": self.family,
            "type": self.type,
            "commercial": self.commercial,
            "available": self.available,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def where(self) -> dict[str, Any] | None:
        """As Chroma's `where`, without the excluded ids."""
        conditions: list[dict[str, Any]] = [{name: value} for name, value in self._equal().items()]
        if self.level is not None:
            within: dict[str, Any] = {"level": {"$lte": self.level}}
            conditions.append({"$or": [within, {"level": _UNRATED}]} if self.unrated else within)
        if not conditions:
            return None
        return conditions[0] if len(conditions) == 1 else {"$and": conditions}

    def passes(self, record: ModelRecord) -> bool:
        """Whether a record may be found."""
        held = facets(record)
        return (
            record.model_id not in self.exclude
            and all(held[name] == value for name, value in self._equal().items())
            and self._within(held["level"])
            and not (self.nobody and record.shows_a_person)
        )


_COLUMNS = ("family", "type", "available", "commercial", "level")


class FacetTable:
    """The facets of many records in columns, for masks over a whole catalogue.

    Args:
        records: in the order of the masks.
        tables: what `facet_tables` makes of them; the records are not read then.
    """

    def __init__(self, records: Iterable[ModelRecord], tables: "Tables | None" = None) -> None:
        import numpy as np

        made = tables if tables is not None else facet_tables(records)
        self.ids: NDArray[np.int64] = made["facets.ids"]
        self.downloads: NDArray[np.int64] = made["facets.downloads"]
        self.shows: NDArray[np.bool_] = made["facets.shows"]
        self._columns: dict[str, NDArray[Any]] = {
            name: np.asarray(unpacked(made[f"facets.{name}"])) for name in _COLUMNS
        }

    def mask(self, wanted: Filter) -> "NDArray[np.bool_]":
        """[N]: which records may be found."""
        import numpy as np

        passing: NDArray[np.bool_] = ~np.isin(self.ids, list(wanted.exclude))
        for name, value in wanted._equal().items():
            passing &= self._columns[name] == value
        if wanted.level is not None:
            within = self._columns["level"] <= wanted.level
            passing &= within | (self._columns["level"] == _UNRATED) if wanted.unrated else within
        if wanted.nobody:
            passing &= ~self.shows
        return passing


def facet_tables(records: Iterable[ModelRecord]) -> "dict[str, NDArray[Any]]":
    """All that a `FacetTable` knows of its records, as arrays by name."""
    import numpy as np

    listed = list(records)
    rows = [facets(record) for record in listed]
    return {
        "facets.ids": np.asarray([record.model_id for record in listed], np.int64),
        "facets.downloads": np.asarray([record.stats.downloads or 0 for record in listed], np.int64),
        "facets.shows": np.asarray([record.shows_a_person for record in listed], bool),
        **{f"facets.{name}": packed([row[name] for row in rows]) for name in _COLUMNS},
    }


@dataclass(frozen=True)
class Ask:
    """A request on its way: what is asked for, which models may answer, how many, and what was understood.

    `instruction` is the wish alone, with what is refused in its negative prompt; `negative` is that prompt
    without it.
    """

    instruction: Instruction
    wanted: Filter
    k: int = 1
    understood: Understood | None = None
    negative: str = ""

    @property
    def evidence(self) -> Instruction:
        """What models are ranked by: without the refused things, which count apart; of a request in another
        language what was understood, in English."""
        found = self.understood
        if found is None:
            return self.instruction
        return Instruction(prompt=found.gist or found.wish, negative_prompt=self.negative)

    @property
    def sentence(self) -> bool | None:
        """True where it is known that the request is a sentence, not a prompt as uploaders write them."""
        found = self.understood
        return True if found is not None and (found.foreign or found.refused) else None

    @property
    def refused(self) -> tuple[str, ...]:
        return self.understood.refused if self.understood else ()


def understood(instruction: Instruction, wanted: Filter, k: int, names: Names) -> Ask:
    """A request as it is understood; what the caller said of family, type and licence goes before its words.

    Raises:
        NoPictureAsked: it asks for no picture.
    """
    found = understand(instruction.prompt, names, sentence=not reads_as_prompt(instruction.prompt))
    if found.nothing is not None:
        raise NoPictureAsked(found.nothing)
    negative = ", ".join(part for part in (instruction.negative_prompt.strip(" ,"), *found.refused) if part)
    wish = f"{found.wish}, {found.gist}" if found.gist else found.wish
    asked = Instruction(prompt=wish, negative_prompt=negative)
    filtered = replace(
        wanted,
        family=wanted.family or found.base_model,
        type=wanted.type or found.type,
        commercial=wanted.commercial or (_LICENCES[True] if found.commercial_use else None),
    )
    return Ask(asked, filtered, k, found, instruction.negative_prompt)


def _ids_of(catalogue: Catalogue, exclude: Iterable[int | str]) -> Iterator[int]:
    for name in (exclude,) if isinstance(exclude, str | int) else exclude:
        if isinstance(name, int):
            yield name
            continue
        matches = catalogue.find(name)
        if not matches:
            raise InvalidInput(
                f"cannot exclude {name!r}: the catalogue has no such model; give an id or a name it has"
            )
        yield from (match.record.model_id for match in matches)
