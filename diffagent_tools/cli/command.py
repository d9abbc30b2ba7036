"""The command `diffagent`: choose a model, check a name, search the index, see what is installed.

    diffagent select "A cute happy corgi, pixel art"
    diffagent select --input prompts.jsonl --output apis.jsonl
    diffagent select "A cute happy corgi, pixel art" --format comfyui
    diffagent check "Dream Shapper"
    diffagent check picture.png
    diffagent scan ComfyUI/models
    diffagent select --installed "A cute happy corgi, pixel art"
    diffagent chat
    diffagent ui
    diffagent info

Every command imports what it needs inside its function, so that `--help` answers at once. Answers go to
standard output, progress and errors to standard error; exit codes are those of `diffagent_tools.exits`.
"""

import io
import os
import sys
from typing import Annotated

import typer

from diffagent_tools.cli import chat as chat_command
from diffagent_tools.cli import check as check_command
from diffagent_tools.cli import dabench as dabench_command
from diffagent_tools.cli import fetch as fetch_command
from diffagent_tools.cli import index as index_command
from diffagent_tools.cli import render as render_command
from diffagent_tools.cli import select as select_command
from diffagent_tools.cli import study as study_command
from diffagent_tools.cli import ui as ui_command
from diffagent_tools.cli.models import catalogue as catalogue_command
from diffagent_tools.cli.models import scan as scan_command
from diffagent_tools.cli.options import (
    JsonOption,
    print_json,
)
from diffagent_tools.cli.servers import mcp as mcp_command
from diffagent_tools.cli.servers import serve as serve_command
from diffagent_tools.exits import Exit, plain_exit, run_script
from diffagent_tools.quiet import quiet_libraries
from retrieval.search.bert import ONE_THREAD

app = typer.Typer(
    name="diffagent",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from diffagent_tools import __version__

        typer.echo(f"diffagent {__version__}")
        raise typer.Exit


@app.callback()
def diffagent(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar=" ",
            callback=_tell_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Names the right Stable Diffusion checkpoint or LoRA, with its settings, for an image in words.

    Example: diffagent select "a cute happy corgi, pixel art"
    """


app.add_typer(index_command.app, name="index")
app.add_typer(catalogue_command.app, name="catalogue")
app.add_typer(dabench_command.app, name="dabench")
app.add_typer(study_command.app, name="study")
app.command()(select_command.select)
app.command()(check_command.check)
app.command()(chat_command.chat)
app.command()(ui_command.ui)
app.command()(scan_command.scan)
app.command()(fetch_command.fetch)
app.command()(render_command.render)
app.command()(mcp_command.mcp)
app.command()(serve_command.serve)


@app.command()
def info(as_json: JsonOption = False) -> None:
    """Say what is installed, and what it keeps on this machine.

    Example: diffagent info
    """
    with plain_exit():
        from diffagent_tools.cli.info import in_plain_words, installed

        rows = installed()
        if as_json:
            print_json(dict(rows))
        else:
            from diffagent_tools.cli.cards import make_console, show_rows

            show_rows(make_console(), "diffagent", in_plain_words(rows))


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


def main() -> None:
    """Runs the command."""
    quiet_libraries()
    # before NumPy is imported; retrieval/search/bert.py says why
    os.environ.setdefault(ONE_THREAD, "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a name that the terminal's encoding lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    # also around what typer does itself, such as help into a full disk
    run_script(app)


if __name__ == "__main__":
    main()
