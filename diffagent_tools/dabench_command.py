"""The part `diffagent dabench`: collect models and sample images, and build the dataset from them.

diffagent dabench collect --output raw
"""

import typer

app = typer.Typer(help="Build the dataset and a catalogue from Civitai's models.", no_args_is_help=True)


@app.callback()
def dabench() -> None:
    """Build the dataset and a catalogue from Civitai's models, step by step: collect, then build."""
