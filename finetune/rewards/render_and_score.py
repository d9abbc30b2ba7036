"""Renders every candidate k times, scores the images, and keeps the raw scores (Eq. 5's S(t, r) needs them).

    python -m finetune.rewards --candidates candidates.jsonl --models models/ --store scores/ \\
        --rewards clip imagereward hps-v2.1 --images 10 --output scored.jsonl
    python -m finetune.rewards ... --ray auto --gpus 1        # on every GPU of a Ray cluster

A run that was stopped or killed goes on when the same command is given again: the store knows which images
are scored. Images are not kept. With `--output` the Unified Metric of every response is written for
finetune/rrhf/run.py, once all are scored. On a cluster every machine needs this package, the models folder
and the scorers' weights under the same paths; the store lies with the process that is started here.
"""

import argparse
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from diffagent_tools.exits import tell
from diffagent_tools.extras import require
from finetune.candidates.file import CandidateLine, read_candidates, write_scored
from finetune.rewards.base import Reward
from finetune.rewards.load import NAMES, make_reward
from finetune.rewards.store import RewardStore, Row
from finetune.rewards.unified import POOL, load_calibration, unified
from retrieval.errors import InvalidInput, MissingModelFile
from retrieval.records.api import T2IApi

if TYPE_CHECKING:
    from PIL.Image import Image

# a shard every so many images or seconds: what a killed run loses at most
FLUSH_ROWS = 500
FLUSH_SECONDS = 60.0


class ImageMaker(Protocol):
    """What renders: `diffagent_tools.render.renderer.Renderer`, or another."""

    def render(self, api: T2IApi, *, seeds: Sequence[int]) -> "list[Image]": ...


@dataclass(frozen=True)
class Work:
    """A response to render with some seeds, and the prompt that its images are scored for."""

    prompt_id: str
    response: int
    prompt: str
    api: T2IApi
    seeds: tuple[int, ...]


class Scorer:
    """Renders a piece of work and scores its images; made where it runs, because it holds networks."""

    def __init__(self, renderer: ImageMaker, rewards: Sequence[Reward]) -> None:
        self._renderer = renderer
        self._rewards = tuple(rewards)

    def __call__(self, work: Work) -> list[Row]:
        """A row an image.

        Raises:
            InvalidInput: the renderer gave another number of images than of seeds, or a score is not finite.
        """
        images = self._renderer.render(work.api, seeds=work.seeds)
        if len(images) != len(work.seeds):
            raise InvalidInput(
                f"response {work.response} to {work.prompt_id!r} gave {len(images)} images for "
                f"{len(work.seeds)} seeds; the renderer must give one each"
            )
        scores = {
            reward.name: reward.score([work.prompt] * len(images), images).tolist()
            for reward in self._rewards
        }
        return [
            Row(work.prompt_id, work.response, seed, {name: scores[name][place] for name in scores})
            for place, seed in enumerate(work.seeds)
        ]


def work_list(
    lines: Iterable[CandidateLine],
    seeds: Sequence[int],
    store: RewardStore,
    *,
    size: tuple[int, int] | None = None,
) -> list[Work]:
    """What is still to be done, responses of one model side by side, so that a checkpoint loads once.

    Args:
        size: width and height of every image; each call's own if None. Scores depend on the shape, so
            responses that are compared need one shape (paper section 4.1).
    """
    done = store.keys()
    left: list[Work] = []
    for line in lines:
        for place, candidate in enumerate(line.candidates):
            missing = tuple(seed for seed in seeds if (line.id, place, seed) not in done)
            api = candidate.api
            if size is not None:
                api = api.model_copy(update={"width": size[0], "height": size[1]})
            if missing:
                left.append(Work(line.id, place, line.instruction.prompt, api, missing))
    return sorted(left, key=lambda work: _checkpoint(work.api))


