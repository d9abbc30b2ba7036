"""The ranker over castles that only one thing tells apart: ties, and models that are never ranked."""

from typing import Any

import pytest
from rated_world import ASKED, castle
from small_adapter import plain_fusion

from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.search.filters import Filter
from retrieval.search.ranker import Ranker


def ranked(*castles: dict[str, Any], refused: tuple[str, ...] = ()) -> list[int]:
    records = [ModelRecord.model_validate({**each, "model": "Castle"}) for each in castles]
    ranker = Ranker(Catalogue(records), plain_fusion())
    found = ranker.rank(Instruction(prompt=ASKED), Filter(), refused)
    return [candidate.record.model_id for candidate in found.best(50)]


def test_models_that_are_equal_go_by_downloads_and_then_by_id() -> None:
    used = {number: castle(number, stats={"downloads": downloads}) for number, downloads in
            ((7, 5), (3, 9), (9, 9), (4, 0), (8, 5))}  # fmt: skip
    for order in ((7, 3, 9, 4, 8), (9, 8, 7, 4, 3), (4, 8, 3, 9, 7)):
        assert ranked(*(used[number] for number in order)) == [3, 9, 7, 8, 4]
    # of unknown downloads there are none
    assert ranked(castle(9), castle(5, stats={"downloads": 1}), castle(2)) == [5, 2, 9]
    assert ranked(castle(9), castle(5, stats={"downloads": 1}), castle(2), refused=("anime",)) == [5, 2, 9]


def test_what_fits_better_leads_whatever_its_downloads() -> None:
    other = castle(1, description="Bright meadows.", trigger_words=["meadow"], stats={"downloads": 10**6})
    assert ranked(other, castle(2)) == [2, 1]


@pytest.mark.parametrize(
    "shown",
    [{"poi": True}, {"minor": True}, {"poi": True, "minor": True}, {"tags": ["Celebrity"]}],
    ids=["a person", "a minor", "both", "a likeness"],
)
def test_a_model_of_a_person_or_a_minor_is_ranked_by_no_filter_at_all(shown: dict[str, Any]) -> None:
    best_used = {"stats": {"downloads": 10**6}, "nsfw": False}
    assert ranked(castle(1, **shown, **best_used), castle(2)) == [2]
    assert ranked(castle(1, **shown, **best_used)) == []
    assert ranked(castle(1, **best_used), castle(2)) == [1, 2]
