"""What a family cannot do, and the nearest value that it can."""

import pytest

from retrieval.calls.limits import adjust, corrections
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord, Settings
from retrieval.tables.families import FAMILIES, Family, family_of

CALL = T2IApi(
    model="Castle",
    type="Checkpoint",
    base_model="SD 1.5",
    width=512,
    height=512,
    sampling_method="Euler a",
    sampling_steps=20,
    cfg_scale=7.0,
)
SD_15 = family_of("SD 1.5")
RECORD = ModelRecord(
    model_id=1,
    model="Castle",
    type="Checkpoint",
    base_model="SD 1.5",
    settings=Settings(sampling_method="DPM++ 2M Karras", sampling_steps=28, cfg_scale=6.0),
)


def after(
    record: ModelRecord | None = None, family: Family | None = SD_15, **fields: object
) -> dict[str, object]:
    changes = corrections(CALL.model_copy(update=fields), family, record)
    return {change.field: change.after for change in changes}


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({"width": 515}, {"width": 512}),
        ({"width": 516}, {"width": 520}),  # half a step goes up
        ({"width": 255}, {"width": 256}),
        ({"width": 2049}, {"width": 2048}),
        ({"width": -1}, {"width": 512}),
        ({"width": 2048, "height": 512}, {}),  # exactly what it can do
        ({"width": 2048, "height": 520}, {"width": 2032, "height": 512}),
        ({"sampling_steps": 1}, {}),
        ({"sampling_steps": 150}, {}),
        ({"sampling_steps": 151}, {"sampling steps": 150}),
        ({"cfg_scale": 1.0}, {}),
        ({"cfg_scale": 30.0}, {}),
        ({"cfg_scale": 0.99}, {"cfg scale": 1.0}),
        ({"cfg_scale": 30.5}, {"cfg scale": 30.0}),
        ({"sampling_method": "Eulr a"}, {"sampling method": "Euler a"}),
        ({"sampling_method": "magic"}, {"sampling method": "Euler a"}),
        ({"clip_skip": 12}, {}),
        ({"clip_skip": 0}, {"clip skip": 1}),
        ({"type": "LORA", "lora_weight": -2.0}, {}),
        ({"type": "LORA", "lora_weight": -2.5}, {"lora weight": -2.0}),
    ],
)
def test_the_nearest_value_that_the_family_can_do(
    fields: dict[str, object], changed: dict[str, object]
) -> None:
    assert after(**fields) == changed


def test_what_means_nothing_becomes_what_is_recommended_for_the_model() -> None:
    bad = {"sampling_steps": 0, "cfg_scale": float("nan"), "sampling_method": "magic"}
    assert after(RECORD, **bad) == {
        "sampling steps": 28,
        "cfg scale": 6.0,
        "sampling method": "DPM++ 2M Karras",
    }
    assert after(**bad) == {"sampling steps": 20, "cfg scale": 7.0, "sampling method": "Euler a"}


def test_clip_skip_is_judged_only_where_the_family_is_known() -> None:
    assert after(family=family_of("SDXL 1.0"), width=1024, height=1024, clip_skip=2) == {"clip skip": None}
    assert after(family=None, clip_skip=2) == {}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("size", [(1, 10**9), (10**9, 1), (10**9, 10**9), (2047, 2047), (257, 2048)])
def test_any_size_becomes_one_that_needs_no_other_change(family: Family, size: tuple[int, int]) -> None:
    made = CALL.model_copy(update={"width": size[0], "height": size[1]})
    for change in corrections(made, family, None):
        made = made.model_copy(update={change.attribute: change.after})
    assert made.width * made.height <= family.max_pixels
    assert corrections(made, family, None) == ()


def test_only_what_was_asked_for_is_adjusted() -> None:
    odd = CALL.model_copy(update={"sampling_steps": 1000})
    made, notes = adjust(odd, width=513)
    assert (made.width, made.sampling_steps) == (512, 1000)
    assert notes == ("width 513 became 512: the width must be a multiple of 8",)
    # a size is one wish: the side that was not named shrinks, too
    made, notes = adjust(CALL.model_copy(update={"height": 1024}), width=2048)
    assert made.width * made.height <= SD_15.max_pixels
    assert len(notes) == 2
    free, notes = adjust(CALL.model_copy(update={"base_model": "My Family"}), clip_skip=2)
    assert (free.clip_skip, notes) == (2, ())
