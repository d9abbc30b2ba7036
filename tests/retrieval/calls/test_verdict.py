"""What is wrong with a T2I API: name, availability, family, type, ids, parameters, each with its reason."""

import math

import pytest

from retrieval.calls.compose import api_for
from retrieval.calls.verdict import Problem, Status, Verdict, judge
from retrieval.catalogue import Catalogue
from retrieval.records.api import CheckpointRef, Instruction, T2IApi
from retrieval.records.model import ModelRecord, Settings, Stats, VersionRecord

BASE_NAME = "v1-5-pruned-emaonly"
BASE = VersionRecord(version_id=900, version="v1.5", base_model="SD 1.5")
CATALOGUE = Catalogue(
    [
        ModelRecord(
            model_id=62437,
            model=BASE_NAME,
            type="Checkpoint",
            base_model="SD 1.5",
            versions=(BASE,),
        ),
        ModelRecord(
            model_id=10,
            model="Castle Dreams 城堡之梦",
            type="Checkpoint",
            base_model="SD 1.5",
            description="Gothic castles and dark towers at night.",
            versions=(
                VersionRecord(
                    version_id=102, version="v2", base_model="SD 1.5", file_names=("castledreams_v2.ckpt",)
                ),
                VersionRecord(version_id=101, version="v1", base_model="SD 1.5", available=False),
                VersionRecord(version_id=103, version="XL", base_model="SDXL 1.0"),
            ),
            settings=Settings(sampling_method="DPM++ 2M Karras", sampling_steps=28, cfg_scale=6.0),
            stats=Stats(downloads=500),
        ),
        ModelRecord(model_id=20, model=">_<", type="Checkpoint", base_model="SD 1.5"),
        ModelRecord(
            model_id=30, model="Gone Towers", type="Checkpoint", base_model="SD 1.5", available=False
        ),
        ModelRecord(
            model_id=40, model="Pixel Quest", type="LORA", base_model="SD 1.5", trigger_words=("pixelquest",)
        ),
        ModelRecord(model_id=50, model="Large Vista", type="Checkpoint", base_model="SDXL 1.0"),
    ],
    name="the test catalogue",
)
CALL = api_for(CATALOGUE.get(10), Instruction(prompt="a castle"))
LORA = api_for(CATALOGUE.get(40), Instruction(prompt="a knight"))


def call(**fields: object) -> T2IApi:
    return CALL.model_copy(update=fields)


def only_reason(api: T2IApi, status: str, field: str) -> str:
    verdict = judge(api, CATALOGUE)
    assert [(problem.kind, problem.field) for problem in verdict.problems] == [(status, field)]
    assert verdict.status == status
    assert not verdict.valid
    return verdict.reasons[0]


@pytest.mark.parametrize("api", [CALL, LORA, ">_<", "Castle Dreams 城堡之梦"])
def test_what_the_catalogue_fills_in_is_valid(api: T2IApi | str) -> None:
    verdict = judge(api, CATALOGUE)
    assert verdict.status == "valid"
    assert verdict.problems == ()
    assert verdict.record is not None


@pytest.mark.parametrize(
    "name", ["castle dreams 城堡之梦", "城堡之梦", "castledreams_v2.ckpt", "Castle-Dreams"]
)
def test_another_spelling_is_an_alias(name: str) -> None:
    assert "'Castle Dreams 城堡之梦'" in only_reason(call(model=name), "alias", "model")


def test_an_invented_name_is_named_with_the_nearest() -> None:
    assert "nearest name is 'Castle Dreams 城堡之梦'" in only_reason(
        call(model="Castel Dreams"), "invented", "model"
    )
    reason = only_reason(call(model="UltraMegaMix"), "invented", "model")
    assert reason == "the test catalogue holds no model called 'UltraMegaMix'"


