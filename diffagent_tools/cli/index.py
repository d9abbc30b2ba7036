"""The part `diffagent index`: build the description index of a catalogue, describe it, search it.

diffagent index build --catalogue mine.jsonl
diffagent index search "pixel art of a city" -k 5
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffagent_tools.cli.options import (
    CatalogueOption,
    CommercialOption,
    FamilyOption,
    JsonOption,
    NsfwOption,
    TypeOption,
    filter_words,
    load_catalogue,
    print_json,
)
from diffagent_tools.exits import Exit, plain_exit, tell

if TYPE_CHECKING:
    from retrieval.search.index import DescriptionIndex, IndexInfo

app = typer.Typer(help="Build, describe and search the index of model descriptions.", no_args_is_help=True)

PathOption = Annotated[
    Path | None, typer.Option("--path", help="The index's folder instead of one below the cache.")
]
UrlOption = Annotated[str | None, typer.Option("--url", help="A Chroma server instead of a folder.")]


@app.command()
def build(
    catalogue: CatalogueOption = None,
    path: PathOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the index up to date; an interrupted build continues, and only what changed is done again.

    Example: diffagent index build --catalogue models.jsonl
    """
    with plain_exit("stopped; what is embedded is kept, and the same command goes on after it"):
        _show(_index(catalogue, path, url).build(), as_json)


@app.command()
def info(
    catalogue: CatalogueOption = None,
    path: PathOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the index holds; builds nothing.

    Example: diffagent index info
    """
    with plain_exit():
        _show(_index(catalogue, path, url).info(), as_json)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="What the models should be good at.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, help="How many, best first.")] = 10,
    base_model: FamilyOption = None,
    type_: TypeOption = None,
    commercial: CommercialOption = False,
    max_nsfw: NsfwOption = None,
    catalogue: CatalogueOption = None,
    path: PathOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find models by meaning and by words. Exit code 1: none passes the filters.

    Example: diffagent index search "neon streets at night" -k 5
    """
    with plain_exit():
        from diffagent_tools.agents.operations import Operations, hit_wire

        index = _index(catalogue, path, url)
        operations = Operations(index.catalogue, index=index)
        hits = operations.find(text, k, **filter_words(base_model, type_, commercial, max_nsfw))
        if as_json:
            print_json([hit_wire(hit) for hit in hits])
        else:
            from diffagent_tools.cli.cards import make_console, show_hits

            show_hits(make_console(), [(hit.record, hit.score) for hit in hits])
        raise typer.Exit(Exit.FOUND if hits else Exit.ABSTAINED)


def _index(catalogue: Path | None, path: Path | None, url: str | None) -> "DescriptionIndex":
    from retrieval.search.index import DescriptionIndex

    return DescriptionIndex(load_catalogue(catalogue), path=path, url=url, progress=tell)


def _show(facts: "IndexInfo", as_json: bool) -> None:
    if as_json:
        print_json(asdict(facts))
        return
    from diffagent_tools.cli.cards import make_console, show_rows

    rows = [
        ("where", facts.where),
        ("catalogue", f"{facts.catalogue_name}, digest {facts.catalogue[:12]}"),
        ("embedder", f"{facts.embedder}, {facts.dimension} dimensions"),
        ("models", f"{facts.records:,}{'' if facts.complete else ', not all yet: build it again'}"),
    ]
    show_rows(make_console(), "index", rows)
