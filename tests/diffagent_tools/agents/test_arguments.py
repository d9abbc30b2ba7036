"""What a calling model leaves open, it may say as null, as an empty text or as a word for nothing."""

from typing import Any

import pytest
from pydantic import ValidationError

from diffagent_tools.agents.arguments import CheckArguments, SearchArguments, SelectArguments
from diffagent_tools.agents.operations import Operations
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi
from retrieval.records.model import ModelRecord

OPTIONAL = (
    "k",
    "negative_prompt",
    "exclude",
    "type",
    "base_model",
    "commercial_use",
    "max_nsfw",
    "width",
    "height",
)


@pytest.mark.parametrize("nothing", [None, "", " "])
def test_nothing_is_not_said(nothing: Any) -> None:
    given = SelectArguments.model_validate({"prompt": "a corgi", **dict.fromkeys(OPTIONAL, nothing)})
    assert given == SelectArguments(prompt="a corgi")
    assert CheckArguments.model_validate({"api": "x", "instruction": nothing}).instruction == ""
    assert SearchArguments.model_validate({"query": "x", "k": nothing}).k == 5


def test_none_is_a_word_where_words_are_wanted() -> None:
    given = SelectArguments.model_validate({"prompt": "none", "negative_prompt": "none", "type": "None"})
    assert (given.prompt, given.negative_prompt, given.type) == ("none", "none", None)


def test_what_is_needed_stays_needed() -> None:
    with pytest.raises(ValidationError):
        SelectArguments.model_validate({"prompt": None})
    with pytest.raises(ValidationError):
        SelectArguments.model_validate({"prompt": "a corgi", "k": 99})


def test_every_door_reads_an_infotext_and_refuses_words() -> None:
    castle = {"model_id": 10, "model": "Castle Dreams", "type": "Checkpoint", "base_model": "SD 1.5"}
    operations = Operations(Catalogue([ModelRecord.model_validate(castle)]))
    text = "a castle\nSteps: 25, Sampler: Euler a, CFG scale: 6, Size: 512x512, Model: castle_dreams"
    found = operations.check(CheckArguments(api=text)).data
    assert (found["model"], found["status"], found["repair"]["api"]["sampling steps"]) == (
        "castle_dreams",
        "alias",
        25,
    )
    with pytest.raises(InvalidApi, match="no model is named"):
        operations.check(CheckArguments(api="I would take a nice one for that."))