@pytest.mark.parametrize("name", ["", "   ", "...", ">_>", "🙂", "x" * 100_000, "\ud800"])
def test_any_text_may_be_a_name(name: str) -> None:
    verdict = judge(name, CATALOGUE)
    assert verdict.status == "invented"
    assert len(verdict.reasons[0]) < 300


def test_an_unavailable_model_and_version() -> None:
    gone = CALL.model_copy(
        update={"model": "Gone Towers", "model_id": 30, "version_id": None, "version": None}
    )
    assert "'Gone Towers' can no longer be had" in only_reason(
        gone.model_copy(update={"air": None}), "unavailable", "model"
    )
    old = call(version_id=101, version="v1", air="urn:air:sd1:checkpoint:civitai:10@101")
    assert "'v1'" in only_reason(old, "unavailable", "version id")


def test_wrong_family_and_type() -> None:
    reason = only_reason(call(model="Large Vista", **IDLESS), "wrong family", "base model")
    assert reason == "'Large Vista' is for SDXL 1.0, not SD 1.5"
    assert "LORA, not Checkpoint" in only_reason(call(model="Pixel Quest", **IDLESS), "wrong type", "type")
    assert "'SD 9' is no family" in only_reason(call(base_model="SD 9"), "wrong family", "base model")


IDLESS = {"model_id": None, "version_id": None, "version": None, "air": None}


def test_a_model_fits_the_family_of_each_of_its_versions() -> None:
    large = call(base_model="SDXL 1.0", width=1024, height=1024, clip_skip=None, **IDLESS)
    assert judge(large, CATALOGUE).valid
    named = large.model_copy(update={"version_id": 103})
    assert judge(named, CATALOGUE).valid
    assert "for SDXL 1.0, not SD 1.5" in only_reason(
        call(**{**IDLESS, "version_id": 103}), "wrong family", "version id"
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model_id": 11}, "model id"),
        ({"model_id": 50}, "model id"),
        ({"version_id": 7, "air": None, "version": None}, "version id"),
        ({"version": "v7"}, "version"),
        ({"air": "urn:air:sd1:checkpoint:civitai:50@102"}, "air"),
        ({"air": "urn:air:sdxl:checkpoint:civitai:10@102"}, "air"),
        ({"air": "urn:air:sd1:lora:civitai:10@102"}, "air"),
        ({"air": "urn:air:sd1:checkpoint:civitai:10@103"}, "air"),
        ({"air": "no air"}, "air"),
    ],
)
def test_an_id_of_another_model(fields: dict[str, object], field: str) -> None:
    only_reason(call(**fields), "bad parameters", field)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"width": 513}, "width"),
        ({"height": 0}, "height"),
        ({"height": -64}, "height"),
        ({"width": 10**9}, "width"),
        ({"sampling_steps": 0}, "sampling steps"),
        ({"sampling_steps": 151}, "sampling steps"),
        ({"cfg_scale": 0.0}, "cfg scale"),
        ({"cfg_scale": math.nan}, "cfg scale"),
        ({"cfg_scale": math.inf}, "cfg scale"),
        ({"cfg_scale": 31.0}, "cfg scale"),
        ({"sampling_method": "Magic"}, "sampling method"),
        ({"sampling_method": ""}, "sampling method"),
        ({"clip_skip": 13}, "clip skip"),
        ({"lora_weight": 0.8}, "lora weight"),
        ({"base_checkpoint": CheckpointRef(model=">_<")}, "base checkpoint"),
        ({"confidence": 2.0}, "confidence"),
    ],
)
def test_a_parameter_that_no_family_can_do(fields: dict[str, object], field: str) -> None:
    verdict = judge(call(**fields), CATALOGUE)
    assert verdict.status == "bad parameters"
    assert field in {problem.field for problem in verdict.problems}


