"""The command `diffagent render`: pictures of a T2I API, or of the answers to a file of requests.

diffagent select "a corgi, pixel art" --json | diffagent render --models models --output run
diffagent render answers.jsonl --models models --output run --baseline --seed 1 --seed 2
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from diffagent_tools.cli.fetch import ModelsOption
from diffagent_tools.cli.options import FLAG, CatalogueOption, load_catalogue
from diffagent_tools.exits import plain_exit, tell


class DeviceName(StrEnum):
    """Where to render."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"
    xpu = "xpu"


class DtypeName(StrEnum):
    """In what numbers; auto is float32 on the CPU and float16 elsewhere."""

    auto = "auto"
    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"


class OffloadName(StrEnum):
    """What is kept off the GPU while it is not in use."""

    none = "none"
    model = "model"
    sequential = "sequential"


def render(
    models: ModelsOption,
    output: Annotated[Path, typer.Option("--output", help="The folder that pictures and records go into.")],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[JSON | FILE]",
            help="A T2I API, or lines that `select --output` wrote. Standard input if it is left out.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", min=0, help="One picture for each; may be repeated.")
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option("--baseline", metavar=FLAG, help="Also the plain base model, for `diffagent gallery`."),
    ] = False,
    batch: Annotated[int, typer.Option("--batch", min=1, help="How many pictures at once.")] = 1,
    device: Annotated[DeviceName, typer.Option("--device")] = DeviceName.auto,
    dtype: Annotated[DtypeName, typer.Option("--dtype")] = DtypeName.auto,
    offload: Annotated[OffloadName, typer.Option("--offload", help="Saves GPU memory.")] = OffloadName.none,
    safety_checker: Annotated[
        bool, typer.Option(help="Use the checker of a folder in diffusers' layout, if it has one.")
    ] = True,
    catalogue: CatalogueOption = None,
) -> None:
    """Make pictures with diffusers, from files in --models; `diffagent fetch` gets missing ones.

    Example: diffagent render answers.jsonl --models ComfyUI/models --output run --baseline

    A picture holds its infotext, as A1111 writes it, and a JSON record lies beside it. Exit code 0: made.
    2: bad input. 3: a file is missing, or the machine cannot.
    """
    with plain_exit("stopped; what is made is kept, and the same command goes on after it"):
        from diffagent_tools.files.folder import ModelsFolder
        from diffagent_tools.render.renderer import Renderer
        from diffagent_tools.render.run import jobs_of, run

        jobs = jobs_of(_text(source), baseline=baseline)
        # typer reads choices as enumerations, the renderer as Literals of the same words
        chosen: Any = {"device": device.value, "dtype": dtype.value, "offload": offload.value}
        renderer = Renderer(
            ModelsFolder(models, progress=tell),
            catalogue=load_catalogue(catalogue),
            batch_size=batch,
            safety_checker=safety_checker,
            progress=tell,
            **chosen,
        )
        for path in run(renderer, jobs, output, seeds=seed or [1], progress=tell):
            typer.echo(str(path))


def _text(source: str | None) -> str:
    from retrieval.errors import InvalidInput

    try:
        if source is None or source == "-":
            if source is None and sys.stdin.isatty():
                raise typer.BadParameter("give a T2I API or a file of them, or pipe one in")
            return sys.stdin.buffer.read().decode("utf-8", "replace")
        if "{" in source:
            return source
        return Path(source).read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InvalidInput(f"cannot read {source} ({error.strerror}); name a readable file") from error
