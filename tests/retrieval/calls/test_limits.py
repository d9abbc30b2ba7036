"""What a family cannot do, and the nearest value that it can."""

import pytest

from retrieval.calls.limits import Change, adjust, corrections, idle
from retrieval.records.api import CheckpointRef, T2IApi
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
        ({"width": 0, "height": 0}, {"width": 512, "height": 512}),
        ({"width": 1}, {"width": 256}),
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
        ({"sampling_method": " DDIM CFX++ "}, {"sampling method": "DDIM CFG++"}),
        ({"sampling_method": "Euler xxx"}, {"sampling method": "Euler"}),
        ({"sampling_method": "magic"}, {"sampling method": "Euler a"}),
        ({"clip_skip": 12}, {}),
        ({"clip_skip": 1}, {}),
        ({"confidence": 0.0}, {}),
        ({"confidence": 1.0}, {}),
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


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("Euler axxx", "Euler a"),
        ("PLM", "PLMS"),
        ("Eulxxx", "DPM++ 2M Karras"),
        ("DPMx x", "DPM++ 2M Karras"),
    ],
    ids=["seven tenths are right", "three quarters", "less", "three of six"],
)
def test_a_samplers_name_is_a_misspelling_from_seven_tenths_on(name: str, taken: str) -> None:
    assert after(RECORD, sampling_method=name) == {"sampling method": taken}


def test_what_is_recommended_is_taken_only_where_it_can_be_used() -> None:
    bad = {"sampling_steps": 0, "cfg_scale": 0.0, "type": "LORA", "lora_weight": float("inf")}
    for steps, cfg, weight in ((1, 1.0, -2.0), (150, 30.0, 2.0)):
        usual = Settings(sampling_steps=steps, cfg_scale=cfg, lora_weight=weight)
        record = RECORD.model_copy(update={"settings": usual})
        assert after(record, **bad) == {"sampling steps": steps, "cfg scale": cfg, "lora weight": weight}
    # a settings object that was made without being read
    for steps, cfg, weight in ((0, 0.9, -2.1), (151, 30.1, 2.1), (None, float("nan"), float("nan"))):
        usual = Settings.model_construct(sampling_steps=steps, cfg_scale=cfg, lora_weight=weight)
        record = RECORD.model_copy(update={"settings": usual})
        assert after(record, **bad) == {"sampling steps": 20, "cfg scale": 7.0, "lora weight": 0.8}


@pytest.mark.parametrize(
    ("name", "taken", "rest"),
    [
        ("DPM++ 2M Wobbly", "DPM++ 2M", "Wobbly"),
        ("euler a wobbly noise", "Euler a", "wobbly noise"),
        ("Euler xxx", "Euler", "xxx"),
    ],
)
def test_an_unknown_schedule_leaves_the_sampler_as_it_is(name: str, taken: str, rest: str) -> None:
    (change,) = corrections(CALL.model_copy(update={"sampling_method": name}), SD_15, RECORD)
    assert change.after == taken
    assert change.why == f"no noise schedule is called {rest!r}; this is the sampler in its usual one"


LONG = "x" * 70


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"width": -1}, "width -1 became 512: a width of -1 pixels makes no picture; 512 is what SD 1.5 was"),
        ({"height": 0}, "height 0 became 512: a height of 0 pixels makes no picture; 512 is what SD 1.5 was"),
        ({"height": 255}, "height 255 became 256: SD 1.5 makes nothing of use below 256 pixels"),
        ({"width": 2049}, "width 2049 became 2048: SD 1.5 makes nothing of use above 2048 pixels"),
        ({"height": 515}, "height 515 became 512: the height must be a multiple of 8"),
        ({"width": 1032, "height": 1024}, "width 1032 became 1024: SD 1.5 makes at most 1,048,576 pixels"),
        ({"sampling_steps": 0}, "sampling steps 0 became 20: 0 steps make no picture"),
        ({"sampling_steps": 151}, "sampling steps 151 became 150: more than 150 steps are not offered"),
        ({"cfg_scale": 0.0}, "cfg scale 0.0 became 7.0: it must be a number above 0"),
        ({"cfg_scale": 31.0}, "cfg scale 31.0 became 30.0: it lies within 1 and 30"),
        (
            {"sampling_method": "Eulr a"},
            "sampling method 'Eulr a' became Euler a: no sampler is called 'Eulr a'",
        ),
        (
            {"sampling_method": LONG},
            f"sampling method '{LONG[:60]}' became Euler a: no sampler is called '{'x' * 60}';",
        ),
        ({"clip_skip": 13}, "clip skip 13 became 12: the text encoder has 12 layers"),
        ({"lora_weight": 1.0}, "lora weight 1.0 became None: a checkpoint has no LoRA weight"),
        ({"confidence": 1.5}, "confidence 1.5 became None: a confidence lies within 0 and 1"),
    ],
)
def test_each_change_says_what_it_was_and_why(fields: dict[str, object], said: str) -> None:
    _, notes = adjust(CALL, **fields)
    assert notes[0].startswith(said)


