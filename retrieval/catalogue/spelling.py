"""Which model a misspelled name means: edit distance over every name of a catalogue and its parts.

    for guess in catalogue.spelling.nearest("Dream Shapper"):
        print(catalogue.get(guess.model_id).model, guess.similarity, guess.accepted)

A name is compared twice, as it is written (case and runs of spaces aside) and normalised, and the better
counts: the first keeps names made of signs (`>_<`), the second forgives punctuation. The distance is optimal
string alignment: insert, delete, substitute and swap of neighbours cost 1 each.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from retrieval.catalogue.names import alias_keys, normalise_name

# Calibrated by `python benchmarks/repair_edits.py --sweep` on the starter's names with 1 to 3 random
# edits each and on 80 plausible names that no model has. At most 3 edits that leave half of the signs:
# 99.0% of the edited names come back, 3 of the 80 are taken for a real name (they are 3 edits from one).
# A similarity of 0.6 brings 97.6% back and takes as many; 4 edits bring 99.4% back and take 5.
MAX_EDITS = 3
MIN_SIMILARITY = 0.5
SURE_SIMILARITY = 0.85
"""From here on a long name is accepted with more than `MAX_EDITS`."""
PART_MAX_EDITS = 1
PART_MIN_LENGTH = 6
PART_WEIGHT = 0.9
"""A part of a name (its Latin half, the name without its version) must fit more closely and counts less."""
MAX_CROWD = 4
"""A name as near to more than so many models says nothing about which one is meant."""


@dataclass(frozen=True)
class Spelling:
    """A model with a near name: `similarity` in [0, 1], `edits` apart, `part` if only a part is near."""

    model_id: int
    similarity: float
    edits: int
    part: bool = False

    @property
    def accepted(self) -> bool:
        """Near enough to be the same name misspelled."""
        if self.part:
            return self.edits <= PART_MAX_EDITS and self.similarity >= PART_WEIGHT * MIN_SIMILARITY
        return (
            self.edits <= MAX_EDITS and self.similarity >= MIN_SIMILARITY
        ) or self.similarity >= SURE_SIMILARITY


class SpellingIndex:
    """The comparable forms of all names, made once.

    Args:
        names: model id, name, other names.
    """

    def __init__(self, names: Iterable[tuple[int, str, tuple[str, ...]]]) -> None:
        self._names: list[str] = []
        self._ids: list[int] = []
        self._parts: list[str] = []
        self._part_ids: list[int] = []
        for model_id, name, others in names:
            for form in (name, *others):
                self._names.append(form)
                self._ids.append(model_id)
                for part in alias_keys(form):
                    if len(part) >= PART_MIN_LENGTH:
                        self._parts.append(part)
                        self._part_ids.append(model_id)
        self._written = [_written(name) for name in self._names]
        self._normal = [normalise_name(name) for name in self._names]
        self._longest = max(map(len, self._written), default=0)
        # a name is looked for, then the nearest of those that fit in its place
        self._recent = functools.lru_cache(maxsize=64)(self._nearest)

    def best(self, name: str, keep: Callable[[int], bool] | None = None) -> Spelling | None:
        """The model that `name` misspells, of those that `keep` lets pass; None if none is near enough."""
        accepted = [guess for guess in self.nearest(name) if guess.accepted]
        kept = [guess for guess in accepted if keep is None or keep(guess.model_id)]
        crowd = sum(1 for guess in kept if guess.similarity == kept[0].similarity)
        return None if not kept or (crowd > MAX_CROWD and kept[0].edits > 1) else kept[0]

    def nearest(self, name: str) -> tuple[Spelling, ...]:
        """The models whose names share at least half of their signs with `name`, nearest first.

        Equal nearness is settled by the spelling letter for letter, then by the model's id.
        """
        name = name.strip()
        return self._recent(name) if name and len(name) * MIN_SIMILARITY <= self._longest else ()

    def _nearest(self, name: str) -> tuple[Spelling, ...]:
        found: dict[int, tuple[tuple[float, float], Spelling]] = {}
        for query, forms in ((_written(name), self._written), (normalise_name(name), self._normal)):
            self._compare(name, query, forms, found)
        for query in dict.fromkeys((normalise_name(name), *alias_keys(name))):
            self._compare_parts(query, found)
        ranked = sorted(found.values(), key=lambda item: (-item[0][0], -item[0][1], item[1].model_id))
        return tuple(guess for _, guess in ranked)

    def _compare(
        self,
        name: str,
        query: str,
        forms: Sequence[str],
        found: dict[int, tuple[tuple[float, float], Spelling]],
    ) -> None:
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        near = process.extract(
            query,
            forms,
            scorer=OSA.normalized_similarity,
            processor=None,
            score_cutoff=MIN_SIMILARITY,
            limit=None,
        )
        for form, similarity, position in near:
            model_id = self._ids[position]
            rank = (round(similarity, 6), OSA.normalized_similarity(name, self._names[position]))
            if model_id not in found or rank > found[model_id][0]:
                found[model_id] = rank, Spelling(model_id, similarity, int(OSA.distance(query, form)))

    def _compare_parts(self, query: str, found: dict[int, tuple[tuple[float, float], Spelling]]) -> None:
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        if len(query) < PART_MIN_LENGTH - PART_MAX_EDITS:
            return
        near = process.extract(
            query, self._parts, scorer=OSA.distance, processor=None, score_cutoff=PART_MAX_EDITS, limit=None
        )
        for part, edits, position in near:
            model_id = self._part_ids[position]
            similarity = PART_WEIGHT * (1 - edits / max(len(query), len(part)))
            rank = (round(similarity, 6), 0.0)
            if model_id not in found or rank > found[model_id][0]:
                found[model_id] = rank, Spelling(model_id, similarity, int(edits), part=True)


def _written(name: str) -> str:
    return " ".join(name.casefold().split())
