"""Infotext: texts as the programs write them are read; what is written is read back to the same record."""

import contextlib
import time

import pytest
from calls import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from diffagent_tools.formats.civitai_resources import pairs
from diffagent_tools.formats.infotext import (
    api_from_infotext,
    hashes_of,
    infotext_of,
    read_infotext,
)
from diffagent_tools.formats.loras import LoraTag, take_lora_tags
from retrieval.errors import InvalidApi, InvalidInput
from retrieval.records.api import CheckpointRef, T2IApi
from retrieval.tables.samplers import SAMPLERS

OLD = """masterpiece, a lighthouse in a storm <lora:inkwash:0.7>
Negative prompt: (worst quality:1.4),
blurry, extra fingers
Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 1234567, Size: 512x768, Model hash: 879db523c3, \
Model: dreamshaper_8, Clip skip: 2, Lora hashes: "inkwash: 6a5e3c1b2f00", Version: v1.6.0"""
NEW = """a lighthouse
Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 1024x1024, \
Model hash: 31e35c80fc, Model: sd_xl_base_1.0, Hires prompt: "a, b: \\"c\\"\\nd", Version: v1.10.1
Template: a {lighthouse|tower}
in two lines
Negative Template: none"""
CIVITAI = """a fox, <lora:a:0.4>
Steps: 25, Sampler: Euler a, CFG scale: 5, Seed: 9, Size: 832x1216, Clip skip: 2, Created Date: \
2024-10-01T10:20:30.123Z, Civitai resources: [{"type":"checkpoint","modelVersionId":290640,"modelName":"Pony \
Diffusion V6 XL","modelVersionName":"V6, start: here"},{"type":"lora","weight":0.4,"modelVersionId":11,\
"modelName":"Fox, red"},{"type":"embed","modelVersionId":250712,"modelName":"neg"}], Civitai metadata: {}"""


def test_the_form_before_the_split_of_samplers() -> None:
    infotext = read_infotext(OLD)
    assert infotext.negative_prompt == "(worst quality:1.4),\nblurry, extra fingers"
    assert list(infotext.settings)[:3] == ["Steps", "Sampler", "CFG scale"]
    assert infotext.settings["Lora hashes"] == "inkwash: 6a5e3c1b2f00"
    reading = api_from_infotext(infotext)
    api = reading.api
    assert (api.model, api.type, api.lora_weight) == ("inkwash", "LORA", 0.7)
    assert api.base_checkpoint == CheckpointRef(model="dreamshaper_8")
    assert (api.sampling_method, api.sampling_steps, api.cfg_scale) == ("DPM++ 2M Karras", 28, 6.5)
    assert (api.width, api.height, api.clip_skip) == (512, 768, 2)
    assert api.prompt == "masterpiece, a lighthouse in a storm"
    assert reading.guesses == ("base model is missing; the default SD 1.5 was taken",)


def test_the_split_form_with_quotes_and_templates() -> None:
    infotext = read_infotext(NEW.replace("\n", "\r\n"))
    assert infotext.prompt == "a lighthouse"
    assert infotext.settings["Hires prompt"] == 'a, b: "c"\nd'
    assert infotext.settings["Template"] == "a {lighthouse|tower}\nin two lines"
    assert infotext.settings["Negative Template"] == "none"
    reading = api_from_infotext(infotext)
    assert reading.api.sampling_method == "DPM++ 2M Karras"
    assert (reading.api.model, reading.api.type, reading.api.base_model) == (
        *("sd_xl_base_1.0", "Checkpoint"),
        "SDXL 1.0",
    )
    assert reading.guesses == ("base model is missing; SDXL 1.0 was guessed from the name 'sd_xl_base_1.0'",)


def test_civitais_resources_name_models_and_versions() -> None:
    infotext = read_infotext(CIVITAI)
    assert infotext.settings["Civitai metadata"] == "{}"
    api = api_from_infotext(infotext).api
    assert (api.model, api.version_id, api.lora_weight, api.prompt) == ("Fox, red", 11, 0.4, "a fox")
    assert api.base_checkpoint == CheckpointRef(model="Pony Diffusion V6 XL", version_id=290640)


