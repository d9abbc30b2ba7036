"""Shares are kept, clusters and models are not torn apart, and the seed decides."""

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from finetune.dabench.split import split_models, split_pairs

PARTS = {"train": 0.8, "align": 0.1, "val": 0.1}


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.integers(0, 5))
def test_a_cluster_is_in_one_split(clusters: list[int], seed: int) -> None:
    keys = [f"key {place}" for place in range(len(clusters))]
    split = split_pairs(clusters, keys, PARTS, seed=seed)
    held = defaultdict(set)
    for cluster, part in zip(clusters, split, strict=True):
        held[cluster].add(part)
    assert all(len(parts) == 1 for parts in held.values())


def test_shares_come_out_and_the_order_of_pairs_does_not_matter() -> None:
    keys = [f"key {place}" for place in range(1_000)]
    clusters = [place // 3 for place in range(1_000)]
    split = split_pairs(clusters, keys, PARTS, seed=0)
    counts = Counter(split)
    assert abs(counts["train"] - 800) <= 3
    assert abs(counts["align"] - 100) <= 3
    turned = split_pairs([333 - cluster for cluster in clusters[::-1]], keys[::-1], PARTS, seed=0)
    assert turned[::-1] == split
    assert split_pairs(clusters, keys, PARTS, seed=1) != split


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 40)), min_size=1, max_size=120))
def test_no_model_and_no_cluster_is_on_both_sides(pairs: list[tuple[int, int]]) -> None:
    models, clusters = [model for model, _ in pairs], [cluster for _, cluster in pairs]
    split = split_models(models, clusters, PARTS, seed=0)
    for groups in (models, clusters):
        held = defaultdict(set)
        for group, part in zip(groups, split, strict=True):
            if part is not None:
                held[group].add(part)
        assert all(len(parts) == 1 for parts in held.values())
    if len(set(clusters)) == len(clusters):
        assert None not in split
