"""Faults at the border of the command: links, names, families, outputs; each a plain line and a code."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from small_adapter import fusion_only
from small_world import small_catalogue, small_records
from typer.testing import CliRunner

from diffagent_tools.agents.operations import Operations
from diffagent_tools.cli import command as cli
from diffagent_tools.formats.write import ExportFormat, export
from diffagent_tools.select.selector import RetrievalSelector
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi, UnknownBaseModel
from retrieval.records.model import ModelRecord

DIGITS = "9" * 5_000
LINKS = [
    f"https://civitai.com/models/{DIGITS}",
    f"https://civitai.com/models/201?modelVersionId={DIGITS}",
    f"https://civitai.com/api/download/models/{DIGITS}",
    f"https://civitai.com/models/{'٣' * 30}",
    f"urn:air:sd1:lora:civitai:{DIGITS}@{DIGITS}",
    DIGITS,
    f"{DIGITS}@{DIGITS}",
    '{"model": "x", "model id": ' + DIGITS + "}",
    '{"model": "x", "steps": ' + DIGITS + ', "size": "' + DIGITS + "x" + DIGITS + '"}',
]


@pytest.fixture(autouse=True)
def _light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own."""
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    small_catalogue().save(tmp_path / "small.jsonl")
    return tmp_path / "small.jsonl"


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link[:40])
def test_a_link_with_thousands_of_digits(link: str, catalogue: Path, tmp_path: Path) -> None:
    """The first 18 of them are no id, either."""
    Catalogue.load(catalogue).find(link)
    adapter = str(fusion_only(tmp_path / "adapter"))
    for arguments in (
        ["check", link],
        ["fetch", link, "--models", str(tmp_path / "models"), "--dry-run"],
        ["select", "pixel art", "--mode", "retrieval", "--adapter", adapter, "--exclude", link],
    ):
        if arguments[0] == "fetch" and link.startswith("urn"):
            continue
        result = CliRunner().invoke(cli.app, [*arguments, "--catalogue", str(catalogue)])
        assert result.exit_code in (0, 1, 2), result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert len(result.stderr) < 2_500


def test_the_first_digits_of_a_long_number_name_no_model() -> None:
    records = small_catalogue()
    assert records.find("https://civitai.com/models/201")[0].record.model_id == 201
    assert records.find("https://civitai.com/models/201" + "0" * 30) == []
    assert records.find("https://civitai.com/models/" + "0" * 17 + "2010") == []
    assert records.find(f"https://civitai.com/models/201?modelVersionId={DIGITS[:30]}")[0].version is None


def test_a_name_of_a_megabyte(catalogue: Path, tmp_path: Path) -> None:
    name = " -" * 500_000 + "x"
    records = Catalogue.load(catalogue)
    assert records.find(name) == []
    with pytest.raises(InvalidApi, match="1,000,001 characters"):
        Operations(records).examine(name)
    with pytest.raises(InvalidApi, match="no model is named in the text"):
        Operations(records).examine(name[-90_000:])
    for arguments in (["check"], ["check", "-"]):
        result = CliRunner().invoke(cli.app, [*arguments, "--catalogue", str(catalogue)], input=name)
        assert result.exit_code == 2, result.output
        assert len(result.stderr.splitlines()) == 1
    fetched = CliRunner().invoke(
        cli.app, ["fetch", name, "--models", str(tmp_path / "m"), "--catalogue", str(catalogue)]
    )
    assert fetched.exit_code == 2, fetched.output
    assert len(fetched.stderr) < 2_500
    arguments = ["select", name, "--mode", "retrieval", "--catalogue", str(catalogue)]
    chosen = CliRunner().invoke(cli.app, arguments)
    assert chosen.exit_code == 2, chosen.output


def test_a_model_of_an_unknown_family_in_front_ends_no_answer(tmp_path: Path) -> None:
    strange = {
        **small_records()[2],
        "model_id": 301,
        "model": "Strange Pixels",
        "base_model": "Nobody's Own 3",
        "versions": [{"version_id": 3011, "version": "v1", "base_model": "Nobody's Own 3"}],
        "stats": {"downloads": 9_000_000},
    }
    records = Catalogue([*small_catalogue(), ModelRecord.model_validate(strange)])
    selector = RetrievalSelector(records, adapter=fusion_only(tmp_path / "adapter"))
    found = selector.select("pixel art of strange pixels", k=9)
    assert found[0].api.model == "Strange Pixels"
    assert {selection.api.model_id for selection in found} == {201, 202, 203, 204, 301, 62437, 101055}
    assert found[0].api.to_wire()["base model"] == "Nobody's Own 3"
    for format in ExportFormat:
        # what a format cannot say is said
        with suppress(InvalidApi, UnknownBaseModel):
            assert export(found[0].api, format, catalogue=records)
    records.save(tmp_path / "own.jsonl")
    options = ["--catalogue", str(tmp_path / "own.jsonl"), "--adapter", str(tmp_path / "adapter")]
    for arguments in (
        ["select", "pixel art of strange pixels", "--mode", "retrieval", "-k", "3"],
        ["chat", "--mode", "retrieval", "pixel art of strange pixels", "make it wide", "another one"],
    ):
        result = CliRunner().invoke(cli.app, [*arguments, *options])
        assert result.exit_code == 0, result.output
        assert "Strange Pixels" in result.stdout


def run(arguments: list[str], *, full: str) -> tuple[int, str]:
    """The command with an output that takes nothing: its code, and what it said on standard error."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with Path("/dev/full").open("wb") as nowhere:
        done = subprocess.run(
            [sys.executable, "-m", "diffagent_tools", *arguments],
            stdout=nowhere,
            stderr=nowhere if full == "both" else subprocess.PIPE,
            env=environment,
            check=False,
            timeout=120,
        )
    return done.returncode, (done.stderr or b"").decode()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    ("command", "full"),
    [("--help", "output"), ("check", "output"), ("check", "both"), ("select", "output"), ("batch", "output")],
)
def test_a_full_standard_output(command: str, full: str, catalogue: Path, tmp_path: Path) -> None:
    lines = tmp_path / "in.jsonl"
    lines.write_text('{"prompt": "pixel art"}\n')
    options = ["--catalogue", str(catalogue)]
    quick = ["--mode", "retrieval", "--adapter", str(fusion_only(tmp_path / "adapter")), *options]
    arguments = {
        "--help": ["--help"],
        "check": ["check", "Free Pixels", "--json", *options],
        "select": ["select", "pixel art", *quick],
        "batch": ["select", "--input", str(lines), *quick],
    }[command]
    code, said = run(arguments, full=full)
    assert code == 3
    if full == "output":
        told = [line for line in said.splitlines() if line.startswith("error: ")]
        assert len(told) == 1
        assert "No space left on device" in told[0]
        assert "Traceback" not in said
        assert "Exception ignored" not in said


def test_an_error_about_strangers_text_is_one_plain_line(catalogue: Path, tmp_path: Path) -> None:
    adapter = str(fusion_only(tmp_path / "adapter"))
    bad = "no\x1b[2J\x85such\u202e\nmodel"
    for arguments in (
        ["fetch", bad, "--models", str(tmp_path)],
        ["select", "fox", "--mode", "retrieval", "--adapter", adapter, "--exclude", bad],
        ["select", "fox", "--base-model", bad],
    ):
        result = CliRunner().invoke(cli.app, [*arguments, "--catalogue", str(catalogue)])
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
        assert result.stderr.rstrip("\n").isprintable()
        assert result.stdout == ""
