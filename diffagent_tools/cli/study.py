"""The part `diffagent study`: the paper's user study (section 4.3), from pairs of pictures to Fig. 5.

diffagent select --input prompts.jsonl --output answers.jsonl
diffagent render answers.jsonl --models models --output run --baseline
diffagent study create run --prompts prompts.jsonl
diffagent study serve study.db
diffagent study report study.db
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
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RUN]...", help="Folders that `diffagent render --baseline` filled."),
    ] = None,
    data_set: Annotated[
        str | None, typer.Option("--data-set", help="What all pictures of the runs belong to.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            help="The file that `select --input` read: each line's \"data set\", else the file's name. "
            "Without it and --data-set, a run's folder is its data set.",
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            help="In place of runs, Parquet with a pair a row: architecture, data_set, prompt, image_a (the "
            "baseline's, a path from the table's folder), image_b (DiffAgent's), model_a, model_b.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", help="The study's file.")] = Path("study.db"),
    pairs: Annotated[
        int, typer.Option("--pairs", min=1, help="Of each architecture, evenly over its data sets.")
    ] = 90,
    seed: Annotated[int, typer.Option("--seed", help="Draws the pairs, their order and sides.")] = 0,
) -> None:
    """Draw pairs of pictures and put them into one file.

    Example: diffagent study create run --prompts prompts.jsonl
    """
    with plain_exit():
        if (table is None) == (not runs):
            raise typer.BadParameter("give either the folders of rendering runs, or --table")
        if data_set is not None and prompts is not None:
            raise typer.BadParameter("give either --data-set or --prompts")
        if table is not None and (data_set is not None or prompts is not None):
            raise typer.BadParameter("--data-set and --prompts belong to runs; a table has a column for it")
        from finetune.study.create import create_study, read_table
        from finetune.study.runs import read_runs

        if table is not None:
            rows, source = read_table(table), table.name
        else:
            folders = runs or []
            rows = read_runs(folders, data_set=data_set, prompts=prompts, progress=tell)
            source = ", ".join(folder.resolve().name for folder in folders)
        count = create_study(rows, output, source=source, pairs=pairs, seed=seed, progress=tell)
        tell(f"{count} pairs in {output}; go on with `diffagent study serve {output}`")


@app.command()
def serve(
    study: StudyArgument,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 8378,
    host: Annotated[
        str, typer.Option("--host", help="Another address, such as 0.0.0.0, opens the page to others.")
    ] = "127.0.0.1",
) -> None:
    """Serve the page on which raters compare; every answer is saved at once.

    Example: diffagent study serve study.db
    """
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
    """Write win rates, their intervals, the raters' agreement, and the plot of Fig. 5.

    Example: diffagent study report study.db --output report
    """
    with plain_exit():
        from finetune.study.report import write_report
        from finetune.study.store import Study

        write_report(Study.open(study), output)
        if as_json:
            print_json(json.loads((output / "study.json").read_bytes()))
        else:
            typer.echo((output / "study.md").read_text(encoding="utf-8"))
        tell(f"{output / 'study.md'}, .csv, .json and .png")
