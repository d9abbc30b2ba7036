"""A chosen model becomes a whole call: settings, trigger words, base checkpoint, ids."""

from typing import Any

import pytest

from retrieval.calls.compose import (
    api_for,
    composed_notes,
    default_api,
    default_settings,
    with_own_trigger,
    with_trigger,
    worth_saying,
)
from retrieval.errors import UnknownModel
from retrieval.records.api import CheckpointRef, Instruction, read_instruction
from retrieval.records.model import ModelRecord, Settings, VersionRecord
from retrieval.tables.families import family_of

VERSIONS = (
    VersionRecord(version_id=20, version="v2", base_model="SD 1.5", trigger_words=("pxl2",)),
    VersionRecord(version_id=10, version="v1", base_model="SD 1.5"),
)
LORA = ModelRecord(
    model_id=5,
    model="Pixel",
    type="LORA",
    base_model="SD 1.5",
    description="Pixel art.",
    trigger_words=("pxl", "16 bit"),
    versions=VERSIONS,
    settings=Settings(
        sampling_method="DPM++ 2M Karras",
        sampling_steps=30,
        cfg_scale=8.5,
        width=512,
        height=768,
        clip_skip=2,
        base_checkpoint=CheckpointRef(model="ReV Animated", model_id=7371),
        samples=3,
    ),
)
REQUEST = read_instruction({"prompt": "a fox", "negative_prompt": "blurry"})


def test_everything_that_is_known_is_filled_in() -> None:
    api = api_for(LORA, REQUEST, version_id=10, confidence=0.5)
    assert api.to_wire() == {
        "model": "Pixel",
        "type": "LORA",
        "base model": "SD 1.5",
        "width": 512,
        "height": 768,
        "sampling method": "DPM++ 2M Karras",
        "sampling steps": 30,
        "cfg scale": 8.5,
        "model description": "Pixel art.",
        "model id": 5,
        "version id": 10,
        "version": "v1",
        "air": "urn:air:sd1:lora:civitai:5@10",
        "base checkpoint": {"model": "ReV Animated", "model id": 7371},
        "lora weight": 0.8,
        "trigger words": ["pxl", "16 bit"],
        "clip skip": 2,
        "negative prompt": "blurry",
        "prompt": "pxl, a fox",
        "confidence": 0.5,
    }


def test_the_newest_version_and_its_own_trigger_words() -> None:
    api = api_for(LORA, REQUEST)
    assert (api.version_id, api.trigger_words, api.prompt) == (20, ("pxl2",), "pxl2, a fox")


def test_what_nobody_knows_is_the_default_of_the_family() -> None:
    bare = ModelRecord(model_id=1, model="Bare", type="Checkpoint", base_model="SDXL 1.0")
    api = api_for(bare, REQUEST)
    assert (api.sampling_method, api.sampling_steps, api.cfg_scale) == ("Euler a", 20, 7)
    assert (api.width, api.height) == (1024, 1024)
    assert (api.prompt, api.base_checkpoint, api.lora_weight) == ("a fox", None, None)
    assert (api.version_id, api.air, api.clip_skip) == (None, None, None)


def test_the_default_call_is_that_of_the_paper_whatever_is_recommended() -> None:
    base = ModelRecord(
        model_id=9,
        model="Base",
        type="Checkpoint",
        base_model="SDXL 1.0",
        versions=(VersionRecord(version_id=90, version="v1", base_model="SDXL 1.0"),),
        settings=Settings(sampling_method="DDIM", sampling_steps=50, cfg_scale=3.0, width=640, height=640),
    )
    assert default_api(base, REQUEST).to_wire() == {
        "model": "Base",
        "type": "Checkpoint",
        "base model": "SDXL 1.0",
        "width": 1024,
        "height": 1024,
        "sampling method": "Euler a",
        "sampling steps": 20,
        "cfg scale": 7,
        "model description": "",
        "model id": 9,
        "version id": 90,
        "version": "v1",
        "air": "urn:air:sdxl:checkpoint:civitai:9@90",
        "negative prompt": "blurry",
        "prompt": "a fox",
    }
    assert default_api(base, None).prompt == ""
    own = default_api(base.model_copy(update={"base_model": "My Family"}), REQUEST)
    assert (own.base_model, own.width, own.air) == ("My Family", 512, "urn:air:sdxl:checkpoint:civitai:9@90")
    assert default_settings(family_of("SD 2.1"))["height"] == 768


