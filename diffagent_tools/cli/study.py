"""The part `diffagent study`: the paper's user study (section 4.3), from a table of pairs to Fig. 5.

diffagent study create --table run.parquet --output study.db
diffagent study serve study.db
diffagent study report study.db --output report
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from diffagent_tools.cli.options import JsonOption, print_json
from diffagent_tools.exits import plain_exit, tell

app = typer.Typer(
    help="Let people compare DiffAgent's pictures with the base model's, blind.", no_args_is_help=True
)

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="The file that `create` made.")]


@app.command()
def create(
    table: Annotated[
        Path,
        typer.Option(
            "--table",
            help="Parquet with a pair a row: architecture, data_set, prompt, image_a (the baseline's, a path "
            "from the table's folder), image_b (DiffAgent's), model_a, model_b.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", help="The study's file.")] = Path("study.db"),
    pairs: Annotated[
        int, typer.Option("--pairs", min=1, help="Of each architecture, evenly over its data sets.")
    ] = 90,
    seed: Annotated[int, typer.Option("--seed", help="Draws the pairs, their order and sides.")] = 0,
) -> None:
    """Draw pairs from a table of pictures and put them into one file."""
    with plain_exit():
        from finetune.study.create import create_study

        count = create_study(table, output, pairs=pairs, seed=seed, progress=tell)
        tell(f"{count} pairs in {output}; go on with `diffagent study serve {output}`")


@app.command()
def serve(
    study: StudyArgument,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 8378,
    host: Annotated[
        str, typer.Option("--host", help="Another address, such as 0.0.0.0, opens the page to others.")
    ] = "127.0.0.1",
) -> None:
    """Serve the page on which raters compare; every answer is saved at once."""
    with plain_exit("stopped; all ratings are kept"):
        from finetune.study.server import serve as run
        from finetune.study.store import Study

        run(Study.open(study), host, port, tell)


@app.command()
def report(
    study: StudyArgument,
    output: Annotated[Path, typer.Option("--output", help="The report's folder.")] = Path("report"),
    as_json: JsonOption = False,
) -> None:
    """Write win rates, their intervals, the raters' agreement, and the plot of Fig. 5."""
    with plain_exit():
        from finetune.study.report import write_report
        from finetune.study.store import Study

        write_report(Study.open(study), output)
        if as_json:
            print_json(json.loads((output / "study.json").read_bytes()))
        else:
            typer.echo((output / "study.md").read_text(encoding="utf-8"))
        tell(f"{output / 'study.md'}, .csv, .json and .png")
