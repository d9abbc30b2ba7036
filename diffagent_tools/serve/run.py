"""Serving the application: one process or several on one socket, guarded as every server here is.

serve(make_operations, "127.0.0.1", 8378, workers=2, tell=print)
"""

from collections.abc import Callable
from typing import Any

from diffagent_tools.agents.operations import Operations
from diffagent_tools.extras import require
from diffagent_tools.http_guard import ShortBodies, TokenNeeded, address_of, check_token, listen
from diffagent_tools.same_origin import SameOrigin, is_loopback
from diffagent_tools.serve.app import MOST_BYTES, OPEN_PATHS, make_app

_BOUNDED = "diffagent_tools.serve.protocol:Bounded"
_PATIENCE = 60  # seconds in which a worker that loads its models must give a sign of life
_LAST = 5  # seconds that requests have to end after a server is told to stop


class Guarded:
    """The application of one process behind its guards; made at its first call, so that it can be sent to
    the process that calls it."""

    def __init__(self, make: Callable[[], Operations], host: str, token: str | None) -> None:
        self._make = make
        self._host = host
        self._token = token
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if self._app is None:
            app: Any = ShortBodies(make_app(self._make), MOST_BYTES)
            if self._token is not None:
                app = TokenNeeded(app, self._token, OPEN_PATHS)
            self._app = SameOrigin(app, self._host)
        await self._app(scope, receive, send)


def serve(
    make: Callable[[], Operations],
    host: str,
    port: int,
    *,
    workers: int = 1,
    tell: Callable[[str], None],
    token: str | None = None,
) -> None:
    """Serves until it is stopped; `port` 0 takes a free one, which `tell` hears.

    Args:
        make: makes what answers, in each process; with several workers it must be one that can be pickled.
        workers: processes; each has its own models, and what is memory-mapped they share.
        token: whoever asks must send it as `Authorization: Bearer TOKEN`; may be left out on loopback only.

    Raises:
        MissingExtra: the extra `serve` is not installed.
        InvalidInput: the address cannot be had, or the token is missing or none that a header can carry.
    """
    require("fastapi")
    uvicorn = require("uvicorn")
    check_token(host, token)
    listening = listen(host, port)
    tell(f"listening on {address_of(listening, host)}")
    if not is_loopback(host):
        tell("whoever has the token may use the server; it and all else travel unencrypted")
    config = uvicorn.Config(
        Guarded(make, host, token),
        http=_BOUNDED,
        ws="none",
        lifespan="on",
        log_level="warning",
        workers=workers,
        timeout_worker_healthcheck=_PATIENCE,
        timeout_graceful_shutdown=_LAST,
    )
    with listening:
        if workers == 1:
            uvicorn.Server(config).run(sockets=[listening])
        else:
            from uvicorn.supervisors import Multiprocess

            Multiprocess(config, sockets=[listening]).run()
            tell("stopped")