def _checkpoint(api: T2IApi) -> tuple[str, str]:
    base = api.base_checkpoint.model if api.base_checkpoint else api.model
    return base, api.model


def in_this_process(
    work: Iterable[Work], make_scorer: Callable[[], Callable[[Work], list[Row]]]
) -> Iterator[list[Row]]:
    """The rows of each piece of work, one after the other."""
    scorer = make_scorer()
    for piece in work:
        yield scorer(piece)


def collect(results: Iterable[list[Row]], store: RewardStore, *, tell: Callable[[int], None]) -> int:
    """Puts rows into the store as they come, a shard at a time; also what was done before an error.

    Args:
        tell: told how many images are in the store's shards, after each of them.

    Returns:
        How many rows were added.
    """
    waiting: list[Row] = []
    added, flushed = 0, time.monotonic()

    def flush() -> None:
        nonlocal added, flushed
        store.append(waiting)
        added += len(waiting)
        waiting.clear()
        flushed = time.monotonic()
        tell(added)

    try:
        for rows in results:
            waiting += rows
            if len(waiting) >= FLUSH_ROWS or time.monotonic() - flushed >= FLUSH_SECONDS:
                flush()
    finally:
        flush()
    return added


def unified_lines(
    lines: Iterable[CandidateLine], store: RewardStore, seeds: Sequence[int], *, normalise: str = POOL
) -> list[tuple[CandidateLine, list[float]]]:
    """The Unified Metric (Eq. 5) of every response of every prompt that has any.

    Args:
        normalise: "pool" (over all of these lines), or the path of a calibration file.

    Raises:
        DataError: not all images have been scored.
    """
    import torch

    kept = [line for line in lines if line.candidates]
    found = store.scores({line.id: len(line.candidates) for line in kept}, seeds)
    together = {name: torch.cat([found[line.id][name] for line in kept]) for name in store.rewards}
    metric = (
        unified(together)
        if normalise == POOL
        else unified(together, normalise=load_calibration(Path(normalise)))
    )
    values = iter(metric.tolist())
    return [(line, [next(values) for _ in line.candidates]) for line in kept]


def make_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m finetune.rewards",
        description="Render candidates, score the images, keep the raw scores.",
    )
    add = parser.add_argument
    add("--candidates", type=Path, required=True, help="JSONL of finetune/candidates/make.py")
    add("--store", type=Path, required=True, help="folder of the scores; an interrupted run is gone on with")
    add("--models", type=Path, required=True, help="folder with the checkpoints and LoRAs")
    add("--rewards", nargs="+", choices=NAMES, default=["clip", "imagereward", "hps-v2.1"])
    add("--weights", nargs="*", default=[], metavar="REWARD=FILE", help="checkpoints of the rewards on disk")
    add("--images", type=int, default=10, help="k of Eq. 5: images a response, each of another seed")
    add("--width", type=int, help="of every image, with --height; each call's own size if left out")
    add("--height", type=int)
    add("--device", default="auto", help="auto, cuda, mps, xpu or cpu")
    add("--dtype", default="auto", choices=["auto", "float32", "bfloat16", "float16"], help="of rendering")
    add("--batch-size", type=int, default=1, help="images at once")
    add("--catalogue", type=Path, help="a .jsonl or .jsonl.gz; the packaged starter if left out")
    add("--ray", metavar="ADDRESS", help="work on a Ray cluster: auto, local, or its address")
    add("--workers", type=int, help="on the cluster; as many as its processors or GPUs carry if left out")
    add("--gpus", type=float, default=0.0, help="GPUs that a worker on the cluster takes")
    add("--output", type=Path, help="JSONL for finetune/rrhf/run.py, written when all is scored")
    add("--normalise", default=POOL, help="pool, or a calibration file of finetune/rewards/unified.py")
    return parser


