"""A rendering run: many T2I APIs into one folder, a JSON record beside each picture.

    run(Renderer(models), jobs_of(text), Path("run"), seeds=[1, 2])

    run/corgi-answer-1.png    the picture, its infotext inside as A1111 writes it
    run/corgi-answer-1.json   {"id", "role", "prompt", "seed", "image", "api", "infotext", "notes", ...}

A run that was stopped goes on: what has its record, of the same API, is not made again.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from diffagent_tools.formats.infotext import infotext_of
from retrieval.calls.compose import default_settings
from retrieval.errors import InvalidApi, StorageError
from retrieval.records.api import T2IApi, read_api
from retrieval.storage import atomic_write
from retrieval.tables.families import family_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from diffagent_tools.render.plan import Plan
    from diffagent_tools.render.renderer import Renderer

Role = Literal["answer", "baseline"]


@dataclass(frozen=True)
class Job:
    """One API to render; `prompt` is the request as it was put, for captions."""

    id: str
    role: Role
    prompt: str
    api: T2IApi

    def stem(self, seed: int) -> str:
        """The name of the files of one picture."""
        name = re.sub(r"[^\w-]+", "_", self.id).strip("_")[:80] or "picture"
        return f"{name}-{self.role}-{seed}"


def jobs_of(text: str, *, baseline: bool = False) -> tuple[Job, ...]:
    """The APIs of a text: one T2I API, or lines that `diffagent select --output` wrote.

    Args:
        baseline: each API is followed by the base model of its family with the paper's settings (section
            4.1), for the same request and of the same size.

    Raises:
        InvalidApi: there is none.
    """
    apis = list(_apis(text))
    jobs: list[Job] = []
    for name, api in apis:
        request = request_of(api)
        jobs.append(Job(name, "answer", request, api))
        if baseline:
            jobs.append(Job(name, "baseline", request, baseline_of(api)))
    return tuple(jobs)


def _apis(text: str) -> Iterator[tuple[str, T2IApi]]:
    lines = [line for line in text.splitlines() if line.strip()]
    answers = [value for line in lines if (value := _answer(line)) is not None]
    if len(answers) < len(lines) or not lines:
        yield "picture", read_api(text).api
        return
    found = False
    for number, answer in enumerate(answers, start=1):
        if answer.get("api") is not None:
            found = True
            name = answer.get("id")
            yield str(number if name is None else name), T2IApi.from_wire(answer["api"])
    if not found:
        raise InvalidApi("no line has an 'api': every request failed; look at their 'error'")


def _answer(line: str) -> dict[str, Any] | None:
    """A line of a batch's answers; None if it is something else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and ("api" in value or "error" in value) else None


def request_of(api: T2IApi) -> str:
    """The prompt without the trigger words that were put before it."""
    prompt = api.prompt
    for trigger in sorted(filter(None, api.trigger_words), key=len, reverse=True):
        prompt = prompt.removeprefix(f"{trigger}, ")
    return prompt


def baseline_of(api: T2IApi) -> T2IApi:
    """The family's base model with the paper's default settings, for the request and size of an API."""
    family = family_of(api.base_model)
    return T2IApi(
        model=family.default_model or family.name,
        type="Checkpoint",
        base_model=family.name,
        **{**default_settings(family), "width": api.width, "height": api.height},
        model_id=family.default_model_id,
        prompt=request_of(api),
        negative_prompt=api.negative_prompt,
    )


def run(
    renderer: "Renderer",
    jobs: Sequence[Job],
    folder: Path,
    *,
    seeds: Sequence[int],
    progress: Callable[[str], None] | None = None,
) -> list[Path]:
    """Renders every job with every seed; the paths of all pictures, those of earlier runs included.

    Raises:
        MissingModelFile: before anything is rendered, if a file of any job is not there.
        StorageError: the folder cannot be written.
    """
    tell = progress or (lambda line: None)
    plans = [renderer.plan(job.api) for job in jobs]
    done: list[Path] = []
    # the pipeline of a checkpoint is loaded once
    for job, plan in sorted(zip(jobs, plans, strict=True), key=lambda pair: str(pair[1].checkpoint)):
        for note in plan.notes:
            tell(f"{job.id}: {note}")
        left = [seed for seed in seeds if not _is_done(folder, job, seed)]
        for start in range(0, len(left), renderer.batch_size):
            batch = left[start : start + renderer.batch_size]
            for seed, image in zip(batch, renderer.render_plan(plan, seeds=batch), strict=True):
                _save(folder, job, plan, seed, image)
                tell(f"{folder / job.stem(seed)}.png")
        done += [folder / f"{job.stem(seed)}.png" for seed in seeds]
    return done


def _is_done(folder: Path, job: Job, seed: int) -> bool:
    stem = folder / job.stem(seed)
    try:
        record = json.loads(stem.with_name(f"{stem.name}.json").read_bytes())
        return bool(record["api"] == job.api.to_wire()) and stem.with_name(f"{stem.name}.png").is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _save(folder: Path, job: Job, plan: "Plan", seed: int, image: "Image") -> None:
    from PIL.PngImagePlugin import PngInfo

    stem = job.stem(seed)
    infotext = infotext_of(
        job.api.model_copy(update={"prompt": plan.prompt}),
        schedule_type=True,
        seed=seed,
        checkpoint_file=plan.checkpoint.stem,
        lora_file=plan.lora.stem if plan.lora else None,
        lora_files=[path.stem for path, _ in plan.loras],
    )
    inside = PngInfo()
    inside.add_text("parameters", infotext)
    record = {
        "id": job.id,
        "role": job.role,
        "prompt": job.prompt,
        "seed": seed,
        "image": f"{stem}.png",
        "api": job.api.to_wire(),
        "infotext": infotext,
        "notes": list(plan.notes),
        **({"blocked": image.info["blocked"]} if "blocked" in image.info else {}),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {folder} ({error.strerror})") from error
    atomic_write(folder / f"{stem}.png", lambda path: image.save(path, "PNG", pnginfo=inside))
    # last, so that what has a record has its picture
    atomic_write(folder / f"{stem}.json", json.dumps(record, ensure_ascii=False, indent=1).encode())
