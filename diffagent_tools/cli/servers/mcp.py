"""The command `diffagent mcp`: the tools for every program that speaks the Model Context Protocol.

diffagent mcp
diffagent mcp --http --port 8377
DIFFAGENT_TOKEN=... diffagent mcp --http --host 0.0.0.0     # who asks must send the token
"""

import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from diffagent_tools.cli.options import (
    FLAG,
    AdapterOption,
    BaseOption,
    CatalogueOption,
    ModeName,
    ModeOption,
    make_operations,
)
from diffagent_tools.exits import Exit, plain_exit, tell


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
        server = make_server(lambda: make_operations(catalogue, mode, base, adapter, progress), progress)
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
