"""Who may ask a server of this project: its own pages and programs, not the pages of other sites.

    said = refused("127.0.0.1", "POST", {"host": "127.0.0.1:7860", "origin": "https://elsewhere.example"})
    app = SameOrigin(app, "127.0.0.1")      # for a server that speaks ASGI

A browser lets any page send requests to this machine, and a name of another site can be made to point here
(DNS rebinding), after which its pages count as this server's own. So the name in `Host` must be one that
nobody else can hold, and what a browser says of the page that asks must agree with it.
"""

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_ELSEWHERE = "a page of another site may not use this server"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def refused(served: str, method: str, headers: Mapping[str, str]) -> str | None:
    """Why a request is not answered, in a sentence; None where it may be.

    Args:
        served: the address that the server was told to listen on.
        headers: the request's, their names in small letters.
    """
    host = headers.get("host", "")
    if not _ours(served, _name(host)):
        return (
            "this server is asked under a name that may be another's; open it by its IP address or its --host"
        )
    origin = headers.get("origin")
    if origin is not None and origin.casefold() not in (
        f"http://{host}".casefold(),
        f"https://{host}".casefold(),
    ):
        return _ELSEWHERE
    # a link may lead here; what a page embeds or fetches by itself, from another port too, may not
    opened = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not opened:
        return _ELSEWHERE
    return None


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that hold no address
        return ""


def _ours(served: str, name: str) -> bool:
    """Whether a name can only mean this machine: an address cannot be made to point elsewhere."""
    if is_loopback(name):
        return True
    if is_loopback(served):
        return False
    machine = socket.gethostname().casefold()
    if name in {served.casefold(), machine, f"{machine}.local"} - {""}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class SameOrigin:
    """Answers 403 to what `refused` refuses; a middleware of ASGI."""

    def __init__(self, app: Any, served: str) -> None:
        self._app = app
        self._served = served

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request; a websocket is closed, because nothing here speaks over one."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = self._app
        if scope["type"] == "http":
            from starlette.datastructures import Headers
            from starlette.responses import JSONResponse

            said = refused(self._served, scope["method"], Headers(scope=scope))
            if said is not None:
                answer = JSONResponse({"error": said}, 403, {"Connection": "close"})
        await answer(scope, receive, send)
