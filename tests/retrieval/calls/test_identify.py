"""Which of several models a name means, which version, and which ids contradict it."""

import pytest

from retrieval.calls.compose import api_for
from retrieval.calls.identify import (
    fitting_version,
    id_faults,
    identify,
    known_family,
    named_version,
    pointed_at,
    version_fault,
)
from retrieval.catalogue import Catalogue, Match
from retrieval.records.api import Instruction, T2IApi
from retrieval.records.model import ModelRecord, VersionRecord

IDLESS = {"model_id": None, "version_id": None, "version": None, "air": None}


def model(model_id: int, name: str, downloads: int = 0, **more: object) -> ModelRecord:
    fields = {"type": "Checkpoint", "base_model": "SD 1.5", "stats": {"downloads": downloads}, **more}
    return ModelRecord.model_validate({"model_id": model_id, "model": name, **fields})


def versions(*rows: tuple[int, str, str, bool]) -> list[dict[str, object]]:
    keys = ("version_id", "version", "base_model", "available")
    return [dict(zip(keys, row, strict=True)) for row in rows]


TWINS = [
    model(1, "Twin", 10),
    model(2, "Twin", 1000),
    model(3, "Twin", 500, type="LORA"),
    model(4, "Twin", 2000, base_model="SDXL 1.0"),
    model(5, "Twin", 9000, available=False),
]
CATALOGUE = Catalogue(
    [
        *TWINS,
        model(10, "Night Castle XL"),
        model(11, "Night Castle Deluxe", 10**6),
        model(
            20,
            "Many",
            versions=versions(
                (203, "v3", "SD 1.5", False),
                (202, "v2", "SD 1.5", True),
                (204, "XL", "SDXL 1.0", True),
                (201, "v1", "SD 1.5", True),
            ),
        ),
    ]
)
TWIN = api_for(TWINS[0], Instruction(prompt="a castle"))
MANY = api_for(CATALOGUE.get(20), Instruction(prompt="a castle"))


@pytest.mark.parametrize(
    ("fields", "model_id"),
    [
        ({"model_id": 1}, 1),  # an id outweighs all else
        ({"model_id": 5}, 5),
        ({}, 2),  # family and type, then what can be had, then downloads
        ({"type": "LORA"}, 3),
        ({"base_model": "SDXL 1.0"}, 4),
        ({"base_model": "SDXL 1.0", "type": "LORA"}, 4),  # the family outweighs the type
    ],
)
def test_models_of_one_name_are_told_apart(fields: dict[str, object], model_id: int) -> None:
    match = identify("Twin", CATALOGUE, TWIN.model_copy(update={**IDLESS, **fields}))
    assert match is not None
    assert match.record.model_id == model_id


def test_a_bare_name_means_the_most_downloaded_that_can_be_had() -> None:
    match = identify("Twin", CATALOGUE)
    assert match is not None
    assert match.record.model_id == 4


def test_a_part_of_a_name_gives_way_to_a_whole_name_that_is_spelled_nearer() -> None:
    catalogue = Catalogue([model(1, "Night Castle | 夜之城堡"), model(2, "Night Castle V")])
    loose = identify("Night Castle", Catalogue([model(1, "Night Castle | 夜之城堡")]))
    assert loose is not None
    assert loose.how == "loose"
    assert identify("Night Castle", catalogue) is None
    assert identify("x" * 1001, Catalogue([model(1, "x" * 1001)])) is None


def test_the_air_and_the_version_go_before_the_model_id() -> None:
    def points(**fields: object) -> tuple[int, int | None] | None:
        match = pointed_at(MANY.model_copy(update={**IDLESS, **fields}), CATALOGUE)
        return (match.record.model_id, match.version and match.version.version_id) if match else None

    assert points(model_id=1, version_id=202) == (20, 202)
    assert points(version_id=202, air="urn:air:sd1:checkpoint:civitai:20@201") == (20, 201)
    assert points(model_id=1, air="urn:air:sd1:checkpoint:civitai:2") == (2, None)
    assert points(model_id=1, version_id=7) == (1, None)
    assert points(model_id=99) is None


