"""Rendering and scoring: the work list, the store, a run that goes on, and the command on tiny parts."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from calls import checkpoint
from PIL import Image

from finetune.candidates.file import Candidate, CandidateLine
from finetune.rewards.render_and_score import (
    Scorer,
    collect,
    in_this_process,
    main,
    refuse_missing,
    unified_lines,
    work_list,
)
from finetune.rewards.store import RewardStore, Row
from finetune.rewards.unified import Range, save_calibration
from retrieval.errors import DataError, InvalidInput, MissingModelFile
from retrieval.records.api import Instruction, T2IApi


def api(model: str, base: str | None = None) -> T2IApi:
    of_lora = {"type": "LORA", "base_checkpoint": {"model": base}} if base else {}
    return checkpoint(model, width=64, height=64, sampling_steps=2, prompt="a fox", **of_lora)


def line(id: str, *models: str) -> CandidateLine:
    candidates = tuple(Candidate(api(model), "sampled") for model in models)
    return CandidateLine(id, Instruction(prompt=f"prompt {id}"), candidates)


class Paint:
    """Renders one grey for each model and seed, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[int, ...], tuple[int, int]]] = []

    def render(self, api: T2IApi, *, seeds: Sequence[int]) -> list[Image.Image]:
        self.asked.append((api.model, tuple(seeds), (api.width, api.height)))
        return [Image.new("L", (api.width, api.height), 10 * len(api.model) + seed) for seed in seeds]


class Brightness:
    """Scores an image by its grey."""

    name = "clip"
    version = "1"

    def score(self, prompts: Sequence[str], images: Sequence[Image.Image]) -> torch.Tensor:
        return torch.tensor([float(image.getpixel((0, 0))) for image in images])  # type: ignore[arg-type]


LINES = [line("p0", "a", "bbb"), line("p1"), line("p2", "cc")]
SEEDS = (0, 1)


@pytest.fixture
def store(tmp_path: Path) -> RewardStore:
    return RewardStore.create(tmp_path / "s", ("clip",), run={})


def silent(done: int) -> None: ...


def fill(store: RewardStore, paint: Paint, lines: list[CandidateLine] = LINES) -> int:
    work = work_list(lines, SEEDS, store)
    return collect(in_this_process(work, lambda: Scorer(paint, [Brightness()])), store, tell=silent)


def test_every_image_is_scored_once(store: RewardStore) -> None:
    paint = Paint()
    assert fill(store, paint) == 6
    assert paint.asked == [("a", SEEDS, (64, 64)), ("bbb", SEEDS, (64, 64)), ("cc", SEEDS, (64, 64))]
    assert fill(store, paint) == 0
    assert len(paint.asked) == 3
    found = store.scores({"p0": 2, "p2": 1}, SEEDS)
    assert found["p0"]["clip"].tolist() == [[10, 11], [30, 31]]
    assert found["p2"]["clip"].tolist() == [[20, 21]]


def test_a_run_that_is_killed_goes_on_to_the_same_result(store: RewardStore, tmp_path: Path) -> None:
    class Killed(Paint):
        def render(self, api: T2IApi, *, seeds: Sequence[int]) -> list[Image.Image]:
            if len(self.asked) == 1:
                raise KeyboardInterrupt
            return super().render(api, seeds=seeds)

    with pytest.raises(KeyboardInterrupt):
        fill(store, Killed())
    assert len(store.keys()) == 2, "what was scored before is kept"
    again, paint = RewardStore.open(store.folder), Paint()
    fill(again, paint)
    assert [model for model, _, _ in paint.asked] == ["bbb", "cc"]
    whole = RewardStore.create(tmp_path / "whole", ("clip",), run={})
    fill(whole, Paint())
    wanted = {"p0": 2, "p2": 1}
    for prompt, scores in whole.scores(wanted, SEEDS).items():
        assert torch.equal(scores["clip"], again.scores(wanted, SEEDS)[prompt]["clip"])


def test_only_missing_seeds_are_rendered(store: RewardStore) -> None:
    store.append([Row("p0", 0, 1, {"clip": 11.0})])
    first = work_list(LINES, SEEDS, store)[0]
    assert (first.prompt_id, first.response, first.seeds) == ("p0", 0, (0,))


