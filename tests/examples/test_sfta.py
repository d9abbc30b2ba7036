"""The whole training framework, by examples/sfta/sfta_cpu.sh: each stage leaves what the next one reads."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 900
"""A limit for a crowded machine; two free cores need less than four minutes."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example has filled."""
    for package in ("diffusers", "trl", "pyarrow"):
        pytest.importorskip(package, reason="needs the extras `train` and `images`")
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    folder = tmp_path_factory.mktemp("sfta")
    # the commands of this environment, whatever the caller's PATH
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    settings = {**os.environ, "PATH": path, "DIFFAGENT_HOME": str(folder / "home")}
    run = subprocess.run(
        ["bash", str(ROOT / "examples" / "sfta" / "sfta_cpu.sh"), str(folder / "work")],
        env=settings,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "== done" in run.stdout
    return folder / "work"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_stage_leaves_what_the_next_one_reads(work: Path) -> None:
    run, *candidates = lines(work / "candidates.jsonl")
    assert set(run) == {"run"}
    assert candidates
    for line in candidates:
        assert len(line["responses"]) >= 2
    for line in lines(work / "scored.jsonl"):
        assert line["reward"] == "unified"
        assert len(set(line["scores"])) == len(line["scores"]), "the pictures of two models differ"
    for line in lines(work / "scored_by_record.jsonl"):
        assert line["note"] == "no image was rendered"
    assert {"clip", "imagereward"} <= set(json.loads((work / "calibration.json").read_text())["ranges"])
    cards = [json.loads((work / stage / "adapter" / "card.json").read_text()) for stage in ("sft", "rrhf")]
    assert [card["stage"] for card in cards] == ["sft", "rrhf"]


def test_both_tables(work: Path) -> None:
    with (work / "table1" / "table1.csv").open(newline="", encoding="utf-8") as stream:
        first = list(csv.DictReader(stream))
    assert {(row["set"], row["adapter"]) for row in first} == {
        (name, adapter)
        for name in ("DABench", "COCO Caption", "Parti Prompts")
        for adapter in ("sft", "rrhf")
    }
    assert all(row["constrained"] == "0.0" for row in first)
    with (work / "table2" / "table2.csv").open(newline="", encoding="utf-8") as stream:
        second = list(csv.DictReader(stream))
    assert len(second) == 15
    for row in second:
        assert float(row["CLIP Score"]) >= 0
        assert float(row["ImageReward"])
        # HPS v2 needs open_clip; a column that was not measured stays empty, and so does what needs it
        assert (row["HPS v2"] == "") == (row["Unified"] == "")
    assert "raw prompts, not rewritten" in (work / "table2" / "table2.md").read_text(encoding="utf-8")
    for table in ("table1", "table2"):
        assert (work / table / f"{table}.png").read_bytes().startswith(b"\x89PNG")
