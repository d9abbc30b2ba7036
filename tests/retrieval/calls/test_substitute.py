"""What is called instead of a model that cannot be: the nearest name, then the ids, then the meaning."""

import pytest
from bystanders import bystanders

from retrieval.calls.compose import api_for
from retrieval.calls.substitute import Substitute, find_substitute
from retrieval.calls.verdict import judge
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction, T2IApi
from retrieval.records.model import ModelRecord


def model(model_id: int, name: str, description: str = "", **more: object) -> ModelRecord:
    fields = {"type": "Checkpoint", "base_model": "SD 1.5", "description": description, **more}
    return ModelRecord.model_validate({"model_id": model_id, "model": name, **fields})


CASTLES = "Dark gothic castles with ruined towers."
CATALOGUE = Catalogue(
    [
        model(1, "Moonlit Harbour", "Boats in a quiet harbour by night."),
        model(2, "Gloomy Keep", CASTLES),
        model(3, "Gloomy Ink", CASTLES, type="LORA"),
        model(4, "Gloomy Large", CASTLES, base_model="SDXL 1.0"),
        model(5, "Torn Keep", CASTLES, available=False),
        model(6, "Adult Keep", CASTLES, nsfw=True),
        *bystanders(11),
    ]
)
ASKED = Instruction(prompt="dark gothic castles with ruined towers")
CALL = api_for(CATALOGUE.get(1), ASKED).model_copy(
    update={"model": "Qzxv", "model_description": "", "model_id": None, "air": None}
)


def substitute(api: T2IApi | str, request: Instruction | None = None) -> Substitute:
    return find_substitute(judge(api, CATALOGUE), request, CATALOGUE, None)


def named(found: Substitute) -> int | None:
    return found.record.model_id if found.record else None


def test_a_near_name_goes_before_the_ids_and_these_before_the_meaning() -> None:
    near = CALL.model_copy(update={"model": "Moonlit Harbor", "model_id": 2})
    assert named(substitute(near)) == 1
    pointed = CALL.model_copy(update={"model_id": 1})
    assert (named(substitute(pointed)), substitute(pointed).similarity) == (1, 1.0)
    assert named(substitute(CALL)) == 2


@pytest.mark.parametrize(
    ("fields", "model_id"),
    [({"type": "LORA"}, 3), ({"base_model": "SDXL 1.0"}, 4), ({"base_model": "SD 9"}, 2)],
)
def test_it_is_of_the_family_and_type_of_the_call(fields: dict[str, object], model_id: int) -> None:
    assert named(substitute(CALL.model_copy(update=fields))) == model_id


def test_ids_of_a_model_that_does_not_fit_say_what_is_meant_but_are_not_taken() -> None:
    gone = CALL.model_copy(update={"model_id": 5, "prompt": ""})
    found = substitute(gone)
    assert named(found) == 2
    assert found.why.startswith("no model is called 'Qzxv'; the nearest in meaning")


def test_a_model_that_is_gone_is_replaced_by_what_it_was_like_and_never_by_itself() -> None:
    found = substitute("Torn Keep")
    assert named(found) in {2, 3, 4}
    assert found.why.startswith("'Torn Keep' can no longer be had; the nearest in meaning is")


def test_what_is_not_near_enough_is_not_guessed() -> None:
    found = substitute(CALL.model_copy(update={"prompt": "", "type": "LORA"}))
    assert found.record is None
    assert found.why == (
        "no model is called 'Qzxv', and there is none to compare it with among those of SD 1.5 LORA"
    )
    far = substitute(CALL, Instruction(prompt="an invoice for boats, taxes and one quarterly statement"))
    assert far.record is None
    assert far.similarity is not None
    assert 0 < far.similarity < 0.15
