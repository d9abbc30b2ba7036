"""Searching: by meaning and by words, within filters, on a real Chroma in a temporary folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_world import catalogue

import retrieval.search.pool
import retrieval.search.ranker
import retrieval.search.searching
from diffagent_tools.select.selector import RetrievalSelector
from retrieval.calls.meaning import Searcher
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput, InvalidInstruction, NoPictureAsked, UnknownBaseModel
from retrieval.records.api import Instruction
from retrieval.search.dense import facts_text
from retrieval.search.encoders import HashEmbedder
from retrieval.search.filters import FacetTable, Filter
from retrieval.search.index import DescriptionIndex, Hit


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DescriptionIndex]:
    index = DescriptionIndex(catalogue(), HashEmbedder(64), path=tmp_path_factory.mktemp("index"))
    yield index.open()
    index.close()


def ids(hits: list[Hit]) -> list[int]:
    return [hit.record.model_id for hit in hits]


def test_a_request_finds_its_model_with_the_evidence(index: DescriptionIndex) -> None:
    hit = index.search("a corgi, pixel art, small sprite")[0]
    assert hit.record.model == "Pixel Helper"
    assert "pixel art" in hit.matched
    assert {"corgi", "small sprite"} <= set(hit.matched)
    assert 0 < hit.score <= 1
    assert -1 <= hit.dense <= 1
    assert 0 < hit.words <= 1


def test_all_available_models_are_ranked_once(index: DescriptionIndex) -> None:
    hits = index.search("street photo", k=100)
    assert sorted(ids(hits)) == [1, 2, 3, 5, 6, 7, 8]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert ids(hits)[0] == 3
    assert ids(index.search("street photo", k=2)) == ids(hits)[:2]


def test_cosines_are_those_of_the_embedder(index: DescriptionIndex) -> None:
    text = "neon rain at night"
    vector = index.embedder.embed([text])[0]
    found = {hit.record.model_id: hit.dense for hit in index.search(text, 8, available=None)}
    assert set(found) == set(range(1, 9))
    for record in index.catalogue:
        expected = float(index.embedder.embed([facts_text(record)])[0] @ vector)
        assert found[record.model_id] == pytest.approx(expected, abs=1e-5)


def test_without_an_embedder_search_and_select_are_one_ranking(tmp_path: Path) -> None:
    eight = catalogue()
    index = DescriptionIndex(eight, path=tmp_path)
    for text in ("a corgi, pixel art", "neon rain at night, not a photo", "street photo", "Night City"):
        hits = index.search(text, 8, wanted=Filter.offered(eight))
        chosen = RetrievalSelector(eight).select(text, k=8)
        assert ids(hits) == [each.api.model_id for each in chosen]
        similar = [each.evidence.similarity for each in chosen if each.evidence]
        assert [hit.dense for hit in hits] == pytest.approx(similar, abs=2e-3)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"base_model": "SDXL 1.0"}, {2, 5}),
        ({"base_model": "sdxl"}, {2, 5}),
        ({"type": "checkpoint"}, {3, 5}),
        ({"type": "LORA", "base_model": "SD 1.5"}, {1, 6, 7, 8}),
        ({"commercial_use": True}, {1, 3, 5}),
        ({"commercial_use": False}, {1, 2, 3, 5, 6, 7, 8}),
        ({"max_nsfw": 1}, {1, 3, 5}),
        ({"max_nsfw": 4}, {1, 2, 3, 5}),
        ({"max_nsfw": 16}, {1, 2, 3, 5, 6}),
        ({"available": None}, {1, 2, 3, 4, 5, 6, 7, 8}),
        ({"available": False}, {4}),
        ({"exclude": [1, 2, 99]}, {3, 5, 6, 7, 8}),
        ({"base_model": "SD 1.4", "type": "Checkpoint", "exclude": [3]}, set()),
    ],
)
def test_filters(index: DescriptionIndex, filters: dict[str, object], expected: set[int]) -> None:
    assert set(ids(index.search("photo", 50, **filters))) == expected  # type: ignore[arg-type]
    wanted = Filter.of(index.catalogue, **filters)  # type: ignore[arg-type]
    assert {record.model_id for record in index.catalogue if wanted.passes(record)} == expected
    mask = FacetTable(index.catalogue).mask(wanted)
    assert {
        number for number, passes in zip(index.catalogue.model_ids, mask, strict=True) if passes
    } == expected


def test_what_cannot_be_asked(index: DescriptionIndex) -> None:
    with pytest.raises(UnknownBaseModel, match="SD 9"):
        index.search("a corgi", base_model="SD 9")
    with pytest.raises(InvalidInput, match="'upscaler' is not known"):
        index.search("a corgi", type="upscaler")
    with pytest.raises(InvalidInput, match="k is 0"):
        index.search("a corgi", k=0)
    with pytest.raises(InvalidInput, match="browsing level 0"):
        index.search("a corgi", max_nsfw=0)
    with pytest.raises(InvalidInstruction):
        index.search("   ")


def test_the_negative_prompt_counts(index: DescriptionIndex) -> None:
    plain = {hit.record.model_id: hit.score for hit in index.search("a house")}
    asked = Instruction(prompt="a house", negative_prompt="cartoon, drawing")
    said = {hit.record.model_id: hit.score for hit in index.search(asked)}
    assert said[3] / said[1] > plain[3] / plain[1]


def test_what_is_refused_and_what_is_named_count_as_everywhere(index: DescriptionIndex) -> None:
    assert ids(index.search("a corgi, pixel art"))[0] == 1
    assert ids(index.search("a corgi, not pixel art"))[0] != 1
    assert ids(index.search("a corgi, use Grand Photo Mix"))[0] == 3
    with pytest.raises(NoPictureAsked):
        index.search("hello, how are you?")


def test_an_index_is_a_searcher(index: DescriptionIndex) -> None:
    searcher: Searcher = index
    hits = searcher.near("pixel art", k=1, base_model=None, type=None)
    assert (hits[0].record.model_id, hits[0].dense > 0) == (1, True)


@given(
    text=st.text(min_size=1, max_size=80),
    k=st.integers(1, 9),
    type=st.sampled_from([None, "LORA", "Checkpoint"]),
    family=st.sampled_from([None, "SD 1.5", "SDXL 1.0"]),
    commercial=st.sampled_from([None, True]),
    level=st.sampled_from([None, 1, 4]),
)
def test_any_text_stays_within_the_filters(
    index: DescriptionIndex,
    text: str,
    k: int,
    type: str | None,
    family: str | None,
    commercial: bool | None,
    level: int | None,
) -> None:
    try:
        hits = index.search(
            text, k, base_model=family, type=type, commercial_use=commercial, max_nsfw=level, exclude=[8]
        )
    except (InvalidInstruction, NoPictureAsked):
        return  # nothing but blanks and control characters, or a greeting
    assert len(hits) <= k
    for hit in hits:
        assert hit.record.available
        assert hit.record.model_id != 8
        assert type in (None, hit.record.type)
        assert family in (None, hit.record.base_model)
        assert commercial is None or hit.record.allows_commercial_use()
        assert level is None or hit.record.allows_nsfw_level(level)
        assert hit.score == hit.score


def test_a_large_catalogue_is_searched_in_a_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less than the whole weighed, the best by words and the best by meaning are both in the pool."""
    whole = DescriptionIndex(catalogue(), HashEmbedder(64), path=tmp_path / "index")
    exact = {hit.record.model_id: hit for hit in whole.search("neon photo", 9)}
    monkeypatch.setattr(retrieval.search.searching, "WHOLE_UP_TO", 2)
    monkeypatch.setattr(retrieval.search.ranker, "WHOLE_UP_TO", 2)
    monkeypatch.setattr(retrieval.search.pool, "_SAMPLE", 2)
    monkeypatch.setattr(retrieval.search.searching, "_POOL", 2)
    hits = whole.search("neon photo", 1)
    assert ids(hits) == list(exact)[:1]
    assert hits[0].dense == pytest.approx(exact[hits[0].record.model_id].dense, abs=1e-5)


def test_one_model_and_none(tmp_path: Path) -> None:
    none = DescriptionIndex(Catalogue([], name="none"), HashEmbedder(8), path=tmp_path / "none")
    assert none.search("a corgi") == []
    assert none.info().records == 0
    one = DescriptionIndex(Catalogue(list(catalogue())[:1]), HashEmbedder(8), path=tmp_path / "one")
    assert ids(one.search("a corgi", 5)) == [1]
