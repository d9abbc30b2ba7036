"""The wheel holds the whole tree: what packaging does not find is missed by users alone."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("retrieval", "diffagent_tools", "finetune")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packaged: building writes beside its input, and an old build would be taken along."""
    folder = tmp_path_factory.mktemp("wheel") / "source"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path) -> set[str]:
    """The members of a wheel that the build backend makes of the tree, without a network."""
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(source.parent)],
        cwd=source,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(source.parent / done.stdout.split()[-1]) as file:
        return set(file.namelist())


def test_the_wheel_holds_what_the_tree_holds(wheel: set[str]) -> None:
    tree = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert len(tree) > 250
    packed = {name for name in wheel if not name.partition("/")[0].endswith(".dist-info")}
    assert packed == tree


def test_the_data_is_among_it(wheel: set[str]) -> None:
    assert {
        "retrieval/catalogue/starter/models.jsonl.gz",
        "retrieval/search/starter/retriever/model.safetensors",
        "diffagent_tools/adapters/starter/adapter_model.safetensors",
        "diffagent_tools/render/clip/merges.txt.gz",
        "finetune/study/page/page.html",
        "finetune/configs/dabench.yaml",
        *(f"{package}/py.typed" for package in PACKAGES),
    } <= wheel


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


def test_the_command_is_there(wheel: set[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, _ = project["scripts"]["diffagent"].partition(":")
    file = module.replace(".", "/")
    assert {f"{file}.py", f"{file}/__init__.py"} & wheel
