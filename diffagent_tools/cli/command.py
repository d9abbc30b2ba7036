"""The command `diffagent`: choose a model, check a name, search the index, see what is installed.

    diffagent select "A cute happy corgi, pixel art"
    diffagent select --input prompts.jsonl --output apis.jsonl
    diffagent select "A cute happy corgi, pixel art" --format comfyui
    diffagent check "Dream Shapper"
    diffagent check picture.png
    diffagent chat
    diffagent ui
    diffagent info

Every command imports what it needs inside its function, so that `--help` answers at once. Answers go to
standard output, progress and errors to standard error; exit codes are those of `diffagent_tools.exits`.
"""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffagent_tools.cli import chat as chat_command
from diffagent_tools.cli import dabench as dabench_command
from diffagent_tools.cli import fetch as fetch_command
from diffagent_tools.cli import index as index_command
from diffagent_tools.cli import mcp as mcp_command
from diffagent_tools.cli import render as render_command
from diffagent_tools.cli import score_env as score_env_command
from diffagent_tools.cli import study as study_command
from diffagent_tools.cli import ui as ui_command
from diffagent_tools.cli.options import (
    AdapterOption,
    BaseOption,
    CatalogueOption,
    CommercialOption,
    FamilyOption,
    JsonOption,
    ModeName,
    ModeOption,
    NsfwOption,
    TypeOption,
    load_catalogue,
    make_selector,
    print_json,
)
from diffagent_tools.cli.progress import now_and_then
from diffagent_tools.exits import Exit, plain_exit, tell
from diffagent_tools.formats.write import ExportFormat
from diffagent_tools.quiet import quiet_libraries

if TYPE_CHECKING:
    from diffagent_tools.select.selection import Selector
    from retrieval.catalogue import Catalogue
    from retrieval.records.api import ApiReading

app = typer.Typer(
    name="diffagent",
    help="Names the right Stable Diffusion checkpoint or LoRA, with its settings, for an image in words.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.add_typer(index_command.app, name="index")
app.add_typer(dabench_command.app, name="dabench")
app.add_typer(score_env_command.app, name="score-env")
app.add_typer(study_command.app, name="study")
app.command()(chat_command.chat)
app.command()(ui_command.ui)
app.command()(fetch_command.fetch)
app.command()(render_command.render)
app.command()(mcp_command.mcp)


@app.command()
def select(
    prompt: Annotated[
        str | None, typer.Argument(help="What the image shall show.", show_default=False)
    ] = None,
    negative: Annotated[str, typer.Option("--negative", help="What it shall not show.")] = "",
    k: Annotated[int, typer.Option("-k", min=1, help="How many answers, best first.")] = 1,
    as_json: JsonOption = False,
    export: Annotated[
        ExportFormat | None,
        typer.Option(
            "--format", help="Print the best answer as another program takes it.", show_default=False
        ),
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--input", help="JSON lines of requests; - is standard input.")
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("--output", help="Where answers to --input go; an interrupted file is gone on with."),
    ] = None,
    base_model: FamilyOption = None,
    type_: TypeOption = None,
    commercial: CommercialOption = False,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="A model's id, name or AIR; may be repeated.")
    ] = None,
    max_nsfw: NsfwOption = None,
    mode: ModeOption = ModeName.shortlist,
    catalogue: CatalogueOption = None,
    adapter: AdapterOption = None,
    base: BaseOption = None,
) -> None:
    """Choose a model for a request, or for each line of a file.

    Exit code 0: found. 1: nothing fits, and the answer is the plain base model or none. 2: bad input.
    """
    with plain_exit("stopped; what --output holds is kept, and the same command goes on after it"):
        if (prompt is None) == (source is None):
            raise typer.BadParameter("give either the words of a request, or --input with a file of them")
        if source is not None and (negative or as_json or export):
            raise typer.BadParameter("--negative, --json and --format belong to a single request")
        if as_json and export not in (None, ExportFormat.json):
            raise typer.BadParameter("give either --json or --format")
        if source is None and target is not None:
            raise typer.BadParameter("--output belongs to --input")
        filters: dict[str, Any] = {
            "base_model": _known_family(base_model),
            "type": type_.value if type_ else None,
            "commercial_use": True if commercial else None,
            "max_nsfw": max_nsfw,
            "exclude": [int(item) if item.isdecimal() else item for item in exclude or []],
            "k": k,
        }
        if prompt is not None:
            from retrieval.records.api import read_instruction

            request = read_instruction({"prompt": prompt, "negative prompt": negative})
            found = make_selector(catalogue, mode, base, adapter).select(request, **filters)
            if export is not None and found:
                _print_export(found[0], export, catalogue)
                raise typer.Exit(Exit.ABSTAINED if found[0].abstained else Exit.FOUND)
            raise typer.Exit(_print_selections(found, as_json))
        raise typer.Exit(
            _select_lines(make_selector(catalogue, mode, base, adapter), filters, source, target)
        )


