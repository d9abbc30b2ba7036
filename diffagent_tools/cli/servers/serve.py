"""The command `diffagent serve`: select, check, search, export and batch over HTTP, for many at once.

diffagent serve --workers 2
curl -s 127.0.0.1:8378/select -H 'content-type: application/json' -d '{"prompt": "a corgi, pixel art"}'
DIFFAGENT_TOKEN=... diffagent serve --host 0.0.0.0 --index-url http://chroma:8000
"""

import os
from functools import partial
from typing import Annotated

import typer

from diffagent_tools.cli.options import (
    AdapterOption,
    BaseOption,
    CatalogueOption,
    ModeName,
    ModeOption,
    make_operations,
)
from diffagent_tools.exits import plain_exit, tell


def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 8378,
    host: Annotated[
        str, typer.Option("--host", help="Any other address needs a token in DIFFAGENT_TOKEN.")
    ] = "127.0.0.1",
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="How many processes.")] = 1,
    index_url: Annotated[
        str | None,
        typer.Option(
            "--index-url", help="A Chroma server, of which `diffagent index build --url` made the index."
        ),
    ] = None,
    mode: ModeOption = ModeName.shortlist,
    catalogue: CatalogueOption = None,
    adapter: AdapterOption = None,
    base: BaseOption = None,
) -> None:
    """Serve select, check, search, export and batch over HTTP; /openapi.json describes them.

    Example: diffagent serve --workers 2

    The port answers at once (/health), and the models load behind it (/ready). Needs the extra `serve`.
    """
    with plain_exit():
        from diffagent_tools.serve.run import serve as run
        from retrieval.errors import InvalidInput

        if catalogue is not None and not catalogue.is_file():
            raise InvalidInput(f"cannot read the catalogue {catalogue}; name a .jsonl or .jsonl.gz of models")
        make = partial(make_operations, catalogue, mode, base, adapter, tell, index_url)
        run(make, host, port, workers=workers, tell=tell, token=os.environ.get("DIFFAGENT_TOKEN"))
