"""Extras: the table of what brings what, and what is said where one is missing."""

import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from diffagent_tools.extras import EXTRAS, extra_of, missing_extra, require
from retrieval.errors import MissingExtra

ROOT = Path(__file__).parents[2]


def test_the_table_of_extras_is_that_of_the_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {
        extra: {Requirement(each).name for each in needs}
        for extra, needs in declared["optional-dependencies"].items()
        if extra != "dev"
    }
    assert {extra: set(modules.values()) for extra, modules in EXTRAS.items()} == wanted


def test_what_no_extra_brings_is_no_missing_extra() -> None:
    assert extra_of("gradio.blocks") == "ui"
    assert extra_of("json") is None
    assert missing_extra(ImportError("cannot import name 'x' from 'retrieval'", name="retrieval")) is None
    assert missing_extra(ImportError("no name")) is None


def test_require_gives_the_module_or_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert require("PIL.Image").__name__ == "PIL.Image"
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"`pip install 'diffagent-tools\[scale\]'`"):
        require("ray")


def test_a_part_that_an_extra_lacks_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gradio.py").write_text("import a_part_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "gradio", raising=False)
    with pytest.raises(MissingExtra, match=r"a_part_that_is_not_there.*diffagent-tools\[ui\]"):
        require("gradio")
    monkeypatch.delitem(sys.modules, "gradio", raising=False)
