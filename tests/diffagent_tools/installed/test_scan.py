"""The tests of `diffagent_tools.installed.scan`."""

import os
from pathlib import Path

import pytest
from installed_world import CHECKPOINTS, LORAS, OTHERS, beside, captions, installed_world, kohya, weights

from diffagent_tools.installed import scan
from diffagent_tools.installed.facts import FoundFile
from diffagent_tools.installed.scan import Memory, listed_name, scan_folder, with_hashes
from retrieval.errors import InvalidInput
from retrieval.storage import sha256_of


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_world(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def found(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, FoundFile]:
    memory = Memory(tmp_path_factory.mktemp("memory") / "files.json")
    return {file.name: file for file in scan_folder(world, memory)}


def test_every_file_of_weights_is_named_once(found: dict[str, FoundFile], world: Path) -> None:
    endings = {".safetensors", ".ckpt", ".pt", ".gguf"}
    there = {str(path) for path in world.rglob("*") if path.suffix in endings}
    assert {file.path for file in found.values()} == there | {str(world / "diffusers" / "my-model")}
    assert len(found) >= 57


def test_families_and_kinds_are_right(found: dict[str, FoundFile]) -> None:
    for name, (_, family) in CHECKPOINTS.items():
        file = found[f"{name}.safetensors"]
        assert (file.kind, file.base_model, file.guessed) == ("Checkpoint", family, False), name
    for name, (_, family) in LORAS.items():
        assert (found[f"plain/{name}.safetensors"].base_model) == family, name
    for name, (_, kind) in OTHERS.items():
        assert found[f"others/{name}.safetensors"].kind == kind
        assert not found[f"others/{name}.safetensors"].is_usable


def test_words_tell_families_of_one_architecture_apart(found: dict[str, FoundFile]) -> None:
    assert found["pony_mix.safetensors"].base_model == "Pony"
    assert found["anime.safetensors"].base_model == "Illustrious"
    assert found["glow.safetensors"].base_model == "Illustrious"
    assert found["diffusers/my-model"].base_model == "SDXL 1.0"


def test_a_family_by_the_name_alone_is_a_guess(tmp_path: Path) -> None:
    weights(tmp_path / "loras" / "my_pony_style.safetensors", kohya(2048))
    weights(tmp_path / "loras" / "my_pony_ride.safetensors", kohya(768))
    named, other = scan_folder(tmp_path, Memory(tmp_path / "memory.json"))[::-1]
    assert (named.base_model, named.guessed) == ("Pony", True)
    assert (other.base_model, other.guessed) == ("SD 1.5", False)


def test_a_page_that_the_weights_belie_is_not_believed(tmp_path: Path) -> None:
    path = weights(tmp_path / "a.safetensors", kohya(768))
    beside(path, ".cm-info.json", {"ModelId": 1, "ModelName": "A", "VersionId": 2, "BaseModel": "SDXL 1.0"})
    assert scan_folder(tmp_path, Memory(tmp_path / "m.json"))[0].base_model == "SD 1.5"


def test_a_page_of_a_family_that_is_not_known_leaves_it_out(tmp_path: Path) -> None:
    path = weights(tmp_path / "a.safetensors", kohya(768))
    beside(path, ".cm-info.json", {"ModelId": 1, "ModelName": "A", "VersionId": 2, "BaseModel": "Wan Video"})
    assert not scan_folder(tmp_path, Memory(tmp_path / "m.json"))[0].is_usable


def test_broken_files_are_named_and_never_opened_as_pickles(found: dict[str, FoundFile]) -> None:
    faults = {name.removeprefix("broken/"): file.fault for name, file in found.items() if "broken/" in name}
    assert faults.pop("huge.safetensors") is None
    assert all(faults.values())
    assert faults["old.ckpt"] == faults["old.pt"] == scan.PICKLED


def test_a_second_scan_opens_nothing(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(tmp_path / "files.json")
    first = scan_folder(world, memory)
    assert memory.changed
    memory.save()
    opened: list[str] = []
    real = scan.read_file
    monkeypatch.setattr(
        scan, "read_file", lambda path, root, names: opened.append(path.name) or real(path, root, names)
    )
    again = Memory.load(memory.path)
    assert scan_folder(world, again) == first
    # what could not be read may have been mended
    assert set(opened) == {Path(file.name).name for file in first if file.fault and "whole" in file.fault}
    assert not again.changed


@pytest.mark.parametrize("what", ["file", "sidecar", "new", "gone"])
def test_what_changes_is_read_again(what: str, tmp_path: Path) -> None:
    root = tmp_path / "models"
    path = weights(root / "a.safetensors", kohya(768))
    weights(root / "b.safetensors", kohya(768))
    memory = Memory(tmp_path / "files.json")
    scan_folder(root, memory)
    memory.save()
    if what == "file":
        weights(path, kohya(1024))
        os.utime(path, ns=(1, 1))
    elif what == "sidecar":
        beside(path, ".json", {"activation text": "fox", "preferred weight": 0.5})
    elif what == "new":
        weights(root / "c.safetensors", kohya(768))
    else:
        path.unlink()
    again = Memory.load(memory.path)
    found = {file.name: file for file in scan_folder(root, again)}
    assert again.changed
    assert again.read == (0 if what == "gone" else 1)
    if what == "file":
        assert found["a.safetensors"].base_model == "SD 2.1"
    if what == "sidecar":
        assert found["a.safetensors"].told.weight == 0.5


def test_a_broken_memory_is_none(tmp_path: Path) -> None:
    path = tmp_path / "files.json"
    path.write_text('{"a": 3}')
    weights(tmp_path / "models" / "a.safetensors", kohya(768))
    assert len(scan_folder(tmp_path / "models", Memory.load(path))) == 1


def test_hashes_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    path = weights(tmp_path / "models" / "a.safetensors", kohya(768))
    memory = Memory(tmp_path / "files.json")
    (file,) = with_hashes(scan_folder(path.parent, memory), memory)
    assert file.sha256 == sha256_of(path).upper()
    memory.save()
    (kept,) = scan_folder(path.parent, Memory.load(memory.path))
    assert kept.sha256 == file.sha256


def test_the_hash_of_a_sidecar_is_taken_as_it_is(found: dict[str, FoundFile]) -> None:
    assert found["styles/ink.safetensors"].sha256 == "AB" * 32
    assert found["tiles.safetensors"].sha256 == "EF" * 32


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("models/checkpoints/xl/a.safetensors", "xl/a.safetensors"),
        ("models/Stable-diffusion/a.safetensors", "a.safetensors"),
        ("models/Lora/sub/b.safetensors", "sub/b.safetensors"),
        ("elsewhere/b.safetensors", "elsewhere/b.safetensors"),
    ],
)
def test_programs_list_a_file_below_the_folder_of_its_kind(path: str, name: str) -> None:
    assert listed_name(Path("/root") / path, Path("/root")) == name


def test_links_are_followed_once_and_broken_ones_told(tmp_path: Path) -> None:
    root = tmp_path / "models"
    weights(root / "loras" / "a.safetensors", kohya(768))
    (root / "loras" / "round").symlink_to(root)
    (root / "loras" / "gone.safetensors").symlink_to(tmp_path / "nowhere.safetensors")
    found = {file.name: file for file in scan_folder(root, Memory(tmp_path / "m.json"))}
    assert set(found) == {"a.safetensors", "gone.safetensors"}
    assert found["gone.safetensors"].fault


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no folder"):
        scan_folder(tmp_path / "nothing", Memory(tmp_path / "m.json"))


def test_captions_are_kept(found: dict[str, FoundFile]) -> None:
    assert captions({}, 0)["ss_base_model_version"] == "sd_v1"
    assert found["pixelcorgi.safetensors"].tags["pixelcorgi"] == 1.0
