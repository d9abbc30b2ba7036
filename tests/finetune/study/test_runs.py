"""A study of rendering runs, and the five commands from prompts to Fig. 5 on a tiny pipeline."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from small_world import small_records
from study_world import served
from tiny_pipelines import save_single_file, tiny_sd
from typer.testing import CliRunner

from diffagent_tools.cli import command as cli
from finetune.study.runs import architecture_of, read_runs
from finetune.study.store import Study
from retrieval.errors import InvalidInput

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def run_of(folder: Path, requests: Sequence[str], *, base_model: str = "SD 1.5", **fields: Any) -> Path:
    """A folder as `diffagent render --baseline` leaves it."""
    from PIL import Image

    folder.mkdir()
    for name in requests:
        for role, model in (("answer", "Pixel Art"), ("baseline", "v1-5")):
            stem = f"{name}-{role}-1"
            Image.new("RGB", (8, 8)).save(folder / f"{stem}.png")
            api = {"model": model, "base model": base_model}
            record = {"id": name, "role": role, "prompt": f"a {name}", "seed": 1, "image": f"{stem}.png"}
            (folder / f"{stem}.json").write_text(json.dumps({**record, "api": api, **fields}))
    return folder


def told(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(cli.app, [*arguments])
    return found.exit_code, found.stderr


def test_a_pair_has_the_architecture_of_its_family_and_the_data_set_of_its_prompt(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ["corgi", "7"], base_model="Pony")
    prompts = tmp_path / "parti.jsonl"
    prompts.write_text('{"id": "corgi", "prompt": "a corgi", "data set": "COCO Caption"}\n\n{"id": 7}\n')
    corgi, seven = sorted(read_runs([run], prompts=prompts), key=lambda row: row.prompt, reverse=True)
    assert (corgi.architecture, corgi.data_set, seven.data_set) == ("SDXL 1.0", "COCO Caption", "parti")
    assert (corgi.prompt, corgi.model_a, corgi.model_b) == ("a corgi", "v1-5", "Pixel Art")
    assert (corgi.image_a.name, corgi.image_b.name) == ("corgi-baseline-1.png", "corgi-answer-1.png")
    assert {row.data_set for row in read_runs([run])} == {"run"}
    assert {row.data_set for row in read_runs([run, run], data_set="DABench")} == {"DABench"}
    assert architecture_of("Somebody's own") == "Somebody's own"


def test_a_black_picture_is_left_out_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    runs = [run_of(tmp_path / "a", ["corgi"], blocked="unsafe"), run_of(tmp_path / "b", ["cat"])]
    assert [row.prompt for row in read_runs(runs, progress=said.append)] == ["a cat"]
    assert said == ["left out, as the safety checker made a picture black: 1 of 2 pairs"]


def test_prompts_of_another_run_are_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", ["corgi"])
    (tmp_path / "other.jsonl").write_text('{"prompt": "a cat"}')
    with pytest.raises(InvalidInput, match=r"the request 'corgi', which .*other.jsonl does not hold"):
        read_runs([run], prompts=tmp_path / "other.jsonl")
    with pytest.raises(InvalidInput, match="cannot read"):
        read_runs([run], prompts=tmp_path / "none.jsonl")


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    run = str(run_of(tmp_path / "run", ["corgi"]))
    for wrong in (
        [],
        [run, "--table", "run.parquet"],
        [run, "--data-set", "a", "--prompts", "b"],
        ["--table", "run.parquet", "--data-set", "a"],
    ):
        assert told("study", "create", *wrong)[0] == 2


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_five_commands_from_prompts_to_fig_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("playwright.sync_api")
    monkeypatch.chdir(tmp_path)
    models = tmp_path / "models"
    models.mkdir()
    base, *_, pixels = small_records()[:4]
    small = {"sampling_method": "Euler a", "sampling_steps": 1, "width": 64, "height": 64, "samples": 9}
    records = [base, {**pixels, "settings": small}]
    Path("small.jsonl").write_text("\n".join(map(json.dumps, records)))
    save_single_file(tiny_sd(), models / "99437.safetensors")
    for end in ("safetensors", "config"):
        (models / f"2021.{end}").symlink_to(models / f"99437.{end}")
    asked = [
        {"prompt": "a corgi, pixel art", "data set": "DABench"},
        {"prompt": "a castle, pixel art", "data set": "Parti Prompts"},
    ]
    Path("prompts.jsonl").write_text("\n".join(map(json.dumps, asked)))

    catalogue = ("--catalogue", "small.jsonl")
    choose = ("select", "--input", "prompts.jsonl", "--output", "answers.jsonl", "--mode", "retrieval")
    assert told(*choose, *catalogue)[0] == 0
    draw = ("render", "answers.jsonl", "--models", "models", "--output", "run", "--baseline")
    assert told(*draw, *catalogue)[0] == 0
    assert told("study", "create", "run", "--prompts", "prompts.jsonl", "--pairs", "2")[0] == 0
    study = Study.open(Path("study.db"))
    with served(study) as server, api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(server.address)
        page.fill("#name", "Ann")
        page.keyboard.press("Enter")
        for place in range(2):
            api.expect(page.locator("#progress")).to_have_text(f"Pair {place + 1} of 2, {place} rated")
            for question in ("relevance", "preference"):
                page.click(f"[data-question={question}] [data-side=left]")
            page.click("#next")
        api.expect(page.locator("#end")).to_be_visible()
        browser.close()
    assert {(rating.architecture, rating.data_set) for rating in study.ratings()} == {
        ("SD 1.5", "DABench"),
        ("SD 1.5", "Parti Prompts"),
    }
    assert told("study", "report", "study.db")[0] == 0
    assert Path("report/study.png").read_bytes().startswith(b"\x89PNG")
