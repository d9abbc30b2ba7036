"""The tests of `retrieval.catalogue.merge`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.catalogue import Catalogue
from retrieval.catalogue.merge import merged, merged_catalogue
from retrieval.records.model import ModelRecord, Settings, Stats, VersionRecord


def record(**changes: Any) -> ModelRecord:
    known: dict[str, Any] = {"model_id": 1, "model": "Ink", "type": "LORA", "base_model": "SD 1.5"}
    return ModelRecord(**{**known, **changes})


def version(number: int, **changes: Any) -> VersionRecord:
    return VersionRecord(**{"version_id": number, "version": f"v{number}", "base_model": "SD 1.5", **changes})


def test_an_empty_answer_overwrites_nothing() -> None:
    old = record(
        description="Ink wash.",
        tags=("ink",),
        trigger_words=("inkwash",),
        nsfw=False,
        commercial_use=("Image",),
        stats=Stats(downloads=10, thumbs_up=3),
        settings=Settings(lora_weight=0.7, samples=4),
        terms={"ink": 0.5},
        versions=(version(11, sha256=("AB" * 32,)),),
    )
    assert merged(old, record()) == old


def test_what_is_newer_goes_first() -> None:
    old = record(tags=("ink",), stats=Stats(downloads=10, thumbs_up=3), nsfw=False)
    new = record(tags=("ink", "wash"), stats=Stats(downloads=25), nsfw=True)
    found = merged(old, new)
    assert (found.tags, found.nsfw) == (("ink", "wash"), True)
    assert found.stats == Stats(downloads=25, thumbs_up=3)


def test_what_samples_said_is_not_lost_to_a_record_without_samples() -> None:
    old = record(description="Ink wash landscapes.", terms={"ink": 0.5}, keywords=("ink",), samples=9)
    found = merged(old, record(description="An SD 1.5 LoRA."))
    assert (found.description, found.samples) == ("Ink wash landscapes.", 9)
    assert merged(old, record(description="New.", terms={"fox": 1.0})).description == "New."


def test_versions_are_joined_the_newer_records_first() -> None:
    old = record(versions=(version(2, sha256=("AB" * 32,), available=True), version(1)))
    new = record(versions=(version(3), version(2, available=False)))
    found = merged(old, new).versions
    assert [each.version_id for each in found] == [3, 2, 1]
    assert (found[1].sha256, found[1].available) == (("AB" * 32,), False)


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_the_newer_record_says_whether_it_can_be_had(before: bool, after: bool) -> None:
    assert merged(record(available=before), record(available=after)).available is after


def test_an_old_name_is_still_found() -> None:
    found = merged(record(model="Ink v1", aliases=("Inky",)), record(model="Ink"))
    assert (found.model, set(found.aliases)) == ("Ink", {"Inky", "Ink v1"})
    assert Catalogue([found]).find("Ink v1")[0].record.model_id == 1


def test_catalogues_are_joined_in_the_order_of_the_first() -> None:
    one = Catalogue([record(), record(model_id=2, model="Fox")])
    two = Catalogue([record(model_id=3, model="Owl"), record(tags=("ink",))])
    found = merged_catalogue([one, two])
    assert [each.model_id for each in found] == [1, 2, 3]
    assert found.get(1).tags == ("ink",)


@given(
    st.lists(st.integers(1, 5), max_size=4, unique=True), st.lists(st.integers(1, 5), max_size=4, unique=True)
)
def test_no_version_is_lost_or_doubled(old: list[int], new: list[int]) -> None:
    found = merged(
        record(versions=tuple(map(version, old))), record(versions=tuple(map(version, new)))
    ).versions
    assert sorted(each.version_id for each in found) == sorted({*old, *new})
