"""Clusters of prompts that are nearly the same, so that no split holds what another one holds.

    clusters([7, 7, 8], ["a red fox", "a red fox, sharp", "a castle"])     # [0, 0, 2]

Two prompts of one model belong together if the Jaccard similarity of their word sets is at least 0.7, and
equal prompts of all models do; what belongs together by way of a third is one cluster. Small models are
compared pair by pair. In large ones MinHash and LSH (Broder 1997; Leskovec, Rajaraman and Ullman, chapter 3)
propose pairs, and each proposal is checked, so that nothing is joined by chance; of the pairs at 0.7 one in
6,500 is not proposed, and the more alike the rarer. The time grows with the number of prompts, not with its
square.
"""

import functools
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

from retrieval.search.terms import words

NEAR_DUPLICATE = 0.7
COMPARED_IN_PAIRS = 256
"""Distinct word sets of a model; up to here comparing all is the faster way, and exact."""
_PERMUTATIONS, _BANDS, _ROWS = 128, 32, 4


class Joined:
    """Sets of places that are joined (union-find)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, place: int) -> int:
        """The place that names the set of another."""
        parent = self._parent
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    def put(self, one: int, under: int) -> None:
        """Joins two sets into one, which is named as that of `under` was."""
        self._parent[self.root(one)] = self.root(under)

    def join(self, one: int, other: int) -> None:
        """Joins two sets into one, which is named by its first member."""
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low


def clusters(
    models: Sequence[int], prompts: Sequence[str], *, similarity: float = NEAR_DUPLICATE
) -> list[int]:
    """For each prompt the place of the first one of its cluster.

    Args:
        models: the model of each prompt.
        similarity: Jaccard similarity in (0, 1] from which two prompts of one model belong together.
    """
    joined = Joined(len(prompts))
    first: dict[str, int] = {}
    of_model: dict[int, dict[frozenset[str], int]] = defaultdict(dict)
    sets = functools.lru_cache(maxsize=65_536)(word_set)
    for place, (model, prompt) in enumerate(zip(models, prompts, strict=True)):
        joined.join(place, first.setdefault(prompt.strip().casefold(), place))
        found = sets(prompt)
        if found:
            joined.join(place, of_model[model].setdefault(found, place))
    for places in of_model.values():
        held = list(places)
        pairs = _all_pairs(len(held)) if len(held) <= COMPARED_IN_PAIRS else _proposed_pairs(held)
        for one, other in pairs:
            here, there = places[held[one]], places[held[other]]
            if joined.root(here) != joined.root(there) and jaccard(held[one], held[other]) >= similarity:
                joined.join(here, there)
    return [joined.root(place) for place in range(len(prompts))]


def word_set(prompt: str) -> frozenset[str]:
    """The words that two prompts are compared by."""
    return frozenset(words(prompt))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of common words, in [0, 1]; of two empty sets 0."""
    common = len(one & other)
    return common / max(len(one) + len(other) - common, 1)


def _all_pairs(count: int) -> Iterator[tuple[int, int]]:
    return ((one, other) for one in range(count) for other in range(one))


def _proposed_pairs(held: Sequence[frozenset[str]]) -> Iterator[tuple[int, int]]:
    """Pairs that agree in one band of their MinHash at least."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=_PERMUTATIONS, params=(_BANDS, _ROWS))
    sketches = MinHash.generator(
        (sorted(found) for found in held), num_perm=_PERMUTATIONS, seed=1, hashfunc=_hash, scheme="affine32"
    )
    for place, sketch in enumerate(sketches):
        for other in index.query(sketch):
            yield place, other
        index.insert(place, sketch, check_duplication=False)


@functools.lru_cache(maxsize=1_000_000)
def _hash(word: str) -> int:
    """Of 32 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=4).digest(), "little")
