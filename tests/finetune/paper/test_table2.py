"""Table 2: the calls of every method, and what is measured of a store of scores, by hand-made figures."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_world import small_catalogue

from finetune.candidates.file import read_candidates
from finetune.data.cases import Case
from finetune.paper.figures import METHODS, TABLE_2
from finetune.paper.free_answers import Answer
from finetune.paper.inputs import Adapter
from finetune.paper.prompt_sets import PromptSet
from finetune.paper.table2 import Scores, measure_set
from finetune.paper.table2_calls import Plan, callable_model, make_calls, write_calls
from finetune.paper.table2_report import markdown, write_table2
from finetune.rewards.store import RewardStore, Row
from retrieval.errors import DataError, InvalidInput

CATALOGUE = small_catalogue()
SEEDS = (0, 1, 2)
REWARDS = ("clip", "imagereward", "hps-v2.1")
ADAPTERS = [Adapter("sft", Path("sft"), "SFT", "a"), Adapter("rrhf", Path("rrhf"), "RRHF", "b")]
SET = PromptSet("DABench", [Case("a corgi", gold=201), Case("a lake", gold=205)], "val.jsonl, 2 of 2")


def info(name: str) -> str:
    return f'{{"model":"{name}","type":"LORA","base model":"SD 1.5"'


def said(*names: str) -> list[Answer]:
    return [Answer("", info(name), "closed") for name in names]


@pytest.fixture
def plan() -> Plan:
    answers = {
        ("DABench", "sft"): said("Free Pixels", "Lost Landscapes"),
        ("DABench", "rrhf"): said("Pixel Art Helper", "Zzyzx Qwfp 99"),
    }
    return make_calls([SET], answers, ADAPTERS, CATALOGUE, architecture="SD 1.5")


def test_the_calls_of_every_method(plan: Plan) -> None:
    first, second = plan["DABench"]
    by = {method: first.calls[place] for method, place in first.methods.items()}
    assert set(by) == set(METHODS)
    assert by["Baseline"].model == by["Baseline*"].model == "v1-5-pruned-emaonly"
    assert (by["Baseline"].sampling_method, by["Baseline"].sampling_steps) == ("Euler a", 20)
    # the RRHF adapter's parameters on the base model, and its model with the default parameters
    assert (by["Baseline*"].sampling_method, by["Baseline*"].sampling_steps) == ("DPM++ 2M Karras", 25)
    assert by["DiffAgent#"].model == by["DiffAgent-RRHF"].model == "Pixel Art Helper"
    assert by["DiffAgent#"].sampling_method == "Euler a"
    assert by["DiffAgent-SFT"].model == "Free Pixels"
    # neither the model that was removed nor the invented one can be called: the baseline's image, once
    assert second.fell_back == ("DiffAgent-SFT", "DiffAgent-RRHF")
    assert len(second.calls) == 1
    assert set(second.methods.values()) == {0}


def test_a_model_of_another_architecture_is_not_called() -> None:
    assert callable_model(info("Watercolor Wash"), CATALOGUE, "SD 1.5") is None
    record = callable_model(info("Watercolor Wash"), CATALOGUE, "SD XL")
    assert record is not None
    assert record.model_id == 203
    assert callable_model("no object", CATALOGUE, "SD XL") is None


def test_two_adapters_of_one_stage() -> None:
    with pytest.raises(InvalidInput, match="two adapters are DiffAgent-SFT"):
        make_calls([SET], {}, [ADAPTERS[0], ADAPTERS[0]], CATALOGUE, architecture="SD 1.5")


def store_of(folder: Path, calls: Path, plan: Plan, rewards: tuple[str, ...] = REWARDS, **run: Any) -> Path:
    """Scores that grow by one with each call, and by a tenth with each seed."""
    digest = hashlib.sha256(calls.read_bytes()).hexdigest()[:16]
    facts = {"candidates": digest, "seeds": list(SEEDS), "size": [512, 512], **run}
    store = RewardStore.create(folder, rewards, run=facts)
    rows = [
        Row(row.id, place, seed, dict.fromkeys(rewards, place + seed / 10))
        for row in plan["DABench"]
        for place in range(len(row.calls))
        for seed in SEEDS
    ]
    store.append(rows)
    return folder


@pytest.fixture
def calls(plan: Plan, tmp_path: Path) -> Path:
    write_calls(tmp_path / "calls.jsonl", plan)
    return tmp_path / "calls.jsonl"


def test_the_calls_are_a_candidates_file(calls: Path, plan: Plan) -> None:
    lines = read_candidates(calls)
    assert [line.id for line in lines] == ["dabench-00000", "dabench-00001"]
    assert [len(line.candidates) for line in lines] == [5, 1]
    assert tuple(candidate.api for candidate in lines[0].candidates) == plan["DABench"][0].calls
    assert json.loads(calls.read_text().splitlines()[1])["fell back"] == ["DiffAgent-SFT", "DiffAgent-RRHF"]


def test_what_is_measured(calls: Path, plan: Plan, tmp_path: Path) -> None:
    scores = Scores.read(store_of(tmp_path / "s", calls, plan), calls)
    found = measure_set(plan["DABench"], METHODS, scores, None)
    place = plan["DABench"][0].methods["DiffAgent-RRHF"]
    # the mean over seeds is 0.1 more than the call's place; the second prompt has the baseline's, place 0
    expected = (place + 0.1 + 0.1) / 2
    assert found["DiffAgent-RRHF"]["HPS v2"]["mean"] == pytest.approx(expected)
    assert found["DiffAgent-RRHF"]["CLIP Score"]["mean"] == pytest.approx(100 * expected)
    # the pool: from 0.0 (the baseline, first seed) to 4.2 (the last call, last seed)
    assert found["Baseline"]["Unified"]["mean"] == pytest.approx(100 * 0.1 / 4.2)
    assert found["DiffAgent-RRHF"]["Unified"]["mean"] == pytest.approx(100 * expected / 4.2)
    assert found["DiffAgent-SFT"]["top-1"]["mean"] == 0
    assert found["DiffAgent-RRHF"]["top-1"]["mean"] == 50
    assert found["DiffAgent-RRHF"]["models"] == 2
    assert found["DiffAgent-RRHF"]["fell back"] == found["DiffAgent#"]["fell back"] == 0.5


def report(measured: dict[str, Any], rewards: tuple[str, ...]) -> dict[str, Any]:
    return {
        "run": {
            "architecture": "SD 1.5",
            "catalogue": "small",
            "base": "tiny",
            "adapters": {},
            "images": "3 a call",
            "rewards": list(rewards),
        },
        "sets": [{"name": "DABench", "prompts": 2, "source": "x", "as": "raw", "measured": measured}],
    }


def test_what_was_not_measured_is_not_filled(calls: Path, plan: Plan, tmp_path: Path) -> None:
    two = ("clip", "imagereward")
    scores = Scores.read(store_of(tmp_path / "s", calls, plan, two), calls)
    found = measure_set(plan["DABench"], METHODS, scores, None)
    assert found["Baseline"]["CLIP Score"] is not None
    assert found["Baseline"]["HPS v2"] is found["Baseline"]["Unified"] is None
    write_table2(report(found, two), tmp_path / "out")
    text = (tmp_path / "out" / "table2.md").read_text(encoding="utf-8")
    assert "not measured [25.6] | not measured [37.2]" in text
    assert "Unified of clip, imagereward" in text
    with (tmp_path / "out" / "table2.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["method"]: row for row in csv.DictReader(stream)}
    assert rows["Baseline"]["HPS v2"] == ""
    assert rows["Baseline"]["HPS v2 paper"] == "25.6"
    assert (tmp_path / "out" / "table2.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_store_only_the_names_are_measured(plan: Plan) -> None:
    found = measure_set(plan["DABench"], METHODS, None, None)
    assert found["DiffAgent-SFT"]["CLIP Score"] is found["DiffAgent-SFT"]["Unified"] is None
    assert found["DiffAgent-SFT"]["fell back"] == 0.5
    assert "not measured [75.4]" in markdown(report(found, ()))


def test_one_image_that_is_missing_leaves_its_methods_unmeasured(
    calls: Path, plan: Plan, tmp_path: Path
) -> None:
    digest = hashlib.sha256(calls.read_bytes()).hexdigest()[:16]
    run = {"candidates": digest, "seeds": [0], "size": [512, 512]}
    store = RewardStore.create(tmp_path / "s", REWARDS, run=run)
    for row, place in ((0, 0), (1, 0)):
        store.append([Row(plan["DABench"][row].id, place, 0, dict.fromkeys(REWARDS, 1.0))])
    found = measure_set(plan["DABench"], METHODS, Scores.read(tmp_path / "s", calls), None)
    assert found["Baseline"]["CLIP Score"]["mean"] == 100
    assert found["DiffAgent-SFT"]["CLIP Score"] is None


def test_the_catalogue_reward_says_that_no_image_was_rendered(plan: Plan) -> None:
    def score(rows: Any, method: str) -> torch.Tensor:
        return torch.tensor([40.0, 60.0])

    found = measure_set(plan["DABench"], METHODS, None, score)
    assert found["Baseline"]["catalogue"]["mean"] == 50
    text = markdown(report(found, ()))
    assert "| catalogue (no image was rendered) |" in text
    assert "Catalogue reward: no image was rendered" in text


def test_a_store_of_other_calls_or_of_unequal_shapes(calls: Path, plan: Plan, tmp_path: Path) -> None:
    other = store_of(tmp_path / "other", calls, plan, candidates="another")
    with pytest.raises(DataError, match="scores of other calls"):
        Scores.read(other, calls)
    own = store_of(tmp_path / "own", calls, plan, size=None)
    with pytest.raises(DataError, match="--width and --height"):
        Scores.read(own, calls)


def test_the_papers_figures() -> None:
    # section 4.2.2: 18.8 to 31 over the baseline in SD 1.5, 8.3 to 9.4 in SD XL
    gains = {
        architecture: [
            round(each["DiffAgent-RRHF"]["Unified"] - each["Baseline"]["Unified"], 1)
            for each in TABLE_2[architecture].values()
        ]
        for architecture in TABLE_2
    }
    assert (min(gains["SD 1.5"]), max(gains["SD 1.5"])) == (18.8, 31.0)
    assert (min(gains["SD XL"]), max(gains["SD XL"])) == (8.3, 9.4)
