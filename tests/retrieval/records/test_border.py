"""Every number and every text of a record is looked at where it enters; line and field are named."""

import json
from pathlib import Path
from typing import Any

import pytest

from retrieval.catalogue import Catalogue
from retrieval.errors import CatalogueFormatError, InvalidApi
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord

GOOD = {"model_id": 1, "model": "Night", "type": "LORA", "base_model": "SD 1.5"}
VERSION = {"version_id": 3, "version": "v1", "base_model": "SD 1.5"}
HUGE = 10**400
HOSTILE = "a\x1b[2J\x85b\u202ec\u2066d\x00e\nSteps: 1\U000e0041"
SHOWN = "a [2J b c d e Steps: 1 "
BEYOND = (float("nan"), float("inf"), float("-inf"), -1, HUGE)


def numbers() -> list[tuple[str, dict[str, Any]]]:
    """The path of every number of a record, with a record that has one beyond its range."""
    found: list[tuple[str, dict[str, Any]]] = []
    for bad in (*BEYOND, 2**63):
        found += [
            ("model_id", {"model_id": bad}),
            ("nsfw_level", {"nsfw_level": bad}),
            ("samples", {"samples": bad}),
            ("versions.0.version_id", {"versions": [{**VERSION, "version_id": bad}]}),
            ("versions.0.nsfw_level", {"versions": [{**VERSION, "nsfw_level": bad}]}),
            ("settings.base_checkpoint", {"settings": {"base_checkpoint": {"model": "x", "model id": bad}}}),
            (
                "settings.base_checkpoint",
                {"settings": {"base_checkpoint": {"model": "x", "version id": bad}}},
            ),
        ]
        for name in ("sampling_steps", "cfg_scale", "width", "height", "clip_skip", "samples"):
            found.append((f"settings.{name}", {"settings": {name: bad}}))
        for name in ("downloads", "favorites", "comments", "rating_count", "rating", "thumbs_up"):
            found.append((f"stats.{name}", {"stats": {name: bad}}))
        for name in ("terms", "negative_terms", "description_terms"):
            found.append((f"{name}.fog", {name: {"fog": bad}}))
        if bad != -1:
            found.append(("settings.lora_weight", {"settings": {"lora_weight": bad}}))
    return found


@pytest.mark.parametrize(
    ("field", "fields"),
    [pytest.param(*each, id=f"{place} {each[0]}") for place, each in enumerate(numbers())],
)
def test_a_number_that_is_not_finite_or_beyond_its_range_is_named(
    field: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "models.jsonl"
    path.write_text("\n".join(map(json.dumps, ({**GOOD, "model_id": 7}, {**GOOD, **fields}))))
    with pytest.raises(CatalogueFormatError) as caught:
        list(Catalogue.load(path))
    assert caught.value.line == 2
    assert f"line 2: {field}" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_name_of_a_megabyte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.jsonl"
    path.write_text(json.dumps({**GOOD, "model": "x" * 1_000_000}))
    with pytest.raises(CatalogueFormatError, match="line 1: model: ") as caught:
        Catalogue.load(path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", ["\x1b", "\u202e\u2066", "  \n"])
def test_a_name_that_shows_nothing_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "models.jsonl"
    path.write_text(json.dumps({**GOOD, "model": name}))
    with pytest.raises(CatalogueFormatError, match=r"line 1: model: .*nothing that can be read"):
        Catalogue.load(path)


def hostile_record() -> dict[str, Any]:
    """A record that says something hostile wherever it can say anything."""
    version = {
        **VERSION,
        "version": HOSTILE,
        "base_model": HOSTILE,
        "file_names": [HOSTILE],
        "trigger_words": [HOSTILE],
        "sha256": [HOSTILE],
    }
    return {
        "model_id": 1,
        "model": HOSTILE,
        "type": "LORA",
        "base_model": HOSTILE,
        **dict.fromkeys(("description", "status", "creator", "source"), HOSTILE),
        **{name: [HOSTILE] for name in ("trigger_words", "tags", "keywords", "aliases")},
        **{name: {HOSTILE: 0.5} for name in ("terms", "negative_terms", "description_terms")},
        "versions": [version],
        "settings": {
            "sampling_method": HOSTILE,
            "base_checkpoint": {"model": HOSTILE, "air": HOSTILE, "model id": 3},
        },
    }


def texts(value: Any, path: str = "") -> dict[str, str]:
    """Every text of JSON values by its path, keys of mappings among them."""
    if isinstance(value, str):
        return {path: value}
    if isinstance(value, dict):
        found = {}
        for place, (key, item) in enumerate(value.items()):
            found |= {f"{path}.key{place}": key} | texts(item, f"{path}.{key}")
        return found
    if isinstance(value, list):
        return {
            name: text for i, each in enumerate(value) for name, text in texts(each, f"{path}.{i}").items()
        }
    return {}


def test_every_text_of_a_record_is_inert_where_it_enters(tmp_path: Path) -> None:
    path = tmp_path / "models.jsonl"
    path.write_text(json.dumps(hostile_record()))
    catalogue = Catalogue.load(path)
    (record,) = catalogue
    said = texts(record.model_dump(mode="json"))
    assert len(said) > 40
    for name, text in said.items():
        kept = text.replace("\n", "") if name == ".description" else text
        assert kept.isprintable(), (name, text)
    assert record.model == SHOWN.strip()
    assert record.description == "a [2J b c d e\nSteps: 1 "
    # a line and its record are one model
    assert [model for _, model, _ in catalogue.names()] == [SHOWN.strip()]
    assert catalogue.find(SHOWN)[0].record is record
    assert Catalogue([record]).digest == catalogue.digest


def test_letters_of_every_script_and_joined_emoji_stay() -> None:
    for name in ("麦橘写实 v6", "می\u200cخواهم", "👩\u200d🎨 Painter", "naïve\u00a0café", "Ω≈ç"):
        assert ModelRecord.model_validate({**GOOD, "model": name}).model == name


@pytest.mark.parametrize(
    ("field", "value"),
    [("cfg scale", float("nan")), ("sampling steps", HUGE), ("width", 0), ("lora weight", float("inf"))],
)
def test_a_call_that_was_written_by_others_is_looked_at_where_it_enters(field: str, value: Any) -> None:
    wire = {
        **{"model": "Night", "type": "LORA", "base model": "SD 1.5", "width": 512, "height": 512},
        **{"sampling method": "Euler a", "sampling steps": 20, "cfg scale": 7, "model description": ""},
    }
    assert T2IApi.from_wire(wire).model == "Night"
    with pytest.raises(InvalidApi, match=field):
        T2IApi.from_wire({**wire, field: value})