def _select_lines(
    selector: "Selector", filters: dict[str, Any], source: Path | None, target: Path | None
) -> Exit:
    from diffagent_tools.select.batch import run_batch

    outcome = run_batch(
        None if source == Path("-") else source,
        target,
        lambda requests: selector.select_batch(requests, **filters),
        tell=tell,
    )
    where = f" into {target}" if target else ""
    tell(
        f"{outcome.kept + outcome.answered + outcome.failed:,} lines{where}, {outcome.failed:,} with an error"
    )
    return Exit.FOUND if outcome.answered or outcome.kept or not outcome.failed else Exit.ABSTAINED


def _print_selections(found: list[Any], as_json: bool) -> Exit:
    if not found:
        tell("no model passes these filters; leave some of them out")
        return Exit.ABSTAINED
    if as_json:
        record = {**found[0].api.to_wire(), "rating": found[0].rating, "max nsfw": found[0].max_nsfw}
        if len(found) > 1:
            record["alternatives"] = [other.api.to_wire() for other in found[1:]]
        print_json(record)
    else:
        from diffagent_tools.cli.cards import make_console, show_selections

        show_selections(make_console(), found)
    return Exit.ABSTAINED if found[0].abstained else Exit.FOUND


def _print_export(best: Any, format: ExportFormat, catalogue: Path | None) -> None:
    from diffagent_tools.formats.write import export

    typer.echo(export(best.api, format.value, catalogue=load_catalogue(catalogue)))


@app.command()
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
    """Say whether a model's name or a T2I API can be called, and give one that can.

    Exit code 0: valid, or the same model under another spelling. 1: anything else. 2: bad input.
    """
    with plain_exit():
        from retrieval.calls.examine import examine
        from retrieval.search.index import DescriptionIndex

        records = load_catalogue(catalogue)
        text = _written(written, records)
        # opened, and built where it is missing, only if a substitute is looked for by meaning
        found = examine(text, records, DescriptionIndex(records, progress=now_and_then()), instruction)
        if as_json:
            print_json(found.to_wire())
        else:
            from diffagent_tools.cli.cards import make_console, show_examination

            show_examination(make_console(), found)
        raise typer.Exit(Exit.FOUND if found.accepted else Exit.ABSTAINED)


def _written(argument: str | None, records: "Catalogue") -> "str | ApiReading":
    """The argument, standard input, or what is in the file it names: a picture, a workflow, JSON, a name."""
    from diffagent_tools.formats.read import import_file, import_json_file, import_text, is_importable

    if argument is None or argument == "-":
        if argument is None and sys.stdin.isatty():
            raise typer.BadParameter("give a name or a T2I API, or pipe one in")
        text = sys.stdin.buffer.read(400_001).decode("utf-8", "replace")
        return import_text(text, records) or text
    if "{" in argument or "\n" in argument:
        return import_text(argument, records) or argument
    path = Path(argument)
    if is_importable(path):
        return import_file(path, records)
    # asked of no other name: it may be longer than a file's can be
    if path.suffix.lower() in (".json", ".txt") and path.is_file():
        text = import_json_file(path)
        return import_text(text, records) or text
    return argument


@app.command()
def info(as_json: JsonOption = False) -> None:
    """Say what is installed, where the caches are and how large."""
    with plain_exit():
        from diffagent_tools.cli.info import installed

        rows = installed()
        if as_json:
            print_json(dict(rows))
        else:
            from diffagent_tools.cli.cards import make_console, show_rows

            show_rows(make_console(), "diffagent", rows)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def evaluate(context: typer.Context) -> None:
    """Measure selection accuracy; `diffagent evaluate --help` lists its own options."""
    with plain_exit():
        from finetune.evaluate.run import main as run

        raise typer.Exit(run(context.args) or Exit.FOUND)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def gallery(context: typer.Context) -> None:
    """Lay the pictures of a rendering run side by side; `diffagent gallery --help` lists its own options."""
    with plain_exit():
        from finetune.paper.gallery import main as run

        run(context.args)


def _known_family(base_model: str | None) -> str | None:
    """The family's name; refused before anything is loaded."""
    if base_model is None:
        return None
    from retrieval.tables.families import family_of

    return family_of(base_model).name


def main() -> None:
    """Runs the command."""
    quiet_libraries()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a name that the terminal's encoding lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(Exit.STOPPED)


if __name__ == "__main__":
    main()
