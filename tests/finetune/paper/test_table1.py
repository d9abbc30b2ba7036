"""Table 1 on a tiny LLaMA: what is counted, what is resumed, what stands beside the paper's figures."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from small_adapter import with_lora
from small_world import small_catalogue, small_records
from tiny import save_tiny_base, tiny_llama

from diffagent_tools.llm.base import load_base
from diffagent_tools.llm.free_decoding import MODEL_INFO, NAME
from diffagent_tools.llm.llama import Llama
from diffagent_tools.llm.trie import TrieLogitsProcessor
from finetune.data.cases import Case
from finetune.evaluate.run import main
from finetune.paper.free_answers import INFO_TOKENS, Answer, free_answers
from finetune.paper.inputs import stage_of
from finetune.paper.prompt_sets import read_sets
from finetune.paper.table1 import figures_of
from retrieval.errors import DataError, InvalidInput
from retrieval.records.api import Instruction

CATALOGUE = small_catalogue()
PROMPTS = ["a corgi", "a lake", "neon streets", "a castle of cakes", "sprites"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, two adapters, a catalogue and the three sets of prompts."""
    folder = tmp_path_factory.mktemp("table1")
    base = save_tiny_base(folder / "base")
    digest = load_base(str(base)).digest
    for name, card in (("sft", {"stage": "sft"}), ("rrhf", {"stage": "rrhf", "config": {"loss": "rrhf"}})):
        model = tiny_llama(400, seed=len(name))
        with_lora(
            folder / name,
            model,
            seed=len(name),
            base="tiny",
            base_digest=digest,
            catalogue="the small one",
            **card,
        )
    records = "\n".join(map(json.dumps, small_records()))
    (folder / "models.jsonl").write_text(records, encoding="utf-8")
    pairs = [{"prompt": prompt, "negative_prompt": "", "model_id": 201} for prompt in [*PROMPTS, "  "]]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    (folder / "captions.txt").write_text("\n".join(PROMPTS), encoding="utf-8")
    return folder


def run(world: Path, output: Path, *more: str) -> dict[str, Any]:
    arguments = ["--table", "1", "--pairs", str(world / "pairs.jsonl"), "--coco", str(world / "captions.txt")]
    arguments += ["--base", str(world / "base"), "--catalogue", str(world / "models.jsonl")]
    arguments += ["--adapters", f"sft={world / 'sft'}", f"rrhf={world / 'rrhf'}", "--output", str(output)]
    assert main([*arguments, *more]) == 0
    found: dict[str, Any] = json.loads((output / "table1.json").read_text(encoding="utf-8"))
    return found


