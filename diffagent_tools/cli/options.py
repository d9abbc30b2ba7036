"""Options that several commands share, what they stand for, and how JSON is printed."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffagent_tools.cli.progress import now_and_then

if TYPE_CHECKING:
    from diffagent_tools.agents.operations import Operations
    from diffagent_tools.installed.selector import InstalledSelector
    from diffagent_tools.llm.served import ServedModel
    from diffagent_tools.select.selection import Selector
    from diffagent_tools.select.selector import LlamaSelector, RetrievalSelector
    from retrieval.catalogue import Catalogue
    from retrieval.search.filters import FilterWords


class TypeName(StrEnum):
    """The two types of models."""

    lora = "LORA"
    checkpoint = "Checkpoint"


class ModeName(StrEnum):
    """How `select` decides; `retrieval` asks no language model, `shortlist` where that changes the order."""

    shortlist = "shortlist"
    constrained = "constrained"
    free = "free"
    retrieval = "retrieval"


FLAG = " "
"""The metavar of an option that takes no value; without it the help says that it takes a <bool>."""

CatalogueOption = Annotated[
    Path | None,
    typer.Option(
        "--catalogue",
        help="Your own list of models (.jsonl or .jsonl.gz) instead of the one that comes with DiffAgent.",
    ),
]
FamilyOption = Annotated[
    str | None, typer.Option("--base-model", help="Only this family, such as 'SD 1.5' or 'SDXL 1.0'.")
]
TypeOption = Annotated[
    TypeName | None, typer.Option("--type", case_sensitive=False, help="Only models of this type.")
]
CommercialOption = Annotated[
    bool,
    typer.Option("--commercial", metavar=FLAG, help="Only models whose images you may sell."),
]
NsfwOption = Annotated[
    int | None,
    typer.Option(
        "--max-nsfw",
        metavar="LEVEL",
        help="The most explicit models allowed: 1 PG (the default), 2 PG-13, 4 R, 8 X, 16 XXX.",
        show_default=False,
    ),
]
ModeOption = Annotated[
    ModeName,
    typer.Option(
        "--mode",
        help="How to decide: `retrieval` needs no language model, `shortlist` asks one where it may help, "
        "`constrained` and `free` let it choose the name.",
    ),
]
AdapterOption = Annotated[Path | None, typer.Option("--adapter", help="The folder of a trained adapter.")]
BaseOption = Annotated[
    str | None,
    typer.Option("--base", help="The language model: a folder, or its name on the Hugging Face hub."),
]
LlmOption = Annotated[
    str | None,
    typer.Option(
        "--llm",
        metavar="URL",
        help="An OpenAI-compatible server, whose language model then reads and chooses, too. Its key is "
        "DIFFAGENT_LLM_KEY.",
        show_default=False,
    ),
]
LlmModelOption = Annotated[
    str | None,
    typer.Option("--llm-model", metavar="NAME", help="The model of --llm.", show_default=False),
]
UrlOption = Annotated[
    str | None, typer.Option("--url", help="Civitai's API, or a mirror of it.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", metavar=FLAG, help="Print JSON.")]


InstalledOption = Annotated[
    bool,
    typer.Option(
        "--installed", metavar=FLAG, help="Choose among the models that the last `diffagent scan` found."
    ),
]


def load_catalogue(path: Path | None) -> "Catalogue":
    """The catalogue at a path, or the packaged one."""
    from retrieval.catalogue import Catalogue

    return Catalogue.starter() if path is None else Catalogue.load(path)


def filter_words(
    base_model: str | None, kind: TypeName | None, commercial: bool, max_nsfw: int | None
) -> "FilterWords":
    """The options that filter, as selectors and indexes take them."""
    return {
        "base_model": base_model,
        "type": kind.value if kind else None,
        "commercial_use": True if commercial else None,
        "max_nsfw": max_nsfw,
    }


def print_json(value: Any) -> None:
    """JSON on standard output, other scripts than Latin as they are, hidden characters as escapes."""
    from retrieval.records.inert import json_text

    typer.echo(json_text(value, 2))


def make_selector(
    records: "Catalogue",
    mode: ModeName,
    base: str | None,
    adapter: Path | None,
    progress: Callable[[str], None] | None = None,
    served: "ServedModel | None" = None,
) -> "LlamaSelector | RetrievalSelector":
    """The selector that the options ask for; its models load at the first request.

    Args:
        served: writes the answers of free mode.
    """
    from diffagent_tools.select.selector import LlamaSelector, RetrievalSelector

    progress = progress or now_and_then()
    if mode is ModeName.retrieval:
        return RetrievalSelector(records, adapter=adapter, progress=progress)
    # typer reads a choice as an enumeration, the selector as a Literal of the same words
    decide: Any = mode.value
    served = served if mode is ModeName.free else None
    return LlamaSelector(records, base=base, adapter=adapter, mode=decide, served=served, progress=progress)


def make_served(url: str | None, name: str | None) -> "ServedModel | None":
    """The model of --llm and --llm-model, which belong together."""
    if url is None and name is None:
        return None
    if url is None or name is None:
        raise typer.BadParameter("--llm and --llm-model belong together: a server, and its model's name")
    from diffagent_tools.llm.served import ServedModel

    return ServedModel(url, name)


def make_installed(
    beyond: "Selector",
    mode: ModeName,
    base: str | None,
    adapter: Path | None,
    progress: Callable[[str], None] | None = None,
) -> "InstalledSelector":
    """The same selector over the models that are installed; nothing is read before it is asked.

    Args:
        beyond: chooses among all models, to say what is missing.
    """
    from diffagent_tools.installed.selector import InstalledSelector

    return InstalledSelector(
        lambda catalogue: make_selector(catalogue, mode, base, adapter, progress), beyond=beyond
    )


def make_operations(
    catalogue: Path | None,
    mode: ModeName,
    base: str | None,
    adapter: Path | None,
    progress: Callable[[str], None],
    index_url: str | None = None,
) -> "Operations":
    """What a server answers with; the models load at the first call that needs them.

    Args:
        index_url: the Chroma server that holds the index, instead of a folder below the cache.
    """
    from diffagent_tools.agents.operations import Operations
    from retrieval.search.index import DescriptionIndex

    records = load_catalogue(catalogue)
    selector = make_selector(records, mode, base, adapter, progress)
    here = make_installed(selector, mode, base, adapter, progress)
    index = DescriptionIndex(records, url=index_url, ranker=lambda: selector.ranker, progress=progress)
    return Operations(records, selector, index, here)
