"""The evaluation from files to report, on seven models, with a selector that counts shared words."""

import gzip
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_world import WordSelector, small_catalogue, small_records

from diffagent_tools.select.selection import BatchItem, Request
from finetune.data.cases import Case, cases_of, read_prompts
from finetune.data.pairs import read_pairs
from finetune.evaluate.predictions import predict
from finetune.evaluate.run import main
from finetune.evaluate.summary import examples_slice
from retrieval.errors import DataError

DATA = Path(os.environ.get("DIFFAGENT_DATA", Path(__file__).parents[4] / "shared" / "data"))
PAIRS = [
    ("pixel art of a small dog", "photo", 201),
    ("blocky pixel games", "", 202),
    ("neon streets in the rain", "", 204),
    ("Night City", "", 204),  # nothing is left of it when it is stripped
    ("a mountain of cakes", "", 203),
]
TRAIN = [(201, 1), (202, 5), (204, 12)]


class Words(WordSelector):
    """Says what it is told to, in free mode; a prompt that cannot be used gives an item with an error."""

    def __init__(self, said: dict[str, str] | None = None) -> None:
        super().__init__(small_catalogue())
        self.said = said or {}
        self.requests: list[str] = []
        self.stop_at: str | None = None

    def select_batch(self, requests: Iterable[Request], **options: Any) -> Iterator[BatchItem]:
        for place, request in enumerate(requests):
            assert isinstance(request, dict)
            self.requests.append(request["prompt"])
            if self.stop_at is not None and request["prompt"] == self.stop_at:
                raise KeyboardInterrupt
            if not request["prompt"].strip():
                yield BatchItem(id=place, error="the prompt is empty")
                continue
            ranked = self.select(request, **options)
            if self.said:
                first = ranked[0]
                evidence = first.evidence.model_copy(update={"said": self.said.get(request["prompt"], "?")})
                ranked = [first.model_copy(update={"evidence": evidence})]
            yield BatchItem(id=place, ranked=tuple(ranked))


