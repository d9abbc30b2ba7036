"""Every command and script without any extra: it does its work, or says which extra it needs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from core_install import Outcome, core_distributions, core_site, run_all
from dabench_world import store_of, world
from installed_world import CHECKPOINTS, weights
from plain_renderer import API, PlainRenderer
from small_world import small_adapter, small_catalogue
from study_world import table
from tiny import save_tiny_base

from diffagent_tools.cli import command as cli
from diffagent_tools.render.run import jobs_of, run
from finetune.dabench.build import build
from finetune.dabench.config import read_config
from finetune.study.create import create_study, read_table
from finetune.study.store import QUESTIONS, Study

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "finetune").rglob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)
NEEDS = {
    "ui": "ui",
    "mcp": "mcp",
    "serve": "serve",
    "render": "images",
    "gallery": "images",
    "chat --model": "agents",
    "dabench build": "train",
    "dabench build --chat-model": "agents",
    "dabench stats": "train",
    "study create": "train",
    "study report": "train",
    "evaluate": "train",
    "evaluate --table 1": "train",
    "evaluate --table 2": "train",
    "finetune.evaluate": "train",
    "finetune.paper.gallery": "images",
    "finetune.paper.table1": "train",
    "finetune.paper.table2": "train",
    "finetune.rewards.unified": "train",
    "finetune.sft": "train",
    "finetune.rrhf": "train",
    "finetune.ranker.encoder": "train",
    "finetune.rewards": "train",
}
FAILS = {
    "dabench starter": (2, "cannot read none"),
    "finetune.candidates": (3, "train an adapter for this catalogue"),
    "finetune.rewards.catalogue": (2, "holds no line"),
    "finetune.dabench.starter": (2, "line 1 of"),
    "finetune.dabench.unseen": (2, "line 1 of"),
    "finetune.ranker.wording": (2, "cannot read"),
    "finetune.evaluate.confidence": (2, "none.jsonl"),
    "finetune.evaluate.graded": (2, "none.jsonl"),
    "finetune.data.one_creator": (2, "none.jsonl"),
    "finetune.rewards.authors": (3, "authors create"),
    "study serve": (2, "there is no study"),
    "fetch": (3, "civitai.com cannot be reached"),
    "catalogue refresh": (2, "cannot read the catalogue"),
}
"""Code and words of those whose work is too long for a test: they get so far as to refuse their input."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command by the words that call it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path)
    else:
        for name, each in inner.items():
            yield from commands(each, (*path, name))


