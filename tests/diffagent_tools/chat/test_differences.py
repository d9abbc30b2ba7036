"""How an alternative differs from the chosen model, in words, from facts of both records."""

from typing import Any

import pytest

from diffagent_tools.chat.differences import difference
from diffagent_tools.select.selection import Selection
from retrieval.calls.compose import api_for
from retrieval.calls.licence import may_sell
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord

PHOTO = {"type": "Checkpoint", "base_model": "SD 1.5", "tags": ["photo"], "commercial_use": ["Image"]}


def told(one: dict[str, Any], other: dict[str, Any]) -> str:
    """What is said of `other` beside `one`."""
    records = [
        ModelRecord.model_validate({"model_id": number, "model": f"Model {number}", **fields})
        for number, fields in enumerate((one, other), start=1)
    ]
    catalogue = Catalogue(records)
    best, second = (_selection(record, catalogue) for record in records)
    return difference(best, second, catalogue)


def _selection(record: ModelRecord, catalogue: Catalogue) -> Selection:
    api = api_for(record, Instruction(prompt="a cat"))
    return Selection(api=api, score=0.0, reason="-", may_sell=may_sell(api, catalogue).allowed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "LORA", "tags": ["photo", "style"]}, "a LoRA instead"),
        ({"base_model": "SDXL 1.0"}, "for SDXL 1.0"),
        ({"tags": ["watercolor"]}, "more watercolor"),
        ({"commercial_use": []}, "images may not be sold"),
        ({"tags": ["photo", "landscape"]}, "also made for landscape"),
        ({}, "a similar look by somebody else"),
    ],
)
def test_it_says_what_differs_and_only_that(change: dict[str, Any], said: str) -> None:
    assert told(PHOTO, {**PHOTO, **change}) == said


def test_how_much_others_use_it_is_told_where_that_is_far_apart() -> None:
    known, unknown = ({**PHOTO, "stats": {"downloads": number}} for number in (50_000, 900))
    assert (told(unknown, known), told(known, unknown)) == ("used much more", "less known")
    assert told(known, {**known, "stats": {"downloads": 40_000}}) == "a similar look by somebody else"