def _pair(prompt: str, negative: str, model_id: int) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "negative_prompt": negative,
        "model_id": model_id,
        "sampling_method": "DPM++ 2M Karras",
        "sampling_steps": 25,
        "cfg_scale": 7.0,
        "width": 512,
        "height": 512,
    }


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Pairs, training pairs, models and the catalogue as files."""
    train = [_pair(f"prompt {n} of {model}", "grain", model) for model, count in TRAIN for n in range(count)]
    models = [
        {
            "model_id": record["model_id"],
            "model": record["model"],
            "description": record.get("description"),
            "tags": [],
            "trigger_words": record.get("trigger_words", []),
        }
        for record in small_records()
    ]
    content = {
        "pairs.jsonl.gz": [_pair(*pair) for pair in PAIRS],
        "train.jsonl": train,
        "models.jsonl": models,
        "catalogue.jsonl": small_records(),
    }
    found = {"output": tmp_path / "out"}
    for name, rows in content.items():
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        found[name.split(".")[0]] = path
    return found


def _run(files: dict[str, Path], *more: str, selector: Words | None = None) -> dict[str, Any]:
    arguments = ["--pairs", str(files["pairs"]), "--catalogue", str(files["catalogue"])]
    arguments += ["--output", str(files["output"]), *more]
    assert main(arguments, selector=selector or Words(), retriever=Words()) == 0
    report: dict[str, Any] = json.loads((files["output"] / "report.json").read_text(encoding="utf-8"))
    return report


def test_a_whole_evaluation(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--train", str(files["train"]), "--models", str(files["models"]), "--no-dense")
    report = _run(files, *more)
    raw, stripped = report["variants"]["raw"], report["variants"]["stripped"]
    assert raw["prompts"] == stripped["prompts"] == 5
    assert raw["accuracy"]["1"]["mean"] == pytest.approx(0.8)
    assert raw["empty prompts"] == raw["errors"] == 0
    # "Night City" is empty when stripped: an error item, and wrong
    assert stripped["empty prompts"] == stripped["errors"] == 1
    assert stripped["accuracy"]["10"]["mean"] == pytest.approx(0.8)
    assert raw["shortlist recall"]["50"]["mean"] == pytest.approx(1.0)
    assert raw["names outside the catalogue"] == 0
    assert raw["calibration"]["answers"] == 5
    slices = raw["slices"]
    counts = {title: {k: v["prompts"] for k, v in rows.items()} for title, rows in slices.items()}
    assert counts == {
        "type": {"Checkpoint": 3, "LORA": 2},
        "training examples": {"0": 1, "1-2": 1, "3-9": 1, "10+": 2},
        "family": {"SD 1.5": 4, "SDXL 1.0": 1},
    }
    assert {"random", "TF-IDF profiles", "BM25 profiles + negative"} <= set(raw["baselines"])
    gain = raw["baselines"]["most frequent model"]
    assert gain["accuracy"]["1"]["mean"] == pytest.approx(0.4)  # 204, twice in five
    assert gain["gain"]["1"]["mean"] == pytest.approx(0.4)
    text = (files["output"] / "report.md").read_text(encoding="utf-8")
    assert text.index("## Shortlist recall") < text.index("## Selection accuracy")
    assert "| raw | 5 | 0 | 0 | 0.800" in text
    assert (files["output"] / "report.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.startswith("# Evaluation: shortlist mode")


def test_parameters_are_compared_with_the_pair_and_with_defaults(files: dict[str, Path]) -> None:
    found = _run(files, "--prompts", "raw", "--limit", "1")["variants"]["raw"]["parameters"]
    # the catalogue recommends 201's settings; Euler a with 20 steps are the defaults
    assert {name: found["right model"][name]["mean"] for name in ("sampler", "size", "steps", "cfg")} == {
        "sampler": 1,
        "size": 1,
        "steps": 1,
        "cfg": 1,
    }
    assert found["defaults"]["sampler"]["mean"] == 0
    assert found["defaults"]["steps"]["mean"] == 1


def test_a_stopped_run_goes_on(files: dict[str, Path]) -> None:
    stopped = Words()
    stopped.stop_at = PAIRS[3][0]
    with pytest.raises(KeyboardInterrupt):
        _run(files, "--prompts", "raw", selector=stopped)
    answers = files["output"] / "answers_raw.jsonl"
    with answers.open("a") as lines:
        lines.write('{"case": "cut of')  # a line that was not finished
    again = Words()
    report = _run(files, "--prompts", "raw", selector=again)
    assert again.requests[1:] == [prompt for prompt, _, _ in PAIRS[3:]]
    assert report["variants"]["raw"]["accuracy"]["1"]["mean"] == pytest.approx(0.8)
    finished = Words()
    _run(files, "--prompts", "raw", selector=finished)
    assert finished.requests == []
    assert all(prompt not in answers.read_text() for prompt, _, _ in PAIRS[:1])


def test_answers_of_another_run_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    cases = [Case("a dog"), Case("a cat")]
    path = tmp_path / "answers.jsonl"
    predict(Words(), cases, path, {"mode": "free"}, k=1)
    with pytest.raises(DataError, match=r"another run.*--output"):
        predict(Words(), cases, path, {"mode": "shortlist"}, k=1)
    with pytest.raises(DataError, match="another request in place 2"):
        predict(Words(), [cases[0], Case("a cow")], path, {"mode": "free"}, k=1)
    assert len(predict(Words(), cases[:1], path, {"mode": "free"}, k=1)) == 1


def test_free_mode_is_judged_by_what_was_written(files: dict[str, Path]) -> None:
    said = {
        PAIRS[0][0]: '{"model": "Pixel Art Helper", "type": "LORA"}',
        PAIRS[1][0]: '{"model": "Pixel Art Helper", "type": "LORA"}',
        PAIRS[2][0]: '{"model": "Neon Dreams 9000", "type": "LORA"}',
        PAIRS[3][0]: '{"model": "Lost Landscapes", "type": "Checkpoint"}',
        PAIRS[4][0]: "no idea",
    }
    found = _run(files, "--prompts", "raw", "--mode", "free", selector=Words(said))["variants"]["raw"]["free"]
    kinds = ("correct", "wrong but real", "invented", "unavailable", "unparsable")
    assert found["split"] == dict.fromkeys(kinds, pytest.approx(0.2))
    assert found["hallucination error"]["mean"] == pytest.approx(0.6)
    assert found["top-1"]["mean"] == pytest.approx(0.2)
    assert found["distinct names"] == 3
    assert found["share of the most frequent name"] == pytest.approx(0.4)
    assert "## What the language model wrote" in (files["output"] / "report.md").read_text()


def test_negative_prompts_can_be_left_out(files: dict[str, Path]) -> None:
    report = _run(files, "--no-negative", "--prompts", "raw")
    assert report["run"]["negative prompts"] == "left out"
    pairs = read_pairs(files["pairs"])
    assert cases_of(pairs, "raw", {})[0].negative_prompt == "photo"
    assert cases_of(pairs, "raw", {}, negative=False)[0].negative_prompt == ""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("parti.tsv", 'Prompt\tCategory\na dog\tx\n"a" cat\ty\n\tz\n'),
        ("captions.txt", 'a dog\r\n\n"a" cat\n'),
    ],
)
def test_prompts_without_a_known_model(
    files: dict[str, Path], tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert [case.prompt for case in read_prompts(path)] == ["a dog", '"a" cat']
    arguments = ["--prompts-file", str(path), "--catalogue", str(files["catalogue"]), "--mode", "free"]
    said = {"a dog": '{"model": "Dog XL", "type": "LORA"}', '"a" cat': '{"model": "SD XL"}'}
    assert main([*arguments, "--output", str(files["output"])], selector=Words(said)) == 0
    report = json.loads((files["output"] / "report.json").read_text())["variants"]["prompts"]
    assert report["names outside the catalogue"] == 0
    assert report["free"]["split"]["invented"] == 0.5
    assert report["free"]["split"]["wrong but real"] == 0.5
    assert report["free"]["top-1"] is None
    assert "accuracy" not in report
    assert not (files["output"] / "report.png").exists()


def test_a_name_outside_the_catalogue_is_counted_and_named(files: dict[str, Path]) -> None:
    class Inventor(Words):
        def select_batch(self, requests: Iterable[Request], **options: Any) -> Iterator[BatchItem]:
            for item in super().select_batch(requests, **options):
                first = item.ranked[0]
                renamed = first.api.model_copy(update={"model": "Invented XL"})
                yield item.model_copy(update={"ranked": (first.model_copy(update={"api": renamed}),)})

    report = _run(files, "--prompts", "raw", selector=Inventor())["variants"]["raw"]
    assert report["names outside the catalogue"] == 5
    assert report["outside the catalogue"] == ["Invented XL"]
    assert "`Invented XL`" in (files["output"] / "report.md").read_text()


def test_a_missing_file_says_where_data_can_be_had(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl.*evaluation data is not part of this project"):
        main(["--pairs", str(tmp_path / "nowhere.jsonl")], selector=Words(), retriever=Words())
    with pytest.raises(DataError, match="evaluation data is not part"):
        main(["--prompts-file", str(tmp_path / "nowhere.txt")], selector=Words())


def test_files_without_prompts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n \n")
    (tmp_path / "b.tsv").write_text("Text\tCategory\na\tb\n")
    with pytest.raises(DataError, match="holds no prompt"):
        read_prompts(tmp_path / "a.txt")
    with pytest.raises(DataError, match="Text, Category; needed is a column called Prompt"):
        read_prompts(tmp_path / "b.tsv")


@pytest.mark.parametrize(
    "arguments", [[], ["--pairs", "a", "--prompts-file", "b"], ["--pairs", "a", "--limit", "0"]]
)
def test_bad_usage_ends_with_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_slices_by_number_of_training_examples() -> None:
    assert [examples_slice(count) for count in (0, 1, 2, 3, 9, 10, 400)] == [
        "0",
        "1-2",
        "1-2",
        "3-9",
        "3-9",
        "10+",
        "10+",
    ]