def test_one_shape_for_all_and_one_checkpoint_after_the_other(store: RewardStore) -> None:
    lines = [line("p0", "b", "a"), line("p1", "b")]
    lora = Candidate(api("some lora", base="a"), "beams")
    lines.append(CandidateLine("p2", Instruction(prompt="x"), (lora,)))
    work = work_list(lines, SEEDS, store, size=(32, 48))
    assert [piece.api.model for piece in work] == ["a", "some lora", "b", "b"]
    assert {(piece.api.width, piece.api.height) for piece in work} == {(32, 48)}


def test_the_unified_metric_of_a_store(store: RewardStore, tmp_path: Path) -> None:
    fill(store, Paint())
    # greys 10 to 31: (0 + 1/21) / 2 and so on; the prompt without a candidate is left out
    scored = unified_lines(LINES, store, SEEDS)
    assert [line.id for line, _ in scored] == ["p0", "p2"]
    assert scored[0][1] == pytest.approx([0.5 / 21, 20.5 / 21])
    assert scored[1][1] == pytest.approx([10.5 / 21])
    save_calibration(tmp_path / "c.json", {"clip": Range(0, 100)}, images=1)
    fixed = unified_lines(LINES, store, SEEDS, normalise=str(tmp_path / "c.json"))
    assert fixed[0][1] == pytest.approx([0.105, 0.305])


def test_a_metric_before_all_is_scored(store: RewardStore) -> None:
    fill(store, Paint(), LINES[:1])
    with pytest.raises(DataError, match=r"2 images in .* have no score yet, such as \('p2', 0, 0\)"):
        unified_lines(LINES, store, SEEDS)


def test_a_renderer_that_gives_another_number_of_images(store: RewardStore) -> None:
    class Few(Paint):
        def render(self, api: T2IApi, *, seeds: Sequence[int]) -> list[Image.Image]:
            return super().render(api, seeds=seeds)[:1]

    with pytest.raises(InvalidInput, match="response 0 to 'p0' gave 1 images for 2 seeds"):
        fill(store, Few())


def test_missing_models_are_told_before_the_first_image(store: RewardStore) -> None:
    def plan(api: T2IApi) -> None:
        if api.model != "a":
            raise MissingModelFile(
                f"{api.model} is not in models/. Fetch it with `diffagent fetch {api.model}`"
            )

    work = work_list([*LINES, line("p3", "bbb")], SEEDS, store)
    with pytest.raises(
        MissingModelFile, match=r"2 of 3 models lack a file:\nbbb is not in models/. Fetch it"
    ):
        refuse_missing(work, plan)
    refuse_missing(work[:1], plan)


def test_a_score_that_is_no_number_stops_the_run(store: RewardStore) -> None:
    class Broken(Brightness):
        def score(self, prompts: Sequence[str], images: Sequence[Image.Image]) -> torch.Tensor:
            return torch.full((len(images),), float("nan"))

    work = work_list(LINES, SEEDS, store)
    with pytest.raises(
        InvalidInput, match=r"score of image \('p0', 0, 0\) .* by clip is not a finite number"
    ):
        collect(in_this_process(work, lambda: Scorer(Paint(), [Broken()])), store, tell=silent)


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """Two processors of this machine, as a cluster."""
    ray = pytest.importorskip("ray", reason="needs the extra `scale`")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("ray_cluster")
