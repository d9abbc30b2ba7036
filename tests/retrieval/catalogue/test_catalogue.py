"""A catalogue reads, finds, selects and saves; broken lines are named."""

import gzip
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from retrieval.catalogue import Catalogue
from retrieval.errors import CatalogueError, CatalogueFormatError, UnknownBaseModel, UnknownModel
from retrieval.records.model import ModelRecord, Settings, Stats, VersionRecord, document_text

REV_HASH = "4199BCDD147E11328D5F3560301D5A7AB4AC7EEEFBF49DC3EB663CB3E772B9AC"


def record(model_id: int, model: str, **fields: object) -> ModelRecord:
    given = {"type": "Checkpoint", "base_model": "SD 1.5", **fields}
    return ModelRecord.model_validate({"model_id": model_id, "model": model, **given})


REV = record(
    7371,
    "ReV Animated",
    versions=(
        VersionRecord(
            version_id=46846,
            version="v1.2.2",
            base_model="SD 1.5",
            sha256=(REV_HASH.lower(),),
            file_names=("revAnimated_v122EOL.safetensors",),
        ),
        VersionRecord(version_id=19575, version="v1.1", base_model="SD 1.5"),
    ),
    commercial_use=("Image", "Rent"),
    nsfw=False,
    stats=Stats(downloads=900),
    settings=Settings(sampling_method="Euler a", sampling_steps=30, samples=4),
)
MODELS = (
    REV,
    record(1, ">_<", type="LORA", nsfw=False),
    record(2, "majicMIX realistic 麦橘写实", nsfw=False, nsfw_level=4, commercial_use=()),
    record(3, "Ink", type="LORA", stats=Stats(downloads=5), trigger_words=("ink style",)),
    record(4, "ink", type="Checkpoint", stats=Stats(downloads=9), aliases=("Tusche",)),
    record(5, "INK", type="LORA", base_model="SDXL 1.0"),
    record(6, "Gone Model v2", available=False, status="TakenDown"),
)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(MODELS, name="test")