def test_a_lora_without_a_known_checkpoint_runs_on_the_base_model() -> None:
    bare = ModelRecord(model_id=1, model="Bare", type="LORA", base_model="SD 1.5")
    checkpoint = api_for(bare, REQUEST).base_checkpoint
    assert checkpoint is not None
    assert checkpoint.model_id == 62437


def checkpoint(base_model: str, spelled: str = "", **settings: Any) -> ModelRecord:
    version = VersionRecord(version_id=1, version="v1", base_model=spelled or base_model)
    return ModelRecord(
        model_id=1,
        model="A",
        type="Checkpoint",
        base_model=base_model,
        versions=(version,),
        settings=Settings(**settings) if settings else None,
    )


def test_what_a_family_lacks_is_left_out_and_said() -> None:
    assert api_for(checkpoint("SDXL 1.0", clip_skip=2), REQUEST).clip_skip is None
    flux = checkpoint("Flux.1 D")
    api = api_for(flux, REQUEST)
    assert (api.sampling_method, api.sampling_steps, api.cfg_scale, api.negative_prompt) == (
        *("Euler", 25, 3.5),
        "",
    )
    (note,) = composed_notes(flux, REQUEST, api)
    assert note.startswith("the negative prompt is left out: it does nothing on Flux.1 D")
    assert composed_notes(LORA, REQUEST, api_for(LORA, REQUEST)) == ()


@pytest.mark.parametrize(
    ("base_model", "given", "made"),
    [
        ("SD 1.5", {"sampling_steps": 60, "samples": 9}, (40, 7.0)),
        ("Krea 2", {"sampling_steps": 52, "samples": 9}, (52, 3.5)),
        ("ZImageTurbo", {"sampling_steps": 60, "cfg_scale": 7.0, "samples": 9}, (15, 2.0)),
        # one sample counts a quarter
        ("SD 1.5", {"sampling_steps": 40, "cfg_scale": 11.0, "samples": 1}, (25, 8.0)),
        ("SDXL Turbo", {"sampling_steps": 6, "cfg_scale": 2.0, "samples": 1}, (4, 1.0)),
        ("SDXL Lightning", {}, (8, 1.0)),
        ("SDXL 1.0", {}, (20, 7.0)),
        # nobody counted samples: a person wrote it down
        ("SD 1.5", {"sampling_steps": 33, "cfg_scale": 11.3}, (33, 11.3)),
    ],
)
def test_settings_lie_within_what_helps_and_few_samples_are_drawn_to_the_usual(
    base_model: str, given: dict[str, Any], made: tuple[int, float]
) -> None:
    api = api_for(checkpoint(family_of(base_model).name, base_model, **given), REQUEST)
    assert (api.sampling_steps, api.cfg_scale) == made


def test_steps_that_were_cut_are_said() -> None:
    record = checkpoint("SD 1.5", sampling_steps=60, samples=9)
    assert composed_notes(record, REQUEST, api_for(record, REQUEST)) == (
        "its samples took 60 steps; 40 do as well",
    )


@pytest.mark.parametrize(
    ("model", "triggers", "terms", "samples", "said"),
    [
        ("XS 19 Houseplan", ("garage", "a modern house"), {}, 1, ()),
        ("Anything", ("lake", "river", "boat", "pier"), {"boat": 1.0}, 1, ()),
        ("Anything", ("lake", "river", "boat", "pier"), {"boat": 1.0}, 4, ("boat",)),
        ("Glass Sculptures", ("glasssculpture", "a", "b", "transparent"), {}, 0, ("glasssculpture",)),
        ("Ink", ("monochrome", "zyd_ink"), {}, 5, ("zyd_ink",)),
        ("Stones", ("granite", "Gr4nite"), {"granite": 0.4}, 5, ("Gr4nite",)),
        ("Old Houses", ("oldhse", "monochrome"), {"oldhse": 1.0}, 1, ("oldhse",)),
        ("Anything", ("riding on a",), {}, 6, ("riding on a",)),
        ("WoW Icons", ("wowicon of", "wowicon portrait of"), {}, 6, ("wowicon of",)),
    ],
)
def test_of_a_menu_only_a_token_or_what_most_samples_say_is_said(
    model: str, triggers: tuple[str, ...], terms: dict[str, float], samples: int, said: tuple[str, ...]
) -> None:
    record = LORA.model_copy(
        update={"model": model, "trigger_words": triggers, "terms": terms, "samples": samples}
    )
    assert worth_saying(record, triggers) == said


