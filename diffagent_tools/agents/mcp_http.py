"""The MCP server over HTTP: who may ask (a token, no page of another site), how many, and for how long.

    DIFFAGENT_TOKEN=... diffagent mcp --http --host 0.0.0.0

The token is compared in constant time and appears in no log and no answer. Connections are counted, and one
whose request does not arrive is closed: neither costs the server more than a socket for a few seconds.
"""

import hmac
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from diffagent_tools.same_origin import SameOrigin, is_loopback
from retrieval.errors import InvalidInput

if TYPE_CHECKING:
    import asyncio

    import uvicorn
    from mcp.server.lowlevel import Server

PATH = "/mcp"
CONNECTIONS = 128
"""open at once; one more is closed at once"""
ARRIVAL = 10.0
"""seconds in which a whole request must arrive"""
MOST_BYTES = 1_000_000
"""of a request; the longest prompts and APIs that the tools read are shorter"""
_SHORTEST_TOKEN = 16
_NEEDED = (
    f"needed are at least {_SHORTEST_TOKEN} letters, digits or signs without spaces, such as "
    "`python -c 'import secrets; print(secrets.token_urlsafe())'` prints"
)


def serve_http(
    server: "Server[Any]", host: str, port: int, tell: Callable[[str], None], token: str | None = None
) -> None:
    """Serves over streamable HTTP until it is stopped; `port` 0 takes a free one, which `tell` hears.

    Args:
        token: whoever asks must send it as `Authorization: Bearer TOKEN`; may be left out on loopback only.

    Raises:
        InvalidInput: the address cannot be had, or the token is missing or none that a header can carry.
    """
    _check_token(host, token)
    listening = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    tell(f"listening on http://{shown}:{listening.getsockname()[1]}{PATH}")
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
        uvicorn.Config(SameOrigin(app, host), log_level="warning", http=_bounded(), ws="none")
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        InvalidInput: the address is taken, not this machine's, or not allowed.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InvalidInput(
            f"cannot listen on {host}, port {port} ({error}); give another --port, or 0 for a free one"
        ) from error


class TokenNeeded:
    """Answers 401 to whoever does not send the token; a middleware of ASGI."""

    def __init__(self, app: Any, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        answer = self._app
        if scope["type"] == "http":
            from starlette.datastructures import Headers
            from starlette.responses import JSONResponse

            kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
            # in constant time: how long the answer takes must not tell how much of a guess is right
            if kind.casefold() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
                said = "needed is the header `Authorization: Bearer TOKEN` with the token of DIFFAGENT_TOKEN"
                headers = {"WWW-Authenticate": "Bearer", "Connection": "close"}
                answer = JSONResponse({"error": said}, 401, headers)
        await answer(scope, receive, send)


def _check_token(host: str, token: str | None) -> None:
    """Raises InvalidInput; what the token is stays out of the message."""
    if token is None:
        if not is_loopback(host):
            raise InvalidInput(
                f"{host} is reached by others, and there is no token; set DIFFAGENT_TOKEN: {_NEEDED}"
            )
    elif len(token) < _SHORTEST_TOKEN or not all("!" <= char <= "~" for char in token):
        raise InvalidInput(f"DIFFAGENT_TOKEN is too short, or a header cannot carry it: {_NEEDED}")


def _bounded() -> "type[asyncio.Protocol]":
    """Uvicorn's protocol with a bound on connections and on the time in which a request arrives.

    Uvicorn itself waits without end for a request whose first byte, or last, does not come.
    """
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Bounded(H11Protocol):
        _arrival: "asyncio.TimerHandle | None" = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > CONNECTIONS:
                transport.abort()
            else:
                self._expect()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._expect()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._arrival is not None:
                self._arrival.cancel()

        def _expect(self) -> None:
            if self._arrival is not None:
                self._arrival.cancel()
            self._arrival = self.loop.call_later(ARRIVAL, self._close_unless_arrived)

        def _close_unless_arrived(self) -> None:
            # one that is closing still waits for a reader to take the last answer
            if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) or self.transport.is_closing():
                self.transport.abort()

    return Bounded
