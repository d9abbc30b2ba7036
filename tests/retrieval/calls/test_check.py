"""What somebody wrote, read as a name or as an API, judged and repaired in one step."""

import pytest

from retrieval.calls.check import check
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi
from retrieval.records.api import read_api
from retrieval.records.model import ModelRecord, VersionRecord

CATALOGUE = Catalogue(
    [
        ModelRecord(model_id=1, model="Castle Dreams", type="Checkpoint", base_model="SD 1.5"),
        ModelRecord(model_id=2, model="{curly} Lines", type="LORA", base_model="SD 1.5"),
    ]
)
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


@pytest.mark.parametrize(
    ("written", "message"),
    [("  ", "nothing to check"), ("x" * 100_001, "100,001 characters"), ("{a} b", "no object with a model")],
)
def test_what_is_neither_is_refused(written: str, message: str) -> None:
    with pytest.raises(InvalidApi, match=message):
        check(written, CATALOGUE)


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
