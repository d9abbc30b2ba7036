"""Weighing only who may lead: the same answers as weighing every model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import retrieval.search.pool
import retrieval.search.ranker
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction
from retrieval.search.filters import Filter
from retrieval.search.pool import Pool, leading
from retrieval.search.ranker import Ranker

STYLES = ("pixel art", "watercolor", "photo, film grain", "anime, detailed eyes", "3d render", "oil painting")
SUBJECTS = ("a corgi on a skateboard", "an old fisherman", "neon city at night, rain", "a dragon over a town")
WISHES = [
    *(f"{subject}, {style}" for subject in SUBJECTS for style in STYLES),
    *(f"I would like {subject} as {style}, please" for subject in SUBJECTS for style in STYLES[:3]),
    *("(masterpiece:1.2), best quality, 1girl, solo, looking at viewer", "castle", "logo of a fox"),
    *("a woman reading in a garden", "isometric room, low poly", "stained glass window of a saint"),
    *("space station overgrown by moss, concept art", "a red bicycle", "portrait, studio light, 85mm"),
]


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return Ranker.packaged(Catalogue.starter())


def best(
    ranker: Ranker, wish: str, wanted: Filter, most: int | None, also: tuple[int, ...] = ()
) -> list[int]:
    ranking = ranker.rank(Instruction(prompt=wish), wanted, most=most, also=also)
    return [found.record.model_id for found in ranking.best(10)]


def test_of_the_starter_the_ten_best_are_the_same(ranker: Ranker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval.search.ranker, "WHOLE_UP_TO", 0)
    # of 968 models about 840 are weighed then
    monkeypatch.setattr(retrieval.search.pool, "_SAMPLE", 200)
    filters = (ranker.filter(), ranker.filter(type="LORA"))
    cases = [(wish, wanted) for wish in WISHES for wanted in filters]
    whole = [best(ranker, *case, None) for case in cases]
    pooled = [best(ranker, *case, 150) for case in cases]
    weighed = [len(ranker.rank(Instruction(prompt=wish), Filter(), most=150).at) for wish in WISHES[::9]]
    assert np.mean(weighed) < 0.9 * len(ranker.records)
    assert [found[0] for found in whole] == [found[0] for found in pooled]
    same = sum(set(one) == set(other) for one, other in zip(whole, pooled, strict=True))
    assert same >= 0.99 * len(cases)


def test_small_catalogues_are_weighed_whole(ranker: Ranker) -> None:
    ranking = ranker.rank(Instruction(prompt="a castle"), Filter(), most=1)
    assert len(ranking) == len(ranker.allowed(Filter()))


def test_who_is_named_is_weighed(ranker: Ranker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval.search.ranker, "WHOLE_UP_TO", 0)
    monkeypatch.setattr(retrieval.search.pool, "_SAMPLE", 1)
    request, wanted = Instruction(prompt="a castle"), ranker.filter()
    weighed = set(ranker.rank(request, wanted, most=1).places.tolist())
    left = next(int(place) for place in ranker.allowed(wanted) if place not in weighed)
    model_id = ranker.records[left].model_id
    assert ranker.rank(request, wanted, most=1).of(model_id) is None
    found = ranker.rank(request, wanted, most=1, also=(model_id,)).of(model_id)
    assert found is not None
    assert found.record.model_id == model_id


def test_what_nothing_is_made_for_is_known_of_all_models(
    ranker: Ranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval.search.ranker, "WHOLE_UP_TO", 0)
    monkeypatch.setattr(retrieval.search.pool, "_SAMPLE", 1)
    for style in STYLES:
        request = Instruction(prompt=f"a house, {style}")
        for wanted in (ranker.filter(), ranker.filter(base_model="SD 2.1 768")):
            few, all_ = (ranker.rank(request, wanted, most=most).unmet for most in (1, None))
            assert few == all_


@given(
    kinds=st.lists(
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=40, max_size=40), min_size=1, max_size=3
    ),
    allowed=st.sets(st.integers(0, 39)),
    most=st.integers(1, 12),
    also=st.sets(st.integers(0, 39), max_size=3),
)
def test_a_pool_holds_who_leads_and_stands_for_all(
    kinds: list[list[float]], allowed: set[int], most: int, also: set[int]
) -> None:
    evidence = {str(place): np.asarray(kind, np.float32) for place, kind in enumerate(kinds)}
    evidence["unseen"] = np.zeros(40, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval.search.pool, "_SAMPLE", 5)
        pool = Pool.of(evidence, np.asarray(sorted(allowed), np.intp), most, sorted(also))
    rows = pool.rows.tolist()
    assert len(set(rows)) == len(rows)
    assert also <= set(rows)
    if len(allowed) <= most:
        assert allowed <= set(rows)
    for name in map(str, range(len(kinds))):
        scores = evidence[name]
        assert scores.max() in scores[rows]
        ordered = sorted((scores[row] for row in allowed), reverse=True)
        # every allowed model that is better than the last of the best
        better = {row for row in allowed if len(ordered) > most and scores[row] > ordered[most]}
        assert better <= set(rows)
    stands_for = len(rows) + (pool.copies - 1) * pool.sample
    assert abs(stands_for - 40) < max(pool.copies, 1)
    values = np.arange(len(rows), dtype=np.float32)
    assert len(pool.spread(values, pool.sample)) == stands_for


def test_a_sample_is_counted_where_it_passes() -> None:
    pool = Pool(np.asarray([3, 1, 0, 2]), sample=2, copies=3)
    places, sampled = pool.among(np.asarray([True, False, True, True]))
    assert (places.tolist(), sampled) == ([0, 2, 3], 2)
    spread = pool.spread(np.asarray([5, 6, 7], np.float32), sampled)
    assert sorted(spread.tolist()) == [5, 6, 6, 6, 7, 7, 7]


def test_leaders_have_some_of_the_evidence() -> None:
    assert leading(np.asarray([0, 0, 2, 0, 1], np.float32), 4).tolist() == [2, 4]
    assert sorted(leading(np.asarray([0, 3, 2, 0, 1], np.float32), 2).tolist()) == [1, 2]
    assert leading(np.zeros(3, np.float32), 2).tolist() == []
