"""Civitai's metadata and A1111's infotext, read as one record."""

from typing import Any

import pytest
from dabench_world import meta_of
from hypothesis import given
from hypothesis import strategies as st

from diffagent_tools.formats.generation import Generation, lora_weight, number, read_generation
from diffagent_tools.formats.infotext import infotext_of
from retrieval.records.api import T2IApi
from retrieval.tables.samplers import SAMPLERS, find_sampler


def made(meta: object) -> Generation:
    found = read_generation(meta)
    assert found is not None
    return found


def test_a_meta_object_is_read() -> None:
    read = made(meta_of("a fox <lora:ink:0.7>, at dawn <hypernet:x:1>"))
    assert read.prompt == "a fox, at dawn"
    assert read.loras[0].name == "ink"
    assert (read.steps, read.cfg_scale, read.size, read.clip_skip, read.seed) == (25, 7, (512, 768), 2, 1)
    assert not read.from_image


@pytest.mark.parametrize("nothing", [None, {}, [], 7, "", "only words"])
def test_nothing_is_read_from_nothing(nothing: object) -> None:
    assert read_generation(nothing) is None


def test_an_object_that_says_nothing_has_no_prompt() -> None:
    read = made({"meta": None})
    assert (read.prompt, read.negative_prompt, read.loras) == (None, "", ())


@pytest.mark.parametrize("odd", [None, [], ["lora"], {"lora": 1}, 7])
def test_a_resource_of_another_kind_than_text_is_none_of_the_known(odd: object) -> None:
    read = made(meta_of("a fox", resources=[{"type": odd, "name": "ink"}], civitaiResources=[{"type": odd}]))
    assert (read.checkpoint_name, [resource.kind for resource in read.resources]) == (None, ["", ""])


def test_metadata_inside_metadata_is_found() -> None:
    inner = meta_of("a fox")
    assert made({"id": 5, "meta": inner}) == made(inner)


def test_hashes_are_collected_from_all_places_the_longest_first() -> None:
    read = made(
        meta_of(
            "a fox",
            **{"Model hash": "0xABCDEF01"},
            hashes={"model": "a" * 10, "lora:ink": "b" * 12},
            resources=[
                {"type": "model", "hash": "c" * 64, "name": "oil"},
                {"type": "lora", "name": "ink", "weight": 1},
            ],
        )
    )
    assert read.checkpoint_hashes == ("C" * 64, "A" * 10, "ABCDEF01")
    assert read.checkpoint_name == "oil"


def test_sizes_of_nothing_and_of_letters() -> None:
    assert made(meta_of("a", Size="0x0")).size == (0, 0)
    assert made(meta_of("a", Size="large")).size is None
    assert made(meta_of("a", Size=None, width=640, height=832)).size == (640, 832)


@pytest.mark.parametrize(
    ("value", "read"),
    [("7.5", 7.5), (" 20 ", 20.0), (True, None), ("many", None), (10**400, None), (float("nan"), None)],
)
def test_numbers(value: object, read: float | None) -> None:
    assert number(value) == read


def test_what_began_as_another_image_is_told_from_what_was_enlarged() -> None:
    assert made(meta_of("a", **{"Denoising strength": "0.5"})).from_image
    assert made(meta_of("a", **{"Mask blur": "4", "Hires upscale": "2"})).from_image
    enlarged = {"Denoising strength": "0.5", "Hires upscale": "2"}
    assert not made(meta_of("a", **enlarged)).from_image


def test_a_loras_weight_is_that_of_its_own_tag() -> None:
    read = made(meta_of("a fox <lora:other:0.2> <lora:Ink_v2:0.9>"))
    assert lora_weight(read, 1, frozenset({"ink_v2"})) == 0.9
    assert lora_weight(read, 1, frozenset({"unknown"})) is None
    alone = made(meta_of("a fox <lora:renamed:0.4>"))
    assert lora_weight(alone, 1, frozenset({"ink_v2"})) == 0.4
    by_id = made(meta_of("a", civitaiResources=[{"type": "lora", "weight": 0.3, "modelVersionId": 1}]))
    assert lora_weight(by_id, 1, frozenset()) == 0.3
    network = {"AddNet Model 1": "ink_v2(a1b2c3d4)", "AddNet Weight A 1": "0.65"}
    assert lora_weight(made(meta_of("a", **network)), 1, frozenset({"ink_v2"})) == 0.65


_names = st.sampled_from([sampler.name for sampler in SAMPLERS])
_words = st.lists(
    st.sampled_from(["fox", "snow", "(dawn:1.2)", "tower", "ink, lines"]), min_size=1, max_size=8
)


@given(
    words=_words,
    negative=_words,
    sampler=_names,
    steps=st.integers(1, 150),
    cfg=st.integers(2, 60).map(lambda half: half / 2),
    width=st.integers(8, 30).map(lambda tiles: tiles * 64),
    height=st.integers(8, 30).map(lambda tiles: tiles * 64),
    skip=st.none() | st.integers(1, 4),
    split=st.booleans(),
)
def test_an_infotext_says_what_the_call_said(
    words: list[str], negative: list[str], split: bool, sampler: str, **values: Any
) -> None:
    api = T2IApi(
        model="Oil Paint",
        type="Checkpoint",
        base_model="SD 1.5",
        width=values["width"],
        height=values["height"],
        sampling_method=sampler,
        sampling_steps=values["steps"],
        cfg_scale=values["cfg"],
        clip_skip=values["skip"],
        prompt=" ".join(words),
        negative_prompt=" ".join(negative),
    )
    read = made(infotext_of(api, schedule_type=split))
    assert (read.prompt, read.negative_prompt) == (api.prompt, api.negative_prompt)
    assert (read.steps, read.cfg_scale) == (api.sampling_steps, api.cfg_scale)
    assert (read.size, read.clip_skip) == ((api.width, api.height), api.clip_skip)
    found, wanted = find_sampler(read.sampler or "", read.schedule), find_sampler(sampler)
    assert found is not None
    assert wanted is not None
    assert found.name == wanted.name
    assert made({"parameters": infotext_of(api)}).prompt == api.prompt


def test_civitais_own_generator_names_the_checkpoint_by_its_version() -> None:
    resources = [
        {"type": "checkpoint", "modelVersionId": 4321},
        {"type": "lora", "modelVersionId": 99, "weight": 0.4},
    ]
    made = read_generation({"prompt": "a mill", "civitaiResources": resources})
    assert made is not None
    assert (made.checkpoint_versions, made.checkpoint_hashes) == ((4321,), ())