def scripts_of(folder: Path) -> dict[str, list[str]]:
    """What each script is called with, on the files that the fixture makes."""
    catalogue = ["--catalogue", str(folder / "small.jsonl")]
    pairs = ["--pairs", str(folder / "pairs.jsonl")]
    candidates = ["--candidates", str(folder / "candidates.jsonl")]
    scored = ["--output", str(folder / "scored.jsonl")]
    store, weights = ["--store", str(folder / "scores")], ["--output", str(folder / "weights")]
    of_paper = [*pairs, "--coco", str(folder / "pairs.jsonl"), "--adapters", f"a={folder / 'adapter'}"]
    training = ["--train_data", str(folder / "pairs.jsonl"), "--output_dir", str(folder / "trained")]
    raw = ["--models", str(folder / "objects.jsonl"), *pairs]
    return {
        "finetune.candidates": [*pairs, *catalogue, "--base", str(folder / "base"), *scored],
        "finetune.rewards.catalogue": [*candidates, *catalogue, *scored],
        "finetune.civitai.together": [str(folder / "objects.jsonl"), str(folder / "counts.json"), *catalogue],
        "finetune.evaluate.confidence": [
            *("--requests", str(folder / "none.jsonl"), *pairs, "--output", str(folder)),
        ],
        "finetune.evaluate.graded": ["--requests", str(folder / "none.jsonl")],
        "finetune.data.one_creator": ["--pairs", str(folder / "none.jsonl"), *weights],
        "finetune.evaluate": [*pairs, "--mode", "retrieval", "--output", str(folder / "evaluation")],
        "finetune.ranker.fusion": [*pairs, *catalogue, *weights, "--work", str(folder)],
        "finetune.paper.gallery": [str(folder / "run"), "--output", str(folder / "sheet")],
        "finetune.ranker.wording": [*pairs, "--captions", str(folder / "none.txt"), "--output", str(folder)],
        "finetune.rewards": [*candidates, *store, "--models", str(folder / "models"), *scored],
        "finetune.ranker.encoder": [*pairs, *catalogue, "--output", str(folder / "retriever")],
        "finetune.rewards.authors": ["info", "--path", str(folder / "env")],
        "finetune.rrhf": training,
        "finetune.sft": training,
        "finetune.dabench.starter": [*raw, "--output", str(folder / "starter")],
        "finetune.paper.table1": of_paper,
        "finetune.paper.table2": of_paper,
        "finetune.rewards.unified": [*store, "--output", str(folder / "calibration.json")],
        "finetune.dabench.unseen": [*raw, "--output", str(folder / "unseen"), "--share", "0.5"],
    }


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Exit code and standard error of every command and script on the core install."""
    folder = tmp_path_factory.mktemp("core")
    small_catalogue().save(folder / "small.jsonl")
    small_adapter(folder / "adapter")
    catalogue = ["--catalogue", str(folder / "small.jsonl")]
    small = [*catalogue, "--adapter", str(folder / "adapter"), "--mode", "retrieval"]
    raw = store_of(folder / "raw", world())
    build(raw, folder / "set", read_config(packaged_checkpoints=False))
    create_study(read_table(table(folder)), folder / "study.db", source="run.parquet", pairs=3)
    study = Study.open(folder / "study.db")
    rater = study.join("Ann")
    for question in QUESTIONS:
        study.rate(rater, 0, question, "left")
    run(PlainRenderer(), jobs_of(API.to_json(), baseline=True), folder / "run", seeds=[1])  # type: ignore[arg-type]
    (folder / "models").mkdir()
    weights(folder / "installed" / "a.safetensors", CHECKPOINTS["sd15"][0])
    pair = {"prompt": "pixel art", "negative_prompt": "", "model_id": 201, "model": "Pixel Art Helper"}
    (folder / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    (folder / "candidates.jsonl").write_text("")
    scripts = scripts_of(folder)
    save_tiny_base(folder / "base")
    given = {
        "select": ["pixel art"],
        "check": ["Free Pixels", *catalogue],
        "chat": ["pixel art", "make it wide"],
        "ui": small,
        "mcp": small,
        "serve": small,
        "info": [],
        "scan": [str(folder / "installed")],
        "catalogue add": [str(folder / "small.jsonl"), "--to", str(folder / "added.jsonl")],
        "catalogue merge": [str(folder / "small.jsonl"), "--to", str(folder / "merged.jsonl")],
        "catalogue refresh": [str(folder / "none.jsonl")],
        "fetch": ["Free Pixels", "--models", str(folder / "models"), "--dry-run", *catalogue],
        "render": [API.to_json(), "--models", str(folder / "models"), "--output", str(folder / "out")],
        "evaluate": scripts["finetune.evaluate"],
        "gallery": scripts["finetune.paper.gallery"],
        "index build": [*catalogue, "--path", str(folder / "index")],
        "index info": [*catalogue, "--path", str(folder / "index")],
        "index search": ["pixel art", *catalogue, "--path", str(folder / "index")],
        "dabench collect": ["--from", str(folder / "objects.jsonl"), "--output", str(folder / "raw2")],
        "dabench build": ["--input", str(raw), "--output", str(folder / "set2")],
        "dabench stats": [str(folder / "set")],
        "dabench starter": ["--models", "none", "--pairs", "none", "--output", str(folder / "starter")],
        "study create": ["--table", str(folder / "run.parquet"), "--output", str(folder / "two.db")],
        "study serve": [str(folder / "none.db")],
        "study report": [str(folder / "study.db"), "--output", str(folder / "report")],
    }
    (folder / "objects.jsonl").write_text("".join(json.dumps(each) + "\n" for each in world()))
    more = {
        "chat --model": ["chat", "pixel art", *small, "--model", "openai:any"],
        "dabench build --chat-model": ["dabench", "build", *given["dabench build"], "--chat-model", "a:b"],
        "evaluate --table 1": ["evaluate", "--table", "1", *scripts["finetune.paper.table1"]],
        "evaluate --table 2": ["evaluate", "--table", "2", *scripts["finetune.paper.table2"]],
    }
    assert set(given) == set(commands(typer.main.get_command(cli.app)))
    cases = [(name, ["diffagent_tools", *name.split(), *options]) for name, options in given.items()]
    cases += [(name, ["diffagent_tools", *arguments]) for name, arguments in more.items()]
    cases += [(script, [script, *arguments]) for script, arguments in scripts.items()]
    nowhere = "http://127.0.0.1:9"
    return run_all(
        cases,
        core_site(folder / "site"),
        DIFFAGENT_HOME=str(folder / "home"),
        **dict.fromkeys(("all_proxy", "https_proxy", "ALL_PROXY", "HTTPS_PROXY"), nowhere),
    )


def test_the_core_is_told_from_the_rest() -> None:
    core = core_distributions()
    assert {"torch", "transformers", "chromadb", "typer", "numpy", "langchain-core", "rich"} <= core
    assert not {"pyarrow", "gradio", "diffusers", "trl", "langchain", "mcp", "matplotlib", "pillow"} & core


def test_every_command_and_script_is_tried(outcomes: dict[str, Outcome]) -> None:
    assert {*NEEDS, *FAILS} <= set(outcomes)
    assert set(SCRIPTS) == set(scripts_of(Path()))
    assert {"select", "check", "chat", "info", *SCRIPTS} <= set(outcomes)
    assert not set(NEEDS) & set(FAILS)


def test_each_works_or_says_which_extra_it_needs(outcomes: dict[str, Outcome]) -> None:
    wrong = {}
    for name, (code, said) in outcomes.items():
        if name in NEEDS:
            fine = code == 3 and f"`pip install 'diffagent-tools[{NEEDS[name]}]'`" in said
            fine = fine and said.startswith("error: ") and len(said.splitlines()) == 1
        elif name in FAILS:
            fine = code == FAILS[name][0] and FAILS[name][1] in said
        else:
            fine = code == 0
        if not fine or "Traceback" in said:
            wrong[name] = code, said
    assert not wrong, json.dumps(wrong, indent=1)
