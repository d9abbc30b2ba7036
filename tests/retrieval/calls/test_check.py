"""What somebody wrote, read as a name or as an API, judged and repaired in one step."""

import json
import math
from typing import Any

import pytest
from small_world import WordSearch

from retrieval.calls.check import check, settled
from retrieval.catalogue import Catalogue
from retrieval.catalogue.written import MAX_NAME
from retrieval.errors import InvalidApi
from retrieval.records.api import ApiReading, read_api
from retrieval.records.model import ModelRecord, VersionRecord

CATALOGUE = Catalogue(
    [
        ModelRecord(model_id=1, model="Castle Dreams", type="Checkpoint", base_model="SD 1.5"),
        ModelRecord(model_id=2, model="{curly} Lines", type="LORA", base_model="SD 1.5"),
        ModelRecord(model_id=3, model="Grand Vista", type="Checkpoint", base_model="SDXL 1.0"),
        ModelRecord(model_id=4, model="Ink Wash", type="LORA", base_model="SD 1.5"),
        ModelRecord(model_id=6, model="Pencil", type="LORA", base_model="SD 1.5"),
        ModelRecord(model_id=5, model="Odd One", type="Checkpoint", base_model="Unheard 9"),
    ]
)
LEFT_OUT = {
    "base_model": "base model is missing; the default SD 1.5 was taken",
    "type": "type is missing; Checkpoint was taken",
    "width": "width is missing; the default 512 was taken",
    "height": "height is missing; the default 512 was taken",
    "sampling_method": "sampling method is missing; the default Euler a was taken",
    "sampling_steps": "sampling steps is missing; the default 20 was taken",
    "cfg_scale": "cfg scale is missing; the default 7 was taken",
}
"""What is told of a call that names its model alone."""