def test_the_whole_table_and_a_run_that_goes_on(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run(world, tmp_path / "out")
    dabench, coco = figures["sets"]
    assert (dabench["name"], dabench["prompts"]) == ("DABench", 6)
    assert coco["as"] == "raw"
    for each in figures["sets"]:
        assert set(each["measured"]) == {"sft", "rrhf"}
        for found in each["measured"].values():
            assert found["answers"] == 5
            assert found["hallucination error"]["mean"] > 0.5  # its weights are random
            assert found["constrained"]["mean"] == 0
            assert sum(found["split"].values()) == pytest.approx(1)
    # the empty prompt is not asked
    assert dabench["measured"]["sft"]["not asked"] == 1
    assert [row["set"] for row in figures["differences"]] == ["DABench", "COCO Caption"]
    text = (tmp_path / "out" / "table1.md").read_text(encoding="utf-8")
    assert "raw prompts, not rewritten" in text
    assert "| Parti Prompts | not measured | 28.9 | 48.1 | not measured | 20.0 | 28.0 |" in text
    with (tmp_path / "out" / "table1.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4
    assert {row["paper SD 1.5"] for row in rows} == {"0.115", "0.095", "0.269", "0.155"}
    assert rows[2]["top-1"] == ""  # nobody knows the right model of a COCO prompt
    assert (tmp_path / "out" / "table1.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    # the second run asks nothing; one that was cut short goes on and says the same
    path = tmp_path / "out" / "answers" / "sft_coco_caption.jsonl"
    said = path.read_bytes()
    path.write_bytes(said[:-30])
    again = run(world, tmp_path / "out")
    assert "4 of 5 answered before" in capsys.readouterr().err
    strip = [{**json.loads(line), "seconds": 0} for line in said.splitlines()]
    assert [{**json.loads(line), "seconds": 0} for line in path.read_bytes().splitlines()] == strip
    assert again["differences"] == figures["differences"]


def test_a_limit_is_the_beginning_of_the_same_draw(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path, "--limit", "2")
    assert run(world, tmp_path)["sets"][1]["measured"]["sft"]["answers"] == 5
    few = read_sets(coco=world / "captions.txt", limit=2)[0].cases
    many = read_sets(coco=world / "captions.txt")[0].cases
    assert few == many[:2]
    assert [case.prompt for case in many] != PROMPTS


def test_answers_of_another_adapter_are_refused(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path, "--limit", "1")
    with pytest.raises(DataError, match="is of another run"):
        run(world, tmp_path, "--limit", "1", "--adapters", f"sft={world / 'rrhf'}")


def test_holding_the_name_changes_only_what_left_the_catalogue(world: Path, tmp_path: Path) -> None:
    llama = Llama.load(CATALOGUE, base=str(world / "base"), adapter=world / "sft")
    cases = [Case(prompt) for prompt in PROMPTS]
    answers = free_answers(
        lambda: llama, CATALOGUE, cases, tmp_path / "a.jsonl", {}, progress=lambda line: None
    )
    records = [record for record in CATALOGUE if record.available]
    trie, longest = llama.trie_of(records)
    processor = TrieLogitsProcessor(trie, 0, eos_token_id=2, free_after=True)
    asked = [Instruction(prompt=case.prompt) for case in cases]
    held = llama.write_all(asked, until=NAME, allowed=processor.allowed, max_new_tokens=longest + 1)
    names = [records[trie.match(answer.tokens)[0]].model_id for answer in held]
    assert [answer.held for answer in answers] == names
    free = [answer.text for answer in llama.write_all(asked, until=MODEL_INFO, max_new_tokens=INFO_TOKENS)]
    assert [answer.said for answer in answers] == free


def info(name: str) -> str:
    return f'{{"model":"{name}","type":"LORA","base model":"SD 1.5"'


def test_what_is_counted() -> None:
    said = ["Pixel Art Helper", "Free Pixels", "Lost Landscapes", "Zzyzx Qwfp 99"]
    cases = [Case("a corgi", gold=201)] * 6
    answers = [Answer("", info(name), "closed", 201, 0.5) for name in said]
    answers += [Answer("", "no object", "stopped", 202, 0.5), Answer("", error="the prompt is empty")]
    found, outcomes = figures_of(cases, answers, CATALOGUE)
    assert outcomes == ["correct", "wrong but real", "unavailable", "invented", "unparsable", None]
    assert found["answers"] == 5
    assert found["not asked"] == 1
    assert found["hallucination error"]["mean"] == pytest.approx(0.6)
    assert found["top-1"]["mean"] == pytest.approx(0.2)
    assert found["top-1 constrained"]["mean"] == pytest.approx(0.8)
    assert found["constrained"]["mean"] == 0
    # what cannot be read cannot be repaired
    assert found["repaired"]["mean"] == pytest.approx(0.2)
    assert found["distinct names"] == 4
    assert found["seconds an answer"] == 0.5


def test_a_control_stands_in_no_column_of_the_paper() -> None:
    assert stage_of({"stage": "sft"}) == "SFT"
    assert stage_of({"stage": "rrhf", "config": {"loss": "rrhf"}}) == "RRHF"
    assert stage_of({"stage": "rrhf", "config": {"loss": "ce_only"}}) is None


@pytest.mark.parametrize("given", ["sft", "=folder", "a/b=folder", "sft="])
def test_an_adapter_needs_a_name_and_a_folder(given: str, world: Path) -> None:
    with pytest.raises(InvalidInput, match="NAME=FOLDER"):
        main(["--table", "1", "--coco", str(world / "captions.txt"), "--adapters", given])


def test_without_prompts_the_message_says_where_they_are() -> None:
    with pytest.raises(InvalidInput, match=r"--pairs, --coco or --parti.*PartiPrompts.tsv"):
        main(["--table", "1"])


def test_a_folder_without_an_adapter_is_told(tmp_path: Path, world: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no adapter"):
        main(["--table", "1", "--coco", str(world / "captions.txt"), "--adapters", f"x={tmp_path}"])
