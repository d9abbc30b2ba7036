"""The command `diffagent check`: whether a model's name or a T2I API can be called, and one that can.

diffagent check "rev-animated v1.2.2.safetensors"
diffagent check picture.png
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffagent_tools.cli.options import CatalogueOption, JsonOption, load_catalogue, print_json
from diffagent_tools.cli.progress import now_and_then
from diffagent_tools.exits import Exit, plain_exit

_TEXT_FILES = (".json", ".txt", ".yaml", ".yml", ".py", ".md", ".info", ".log")

if TYPE_CHECKING:
    from retrieval.catalogue import Catalogue
    from retrieval.records.api import ApiReading


def check(
    written: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME | JSON | FILE]",
            help="A file: a picture, a workflow, an infotext, JSON. Standard input if it is left out.",
            show_default=False,
        ),
    ] = None,
    instruction: Annotated[
        str | None,
        typer.Option("--instruction", help="The request it is meant for; helps to find a substitute."),
    ] = None,
    as_json: JsonOption = False,
    catalogue: CatalogueOption = None,
) -> None:
    """Say whether a model exists, under whatever spelling, and what to use if it does not.

    Example: diffagent check "Dream Shapper"

    Exit code 0: valid, or the same model under another spelling. 1: anything else, also where a prompt or a
    second model of a workflow could not be read. 2: bad input.
    """
    with plain_exit():
        from diffagent_tools.agents.operations import Operations
        from retrieval.search.index import DescriptionIndex

        records = load_catalogue(catalogue)
        text = _written(written, records)
        # opened, and built where it is missing, only if a substitute is looked for by meaning
        index = DescriptionIndex(records, progress=now_and_then())
        found = Operations(records, index=index).examine(text, instruction)
        if as_json:
            print_json(found.to_wire())
        else:
            from diffagent_tools.cli.cards import make_console, show_examination

            show_examination(make_console(), found)
        raise typer.Exit(Exit.FOUND if found.accepted and not found.unread else Exit.ABSTAINED)


def _written(argument: str | None, records: "Catalogue") -> "str | ApiReading":
    """The argument, standard input, or what is in the file it names: a picture, a workflow, JSON, a name."""
    from diffagent_tools.formats.read import (
        import_bytes,
        import_file,
        import_json_file,
        import_text,
        is_importable,
    )

    if argument is None or argument == "-":
        if argument is None and sys.stdin.isatty():
            raise typer.BadParameter("give a name or a T2I API, or pipe one in")
        data = sys.stdin.buffer.read(64_000_001)
        text = data[:400_001].decode("utf-8", "replace")
        return import_bytes(data, records) or import_text(text, records) or text
    if "{" in argument or "\n" in argument:
        return import_text(argument, records) or argument
    path = Path(argument)
    if is_importable(path):
        return import_file(path, records)
    # asked of no other name: it may be longer than a file's can be
    if path.suffix.lower() in _TEXT_FILES and path.is_file():
        text = import_json_file(path)
        return import_text(text, records) or text
    return argument