class Asked(WordSearch):
    """Keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(CATALOGUE)
        self.texts: list[str] = []

    def search(self, text: Any, *given: Any, **words: Any) -> Any:
        self.texts.append(str(text))
        return super().search(text, *given, **words)


API = {"model": "Castle Dreams", "type": "Checkpoint", "base model": "SD 1.5", "width": 513}


@pytest.mark.parametrize(
    ("written", "named", "is_api"),
    [
        (" Castle Dreams ", "Castle Dreams", False),
        ("{curly} Lines", "{curly} Lines", False),  # a brace makes no API of a name that exists
        ("Use this: {'model': 'castle dreams'}", "castle dreams", True),
        (API, "Castle Dreams", True),
        (read_api(API), "Castle Dreams", True),
    ],
)
def test_a_name_or_an_api_in_whatever_form(written: str, named: str, is_api: bool) -> None:
    found = check(written, CATALOGUE)
    assert (found.named, found.read is not None) == (named, is_api)
    assert found.repair.verdict is found.verdict


NO_MODEL = (
    "no model is named in the text {!r}; give a model's name, or a link to it, as the whole text, or a T2I "
    "API as JSON"
)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("  ", "there is nothing to check; give a model's name or a T2I API as JSON"),
        (
            "x" * 100_001,
            "the text has 100,001 characters and at most 100,000 are read; give one T2I API as JSON",
        ),
        ("x" * 100_000, NO_MODEL.format("x" * 60)),
        ("x" * (MAX_NAME + 1), NO_MODEL.format("x" * 60)),
        ("a  b " * 80, NO_MODEL.format("a b " * 15)),
        ("x" + " " * 199 + "y" * 200, NO_MODEL.format("x")),
        (
            "n" * 90 + ".txt",
            f"{'n' * 80!r} is the name of a file that is not here, and no model's; give the path of a file "
            "that exists, a model's name, or a T2I API as JSON",
        ),
        ("see https://civitai.com/models/1", NO_MODEL.format("see https://civitai.com/models/1")),
        ("(https://civitai.com/models/1), look", NO_MODEL.format("(https://civitai.com/models/1), look")),
        ("This model is good.", NO_MODEL.format("This model is good.")),
        ("I would take Nowhere", NO_MODEL.format("I would take Nowhere")),
    ],
)
def test_what_is_neither_is_refused_in_words(written: str, message: str) -> None:
    with pytest.raises(InvalidApi) as caught:
        check(written, CATALOGUE)
    assert str(caught.value) == message


def test_an_object_without_a_model_is_refused() -> None:
    with pytest.raises(InvalidApi, match="no object with a model"):
        check("{a} b", CATALOGUE)


@pytest.mark.parametrize(
    "name", ["Nowhere", "x" * MAX_NAME, "Nowhere.", "a fine model", "Corgi Palace Ultra.", "we go"]
)
def test_a_name_that_nothing_has_is_no_sentence(name: str) -> None:
    found = check(name, CATALOGUE)
    assert (found.named, found.read, found.guesses, found.verdict.status) == (name, None, (), "invented")


@pytest.mark.parametrize(
    ("text", "model", "loras", "prompt"),
    [
        ("a mill <lora:Ink Wash:0.8>", "Ink Wash", [], "a mill"),
        ("<lora:Ink Wash:0.8><lora:Pencil:1>", "Pencil", ["Ink Wash"], ""),
    ],
)
def test_a_prompt_names_its_loras(text: str, model: str, loras: list[str], prompt: str) -> None:
    found = check(text, CATALOGUE)
    assert found.read is not None
    assert (found.named, found.read.type, found.read.prompt) == (model, "LORA", prompt)
    assert [lora.model for lora in found.read.loras] == loras
    assert check("<lora:Ink Wash:0.8>", CATALOGUE).read is None  # a tag alone is a name


@pytest.mark.parametrize(
    "written", ["Nowhere Dream", {"model": "Nowhere Dream"}, "a mill <lora:Nowhere Dream:0.8>"]
)
def test_search_and_request_reach_the_repair(written: Any) -> None:
    search = Asked()
    found = check(written, CATALOGUE, search, "a wide valley")
    assert search.texts == ["Nowhere Dream. a wide valley"]
    assert found.repair.api.prompt == "a wide valley"


def test_of_several_apis_the_first_is_judged_or_one_that_does_not_exist() -> None:
    texts = ("castle dreams", "Ink Wash", "Nowhere")
    first, second, invented = (f'{{"model": "{name}"}}' for name in texts)
    found = check(f"{first} or {second}", CATALOGUE)
    assert found.named == "castle dreams"
    assert found.guesses == (
        "the text holds several APIs; the first that names a model was taken",
        *LEFT_OUT.values(),
    )
    found = check(f"{first} or {second} or {invented}", CATALOGUE)
    assert found.named == "Nowhere"
    assert found.guesses == (
        "of 3 APIs in the text, one with a model that does not exist was taken",
        *LEFT_OUT.values(),
    )


def test_a_checkpoint_that_does_not_exist_is_judged_and_not_its_lora() -> None:
    name = "Nowhere Dream " + "x" * 90
    found = check({"model": name, "lora": "Ink Wash", "lora weight": 0.8}, CATALOGUE)
    assert found.read is not None
    assert (found.named, found.read.type) == (name, "Checkpoint")
    assert (found.read.base_checkpoint, found.read.lora_weight) == (None, None)
    assert found.guesses[-1] == f"the checkpoint {name[:80]!r} is judged, which does not exist"


def test_the_catalogue_says_what_was_left_out() -> None:
    def read(**fields: Any) -> tuple[Any, ...]:
        found = check(fields, CATALOGUE)
        assert found.read is not None
        return found.guesses, found.read.type, found.read.width, found.read.height

    of_type = LEFT_OUT | {"type": "the type is that of 'Ink Wash' in the catalogue"}
    assert read(model="Ink Wash") == (tuple(of_type.values()), "LORA", 512, 512)
    of_family = LEFT_OUT | {
        "base_model": "the base model is that of 'Grand Vista' in the catalogue",
        **{
            side: f"{side} is missing; 1024 was taken, which 'Grand Vista' is made for"
            for side in ("width", "height")
        },
    }
    assert read(model="Grand Vista") == (tuple(of_family.values()), "Checkpoint", 1024, 1024)
    # a size that was said stays, and a family that is in no table has none of its own
    assert read(model="Grand Vista", width=640)[2:] == (640, 512)
    assert read(model="Odd One")[2:] == (512, 512)
    said = {"sampling method": "Euler a", "sampling steps": 20, "cfg scale": 7}
    assert read(model="Grand Vista", type="Checkpoint", **said)[2:] == (1024, 1024)


def test_a_sampler_that_nobody_knows_is_no_rare_one() -> None:
    found = check({"model": "Castle Dreams", "sampling method": "Nonsense 5"}, CATALOGUE)
    assert found.guesses == tuple(text for name, text in LEFT_OUT.items() if name != "sampling_method")


def test_what_was_read_beside_the_call_stays() -> None:
    reading = read_api({"model": "Castle Dreams", "hash": "ab12cd34ef"})
    found = settled(reading, CATALOGUE)
    assert (found.missing, found.digest) == (LEFT_OUT, "ab12cd34ef")


def test_only_the_same_model_is_accepted() -> None:
    assert check("castle-dreams", CATALOGUE).accepted
    assert not check("Castel Dreams", CATALOGUE).accepted
    assert not check(API, CATALOGUE).accepted


def test_the_wire_has_the_fields_that_programs_read() -> None:
    wire = check({**API, "cfg scale": 7, "sampler": "Euler a"}, CATALOGUE).to_wire()
    assert list(wire) == ["model", "status", "problems", "guesses", "repair"]
    assert (wire["model"], wire["status"]) == ("Castle Dreams", "bad parameters")
    assert wire["problems"] == [
        {
            "kind": "bad parameters",
            "field": "width",
            "reason": "width 513: the width must be a multiple of 8",
        }
    ]
    assert "'sampler' was read as 'sampling method'" in wire["guesses"]
    assert list(wire["repair"]) == ["api", "changes", "abstained", "similarity"]
    assert wire["repair"]["changes"] == [
        {"field": "width", "before": 513, "after": 512, "why": "the width must be a multiple of 8"}
    ]


def test_clip_skip_of_a_picture_of_a_family_without_one_is_told_and_no_fault() -> None:
    large = ModelRecord(model_id=1, model="Large Hill", type="Checkpoint", base_model="Pony")
    written = {"model": "Large Hill", "base model": "Pony", "clip skip": 2, "steps": 25, "sampler": "Euler a"}
    found = check({**written, "cfg scale": 7, "size": "1024x1024"}, Catalogue([large]))
    assert found.verdict.status == "valid"
    assert "clip skip 2: it does nothing on Pony" in found.guesses


@pytest.mark.parametrize("air", ["civitai: 1 @ 5", "1@5", "urn:air:civitai:1@5"])
def test_a_short_air_in_the_field_of_the_air_is_read_as_ids(air: str) -> None:
    version = VersionRecord(version_id=5, version="v1", base_model="SD 1.5")
    castle = CATALOGUE.get(1).model_copy(update={"versions": (version,)})
    written = {"model": "Castle Dreams", "type": "Checkpoint", "base model": "SD 1.5", "air": air}
    found = check(written, Catalogue([castle]))
    assert found.verdict.status == "valid"
    assert found.read is not None
    assert (found.read.model_id, found.read.version_id, found.read.air) == (1, 5, None)
    assert check({**written, "air": "7@5"}, Catalogue([castle])).verdict.status == "bad parameters"
    # ids that deny each other stay as they are written
    both = check({**written, "model id": 1, "air": "7@5"}, Catalogue([castle]))
    assert any("is no AIR" in reason for reason in both.verdict.reasons)


def test_what_was_guessed_of_size_and_family_is_no_longer_told_when_the_family_is_known() -> None:
    large = ModelRecord(model_id=1, model="Large Hill", type="Checkpoint", base_model="Pony")
    found = check({"model": "Large Hill"}, Catalogue([large]))
    assert found.read is not None
    assert (found.read.width, found.read.height) == (1024, 1024)
    assert "width is missing; 1024 was taken, which 'Large Hill' is made for" in found.guesses
    assert not any("512" in guess for guess in found.guesses)


@pytest.mark.parametrize(
    ("number", "shown"), [(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan"), (500.5, 500.5)]
)
def test_the_wire_is_json_whatever_was_changed(number: float, shown: Any) -> None:
    call = read_api({**API, "width": 512, "base checkpoint": {"model": "Grand Vista", "model id": 3}}).api
    found = check(ApiReading(call.model_copy(update={"cfg_scale": number}), ()), CATALOGUE)
    changes = {each["field"]: each["before"] for each in found.to_wire()["repair"]["changes"]}
    assert changes["cfg scale"] == shown
    assert changes["base checkpoint"] == {"model": "Grand Vista", "model id": 3}
    json.dumps(found.to_wire(), allow_nan=False)
