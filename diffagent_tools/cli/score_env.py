"""The part `diffagent score-env`: the authors' own scorers in an environment of their own, as a cross-check.

diffagent score-env create
diffagent score-env info
"""

from pathlib import Path
from typing import Annotated

import typer

from diffagent_tools.cli.options import JsonOption, print_json
from diffagent_tools.exits import plain_exit, tell

app = typer.Typer(
    help="The authors' packages image-reward and hpsv2 in an environment of their own.", no_args_is_help=True
)

FolderOption = Annotated[
    Path | None, typer.Option("--path", help="The environment's folder instead of the one below the cache.")
]


@app.command()
def create(
    path: FolderOption = None,
    python: Annotated[
        Path | None, typer.Option("--python", help="The interpreter to make it with, 3.10 or 3.11.")
    ] = None,
) -> None:
    """Make the environment and install the packages; about 8 GB, because of their torch."""
    with plain_exit("stopped; the same command begins anew"):
        from finetune.rewards.authors import ScoreEnv

        env = ScoreEnv.create(path, python=python, tell=tell)
        tell(f"ready: {env.folder}")


@app.command()
def info(path: FolderOption = None, as_json: JsonOption = False) -> None:
    """Say where the environment is and which versions it has."""
    with plain_exit():
        from finetune.rewards.authors import ScoreEnv

        facts = ScoreEnv.find(path).info()
        if as_json:
            print_json(facts)
        else:
            from diffagent_tools.cli.cards import make_console, show_rows

            show_rows(make_console(), "score-env", list(facts.items()))
