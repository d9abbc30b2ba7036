"""The nearest true API: by alias, spelling, ids and meaning; never one that is not there, never a guess."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from bystanders import bystanders
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.calls.compose import api_for
from retrieval.calls.repair import Repair, repair
from retrieval.calls.verdict import judge
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInstruction, UnknownModel
from retrieval.records.api import CheckpointRef, Instruction, T2IApi
from retrieval.records.model import ModelRecord, Settings, Stats, VersionRecord

BASE_NAME = "v1-5-pruned-emaonly"


def version(number: int, name: str = "v1", base: str = "SD 1.5", available: bool = True) -> VersionRecord:
    return VersionRecord(version_id=number, version=name, base_model=base, available=available)


def model(
    number: int, name: str, kind: str = "Checkpoint", base: str = "SD 1.5", **more: object
) -> ModelRecord:
    fields = {"versions": (version(10 * number, base=base),), **more}
    return ModelRecord.model_validate(
        {"model_id": number, "model": name, "type": kind, "base_model": base, **fields}
    )


RECORDS = [
    model(62437, BASE_NAME, stats=Stats(downloads=1)),
    model(101055, "Base Large", base="SDXL 1.0"),
    model(
        10,
        "Castle Dreams 城堡之梦",
        description="Gothic castles and dark towers at night.",
        trigger_words=("castledream",),
        settings=Settings(sampling_method="DPM++ 2M Karras", sampling_steps=28, cfg_scale=6.0),
        versions=(
            version(102, "v2"),
            version(101, "v1", available=False),
            version(103, "XL", base="SDXL 1.0"),
        ),
    ),
    model(
        11, "Gloomy Keep", description="Dark gothic castles, ruined towers.", trigger_words=("gloomykeep",)
    ),
    model(12, "Torn Keep", description="Dark gothic castles, ruined towers, ivy.", available=False),
    model(13, "Keep Adult", description="Dark gothic castles and ruined towers at night.", nsfw=True),
    model(14, "Keep Person", description="Dark gothic castles and ruined towers at night.", poi=True),
    model(15, "Keep Minor", description="Dark gothic castles and ruined towers at night.", minor=True),
    model(16, "Keep Level", description="Dark gothic castles and ruined towers at night.", nsfw_level=16),
    model(20, ">_<"),
    model(21, "..."),
    model(22, "夜之城"),
    model(40, "Pixel Quest", "LORA", description="Pixel art of old games.", trigger_words=("pixelquest",)),
    model(41, "Gothic Castle Lines", "LORA", description="Ink lines of gothic castles and towers."),
    model(50, "Large Vista", base="SDXL 1.0", description="Wide mountain landscapes."),
    model(51, "Large Fortress", base="SDXL 1.0", description="Dark gothic castles and towers."),
    *bystanders(70),
]
CATALOGUE = Catalogue(RECORDS, name="the test catalogue")
NAMES = {record.model for record in RECORDS}
CALL = api_for(CATALOGUE.get(10), Instruction(prompt="a castle"))
LORA = api_for(CATALOGUE.get(40), Instruction(prompt="a knight"))
IDLESS = {"model_id": None, "version_id": None, "version": None, "air": None}


def call(**fields: object) -> T2IApi:
    return CALL.model_copy(update=fields)


def fields(result: Repair) -> dict[str, tuple[object, object]]:
    return {change.field: (change.before, change.after) for change in result.changes}


def abstains(result: Repair, name: str) -> None:
    assert result.abstained
    api = result.api
    assert (api.model, api.sampling_method, api.sampling_steps, api.cfg_scale) == (name, "Euler a", 20, 7)
    assert all("default parameters" in change.why for change in result.changes)


def test_a_valid_api_is_left_alone() -> None:
    for api in (CALL, LORA):
        result = repair(api, CATALOGUE)
        assert result.api is api
        assert (result.changes, result.abstained, result.similarity) == ((), False, 1.0)


def test_an_alias_gets_the_name_of_the_catalogue() -> None:
    result = repair(call(model="castle-dreams"), CATALOGUE)
    assert fields(result) == {"model": ("castle-dreams", "Castle Dreams 城堡之梦")}
    assert result.changes[0].why == "'castle-dreams' is listed as 'Castle Dreams 城堡之梦'"


def test_a_misspelled_name_keeps_the_settings() -> None:
    result = repair(call(model="Pixle Qest", type="LORA", **IDLESS), CATALOGUE)
    assert result.api.model == "Pixel Quest"
    assert (result.api.sampling_steps, result.api.cfg_scale) == (28, 6.0)
    assert result.api.prompt == "pixelquest, a castle"
    assert result.api.air == "urn:air:sd1:lora:civitai:40@400"
    assert result.similarity is not None
    assert 0.5 < result.similarity < 1


def test_the_part_of_a_bilingual_name_may_be_misspelled() -> None:
    assert repair("Castel Dreams", CATALOGUE).api.model_id == 10


def test_ids_name_the_model_where_the_name_says_nothing() -> None:
    result = repair(call(model="Renamed Since Then"), CATALOGUE)
    assert result.api.model == "Castle Dreams 城堡之梦"
    assert "its ids" in result.changes[0].why


def test_an_invented_name_is_replaced_by_meaning_within_family_and_type() -> None:
    text = "dark gothic castles with ruined towers, ink lines"
    invented = {
        "model": "UltraMegaMix",
        "model_description": text,
        "prompt": "",
        "trigger_words": (),
        **IDLESS,
    }
    assert repair(call(**invented), CATALOGUE).api.model == "Gloomy Keep"
    assert repair(call(**invented, type="LORA"), CATALOGUE).api.model == "Gothic Castle Lines"
    invented["model_description"] = "dark gothic castles"
    assert repair(call(**invented, base_model="SDXL 1.0"), CATALOGUE).api.model == "Large Fortress"


def test_an_unavailable_model_gets_a_live_and_decent_substitute() -> None:
    gone = call(model="Torn Keep", trigger_words=("tornkeep",), prompt="tornkeep, a castle", **IDLESS)
    result = repair(gone, CATALOGUE)
    assert result.verdict.status == "unavailable"
    assert result.api.model == "Gloomy Keep"
    assert result.api.prompt == "gloomykeep, a castle"
    assert result.api.confidence is None


@pytest.mark.parametrize("name", ["Keep Adult", "Keep Person", "Keep Minor", "Keep Level"])
def test_who_names_a_model_gets_it_but_a_misspelling_does_not(name: str) -> None:
    assert repair(name, CATALOGUE).api.model == name
    assert repair(name[:-1] + "zz", CATALOGUE).api.model not in {
        "Keep Adult",
        "Keep Person",
        "Keep Minor",
        "Keep Level",
    }


def test_family_and_type_are_never_left() -> None:
    large = repair(call(model="Large Fortress", **IDLESS), CATALOGUE).api
    assert (large.base_model, large.type) == ("SD 1.5", "Checkpoint")
    lora = repair(call(model="Gothic Castle Lines", **IDLESS), CATALOGUE).api
    assert (lora.base_model, lora.type) == ("SD 1.5", "Checkpoint")


def test_abstains_below_the_threshold_and_says_so() -> None:
    result = repair(
        call(model="Qzxv", prompt="", model_description="", sampling_steps=99, **IDLESS), CATALOGUE
    )
    abstains(result, BASE_NAME)
    abstains(
        repair(
            call(model="Qzxv", prompt="", model_description="", base_model="SDXL 1.0", **IDLESS), CATALOGUE
        ),
        "Base Large",
    )
    abstains(repair("Qzxv", CATALOGUE), BASE_NAME)
    abstains(repair("", CATALOGUE), BASE_NAME)
    # nothing of the type is left in the family
    abstains(repair(call(model="Ink", type="LORA", base_model="SDXL 1.0", **IDLESS), CATALOGUE), "Base Large")
    abstains(repair(call(model="Qzxv", prompt="", base_model="Pony", **IDLESS), CATALOGUE), BASE_NAME)


def test_a_size_that_fits_survives_the_fallback() -> None:
    result = repair(
        call(model="Qzxv", prompt="", model_description="", width=768, height=512, **IDLESS), CATALOGUE
    )
    assert (result.api.width, result.api.height) == (768, 512)


def test_the_fallback_for_a_bare_name_says_what_it_is() -> None:
    result = repair("Qzxv", CATALOGUE, instruction={"prompt": "a tower", "negative prompt": "blurry"})
    (change,) = result.changes
    assert (change.field, change.before, change.after) == ("model", "Qzxv", BASE_NAME)
    assert change.why.endswith("; the answer is the base model of SD 1.5 with default parameters")
    assert (result.api.prompt, result.api.negative_prompt) == ("a tower", "blurry")
    # the name alone says the family, and one that is not there falls back on its kin
    assert repair("qzxv_sdxl", CATALOGUE).api.model == "Base Large"


def test_the_fallback_keeps_no_size_beyond_its_family() -> None:
    for sides in ({"width": 100_000}, {"height": 100_000}):
        result = repair(call(model="Qzxv", prompt="", model_description="", **sides, **IDLESS), CATALOGUE)
        assert (result.api.width, result.api.height) == (512, 512)
    own = Catalogue([model(1, "Own Base", base="My Family")])
    result = repair(call(model="Qzxv", base_model="My Family", width=100_000, **IDLESS), own)
    assert (result.api.model, result.abstained) == ("Own Base", True)
    assert result.api.width <= 2048


def test_a_substitute_takes_the_request_where_the_call_has_no_prompt() -> None:
    gone = call(model="Torn Keep", prompt="", trigger_words=(), confidence=0.9, **IDLESS)
    result = repair(gone, CATALOGUE, instruction="a tower")
    assert (result.api.model, result.api.prompt) == ("Gloomy Keep", "gloomykeep, a tower")
    assert (result.api.confidence, result.api.base_model) == (None, "SD 1.5")
    assert repair(gone, CATALOGUE).api.prompt == ""


def test_the_fallback_may_be_unavailable_and_then_stays() -> None:
    alone = Catalogue([model(62437, BASE_NAME, available=False), model(40, "Pixel Quest", "LORA")])
    first = repair("Qzxv", alone)
    abstains(first, BASE_NAME)
    again = repair(first.api, alone)
    assert (again.api, again.changes, again.abstained) == (first.api, (), True)
    with pytest.raises(UnknownModel, match="no checkpoint to fall back on"):
        repair("Qzxv", Catalogue([model(40, "Pixel Quest", "LORA")]))


@dataclass(frozen=True)
class Hit:
    record: ModelRecord
    dense: float
    words: float = 0.0


class Search:
    """Answers with given hits, best first, and keeps what it was asked."""

    def __init__(self, hits: Sequence[Hit]) -> None:
        self.hits = hits
        self.asked: list[tuple[str, str | None, str | None]] = []

    def near(self, text: str, /, *, k: int, base_model: str | None, type: str | None) -> Sequence[Hit]:
        self.asked.append((text, base_model, type))
        return self.hits[:k]


def test_an_index_is_asked_for_the_meaning() -> None:
    search = Search([Hit(CATALOGUE.get(13), 0.9), Hit(CATALOGUE.get(50), 0.8), Hit(CATALOGUE.get(11), 0.6)])
    result = repair(call(model="Qzxv", **IDLESS), CATALOGUE, search, instruction="a fortress on a hill")
    assert (result.api.model, result.similarity) == ("Gloomy Keep", 0.6)
    text, family, kind = search.asked[0]
    assert "Qzxv" in text
    assert "a fortress on a hill" in text
    assert (family, kind) == ("SD 1.5", "Checkpoint")
    weak = repair(call(model="Qzxv", **IDLESS), CATALOGUE, Search([Hit(CATALOGUE.get(11), 0.1)]))
    abstains(weak, BASE_NAME)
    assert weak.similarity == 0.1
    stranger = model(999, "Not In The Catalogue")
    abstains(repair("Qzxv", CATALOGUE, Search([Hit(stranger, 0.99)])), BASE_NAME)


def test_wrong_ids_are_set_right() -> None:
    result = repair(call(model_id=50, version_id=7, version="v7", air="nonsense"), CATALOGUE)
    assert result.api == CALL
    assert set(fields(result)) == {"model id", "version id", "version", "air"}
    old = repair(call(version_id=101, version="v1", air="urn:air:sd1:checkpoint:civitai:10@101"), CATALOGUE)
    assert old.api == CALL
    large = repair(call(version_id=103, version="XL", air=None), CATALOGUE)
    assert large.api == CALL


def test_an_address_as_the_name_keeps_its_version() -> None:
    result = repair(
        call(model="urn:air:sdxl:checkpoint:civitai:10@103", base_model="SDXL 1.0", **IDLESS), CATALOGUE
    )
    assert (result.api.model, result.api.version_id) == ("Castle Dreams 城堡之梦", 103)


@pytest.mark.parametrize(
    ("given_", "field", "after"),
    [
        ({"width": 513}, "width", 512),
        ({"width": 0}, "width", 512),
        ({"height": 10}, "height", 256),
        ({"sampling_steps": 0}, "sampling steps", 28),
        ({"sampling_steps": 1000}, "sampling steps", 150),
        ({"cfg_scale": 0.0}, "cfg scale", 6.0),
        ({"cfg_scale": math.nan}, "cfg scale", 6.0),
        ({"cfg_scale": -math.inf}, "cfg scale", 6.0),
        ({"cfg_scale": 99.0}, "cfg scale", 30.0),
        ({"cfg_scale": 0.5}, "cfg scale", 1.0),
        ({"sampling_method": "Eulr a"}, "sampling method", "Euler a"),
        ({"sampling_method": "Magic"}, "sampling method", "DPM++ 2M Karras"),
        ({"clip_skip": 40}, "clip skip", 12),
        ({"lora_weight": 1.0}, "lora weight", None),
        ({"confidence": math.nan}, "confidence", None),
    ],
)
def test_parameters_are_clamped_and_the_reason_is_said(
    given_: dict[str, object], field: str, after: object
) -> None:
    result = repair(call(**given_), CATALOGUE)
    assert [(change.field, change.after) for change in result.changes] == [(field, after)]
    assert result.changes[0].why
    result.api.to_json()


def test_parameters_of_a_lora_and_of_large_pictures() -> None:
    assert repair(LORA.model_copy(update={"lora_weight": -9.0}), CATALOGUE).api.lora_weight == -2
    wide = repair(call(width=2048, height=1536), CATALOGUE).api
    assert wide.width * wide.height <= 1024 * 1024
    assert (wide.width % 8, wide.height % 8) == (0, 0)
    assert wide.width / wide.height == pytest.approx(4 / 3, rel=0.05)
    large = CALL.model_copy(
        update={"model": "Large Vista", "base_model": "SDXL 1.0", "width": 2048, "height": 2052, **IDLESS}
    )
    assert fields(repair(large, CATALOGUE)) == {"height": (2052, 2048)}


def test_the_checkpoint_below_a_lora_is_repaired() -> None:
    def below(ref: CheckpointRef) -> CheckpointRef | None:
        return repair(LORA.model_copy(update={"base_checkpoint": ref}), CATALOGUE).api.base_checkpoint

    castle = CheckpointRef(model="Castle Dreams 城堡之梦", model_id=10, version_id=102)
    for name in ("castle dreams", "Castel Dreams"):
        found = below(CheckpointRef(model=name))
        assert found is not None
        assert (found.model, found.model_id, found.version_id) == (castle.model, 10, 102)
    for name in ("Large Vista", "Torn Keep", "Pixel Quest", "Qzxv"):
        found = below(CheckpointRef(model=name))
        assert found is not None
        assert found.model == BASE_NAME


def test_an_instruction_that_says_nothing_is_refused() -> None:
    with pytest.raises(InvalidInstruction):
        repair("Qzxv", CATALOGUE, instruction="  ")


def test_a_bare_name_gets_the_recommended_settings() -> None:
    result = repair(
        "castle dreams", CATALOGUE, instruction={"prompt": "a tower", "negative prompt": "blurry"}
    )
    assert (result.api.sampling_method, result.api.sampling_steps) == ("DPM++ 2M Karras", 28)
    assert (result.api.prompt, result.api.negative_prompt) == ("castledream, a tower", "blurry")
    assert repair("castle dreams", CATALOGUE).api.prompt == ""


def test_a_name_that_says_a_version_of_another_family_gives_a_call_that_is_valid() -> None:
    result = repair("Castle Dreams 城堡之梦 XL", CATALOGUE)
    assert result.api.version_id == 102
    assert judge(result.api, CATALOGUE).valid
    assert [change.field for change in result.changes] == ["model", "version id", "version", "air"]


SMALL = st.integers(min_value=-3, max_value=4000)
NAME = st.one_of(
    st.text(), st.sampled_from(sorted(NAMES)), st.text(alphabet=">_<.…～-|/ \t\u200b漢字שלום", max_size=9)
)
REF = st.builds(
    CheckpointRef, model=NAME, model_id=st.none() | SMALL, version_id=st.none() | SMALL, air=st.none() | NAME
)
APIS = st.builds(
    T2IApi,
    model=NAME,
    type=st.sampled_from(["LORA", "Checkpoint"]),
    base_model=st.one_of(
        st.sampled_from(["SD 1.5", "SDXL 1.0", "sdxl", "Pony", "Other", ""]), st.text(max_size=5)
    ),
    width=SMALL | st.integers(),
    height=SMALL | st.integers(),
    sampling_method=st.one_of(st.just("Euler a"), st.text(max_size=8)),
    sampling_steps=SMALL | st.integers(),
    cfg_scale=st.floats(),
    model_description=st.sampled_from(["", "dark gothic castles", "pixel art"]),
    model_id=st.none() | SMALL | st.sampled_from([10, 40, 50, 2**80]),
    version_id=st.none() | st.sampled_from([101, 102, 103, 400, 500]) | SMALL,
    version=st.none() | st.sampled_from(["v1", "v2", "XL", ""]),
    air=st.none()
    | st.sampled_from(["urn:air:sd1:checkpoint:civitai:10@102", "urn:air:sd1:lora:civitai:40@400", "x"]),
    base_checkpoint=st.none() | REF,
    lora_weight=st.none() | st.floats(),
    clip_skip=st.none() | SMALL,
    prompt=st.sampled_from(["", "a castle at night"]),
    confidence=st.none() | st.floats(),
)


@settings(max_examples=300, deadline=None)
@given(api=APIS | NAME)
def test_whatever_comes_in_a_model_of_the_catalogue_comes_out(api: T2IApi | str) -> None:
    result = repair(api, CATALOGUE)
    assert result.api.model in NAMES
    assert CATALOGUE.get(result.api.model_id).model == result.api.model if result.api.model_id else True
    assert result.api.base_checkpoint is None or result.api.base_checkpoint.model in NAMES
    result.api.to_json()
    assert judge(result.api, CATALOGUE).problems == ()
    again = repair(result.api, CATALOGUE)
    assert (again.api, again.changes) == (result.api, ())
    if isinstance(api, T2IApi):
        assert {change.attribute for change in result.changes} == {
            name for name in T2IApi.model_fields if getattr(api, name) != getattr(result.api, name)
        }
        if not result.abstained:
            assert result.api.type == api.type