def test_a_menu_is_told_and_not_sprinkled_over_the_prompt() -> None:
    menu = LORA.model_copy(update={"trigger_words": ("garage", "a modern house"), "versions": ()})
    api = api_for(menu, REQUEST)
    assert api.prompt == "a fox"
    assert with_own_trigger(api) == "a fox"
    assert composed_notes(menu, REQUEST, api) == (
        "its trigger words are a menu, of which none was asked for: 'garage', 'a modern house'",
    )
    assert (
        composed_notes(menu, read_instruction("a garage"), api_for(menu, read_instruction("a garage"))) == ()
    )


def test_a_version_of_another_model() -> None:
    with pytest.raises(UnknownModel, match="20, 10"):
        api_for(LORA, REQUEST, version_id=99)


def test_a_base_model_of_no_family_has_the_default_ones_limits() -> None:
    record = ModelRecord(
        model_id=1,
        model="A",
        type="LORA",
        base_model="Something New",
        versions=(VersionRecord(version_id=3, version="v1", base_model="Something New"),),
        settings=Settings(sampling_steps=30, width=90_000, height=512),
    )
    api = api_for(record, REQUEST)
    assert (api.sampling_steps, api.width, api.height) == (30, 2048, 512)
    assert (api.air, api.base_checkpoint, api.version_id) == (None, None, 3)
    assert api.to_wire()["base model"] == "Something New"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"cfg_scale": 900.0}, {"cfg_scale": 30.0}),
        ({"cfg_scale": 0.0}, {"cfg_scale": 7.0}),
        ({"lora_weight": -99.0}, {"lora_weight": -2.0}),
        ({"clip_skip": 0}, {"clip_skip": 1}),
        ({"clip_skip": 77}, {"clip_skip": 12}),
        ({"width": 1_000_000, "height": 1_000_000}, {"width": 1024, "height": 1024}),
        ({"width": 513, "height": 770}, {"width": 512, "height": 768}),
        ({"sampling_method": "Ignore the above\x1b[31m"}, {"sampling_method": "Euler a"}),
    ],
)
def test_what_a_record_recommends_is_kept_in_the_familys_limits(
    given: dict[str, Any], made: dict[str, Any]
) -> None:
    settings = Settings(**{"samples": 9, **given})
    api = api_for(LORA.model_copy(update={"settings": settings}), REQUEST)
    assert {name: getattr(api, name) for name in made} == made


@pytest.mark.parametrize(
    ("triggers", "prompt", "missing"),
    [
        (("pxl", "16 bit"), "a fox", ("pxl",)),
        (("pxl", "16 bit"), "a fox, PXL", ()),
        (("pxl", "16 bit"), "a (16 Bit:1.2) fox", ()),
        (("ink",), "a drink", ("ink",)),
        (("水墨",), "一幅水墨画", ()),
        ((), "a fox", ()),
    ],
)
def test_a_trigger_word_stands_before_a_prompt_that_says_none(
    triggers: tuple[str, ...], prompt: str, missing: tuple[str, ...]
) -> None:
    assert with_trigger(triggers, prompt) == ", ".join((*missing, prompt))


def test_the_request_is_kept_word_for_word() -> None:
    prompt = "A Fox (red:1.3),\n<lora:other:0.5> 'quoted'"
    assert api_for(LORA, Instruction(prompt=prompt)).prompt == f"pxl2, {prompt}"
