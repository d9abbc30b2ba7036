"""Which split a pair belongs to: 8:1:1 by clusters, and a harder one by models.

    split_pairs(clusters, keys, {"train": 0.8, "align": 0.1, "val": 0.1}, seed=0)
    split_models(models, clusters, {...}, seed=0)      # None for a pair that would be in two splits

The order in which clusters are dealt out comes from a hash of the seed and the cluster's key, so that the
same pairs are split alike on every machine and however they are ordered.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def split_pairs(
    clusters: Sequence[int], keys: Sequence[str], parts: Mapping[str, float], *, seed: int
) -> list[str]:
    """The split of each pair; a cluster is in one split only.

    Args:
        clusters: of each pair.
        keys: of each pair, the same whenever the dataset is built, and no two alike.
        parts: share of each split.
    """
    smallest: dict[int, str] = {}
    for cluster, key in zip(clusters, keys, strict=True):
        smallest[cluster] = min(smallest.get(cluster, key), key)
    named = {cluster: f"pairs {key}" for cluster, key in smallest.items()}
    chosen = deal(Counter(clusters), named, parts, seed=seed)
    return [chosen[cluster] for cluster in clusters]


def split_models(
    models: Sequence[int], clusters: Sequence[int], parts: Mapping[str, float], *, seed: int
) -> list[str | None]:
    """The split of each pair such that no model is in two; None where its cluster would be in two.

    Of a cluster that reaches over models of several splits, the pairs of the first of `parts` stay, else
    those of the second, and so on: what is trained on is not evaluated.
    """
    counts = Counter(models)
    chosen = deal(counts, {model: f"model {model}" for model in counts}, parts, seed=seed)
    held: dict[int, set[str]] = defaultdict(set)
    for model, cluster in zip(models, clusters, strict=True):
        held[cluster].add(chosen[model])
    kept = {cluster: next(part for part in parts if part in found) for cluster, found in held.items()}
    return [
        chosen[model] if kept[cluster] == chosen[model] else None
        for model, cluster in zip(models, clusters, strict=True)
    ]


def deal(
    sizes: Mapping[T, int], names: Mapping[T, str], parts: Mapping[str, float], *, seed: int
) -> dict[T, str]:
    """Deals groups out so that each part comes as near its share as they allow.

    Args:
        sizes: of the groups.
        names: what a group is drawn by.
        parts: share of each part; they need not sum to 1.
    """
    order = sorted(sizes, key=lambda group: (_lot(names[group], seed), names[group]))
    total = sum(sizes.values())
    share = {part: amount / sum(parts.values()) * total for part, amount in parts.items()}
    dealt = dict.fromkeys(parts, 0)
    chosen: dict[T, str] = {}
    # a group larger than what a part still lacks goes where most is lacking; the large ones first, because
    # the small ones can make up for them
    for group in _large_first(order, sizes, total):
        part = max(parts, key=lambda part: _room(share[part], dealt[part], sizes[group]))
        chosen[group] = part
        dealt[part] += sizes[group]
    return chosen


def _large_first(order: Sequence[T], sizes: Mapping[T, int], total: int) -> Iterable[T]:
    """Groups of a fiftieth of all or more, then the others, each in the drawn order."""
    yield from (group for group in order if sizes[group] * 50 >= total)
    yield from (group for group in order if sizes[group] * 50 < total)


def _room(share: float, dealt: int, size: int) -> tuple[bool, float]:
    """Whether the group fits, and what the part lacks: in shares if it does, else in pairs."""
    fits = dealt + size <= share + 1
    return fits, (share - dealt) / share if fits else share - dealt


def _lot(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