@pytest.mark.parametrize(
    ("ref", "word"),
    [
        (CheckpointRef(model="Large Vista"), "SDXL 1.0"),
        (CheckpointRef(model="Pixel Quest"), "LORA"),
        (CheckpointRef(model="Gone Towers"), "no longer"),
        (CheckpointRef(model="Nothing Like It"), "no base checkpoint"),
        (CheckpointRef(model=">_<", model_id=10), "ids"),
    ],
)
def test_the_checkpoint_below_a_lora(ref: CheckpointRef, word: str) -> None:
    reason = only_reason(
        LORA.model_copy(update={"base_checkpoint": ref}), "bad parameters", "base checkpoint"
    )
    assert word in reason


@pytest.mark.parametrize("name", ["castle dreams", "SD15/castledreams_v2.safetensors"])
def test_the_checkpoint_below_a_lora_may_have_the_name_of_its_file(name: str) -> None:
    ref = CheckpointRef(model=name)
    reason = only_reason(LORA.model_copy(update={"base_checkpoint": ref}), "alias", "base checkpoint")
    assert "listed as" in reason
    elsewhere = ref.model_copy(update={"model_id": 999})
    assert judge(LORA.model_copy(update={"base_checkpoint": elsewhere}), CATALOGUE).status == "bad parameters"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("castledreams_v9.safetensors", "v9 of 'Castle Dreams 城堡之梦' is not a version that is known here"),
        ("urn:air:sd1:checkpoint:civitai:10@999", "the id 999 of"),
    ],
)
def test_a_version_in_the_name_that_is_not_in_the_catalogue(name: str, said: str) -> None:
    for api in (name, call(model=name, version_id=None, version=None, air=None)):
        verdict = judge(api, CATALOGUE)
        assert verdict.status == "bad parameters"
        assert any(said in reason and "is offered" in reason for reason in verdict.reasons)


def test_the_most_severe_problem_is_the_status_and_all_are_listed() -> None:
    verdict = judge(call(model="UltraMegaMix", base_model="SD 9", sampling_steps=0, **IDLESS), CATALOGUE)
    assert verdict.status == "invented"
    assert [problem.kind for problem in verdict.problems] == ["invented", "wrong family", "bad parameters"]
    assert verdict.record is None


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        (
            {"model": "Gone Towers", "type": "LORA", "width": 513},
            ["unavailable", "wrong type", "bad parameters"],
        ),
        ({"model": "Large Vista", "type": "LORA"}, ["wrong type", "wrong family"]),
        ({"model": "Large Vista", "width": 513}, ["wrong family", "bad parameters"]),
        ({"model": "castle dreams", "width": 513}, ["bad parameters", "alias"]),
    ],
)
def test_unavailable_then_type_then_family_then_parameters_then_alias(
    fields: dict[str, object], kinds: list[str]
) -> None:
    verdict = judge(call(**{**IDLESS, **fields}), CATALOGUE)
    assert verdict.status == kinds[0]
    assert {problem.kind for problem in verdict.problems} == set(kinds)


@pytest.mark.parametrize(
    ("fields", "status", "fixed"),
    [
        ({"model": "castle-dreams"}, "alias", {"model": "Castle Dreams 城堡之梦"}),
        ({"base_model": "SD 9"}, "wrong family", {"base model": "SD 1.5"}),
        ({"width": 513, "sampling_steps": 0}, "bad parameters", {"width": 512, "sampling steps": 28}),
        ({"air": "no air"}, "bad parameters", {"air": "urn:air:sd1:checkpoint:civitai:10@102"}),
        # the ids of a version belong together
        (
            {"version_id": 101, "version": "v1", "air": None},
            "unavailable",
            {"version id": 102, "version": "v2"},
        ),
    ],
)
def test_a_problem_carries_what_mends_it(
    fields: dict[str, object], status: str, fixed: dict[str, object]
) -> None:
    verdict = judge(call(**fields), CATALOGUE)
    assert verdict.status == status
    assert verdict.mendable
    changes = {change.field: change for problem in verdict.problems for change in problem.fix or ()}
    assert fixed.items() <= {field: change.after for field, change in changes.items()}.items()
    mended = call(**fields).model_copy(update={c.attribute: c.after for c in changes.values()})
    assert judge(mended, CATALOGUE).valid
    assert all(change.before == getattr(call(**fields), change.attribute) for change in changes.values())


