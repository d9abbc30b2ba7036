"""Several LoRAs in one call: of three kinds and one family, and one where the request needs one."""

import json
from typing import Any

import pytest
from small_adapter import fusion_only
from typer.testing import CliRunner

from diffagent_tools.agents.arguments import SelectArguments
from diffagent_tools.agents.operations import Operations
from diffagent_tools.agents.text import selection_text
from diffagent_tools.cli import command as cli
from diffagent_tools.cli import select as select_command
from diffagent_tools.formats.read import import_text
from diffagent_tools.formats.write import export
from diffagent_tools.select.selector import RetrievalSelector
from diffagent_tools.select.several import MOST_WEIGHT, scaled, together_words, with_loras
from retrieval.calls.compose import api_for
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.api import LoraRef, read_instruction
from retrieval.records.model import ModelRecord

WISH = "a dinosaur with rainbow hair, watercolor"


def model(model_id: int, name: str, **fields: Any) -> ModelRecord:
    known = {"type": "LORA", "base_model": "SD 1.5", "tags": [], "trigger_words": [], **fields}
    version = {"version_id": model_id * 10, "version": "v1", "base_model": known["base_model"]}
    return ModelRecord.model_validate({"model_id": model_id, "model": name, "versions": [version], **known})


WASH = model(1, "Washes", tags=["style", "watercolor"], trigger_words=["wtrclr_style"])
DINOSAUR = model(2, "Big Dinosaurs", tags=["animal", "dinosaur"], trigger_words=["dinosaur"])
HAIR = model(3, "Prismatic Hair", tags=["concept", "hairstyle"], trigger_words=["rainbow hair"])
RECORDS = (
    WASH,
    DINOSAUR,
    HAIR,
    model(4, "Another Wash", tags=["style", "watercolor"]),
    model(5, "Dinosaurs XL", base_model="SDXL 1.0", tags=["animal", "dinosaur"], trigger_words=["dinosaur"]),
    model(6, "Teapots", tags=["objects", "teapot"], trigger_words=["teapot"]),
    model(62437, "v1-5-pruned-emaonly", type="Checkpoint"),
)


@pytest.fixture(scope="module")
def selector(tmp_path_factory: pytest.TempPathFactory) -> RetrievalSelector:
    return RetrievalSelector(
        Catalogue(RECORDS), adapter=fusion_only(tmp_path_factory.mktemp("adapter") / "a")
    )


def chosen(selector: RetrievalSelector, wish: str, loras: int) -> Any:
    return Operations(selector.catalogue, selector).choose(wish, loras=loras, type="LORA")[0]


def test_a_style_a_subject_and_a_detail_come_together(selector: RetrievalSelector) -> None:
    found = chosen(selector, WISH, 3)
    api = found.api
    names = {api.model, *(lora.model for lora in api.loras)}
    assert {"Big Dinosaurs", "Prismatic Hair"} <= names
    assert len(names & {"Washes", "Another Wash"}) == len(names) - 2 == 1
    assert {lora.air for lora in api.loras} <= {f"urn:air:sd1:lora:civitai:{i}@{i * 10}" for i in range(1, 5)}
    weights = [api.lora_weight, *(lora.weight for lora in api.loras)]
    assert weights == [0.5, 0.5, 0.5]
    # each says its own trigger word, once
    for trigger in ("dinosaur", "rainbow hair"):
        assert api.prompt.count(trigger) == 1
    assert ("wtrclr_style" in api.prompt) == ("Washes" in names)
    assert found.notes[-1].startswith("these LoRAs were not seen together")
    assert "with the LoRA" in selection_text(1, found, selector.catalogue)
    api.to_wire()


def test_as_many_as_are_asked_for_and_one_where_nothing_is_said(selector: RetrievalSelector) -> None:
    assert chosen(selector, WISH, 1).api.loras == ()
    assert len(chosen(selector, WISH, 2).api.loras) == 1
    for wish in ("watercolor", "a dinosaur", "a teapot", "a lighthouse, watercolor"):
        found = chosen(selector, wish, 3)
        assert found.api.loras == ()
        assert found == chosen(selector, wish, 1)


def test_what_is_refused_brings_no_lora(selector: RetrievalSelector) -> None:
    names = [lora.model for lora in chosen(selector, "a teapot, watercolor, no dinosaur", 3).api.loras]
    assert "Big Dinosaurs" not in names


def test_a_checkpoint_takes_them_all_and_stays_the_model(selector: RetrievalSelector) -> None:
    (first,) = selector.select("a dinosaur with rainbow hair", type="Checkpoint")
    found = with_loras(first, selector, 3)
    assert (found.api.model, found.api.lora_weight) == ("v1-5-pruned-emaonly", None)
    assert [lora.model for lora in found.api.loras] == ["Big Dinosaurs", "Prismatic Hair"]


@pytest.mark.parametrize("format", ["infotext", "comfyui", "comfyui-ui"])
def test_what_was_chosen_is_read_back(selector: RetrievalSelector, format: str) -> None:
    api = chosen(selector, WISH, 3).api
    reading = import_text(export(api, format, catalogue=selector.catalogue), selector.catalogue)
    assert reading is not None
    read = reading.api
    used = [(lora.model, lora.weight) for lora in api.loras]
    assert sorted((lora.model.replace("_", " "), lora.weight) for lora in read.loras) == sorted(used)
    assert (read.model, read.lora_weight, read.prompt) == (api.model, api.lora_weight, api.prompt)


def test_every_door_takes_the_number(selector: RetrievalSelector, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Operations(selector.catalogue, selector).select(
        SelectArguments.model_validate({"prompt": WISH, "loras": 3, "type": "lora"})
    )
    assert len(answer.data["api"]["loras"]) == 2
    assert "beside it" in answer.text
    monkeypatch.setattr(select_command, "make_selector", lambda *options: selector)
    monkeypatch.setattr(select_command, "load_catalogue", lambda path: selector.catalogue)
    ran = CliRunner().invoke(cli.app, ["select", WISH, "--type", "lora", "--loras", "3", "--json"])
    assert json.loads(ran.stdout)["loras"] == answer.data["api"]["loras"]
    with pytest.raises(InvalidInput, match="a call has 1 to 3"):
        chosen(selector, WISH, 4)


def test_weights_add_up_to_no_more_than_a_total() -> None:
    assert scaled([0.5, None]) == [0.5, 0.8]
    assert scaled([1.0, 1.0, -1.0]) == [0.5, 0.5, -0.5]
    assert sum(map(abs, scaled([0.9, 0.7, None]))) <= MOST_WEIGHT
    assert scaled([]) == []


def test_what_people_used_together_is_said_with_its_count() -> None:
    starter = Catalogue.starter()
    api = api_for(starter.get(8029), read_instruction("a street"))
    other = LoraRef(model=starter.get(44960).model, model_id=44960)
    seen = api.model_copy(update={"loras": (other,)})
    assert together_words(seen) == "these LoRAs were tried together in 3 pictures"
    both = seen.model_copy(update={"loras": (other, other.model_copy(update={"model_id": 7}))})
    assert together_words(both).startswith("these LoRAs were not seen together")
    unknown = seen.model_copy(update={"loras": (other.model_copy(update={"model_id": None}),)})
    assert together_words(unknown).startswith("these LoRAs were not seen together")
    assert together_words(api) == ""
