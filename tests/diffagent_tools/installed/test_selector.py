"""The tests of `diffagent_tools.installed.selector` and `diffagent_tools.installed.library`."""

from pathlib import Path

import pytest
from small_world import WordSelector, small_catalogue

from diffagent_tools.installed.library import About, Library
from diffagent_tools.installed.selector import InstalledSelector
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.api import CheckpointRef
from retrieval.records.model import LOCAL_IDS, ModelRecord, Settings, VersionRecord

BASE, LORA = LOCAL_IDS + 1, LOCAL_IDS + 2


def record(number: int, name: str, folder: Path, *, lora: bool) -> ModelRecord:
    path = folder / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    version = VersionRecord(
        version_id=number, version="", base_model="SD 1.5", file_names=(path.name,), path=str(path)
    )
    settings = Settings(base_checkpoint=CheckpointRef(model="base", model_id=BASE, version_id=BASE))
    return ModelRecord(
        model_id=number,
        model=name,
        type="LORA" if lora else "Checkpoint",
        base_model="SD 1.5",
        description=f"{name} pictures",
        versions=(version,),
        settings=settings if lora else None,
    )


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path / "installed")
    files = tmp_path / "models"
    library.save([record(BASE, "base", files, lora=False), record(LORA, "corgi", files, lora=True)], About())
    return library


def selector(library: Library, beyond: Catalogue | None = None) -> InstalledSelector:
    return InstalledSelector(
        WordSelector, library=library, beyond=WordSelector(beyond) if beyond is not None else None
    )


def test_the_answer_has_its_files(library: Library, tmp_path: Path) -> None:
    (found,) = selector(library).select("a corgi")
    assert [(file.kind, file.name, file.path) for file in found.files] == [
        ("LORA", "corgi.safetensors", str(tmp_path / "models" / "corgi.safetensors")),
        ("Checkpoint", "base.safetensors", str(tmp_path / "models" / "base.safetensors")),
    ]
    assert (found.page_url or "", found.api.air, found.missing) == ("", None, None)
    assert found.api.to_wire()["model id"] == LORA


def test_a_file_that_was_taken_away_is_not_named(library: Library, tmp_path: Path) -> None:
    chooser = selector(library)
    assert chooser.select("a corgi")[0].api.model == "corgi"
    (tmp_path / "models" / "corgi.safetensors").unlink()
    assert {found.api.model for found in chooser.select("a corgi", k=5)} == {"base"}


def test_without_its_checkpoint_a_lora_is_not_named(library: Library, tmp_path: Path) -> None:
    (tmp_path / "models" / "base.safetensors").unlink()
    with pytest.raises(InvalidInput, match="none can be used"):
        selector(library).select("a corgi")


def test_a_new_scan_is_seen(library: Library, tmp_path: Path) -> None:
    chooser = selector(library)
    chooser.select("a corgi")
    files = tmp_path / "models"
    more = [record(BASE, "base", files, lora=False), record(LORA + 1, "lighthouse", files, lora=True)]
    library.save(more, About(files=2))
    assert chooser.select("a lighthouse")[0].api.model == "lighthouse"


def test_what_is_missing_is_one_line(library: Library) -> None:
    catalogue = small_catalogue()
    (found,) = selector(library, catalogue).select("pixel art of a game sprite")
    assert found.api.model_id in (BASE, LORA)
    assert found.missing is not None
    assert found.missing.startswith(
        "not installed, but nearer to the request: Pixel Art Helper (LORA for SD 1.5"
    )
    assert "\n" not in found.missing


def test_nothing_is_missing_where_the_installed_one_is_as_near(library: Library) -> None:
    (found,) = selector(library, small_catalogue()).select("qqq zzz")
    assert found.missing is None


def test_names_that_are_only_here_can_be_excluded(library: Library) -> None:
    chooser = selector(library, small_catalogue())
    assert chooser.select("a corgi", exclude=["corgi"])[0].api.model == "base"


def test_batches(library: Library) -> None:
    (item,) = selector(library).select_batch(["a corgi"])
    assert item.to_wire()["files"][0]["name"] == "corgi.safetensors"


def test_nothing_scanned(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="diffagent scan"):
        selector(Library(tmp_path / "none")).select("a corgi")


def test_what_lies_on_another_machine_is_taken_as_listed(tmp_path: Path) -> None:
    far = record(BASE, "base", tmp_path, lora=False)
    version = far.versions[0].model_copy(update={"path": None})
    library = Library(tmp_path / "installed")
    library.save([far.model_copy(update={"versions": (version,)})], About())
    (found,) = selector(library).select("a corgi")
    assert [(file.name, file.path) for file in found.files] == [("base.safetensors", None)]


def test_about_is_kept(library: Library) -> None:
    about = About(roots=("/m",), files=3, models={"LORA for SD 1.5": 2}, left={"cut off": ("a",)})
    library.save(list(library.catalogue()), about)
    assert Library(library.folder).about == about
    assert Library(library.folder / "other").about == About()
