"""The MCP server over HTTP: who may ask (a token, no page of another site), how many, and for how long.

    DIFFAGENT_TOKEN=... diffagent mcp --http --host 0.0.0.0

diffagent_tools/http_guard.py has the token and the bounds, diffagent_tools/same_origin.py the pages.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from diffagent_tools.http_guard import TokenNeeded, address_of, bounded, check_token, listen
from diffagent_tools.same_origin import SameOrigin, is_loopback

if TYPE_CHECKING:
    import uvicorn
    from mcp.server.lowlevel import Server

PATH = "/mcp"
MOST_BYTES = 1_000_000
"""of a request; the longest prompts and APIs that the tools read are shorter"""


def serve_http(
    server: "Server[Any]", host: str, port: int, tell: Callable[[str], None], token: str | None = None
) -> None:
    """Serves over streamable HTTP until it is stopped; `port` 0 takes a free one, which `tell` hears.

    Args:
        token: whoever asks must send it as `Authorization: Bearer TOKEN`; may be left out on loopback only.

    Raises:
        InvalidInput: the address cannot be had, or the token is missing or none that a header can carry.
    """
    check_token(host, token)
    listening = listen(host, port)
    tell(f"listening on {address_of(listening, host)}{PATH}")
    if not is_loopback(host):
        tell("whoever has the token may use the server; it and all else travel unencrypted")
    with listening:
        http_server(server, host, token).run(sockets=[listening])


def http_server(server: "Server[Any]", host: str, token: str | None = None) -> "uvicorn.Server":
    """The server, not started yet; `host` is where it will listen."""
    import uvicorn

    # no sessions: nothing is lost when the server is started anew
    app: Any = server.streamable_http_app(
        host=host, streamable_http_path=PATH, stateless_http=True, max_request_body_size=MOST_BYTES
    )
    if token is not None:
        app = TokenNeeded(app, token)
    return uvicorn.Server(
        uvicorn.Config(SameOrigin(app, host), log_level="warning", http=bounded(), ws="none")
    )