@pytest.mark.parametrize(
    ("fields", "version_id"),
    [
        ({"version_id": 201, "version": "v2"}, 201),
        ({"version_id": 7, "version": "V 2"}, 202),
        ({"air": "urn:air:sd1:checkpoint:civitai:20@201", "version": "v2"}, 201),
        ({"air": "urn:air:sd1:checkpoint:civitai:1@201", "version": "v2"}, 202),  # of another model
        ({}, None),
    ],
)
def test_the_version_that_is_named_rightly(fields: dict[str, object], version_id: int | None) -> None:
    api = MANY.model_copy(update={**IDLESS, **fields})
    version = named_version(api, Match(CATALOGUE.get(20), None, "name"))
    assert (version.version_id if version else None) == version_id


def test_a_hash_behind_a_name_says_the_version() -> None:
    own, other = "AB12CD34EF" + "0" * 54, "CD34EF56AB" + "0" * 54
    rows = versions((302, "v2", "SD 1.5", True), (301, "v1", "SD 1.5", True))
    catalogue = Catalogue(
        [
            model(30, "Mill", versions=[rows[0], rows[1] | {"sha256": [own]}]),
            model(32, "Owl", versions=[versions((321, "v1", "SD 1.5", True))[0] | {"sha256": [other]}]),
        ]
    )

    def found(name: str) -> tuple[int, int | None, str] | None:
        match = identify(name, catalogue)
        return (
            (match.record.model_id, match.version and match.version.version_id, match.how) if match else None
        )

    assert found("Mill [ab12cd34ef]") == (30, 301, "name")
    assert found("Mill [cd34ef56ab]") == (30, None, "name")  # it is another model's
    assert found("Mill") == (30, None, "name")


def version_of(version_id: int) -> VersionRecord:
    version = CATALOGUE.get(20).version(version_id)
    assert version is not None
    return version


def test_a_version_is_left_only_for_another_of_the_family() -> None:
    many = CATALOGUE.get(20)
    fault = version_fault(many, version_of(203), "SD 1.5")
    assert fault is not None
    assert fault[0] == "unavailable"
    fault = version_fault(many, version_of(204), "SD 1.5")
    assert fault is not None
    assert fault[0] == "wrong family"
    assert version_fault(many, version_of(204), "SDXL 1.0") is None
    assert version_fault(many, version_of(204), "Pony") is None  # there is none to leave it for
    assert fitting_version(many, "SD 1.5") == version_of(202)
    assert fitting_version(many, "SDXL 1.0") == version_of(204)
    # of no family, and of one that it has nothing of, the default
    assert fitting_version(many, None) == fitting_version(many, "Pony") == version_of(202)


def test_what_the_catalogue_cannot_know_is_no_fault() -> None:
    bare = api_for(TWINS[0], Instruction(prompt="a castle"))
    assert id_faults(bare.model_copy(update={"version_id": 777, "version": "v9"}), TWINS[0], CATALOGUE) == []
    other = bare.model_copy(update={"version_id": 202})
    assert [fault.field for fault in id_faults(other, TWINS[0], CATALOGUE)] == ["version id"]


@pytest.mark.parametrize(
    ("base_model", "family"), [("sdxl", "SDXL 1.0"), ("My Family", "My Family"), ("SD 9", None)]
)
def test_a_family_is_known_to_the_table_or_to_the_catalogue(base_model: str, family: str | None) -> None:
    assert known_family(base_model, Catalogue([model(1, "Own", base_model="My Family")])) == family


def test_every_call_of_the_catalogue_names_its_own_model() -> None:
    for record in CATALOGUE:
        api: T2IApi = api_for(record, Instruction(prompt="a castle"))
        match = identify(record.model, CATALOGUE, api)
        assert match is not None
        assert match.record is record
