"""Importing the package stays light: the heavy libraries are loaded where they are used. No clock is read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from heavy import HEAVY, LAZY

ROOT = Path(__file__).parents[2]


def loaded_by(statement: str) -> set[str]:
    """The top packages in `sys.modules` of a fresh process after a statement."""
    code = (
        f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{n.split('.')[0] for n in sys.modules}})))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def modules(package: str) -> list[str]:
    """Every module of a package of the project but those that are only ever imported inside functions."""
    paths = sorted((ROOT / package).rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    found = [name for name in names if not name.endswith(("__init__", "__main__")) and name not in LAZY]
    assert len(found) > 30, f"{package} has only {len(found)} modules here"
    return found


def test_the_package_that_users_import_is_light() -> None:
    assert not loaded_by("import diffagent_tools") & {*HEAVY, "langchain_core"}


@pytest.mark.parametrize("package", ["retrieval", "diffagent_tools"])
def test_no_module_loads_a_heavy_library(package: str) -> None:
    assert not loaded_by(f"import {', '.join(modules(package))}") & HEAVY


def test_the_records_need_no_langchain() -> None:
    assert "langchain_core" not in loaded_by("import retrieval.records.api, retrieval.tables.samplers")


RUN = "import sys\nfrom typer.testing import CliRunner\nfrom diffagent_tools.cli.command import app\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["select", "a happy corgi, pixel art"],
        ["select", "a happy corgi, pixel art", "--mode", "retrieval", "-k", "5", "--json"],
        ["select", "a happy corgi", "--negative", "blurry", "--format", "comfyui"],
        ["check", "DreamShaper"],
        ["check", "dream_shaper.safetensors", "--json"],
    ],
    ids=lambda arguments: " ".join(arguments[:4]),
)
def test_an_answer_of_retrieval_needs_no_heavy_library(arguments: list[str]) -> None:
    ran = f"{RUN}assert CliRunner().invoke(app, {arguments!r}).exit_code == 0"
    loaded = loaded_by(ran)
    assert "numpy" in loaded or arguments[0] == "check"
    assert not loaded & {*HEAVY, "onnxruntime", "langchain_core"}


def test_a_ranking_needs_no_heavy_library() -> None:
    ranked = (
        "from retrieval.catalogue import Catalogue\nfrom retrieval.search.ranker import Ranker\n"
        "from retrieval.records.api import Instruction\n"
        "ranker = Ranker.packaged(Catalogue.starter())\n"
        "assert ranker.rank(Instruction(prompt='watercolor'), ranker.filter(type='LORA')).best(5)"
    )
    assert not loaded_by(ranked) & {*HEAVY, "onnxruntime", "langchain_core"}
