"""What every HTTP server of this project is guarded by: a token, and bounds on connections, time and size.

    check_token("0.0.0.0", token)                          # off loopback there must be one
    app = TokenNeeded(ShortBodies(app, 1_000_000), token)  # middlewares of ASGI
    uvicorn.Config(app, http=bounded())

The token is compared in constant time and appears in no log and no answer. Connections are counted, and one
whose request does not arrive is closed: neither costs the server more than a socket for a few seconds.
diffagent_tools/same_origin.py says which pages may ask.
"""

import hmac
import socket
from typing import TYPE_CHECKING, Any

from diffagent_tools.same_origin import is_loopback
from retrieval.errors import InvalidInput

if TYPE_CHECKING:
    import asyncio

CONNECTIONS = 128
"""open at once; one more is closed at once"""
ARRIVAL = 10.0
"""seconds in which a whole request must arrive"""
_SHORTEST_TOKEN = 16
_NEEDED = (
    f"needed are at least {_SHORTEST_TOKEN} letters, digits or signs without spaces, such as "
    "`python -c 'import secrets; print(secrets.token_urlsafe())'` prints"
)


def check_token(host: str, token: str | None) -> None:
    """Raises InvalidInput where a token is missing, or is none that a header can carry; it stays untold."""
    if token is None:
        if not is_loopback(host):
            raise InvalidInput(
                f"{host} is reached by others, and there is no token; set DIFFAGENT_TOKEN: {_NEEDED}"
            )
    elif len(token) < _SHORTEST_TOKEN or not all("!" <= char <= "~" for char in token):
        raise InvalidInput(f"DIFFAGENT_TOKEN is too short, or a header cannot carry it: {_NEEDED}")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

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


def address_of(listening: socket.socket, host: str) -> str:
    """`http://HOST:PORT` of a listening socket."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}"


def is_short(length: str, most: int) -> bool:
    """Whether a `content-length` is there and at most so many bytes."""
    return length.isdecimal() and len(length) < 10 and int(length) <= most


class ShortBodies:
    """Answers 413 to a POST that is long, or does not say how long it is; a middleware of ASGI."""

    def __init__(self, app: Any, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        answer = self._app
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            from starlette.datastructures import Headers
            from starlette.responses import JSONResponse

            if not is_short(Headers(scope=scope).get("content-length", ""), self._most):
                said = f"needed are at most {self._most:,} bytes, and their number beforehand"
                answer = JSONResponse({"error": said}, 413, {"Connection": "close"})
        await answer(scope, receive, send)


class TokenNeeded:
    """Answers 401 to whoever does not send the token; a middleware of ASGI.

    Args:
        open_to_all: paths for which no token is needed.
    """

    def __init__(self, app: Any, token: str, open_to_all: tuple[str, ...] = ()) -> None:
        self._app = app
        self._token = token.encode()
        self._open = open_to_all

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        answer = self._app
        if scope["type"] == "http" and scope["path"] not in self._open:
            from starlette.datastructures import Headers
            from starlette.responses import JSONResponse

            kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
            # in constant time: how long the answer takes must not tell how much of a guess is right
            if kind.casefold() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
                said = "needed is the header `Authorization: Bearer TOKEN` with the token of DIFFAGENT_TOKEN"
                headers = {"WWW-Authenticate": "Bearer", "Connection": "close"}
                answer = JSONResponse({"error": said}, 401, headers)
        await answer(scope, receive, send)


def bounded() -> "type[asyncio.Protocol]":
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