@pytest.fixture(params=["memory", "jsonl", "jsonl.gz"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Catalogue:
    made = Catalogue(MODELS)
    if request.param == "memory":
        return made
    made.save(tmp_path / f"models.{request.param}")
    return Catalogue.load(tmp_path / f"models.{request.param}")


@pytest.mark.parametrize(
    ("name", "model_id", "version_id", "how"),
    [
        ("ReV Animated", 7371, None, "name"),
        (" ReV Animated ", 7371, None, "name"),
        ("rev-animated", 7371, None, "alias"),
        ("ReV Animated v1.2.2", 7371, 46846, "alias"),
        ("rev animated V9", 7371, None, "loose"),
        ("revAnimated_v122EOL.safetensors", 7371, 46846, "file"),
        ("revanimated_v122eol", 7371, 46846, "file"),
        ("<lora:revAnimated_v122EOL:0.8>", 7371, 46846, "file"),
        (REV_HASH, 7371, 46846, "hash"),
        ("4199bcdd14", 7371, 46846, "hash"),
        ("0x4199BCDD14", 7371, 46846, "hash"),
        ("urn:air:sd1:checkpoint:civitai:7371@19575", 7371, 19575, "air"),
        ("https://civitai.com/models/7371/rev-animated", 7371, None, "url"),
        ("https://civitai.com/models/7371?modelVersionId=19575", 7371, 19575, "url"),
        ("https://civitai.com/api/download/models/46846?type=Model", 7371, 46846, "url"),
        (">_<", 1, None, "name"),
        ("麦橘写实", 2, None, "loose"),
        ("majicMIX_realistic", 2, None, "file"),
        ("tusche", 4, None, "alias"),
        ("gone model", 6, None, "loose"),
    ],
)
def test_find(stored: Catalogue, name: str, model_id: int, version_id: int | None, how: str) -> None:
    (match,) = stored.find(name)
    assert (match.record.model_id, match.how) == (model_id, how)
    assert (match.version.version_id if match.version else None) == version_id
    assert match.exact == (how in ("name", "air", "url", "hash"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "no such model",
        "0000000000",
        "urn:air:sd1:checkpoint:civitai:99@1",
        "https://civitai.com/models/99",
    ],
)
def test_find_nothing(catalogue: Catalogue, name: str) -> None:
    assert catalogue.find(name) == []
    assert catalogue.resolve(name) is None


def test_a_hash_that_differs_behind_its_first_ten_digits_is_another_file(catalogue: Catalogue) -> None:
    assert catalogue.find(REV_HASH[:10] + "0" * 54) == []


def test_several_of_one_name_are_all_found_and_narrowed_by_type_and_family(catalogue: Catalogue) -> None:
    assert [match.record.model_id for match in catalogue.find("iNK")] == [4, 3, 5]
    assert catalogue.resolve("iNK") is None
    narrowed = catalogue.resolve("iNK", type="LORA", base_model="SDXL")
    assert narrowed is not None
    assert narrowed.record.model_id == 5
    assert catalogue.resolve("iNK", type="LORA") is None


def test_an_exact_name_wins_over_others_of_other_case(catalogue: Catalogue) -> None:
    match = catalogue.resolve("Ink")
    assert match is not None
    assert match.record.model_id == 3


def test_narrowing_does_not_exclude_the_only_one(catalogue: Catalogue) -> None:
    match = catalogue.resolve("ReV Animated", type="LORA", base_model="SDXL 1.0")
    assert match is not None
    assert match.record.model_id == 7371


def test_ids(stored: Catalogue) -> None:
    assert len(stored) == len(list(stored)) == 7
    assert 7371 in stored
    assert 99 not in stored
    assert stored.get(7371) == REV
    match = stored.by_version(19575)
    assert match.version is not None
    assert (match.record.model_id, match.version.version) == (7371, "v1.1")
    with pytest.raises(UnknownModel, match="99"):
        stored.get(99)
    with pytest.raises(UnknownModel, match="99"):
        stored.by_version(99)


def test_select(stored: Catalogue) -> None:
    def chosen(**conditions: object) -> set[int]:
        return {r.model_id for r in stored.select(**conditions)}  # type: ignore[arg-type]

    assert chosen() == {7371, 1, 2, 3, 4, 5}
    assert chosen(available=None) == {7371, 1, 2, 3, 4, 5, 6}
    assert chosen(available=False) == {6}
    assert chosen(base_model="SDXL") == {5}
    assert chosen(base_model="SD 1.5", type="lora") == {1, 3}
    assert chosen(commercial_use=True) == {7371}
    assert chosen(commercial_use=False) == {2}
    assert chosen(max_nsfw=1) == {7371, 1}
    assert chosen(max_nsfw=4) == {7371, 1, 2}
    with pytest.raises(UnknownBaseModel):
        stored.select(base_model="SD 9")


def test_families(stored: Catalogue) -> None:
    assert stored.families == ("SD 1.5", "SDXL 1.0")


def test_digest_depends_on_content_alone(stored: Catalogue, tmp_path: Path) -> None:
    assert stored.digest == Catalogue(MODELS).digest == Catalogue(reversed(MODELS)).digest
    assert stored.digest != Catalogue(MODELS[1:]).digest
    shuffled = [json.dumps(dict(reversed(r.to_wire().items()))) for r in reversed(MODELS)]
    (tmp_path / "shuffled.jsonl").write_text("\n\n".join(shuffled))
    assert Catalogue.load(tmp_path / "shuffled.jsonl").digest == stored.digest


def test_saved_bytes_are_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        Catalogue(MODELS).save(tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


LINE = '{"model_id": 1, "model": "a", "type": "LORA", "base_model": "SD 1.5"}'


@pytest.mark.parametrize(
    ("lines", "number", "says"),
    [
        ([LINE, "{"], 2, "JSON"),
        ([LINE, "", "[]"], 3, "object"),
        (['{"model_id": 1, "type": "LORA", "base_model": "SD 1.5"}'], 1, "model"),
        (['{"model_id": 1, "model": "a", "type": "VAE", "base_model": "SD 1.5"}'], 1, "LORA"),
        ([LINE, LINE], 2, "line 1"),
        ([LINE + LINE], 1, "JSON"),
    ],
)
def test_a_broken_line_is_named_when_the_file_is_read(
    tmp_path: Path, lines: list[str], number: int, says: str
) -> None:
    path = tmp_path / "models.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(CatalogueFormatError, match=says) as caught:
        Catalogue.load(path)
    assert (caught.value.path, caught.value.line) == (str(path), number)
    assert f"line {number}" in str(caught.value)


def test_a_wrong_field_is_named_when_the_record_is_read(tmp_path: Path) -> None:
    path = tmp_path / "models.jsonl.gz"
    wrong = LINE.replace('"model_id": 1', '"model_id": 2').replace("}", ', "tags": 7}')
    path.write_bytes(gzip.compress(f"{LINE}\n{wrong}\n".encode()))
    catalogue = Catalogue.load(path)
    assert catalogue.get(1).model == "a"
    with pytest.raises(CatalogueFormatError, match="tags") as caught:
        catalogue.get(2)
    assert caught.value.line == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="nowhere"):
        Catalogue.load(tmp_path / "nowhere.jsonl")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b"{}" * 1000)[:20])
    with pytest.raises(CatalogueError, match="cut"):
        Catalogue.load(tmp_path / "cut.jsonl.gz")