@pytest.mark.parametrize("name", ["UltraMegaMix", "Gone Towers", "Large Vista", "Pixel Quest"])
def test_where_another_model_is_needed_no_change_of_the_call_helps(name: str) -> None:
    verdict = judge(call(model=name, **IDLESS), CATALOGUE)
    assert not verdict.mendable
    assert [problem.fix for problem in verdict.problems] == [None]


def test_the_verdict_keeps_what_was_found() -> None:
    api = call(version_id=101, version="v1", air=None)
    verdict = judge(api, CATALOGUE)
    assert verdict.call is api
    assert verdict.match is not None
    assert verdict.match.record is verdict.record is CATALOGUE.get(10)
    assert verdict.version is not None
    assert verdict.version.version_id == 102
    assert judge("castledreams_v2.ckpt", CATALOGUE).call is None


@pytest.mark.parametrize("first", range(6))
@pytest.mark.parametrize("second", range(6))
def test_the_most_severe_problem_is_the_status_wherever_it_stands(first: int, second: int) -> None:
    order: tuple[Status, ...] = (
        "invented", "unavailable", "wrong type", "wrong family", "bad parameters", "alias",
    )  # fmt: skip
    problems = tuple(Problem(order[place], "", "model") for place in (first, second))
    verdict = Verdict("x", None, None, None, problems)
    assert verdict.status == order[min(first, second)]
    assert not verdict.valid
    assert not verdict.mendable
    assert Verdict("x", None, None, None, ()).status == "valid"


@pytest.mark.parametrize(
    ("name", "status", "version", "fixes"),
    [
        (
            "Castle Dreams 城堡之梦 v1",
            "unavailable",
            102,
            [1, 0],
        ),  # withdrawn; another version of it is there
        ("urn:air:sd1:checkpoint:civitai:10@101", "unavailable", 102, [1, 0]),
        ("urn:air:sd1:checkpoint:civitai:10@103", "alias", 103, [1]),
        ("Castle Dreams", "alias", 102, [1]),
        ("Castle Dreams 城堡之梦", "valid", 102, []),
        ("Gone Towers", "unavailable", None, [None]),
        ("nothing like it", "invented", None, [None]),
    ],
)
def test_a_bare_name_is_judged_with_the_version_that_it_says(
    name: str, status: str, version: int | None, fixes: list[int | None]
) -> None:
    verdict = judge(name, CATALOGUE)
    assert (verdict.named, verdict.call, verdict.status) == (name, None, status)
    assert (verdict.version and verdict.version.version_id) == version
    assert [None if each.fix is None else len(each.fix) for each in verdict.problems] == fixes
    assert {each.field for each in verdict.problems} <= {"model"}
    if fixes == [1, 0]:
        reason = "the version 'v1' of 'Castle Dreams 城堡之梦' can no longer be had"
        assert (verdict.problems[1].kind, verdict.problems[1].reason) == ("unavailable", reason)


def test_a_call_of_no_model_and_no_family_keeps_both_problems() -> None:
    asked = call(model="nothing", base_model="no", width=515)
    verdict = judge(asked, CATALOGUE)
    assert (verdict.named, verdict.call, verdict.match, verdict.version) == ("nothing", asked, None, None)
    assert [(each.kind, each.field) for each in verdict.problems] == [
        ("invented", "model"),
        ("wrong family", "base model"),
        ("bad parameters", "width"),
    ]
    assert verdict.problems[1].reason == "'no' is no family of base models"
    assert verdict.problems[2].reason == "width 515: the width must be a multiple of 8"