def test_the_heaviest_of_several_loras_is_the_model_and_the_others_are_told() -> None:
    text = "a <lora:one:0.3> b <lora:two:-0.9>, <lora:three>\nSteps: 5, Sampler: LMS, Size: 8x8, Model: m"
    reading = api_from_infotext(read_infotext(text))
    assert reading.api.model == "three"
    assert [(lora.model, lora.weight) for lora in reading.api.loras] == [("one", 0.3), ("two", -0.9)]
    assert "'one', 'two' beside it" in reading.guesses[0]


def test_a_model_hash_stands_in_for_a_name() -> None:
    reading = api_from_infotext(read_infotext("Steps: 5, Sampler: LMS, Size: 8x8, Model hash: 879db523c3"))
    assert reading.api.model == "879db523c3"
    assert "hash 879db523c3 was taken" in reading.guesses[0]


def test_loras_are_found_in_their_hashes_when_the_tags_are_gone() -> None:
    text = 'a\nSteps: 5, Sampler: LMS, Size: 8x8, Model: m, Lora hashes: "ink: aabb, wash: ccdd"'
    reading = api_from_infotext(read_infotext(text))
    assert (reading.api.model, reading.api.lora_weight) == ("ink", None)


@pytest.mark.parametrize(
    ("prompt", "left"),
    [
        ("a, <lora:x:1>, b", "a, b"),
        ("<lora:x:1>, b", "b"),
        ("a, <lora:x:1>", "a"),
        ("a <lora:x:1><lyco:y:0.5> b", "a b"),
        ("a<lora:x:1>b", "ab"),
        ("a,\n<lora:x:1>\nb", "a,\n\nb"),
        ("a, <LORA:x>, <lora:y:1>", "a"),
        ("<lora: :1> <lora> <hypernet:h:1>", "<lora: :1> <lora> <hypernet:h:1>"),
    ],
)
def test_tags_leave_a_clean_prompt(prompt: str, left: str) -> None:
    assert take_lora_tags(prompt)[0] == left


@pytest.mark.parametrize(
    ("tag", "weight"),
    [
        *(("<lora:x:0.8>", 0.8), ("<lora:x>", None), ("<lora:x:0.5:0.9>", 0.9), ("<lora:x:-.5>", -0.5)),
        *(("<lora:x:te=0.5:unet=0.7>", 0.7), ("<lora:x:te=0.5>", 0.5), ("<lora:x:much>", None)),
        ("<lora:x:1e999>", None),
        ("<lora:x:0.8:lbw=ALL>", 0.8),
    ],
)
def test_weights_of_tags(tag: str, weight: float | None) -> None:
    assert take_lora_tags(tag) == ("", (LoraTag("x", weight),))


@pytest.mark.parametrize("text", ["", "a corgi", "a: b, c: d", "Steps: many", "{}", "\x00"])
def test_a_text_without_settings_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="found no settings in the text"):
        read_infotext(text)


def test_an_infotext_without_a_model_is_refused() -> None:
    with pytest.raises(InvalidInput, match="names no model"):
        api_from_infotext(read_infotext("a\nSteps: 20, Sampler: Euler a, Size: 512x512"))


def test_a_text_of_any_size_and_shape_is_read_in_a_moment() -> None:
    with pytest.raises(InvalidInput, match="at most 400,000 are read"):
        read_infotext("a" * 400_001)
    for hard in (
        "<lora:" * 60_000,
        'k: "\\",' * 50_000,
        "k: [" * 90_000,
        'k: {"a":[' * 40_000,
        "a," * 190_000,
        "a: b," * 70_000,
        " " * 190_000,
        "a: " + " " * 99_000,
    ):
        started = time.perf_counter()
        read_infotext(f"{hard[:190_000]}\nSteps: 1, {hard[:190_000]}")
        take_lora_tags(hard)
        hashes_of(read_infotext(f"a fox\nSteps: 1, Lora hashes: {hard[:90_000]}"))
        pairs(hard)
        assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("ink: 12ab, mill : 34cd ", {"ink": "12ab", "mill": "34cd"}),
        ("ink, dark: 12ab, mill: 34cd", {"ink, dark": "12ab", "mill": "34cd"}),
        ("Lora: ink: 12ab", {"ink": "12ab"}),
        (f"ink: {'0' * 81}, : 12ab, mill: , fox: 34cd", {"fox": "34cd"}),
        ("ink", {}),
        ("", {}),
    ],
)
def test_names_and_hashes_in_a_row(text: str, read: dict[str, str]) -> None:
    assert pairs(text) == read


