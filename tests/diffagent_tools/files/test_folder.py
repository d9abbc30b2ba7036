"""The models folder: files by hash, version id and name; hashed once; the message when one is missing."""

import json
import os
from pathlib import Path

import pytest
from calls import checkpoint

from diffagent_tools.files.folder import INDEX_NAME, ModelsFolder
from diffagent_tools.files.wanted import WantedFile, wanted_files
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput, MissingModelFile
from retrieval.records.api import CheckpointRef
from retrieval.records.model import ModelRecord, VersionRecord
from retrieval.storage import sha256_of

API = checkpoint()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "dream_8.safetensors").write_bytes(b"eight")
    (tmp_path / "checkpoints" / "renamed.safetensors").write_bytes(b"seven")
    (tmp_path / "checkpoints" / "dream_8.ckpt").write_bytes(b"pickle")
    (tmp_path / "saved" / "unet").mkdir(parents=True)
    (tmp_path / "saved" / "model_index.json").write_text("{}")
    (tmp_path / "saved" / "unet" / "part.safetensors").write_bytes(b"part")
    return tmp_path


def catalogue() -> Catalogue:
    def version(number: int, content: str) -> VersionRecord:
        digest = {"eight": EIGHT, "seven": SEVEN, "nine": "9" * 64}[content]
        return VersionRecord(
            version_id=number,
            version=f"v{number}",
            base_model="SD 1.5",
            sha256=(digest,),
            file_names=(f"dream_{number}.safetensors",),
        )

    dream = ModelRecord(
        model_id=1,
        model="Dream",
        type="Checkpoint",
        base_model="SD 1.5",
        versions=(version(9, "nine"), version(8, "eight"), version(7, "seven")),
    )
    style = ModelRecord(model_id=2, model="Style", type="LORA", base_model="SD 1.5")
    return Catalogue([dream, style])


EIGHT = "fcb9d73653af73e5f5cb21e7f7e2bd57df25e1ee0e0a0ba50e3fb41b1ce0ff04"
SEVEN = "0"


@pytest.fixture(autouse=True)
def _digests(folder: Path) -> None:
    global EIGHT, SEVEN
    EIGHT = sha256_of(folder / "checkpoints" / "dream_8.safetensors").upper()
    SEVEN = sha256_of(folder / "checkpoints" / "renamed.safetensors").upper()


def test_safetensors_and_folders_are_seen_and_nothing_else(folder: Path) -> None:
    names = [path.name for path in ModelsFolder(folder).files()]
    assert sorted(names) == ["dream_8.safetensors", "renamed.safetensors", "saved"]


def test_a_link_in_a_circle_ends(folder: Path) -> None:
    (folder / "again").symlink_to(folder)
    assert len(list(ModelsFolder(folder).files())) == 3


@pytest.mark.parametrize(
    ("name", "found"),
    [("dream_8", "dream_8.safetensors"), ("Dream 8.safetensors", "dream_8.safetensors"), ("SAVED", "saved")],
)
def test_a_name_finds_a_file_or_a_folder(folder: Path, name: str, found: str) -> None:
    assert ModelsFolder(folder).find(name).name == found


def test_a_hash_finds_a_file_under_any_name(folder: Path) -> None:
    models = ModelsFolder(folder)
    assert models.find(SEVEN).name == "renamed.safetensors"
    assert models.find(SEVEN.lower()).name == "renamed.safetensors"


def test_a_file_is_hashed_once_until_it_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ModelsFolder(folder).find(SEVEN)
    assert set(json.loads((folder / INDEX_NAME).read_text())["files"]) == {
        "checkpoints/dream_8.safetensors",
        "checkpoints/renamed.safetensors",
    }
    hashed: list[str] = []

    def counted(path: Path) -> str:
        hashed.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr("diffagent_tools.files.folder.sha256_of", counted)
    models = ModelsFolder(folder)
    models.find(SEVEN)
    assert hashed == []
    changed = folder / "checkpoints" / "renamed.safetensors"
    changed.write_bytes(b"other")
    os.utime(changed, ns=(1, 1))
    with pytest.raises(MissingModelFile):
        models.find(SEVEN)
    assert hashed == ["renamed.safetensors"]


def test_a_broken_memory_is_no_memory(folder: Path) -> None:
    (folder / INDEX_NAME).write_text("[")
    assert ModelsFolder(folder).find(EIGHT).name == "dream_8.safetensors"


def test_a_version_id_is_read_beside_a_file_and_remembered_of_a_download(folder: Path) -> None:
    models = ModelsFolder(folder)
    (folder / "checkpoints" / "renamed.civitai.info").write_text('{"id": 77}')
    assert models.find(77).name == "renamed.safetensors"
    models.learn(folder / "checkpoints" / "dream_8.safetensors", EIGHT, 88)
    assert ModelsFolder(folder).find(88).name == "dream_8.safetensors"


def test_the_catalogue_gives_the_hash_and_another_version_does_where_none_was_named(folder: Path) -> None:
    models = ModelsFolder(folder)
    assert models.find(wanted_files(API, catalogue()).checkpoint).name == "dream_8.safetensors"
    seventh = API.model_copy(update={"model_id": 1, "version_id": 7})
    assert models.find(wanted_files(seventh, catalogue()).checkpoint).name == "renamed.safetensors"
    ninth = API.model_copy(update={"model_id": 1, "version_id": 9})
    with pytest.raises(MissingModelFile, match=r"'Dream' \(version 9, dream_9.safetensors\) is not in"):
        models.find(wanted_files(ninth, catalogue()).checkpoint)


def test_a_file_of_the_name_and_another_content_is_not_taken(folder: Path) -> None:
    wanted = WantedFile("Dream", "Checkpoint", 1, 9, ("9" * 64,), ("dream_8.safetensors",))
    with pytest.raises(MissingModelFile, match="has its name but another SHA256") as caught:
        ModelsFolder(folder).find(wanted)
    assert f"diffagent fetch 1@9 --models {folder}" in str(caught.value)


def test_a_lora_comes_with_its_base_checkpoint() -> None:
    lora = API.model_copy(update={"type": "LORA", "model": "Style"})
    files = wanted_files(lora, catalogue())
    assert (files.checkpoint.model_id, files.lora and files.lora.model_id) == (62437, 2)
    on_dream = lora.model_copy(update={"base_checkpoint": CheckpointRef(model="Dream", model_id=1)})
    assert wanted_files(on_dream, catalogue()).checkpoint.version_id == 9
    by_air = API.model_copy(update={"model": "?", "air": "urn:air:sd1:checkpoint:civitai:1@7"})
    assert wanted_files(by_air, catalogue()).checkpoint.version_id == 7


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no models folder"):
        ModelsFolder(tmp_path / "none")