def refuse_missing(work: Iterable[Work], plan: Callable[[T2IApi], object]) -> None:
    """Looks for the files of every model before the first image is made, which may be days before the last.

    Args:
        plan: raises MissingModelFile for a call whose files are not there; `Renderer.plan`.

    Raises:
        MissingModelFile: files are missing; the message says how many models lack one, and how to get some.
    """
    apis = {_checkpoint(piece.api): piece.api for piece in work}
    missing: list[str] = []
    for api in apis.values():
        try:
            plan(api)
        except MissingModelFile as error:
            missing.append(str(error))
    if missing:
        some = "\n".join(sorted(set(missing))[:5])
        raise MissingModelFile(f"{len(missing)} of {len(apis)} models lack a file:\n{some}")


def make_scorer(options: dict[str, Any], work: Sequence[Work] = ()) -> Scorer:
    """The scorer that the options ask for, in whichever process it is to work.

    Args:
        work: whose files are looked for before the rewards are loaded.
    """
    from diffagent_tools.files.folder import ModelsFolder
    from diffagent_tools.render.renderer import Renderer
    from retrieval.catalogue import Catalogue

    catalogue = Catalogue.load(options["catalogue"]) if options["catalogue"] else Catalogue.starter()
    renderer = Renderer(
        ModelsFolder(options["models"]),
        catalogue=catalogue,
        device=options["device"],
        dtype=options["dtype"],
        batch_size=options["batch_size"],
    )
    refuse_missing(work, renderer.plan)
    weights = options["weights"]
    rewards = [
        make_reward(name, weights=weights.get(name), device=renderer.device) for name in options["rewards"]
    ]
    return Scorer(renderer, rewards)


def main(arguments: Sequence[str] | None = None) -> None:
    """Renders and scores what is left to do."""
    options = vars(make_parser().parse_args(arguments))
    require("pyarrow")
    options["weights"] = _weights(options["weights"], options["rewards"])
    if options["images"] < 1:
        raise InvalidInput(f"--images is {options['images']}, needed is at least 1")
    if (options["width"] is None) != (options["height"] is None):
        raise InvalidInput("--width and --height belong together; give both, or neither")
    size = (options["width"], options["height"]) if options["width"] else None
    lines = read_candidates(options["candidates"])
    seeds = tuple(range(options["images"]))
    run = {
        "candidates": hashlib.sha256(options["candidates"].read_bytes()).hexdigest()[:16],
        "seeds": list(seeds),
        "size": list(size) if size else None,
        "dtype": options["dtype"],
        "weights": {name: path.name for name, path in options["weights"].items()},
    }
    store = RewardStore.create(options["store"], options["rewards"], run=run)
    with store.writing():
        left = work_list(lines, seeds, store, size=size)
        count = sum(len(work.seeds) for work in left)
        tell(f"{count:,} images to render and score, {len(store.keys()):,} scored before")
        if options["ray"]:
            from finetune.rewards.ray import spread

            results = spread(
                left,
                lambda: make_scorer(options),
                address=options["ray"],
                workers=options["workers"],
                gpus=options["gpus"],
            )
        else:
            results = in_this_process(left, lambda: make_scorer(options, left)) if left else iter(())
        collect(results, store, tell=lambda done: tell(f"{done:,} of {count:,} images"))
    if options["output"]:
        scored = unified_lines(lines, store, seeds, normalise=options["normalise"])
        note = f"Eq. 5, {len(seeds)} images a response, {options['normalise']} of {', '.join(store.rewards)}"
        write_scored(options["output"], scored, reward="unified", note=note)
        print(f"{len(scored):,} prompts: {options['output']}")


def _weights(given: Sequence[str], rewards: Sequence[str]) -> dict[str, Path]:
    """`REWARD=FILE` as a mapping."""
    weights: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or name not in rewards:
            raise InvalidInput(
                f"--weights {text!r} is not REWARD=FILE with one of the rewards {', '.join(rewards)}"
            )
        weights[name] = Path(path)
    return weights