def test_ray_loses_nothing_and_does_nothing_twice(store: RewardStore, tmp_path: Path) -> None:
    """Two workers on a local cluster; one is killed in the middle of its second piece."""
    from finetune.rewards.ray import spread

    log, killed = tmp_path / "log", tmp_path / "killed"

    def make_worker() -> Any:
        # classes and functions of this test travel with it; this module is not on the workers' path
        import os
        import signal
        import time

        done = 0

        def work(piece: tuple[str, int]) -> list[tuple[str, int, float]]:
            nonlocal done
            prompt, response = piece
            with log.open("a") as lines:
                lines.write(f"start {prompt} {response} {os.getpid()}\n")
            done += 1
            if done == 2:
                try:
                    killed.touch(exist_ok=False)
                except FileExistsError:
                    pass
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.05)
            with log.open("a") as lines:
                lines.write(f"end {prompt} {response} {os.getpid()}\n")
            return [(prompt, response, 0.5)]

        return work

    pieces = [(f"p{number // 3}", number % 3) for number in range(12)]
    results = spread(pieces, make_worker, workers=2)
    rows = ([Row(p, r, 0, {"clip": score}) for p, r, score in result] for result in results)
    assert collect(rows, store, tell=silent) == 12
    assert store.keys() == {(prompt, response, 0) for prompt, response in pieces}
    said = [text.split() for text in log.read_text().splitlines()]
    starts = sorted(tuple(words[1:3]) for words in said if words[0] == "start")
    ends = sorted(tuple(words[1:3]) for words in said if words[0] == "end")
    assert ends == sorted((prompt, str(response)) for prompt, response in pieces), "each was finished once"
    assert len(starts) == 13, "only the piece in the killed worker's hands was begun again"
    assert len({words[3] for words in said}) == 3, "two workers and the one that took the killed one's place"


@pytest.mark.usefixtures("ray_cluster")
def test_a_piece_that_kills_every_worker_is_named() -> None:
    from finetune.rewards.ray import spread
    from retrieval.errors import RenderError

    def make_worker() -> Any:
        import os

        def work(piece: str) -> str:
            if piece == "bad":
                os._exit(1)
            return piece

        return work

    found: list[str] = []
    with pytest.raises(RenderError, match="three workers died of the same piece of work, bad"):
        found.extend(spread(["a", "bad", "b"], make_worker, workers=1))
    assert found == ["a", "b"]
    assert list(spread([], make_worker)) == []


def test_without_ray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from finetune.rewards.ray import spread
    from retrieval.errors import MissingExtra

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'diffagent-tools\[scale\]'"):
        next(spread([1], lambda: str))


def test_the_command_on_a_tiny_pipeline_and_a_tiny_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("diffusers", reason="needs the extra `images`")
    from tiny_pipelines import save_tiny_pipelines
    from tiny_scorers import save_tiny_clip

    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    files = save_tiny_pipelines(tmp_path / "models", sdxl=False)
    calls = [api(files.sd_file.stem), api(files.sd_lora.stem, base=files.sd_file.stem)]
    row = {
        "id": "p0",
        "instruction": {"prompt": "a red fox", "negative prompt": ""},
        "responses": [
            {"api": call.to_wire(), "text": call.paper_json(), "source": "sampled"} for call in calls
        ],
    }
    (tmp_path / "c.jsonl").write_text(json.dumps(row) + "\n")
    given: list[object] = [
        *("--candidates", tmp_path / "c.jsonl", "--store", tmp_path / "s", "--models", files.sd_file.parent),
        *("--rewards", "clip", "--weights", f"clip={save_tiny_clip(tmp_path / 'clip')}", "--images", "2"),
        *("--device", "cpu", "--output", tmp_path / "scored.jsonl"),
    ]
    arguments = list(map(str, given))
    main(arguments)
    assert "4 images to render and score, 0 scored before" in capsys.readouterr().err
    first = (tmp_path / "scored.jsonl").read_bytes()
    (scored,) = map(json.loads, first.splitlines())
    assert scored["responses"] == [call.paper_json() for call in calls]
    assert len(set(scored["scores"])) == 2, "the LoRA changes the images and their scores"
    assert scored["reward"] == "unified"
    main(arguments)
    assert "0 images to render and score, 4 scored before" in capsys.readouterr().err
    assert (tmp_path / "scored.jsonl").read_bytes() == first


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--images", "0"], "--images is 0"),
        (["--width", "64"], "--width and --height belong together"),
        (["--weights", "hps-v2.0=x.pt"], "is not REWARD=FILE with one of the rewards clip"),
        (["--weights", "clip"], "'clip' is not REWARD=FILE"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, more: list[str], message: str) -> None:
    needed = ["--candidates", "c", "--store", str(tmp_path / "s"), "--models", "m", "--rewards", "clip"]
    with pytest.raises(InvalidInput, match=message):
        main([*needed, *more])
