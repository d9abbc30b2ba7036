"""The part `diffagent dabench`: collect models and sample images, and build the dataset from them.

diffagent dabench collect --output raw --base-models "SD 1.5" --limit-models 500
diffagent dabench collect --output raw --from saved_models.jsonl.gz
diffagent dabench build --input raw --output set
diffagent dabench stats set
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from diffagent_tools.cli.options import FLAG, JsonOption, print_json
from diffagent_tools.cli.progress import show_progress
from diffagent_tools.exits import plain_exit, tell

if TYPE_CHECKING:
    from finetune.civitai.collect import Query
    from finetune.civitai.store import StoreReport
    from finetune.describe.catalogue import ChatWriter
    from finetune.describe.chat import Estimate

app = typer.Typer(help="Build the dataset and a catalogue from Civitai's models.", no_args_is_help=True)


@app.callback()
def dabench() -> None:
    """Build the dataset and a catalogue from Civitai's models, step by step: collect, then build."""


class NsfwName(StrEnum):
    """Civitai's words for how explicit an image is."""

    none = "None"
    soft = "Soft"
    mature = "Mature"
    x = "X"


@app.command()
def collect(
    output: Annotated[Path, typer.Option("--output", help="The store's folder; a new one, or one to go on.")],
    types: Annotated[
        list[str] | None, typer.Option("--types", help="LORA and Checkpoint; repeat it, or use commas.")
    ] = None,
    base_models: Annotated[
        list[str] | None,
        typer.Option(
            "--base-models", help="As Civitai spells them, such as 'SD 1.5'; repeat, or use commas."
        ),
    ] = None,
    limit_models: Annotated[
        int | None, typer.Option("--limit-models", min=1, help="How many models in all; else all there are.")
    ] = None,
    images_per_model: Annotated[
        int, typer.Option("--images-per-model", min=0, help="How many images with metadata for each model.")
    ] = 100,
    source: Annotated[
        Path | None, typer.Option("--from", help="A file or folder of saved API objects, instead of the API.")
    ] = None,
    sort: Annotated[str, typer.Option("--sort", help="Civitai's order of models.")] = "Most Downloaded",
    image_sort: Annotated[
        str, typer.Option("--image-sort", help="Civitai's order of images.")
    ] = "Most Reactions",
    nsfw: Annotated[
        NsfwName, typer.Option("--nsfw", case_sensitive=False, help="The most explicit level to ask for.")
    ] = NsfwName.none,
    url: Annotated[str | None, typer.Option("--url", help="Where the API lies, if not at Civitai.")] = None,
    rate: Annotated[float, typer.Option("--rate", min=0.01, help="Requests a second, at most.")] = 2.0,
    as_json: JsonOption = False,
) -> None:
    """Collect models and their sample images; if it is interrupted, the same command continues.

    Example: diffagent dabench collect --output raw --base-models "SD 1.5" --limit-models 500

    A key in CIVITAI_API_KEY is used, and shown to that host alone. Exit code 3: the service is down, and
    what was collected is kept.
    """
    stopped = f"stopped; what {output} holds is kept, and the same command goes on after it"
    with plain_exit(stopped), _ended_like_ctrl_c():
        from finetune.civitai.store import read_report

        if source is not None:
            if types or base_models or limit_models or url:
                raise typer.BadParameter("--from copies all that it finds; it takes no part of a query")
            _from_files(output, source)
        else:
            from finetune.civitai.client import URL
            from finetune.civitai.collect import BASE_MODELS, TYPES, Query

            query = Query(
                types=_types(types) or TYPES,
                base_models=_base_models(base_models) or BASE_MODELS,
                limit_models=limit_models,
                images_per_model=images_per_model,
                sort=sort,
                image_sort=image_sort,
                nsfw=nsfw.value,
                url=url or URL,
            )
            _from_api(output, query, rate)
        _show_report(output, read_report(output), as_json)


def _from_files(output: Path, source: Path) -> None:
    from finetune.civitai.saved import collect_saved, describe_source
    from finetune.civitai.store import RawStore

    with RawStore.open(output, describe_source(source)) as store, show_progress() as show:
        collect_saved(source, store, show)


def _from_api(output: Path, query: "Query", rate: float) -> None:
    from finetune.civitai.client import Civitai
    from finetune.civitai.collect import Collector
    from finetune.civitai.store import RawStore

    key = os.environ.get("CIVITAI_API_KEY")
    with Civitai(query.url, key=key, rate=rate) as civitai, RawStore.open(output, query.to_wire()) as store:
        if store.finished:
            tell(f"{output} is complete; for newer models collect into another folder")
        elif store.state is not None:
            tell(f"{output} holds {store.count('models'):,} models already; going on after them")
        try:
            with show_progress() as show:
                Collector(civitai, store, query, show).run()
        finally:
            for fault, times in civitai.faults.most_common():
                tell(f"{fault}: met {times:,} times")


def _show_report(output: Path, found: "StoreReport", as_json: bool) -> None:
    if as_json:
        print_json({**vars(found), "output": str(output)})
        return
    from diffagent_tools.cli.cards import make_console, show_rows

    rows = [("where", str(output)), *((kind, f"{count:,}") for kind, count in found.counts.items())]
    rows += [("not kept", f"{reason}: {count:,}") for reason, count in sorted(found.dropped.items())]
    rows += [("note", note) for note in found.notes]
    show_rows(make_console(), "collected", rows)