LORA = CALL.model_copy(update={"type": "LORA"})
ON_ANOTHER = CALL.model_copy(update={"base_checkpoint": CheckpointRef(model="Keep", model_id=2)})


@pytest.mark.parametrize(
    ("asked", "family", "said"),
    [
        (
            LORA.model_copy(update={"lora_weight": float("inf")}),
            "SD 1.5",
            Change("lora weight", float("inf"), 0.8, "it must be a number"),
        ),
        (
            LORA.model_copy(update={"lora_weight": 3.0}),
            "SD 1.5",
            Change("lora weight", 3.0, 2.0, "beyond 2 either way a LoRA breaks the picture"),
        ),
        (
            ON_ANOTHER,
            "SD 1.5",
            Change("base checkpoint", "Keep", None, "only a LoRA is loaded on another checkpoint"),
        ),
    ],
    ids=["no number", "weight", "base checkpoint"],
)
def test_what_a_call_may_not_have_is_said_with_what_it_was(asked: T2IApi, family: str, said: Change) -> None:
    assert said in corrections(asked, family_of(family), None)


def test_a_long_name_is_cut_where_another_sampler_is_recommended_too() -> None:
    (change,) = corrections(CALL.model_copy(update={"sampling_method": LONG}), SD_15, RECORD)
    assert change.why == f"no sampler is called '{'x' * 60}'; this one is recommended for the model"


def test_sides_that_shrink_together_say_so_whatever_else_was_wrong_with_them() -> None:
    _, notes = adjust(CALL, width=3000, height=1030)
    assert notes == (
        "width 3000 became 1440: SD 1.5 makes at most 1,048,576 pixels at once",
        "height 1030 became 720: SD 1.5 makes at most 1,048,576 pixels at once",
    )


def test_what_a_family_lacks_is_no_fault_and_is_named_only_where_the_family_is_known() -> None:
    xl, flux = family_of("SDXL 1.0"), family_of("Flux.1 D")
    both = CALL.model_copy(update={"clip_skip": 2, "negative_prompt": "blurry"})
    assert after(family=xl, width=1024, height=1024, clip_skip=2) == {}
    assert after(family=xl, width=1024, height=1024, clip_skip=40) == {"clip skip": 12}
    assert idle(both, xl) == (Change("clip skip", 2, None, "it does nothing on SDXL 1.0"),)
    assert [(change.field, change.after) for change in idle(both, flux)] == [
        ("clip skip", None),
        ("negative prompt", ""),
    ]
    assert idle(both, SD_15) == idle(both, None) == idle(CALL, flux) == ()


@pytest.mark.parametrize(
    ("family", "cfg", "kept"),
    [("Flux.1 D", 1.0, 1.0), ("Flux.1 D", 25.0, 20.0), ("ZImageTurbo", 7.0, 2.0), ("Pony", 25.0, 25.0)],
)
def test_a_cfg_scale_lies_within_the_range_of_its_family(family: str, cfg: float, kept: float) -> None:
    changed = after(family=family_of(family), width=1024, height=1024, cfg_scale=cfg)
    assert changed.get("cfg scale", cfg) == kept


def test_what_means_nothing_becomes_what_is_usual_in_the_family() -> None:
    bad = {"sampling_steps": 0, "cfg_scale": 0.0, "sampling_method": "magic"}
    assert after(family=family_of("ZImageTurbo"), width=1024, height=1024, **bad) == {
        "sampling steps": 9,
        "cfg scale": 1,
        "sampling method": "Euler",
    }


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("size", [(1, 10**9), (10**9, 1), (10**9, 10**9), (2047, 2047), (257, 2048)])
def test_any_size_becomes_one_that_needs_no_other_change(family: Family, size: tuple[int, int]) -> None:
    assert family.min_side * family.max_side <= family.max_pixels
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
    # the limits are the family's own, not those of another
    big, notes = adjust(CALL.model_copy(update={"base_model": "SDXL 1.0"}), width=300, clip_skip=2)
    assert (big.width, big.clip_skip, len(notes)) == (512, None, 2)
    free, notes = adjust(CALL.model_copy(update={"base_model": "My Family"}), clip_skip=2)
    assert (free.clip_skip, notes) == (2, ())