def test_an_empty_catalogue(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    empty = Catalogue.load(tmp_path / "empty.jsonl")
    assert (len(empty), list(empty), empty.find("a"), empty.families) == (0, [], [], ())
    assert empty.select() == []


def test_two_records_of_one_id_are_refused() -> None:
    with pytest.raises(CatalogueError, match="two records"):
        Catalogue([record(1, "a"), record(1, "b")])


def test_records_are_frozen_and_know_their_address() -> None:
    assert REV.page_url == "https://civitai.com/models/7371"
    assert REV.air() == "urn:air:sd1:checkpoint:civitai:7371@46846"
    assert REV.air(19575) == "urn:air:sd1:checkpoint:civitai:7371@19575"
    assert MODELS[1].air() is None
    with pytest.raises(ValidationError):
        REV.model = "other"  # type: ignore[misc]


def test_unknown_stays_unknown() -> None:
    bare = record(9, "bare")
    assert bare.allows_commercial_use() is None
    assert (bare.nsfw, bare.creator, bare.stats.downloads, bare.default_version) == (None, None, None, None)
    assert bare.to_wire() == {"model_id": 9, "model": "bare", "type": "Checkpoint", "base_model": "SD 1.5"}
    assert not bare.allows_nsfw_level(31)


def test_the_default_version_is_the_newest_available_one_of_the_family() -> None:
    def version(number: int, base_model: str, available: bool = True) -> VersionRecord:
        return VersionRecord(
            version_id=number, version=str(number), base_model=base_model, available=available
        )

    mixed = record(1, "m", versions=(version(4, "SD 2.1"), version(3, "SD 1.5", False), version(2, "SD 1.4")))
    assert mixed.default_version is not None
    assert mixed.default_version.version_id == 2


def test_base_models_are_read_as_families() -> None:
    assert record(1, "a", base_model="SDXL Lightning").base_model == "SDXL 1.0"
    assert record(1, "a", base_model="Something New").base_model == "Something New"


def test_document_text_says_each_thing_once() -> None:
    text = document_text(
        record(
            1,
            "Ink",
            description="Drawings in ink.",
            tags=("sketch",),
            trigger_words=("ink style",),
            terms={"ink": 1.0, "crow": 0.5, "old crow": 0.4, "paper": 0.3},
        )
    )
    assert text == "Ink. ink style. Drawings in ink. sketch. crow, old crow, paper"


def test_document_text_takes_keywords_first() -> None:
    known = record(1, "Ink", keywords=("crow", "old crow"), terms={"masterpiece": 1.0, "crow": 0.2})
    assert document_text(known) == "Ink. crow, old crow"