def _split(values: Sequence[str] | None) -> list[str]:
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]


def _types(values: Sequence[str] | None) -> tuple[str, ...]:
    """The types as Civitai spells them, each once."""
    from finetune.civitai.collect import TYPES

    known = {name.casefold(): name for name in TYPES}
    given = _split(values)
    for name in given:
        if name.casefold() not in known:
            raise typer.BadParameter(f"no type {name!r}; collected are {' and '.join(TYPES)}")
    return tuple(dict.fromkeys(known[name.casefold()] for name in given))


def _base_models(values: Sequence[str] | None) -> tuple[str, ...]:
    """The base models, each once; one of no known family is refused before anything is asked for."""
    from retrieval.tables.families import family_of

    names = [(name, family_of(name).name) for name in _split(values)]
    # a family's own name in another case is mended; any other spelling may be one of Civitai's
    return tuple(
        dict.fromkeys(family if name.casefold() == family.casefold() else name for name, family in names)
    )


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """SIGTERM, which machines send before they go down, ends the command as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@app.command()
def starter(
    models: Annotated[Path, typer.Option("--models", help="Models, .jsonl.gz, one object a line.")],
    pairs: Annotated[Path, typer.Option("--pairs", help="Training pairs, .jsonl.gz.")],
    output: Annotated[Path, typer.Option("--output", help="The folder to write to.")],
    sources: Annotated[
        Path | None,
        typer.Option("--sources", help="SDXL models of public files, .json; the packaged ones if left out."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Build the packaged catalogue: facts, and descriptions of this project's own. Same input, same bytes."""
    with plain_exit("stopped; run the same command again"):
        from finetune.dabench.starter import build, sources_for

        tell(f"reading {models} and {pairs}")
        built = build(models, pairs, sources or sources_for(output), output)
        if as_json:
            print_json({"models": len(built), "digest": built.digest, "output": str(output)})
        else:
            typer.echo(f"{len(built):,} models in {output}, digest {built.digest[:12]}")


@app.command()
def build(
    raw: Annotated[Path, typer.Option("--input", help="The store that `collect` wrote.")],
    output: Annotated[
        Path, typer.Option("--output", help="The set's folder; a new one, or one to build anew.")
    ],
    config: Annotated[
        Path | None, typer.Option("--config", help="A YAML file with the thresholds that differ.")
    ] = None,
    families: Annotated[
        list[str] | None, typer.Option("--base-model", help="Only these families; repeat it.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the splits.")] = None,
    chat_model: Annotated[
        str | None,
        typer.Option("--chat-model", help="Writes the descriptions, such as 'openai:gpt-5-mini'."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", metavar=FLAG, help="Do not ask before the chat model is paid.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Build the dataset: filters, pairs, descriptions, splits; one folder for each architecture.

    Example: diffagent dabench build --input raw --output set

    What is not safe for work, real persons and whatever concerns minors is left out. Stopped at any moment,
    the same command builds it anew, which takes seconds for thousands of pairs; the chat model's answers,
    which may take hours, are kept beside the set and not asked for again. Exit code 2: no pair is left, or
    the input is no store.
    """
    with (
        plain_exit(f"stopped; {output} is unfinished, and the same command builds it anew"),
        _ended_like_ctrl_c(),
    ):
        from finetune.dabench.build import build as build_set
        from finetune.dabench.config import read_config

        chosen = read_config(config, families=families or None, seed=seed)
        writer = _writer(chat_model, output, yes) if chat_model else None
        report = build_set(raw, output, chosen, show=tell, writer=writer)
        if as_json:
            print_json(report)
        else:
            from finetune.dabench.stats import stats_text

            typer.echo(stats_text(report))


@app.command()
def stats(
    folder: Annotated[Path, typer.Argument(help="A set that `build` wrote.", show_default=False)],
    picture: Annotated[
        Path | None, typer.Option("--picture", help="The PNG to draw; funnel.png in the set if left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the funnel of a set, rule by rule; draw it and what its source was like as one PNG.

    Example: diffagent dabench stats set
    """
    with plain_exit():
        from finetune.dabench.build import read_set_report
        from finetune.dabench.stats import draw, stats_text

        report = read_set_report(folder)
        drawn = picture or folder / "funnel.png"
        draw(report, drawn)
        if as_json:
            print_json(report | {"picture": str(drawn)})
        else:
            typer.echo(stats_text(report))
            tell(f"drawn in {drawn}")


def _writer(name: str, output: Path, yes: bool) -> "ChatWriter":
    """The chat model that describes, after a yes to what it will cost."""
    from diffagent_tools.chat.agent import chat_model
    from diffagent_tools.llm.chat_model import CachedChat
    from finetune.describe.catalogue import ChatWriter

    def ask(estimate: "Estimate") -> None:
        tell(estimate.text)
        if not yes:
            typer.confirm("Go on?", abort=True, err=True)

    chat = CachedChat(chat_model(name), cache=output.parent / f"{output.name}-descriptions.sqlite")
    return ChatWriter(chat, on_estimate=ask, progress=tell)