def test_a_record_that_may_not_be_written_is_refused() -> None:
    with pytest.raises(InvalidApi, match="model is empty"):
        infotext_of(checkpoint(model=" "))


def test_both_forms_and_the_seed_as_they_are_written() -> None:
    api = checkpoint(prompt="a cat", negative_prompt="b\nc", type="LORA", lora_weight=0.8, model="Ink: wash")
    api = api.model_copy(update={"sampling_method": "DPM++ 2M Karras"})
    assert infotext_of(api, seed=5).startswith(
        "a cat <lora:Ink_ wash:0.8>\nNegative prompt: b\nc\n"
        "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, Size: 512x512, Base model: SD 1.5, "
    )
    assert "Sampler: DPM++ 2M, Schedule type: Karras, CFG" in infotext_of(api, schedule_type=True)


def test_what_would_be_read_as_another_part_is_joined_to_the_line_before() -> None:
    api = checkpoint(prompt="a\nNegative prompt: b\nSteps: 9, Sampler: x, Size: 1x1", negative_prompt="c")
    read = read_infotext(infotext_of(api))
    assert read.prompt == "a Negative prompt: b\nSteps: 9, Sampler: x, Size: 1x1"
    assert (read.negative_prompt, read.settings["Steps"]) == ("c", "20")


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)
ids = st.none() | st.integers(1, 10**9)


def canonical(text: str) -> str:
    """A prompt as every infotext holds it: its lines stripped, and none that begins another part."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")
    return "\n".join(line.strip() for line in lines).strip()


prompts = (
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(list(':,"\\<>[]{}\n')), max_size=80)
    .map(canonical)
    .filter(lambda text: "Negative prompt:" not in text and not take_lora_tags(text)[1])
    .filter(lambda text: not text.startswith("\ufeff"))
)
references = st.builds(CheckpointRef, model=names, model_id=ids, version_id=ids)
apis = st.builds(
    T2IApi,
    model=names,
    type=st.sampled_from(["LORA", "Checkpoint"]),
    base_model=st.sampled_from(["SD 1.5", "SDXL 1.0", "Pony"]) | names,
    width=st.integers(1, 10_000),
    height=st.integers(1, 10_000),
    sampling_method=st.sampled_from([sampler.name for sampler in SAMPLERS]),
    sampling_steps=st.integers(1, 1000),
    cfg_scale=st.floats(-1e6, 1e6) | st.floats(allow_nan=False, allow_infinity=False),
    model_id=ids,
    version_id=ids,
    version=st.none() | names,
    base_checkpoint=st.none() | references,
    lora_weight=st.none() | st.floats(-1e6, 1e6),
    clip_skip=st.none() | st.integers(1, 12),
    negative_prompt=prompts,
    prompt=prompts,
)


@given(api=apis, schedule_type=st.booleans(), seed=st.none() | st.integers(0, 2**64))
def test_what_is_written_is_read_back(api: T2IApi, schedule_type: bool, seed: int | None) -> None:
    read = read_infotext(infotext_of(api, schedule_type=schedule_type, seed=seed))
    assert read.settings.get("Seed") == (None if seed is None else str(seed))
    if api.type == "LORA":
        weight = 1.0 if api.lora_weight is None else api.lora_weight
        expected = api.model_copy(update={"lora_weight": weight, "prompt": api.prompt.rstrip(", ")})
    else:
        expected = api.model_copy(update={"base_checkpoint": None, "lora_weight": None})
    reading = api_from_infotext(read)
    assert reading.api == expected
    assert reading.guesses == ()


@given(text=st.text() | st.text().map(lambda text: f"{text}\nSteps: 20, {text}, Model: m, Size: 1x1, a: b"))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        api = api_from_infotext(read_infotext(text)).api
        assert T2IApi.model_validate(api.model_dump()) == api
