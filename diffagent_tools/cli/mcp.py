"""The command `diffagent mcp`: the tools for every program that speaks the Model Context Protocol.

diffagent mcp
diffagent mcp --http --port 8377
DIFFAGENT_TOKEN=... diffagent mcp --http --host 0.0.0.0     # who asks must send the token
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from diffagent_tools.cli.options import (
    FLAG,
    AdapterOption,
    BaseOption,
    CatalogueOption,
    ModeName,
    ModeOption,
    load_catalogue,
    make_installed,
    make_selector,
)
from diffagent_tools.exits import Exit, plain_exit, tell

if TYPE_CHECKING:
    from diffagent_tools.agents.mcp import ProgressHub
    from diffagent_tools.agents.operations import Operations


def mcp(
    http: Annotated[
        bool,
        typer.Option("--http", metavar=FLAG, help="Serve over HTTP instead of standard input and output."),
    ] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="With --http; 0 takes a free one.")
    ] = 8377,
    host: Annotated[
        str, typer.Option("--host", help="With --http; any other address needs a token in DIFFAGENT_TOKEN.")
    ] = "127.0.0.1",
    mode: ModeOption = ModeName.shortlist,
    catalogue: CatalogueOption = None,
    adapter: AdapterOption = None,
    base: BaseOption = None,
) -> None:
    """Serve select, check and search to an MCP client (Claude, Cursor, VS Code, ...).

    Example: diffagent mcp --http --port 8377
    """
    with plain_exit():
        from diffagent_tools.agents.mcp import ProgressHub, make_server, serve_stdio

        progress = ProgressHub(tell)
        server = make_server(lambda: _engines(catalogue, mode, base, adapter, progress), progress)
        if http:
            from diffagent_tools.agents.mcp_http import serve_http

            serve_http(server, host, port, tell, os.environ.get("DIFFAGENT_TOKEN"))
        else:
            if sys.stdin.isatty():
                tell("waiting for an MCP client on standard input; clients start this command by themselves")
            # the thread that reads standard input cannot be woken, so an orderly end would wait for a line
            signal.signal(signal.SIGINT, _stop)
            serve_stdio(server)


def _stop(number: int, frame: FrameType | None) -> None:
    tell("stopped")
    os._exit(Exit.STOPPED)


def _engines(
    catalogue: Path | None, mode: ModeName, base: str | None, adapter: Path | None, progress: "ProgressHub"
) -> "Operations":
    """What the options ask for; the models load at the first call that needs them."""
    from diffagent_tools.agents.operations import Operations
    from retrieval.search.index import DescriptionIndex

    records = load_catalogue(catalogue)
    selector = make_selector(records, mode, base, adapter, progress)
    here = make_installed(selector, mode, base, adapter, progress)
    index = DescriptionIndex(records, ranker=lambda: selector.ranker, progress=progress)
    return Operations(records, selector, index, here)
