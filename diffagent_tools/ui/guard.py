"""What the page's server takes from a browser: calls of the page's own functions, and short ones.

Gradio's server has many more doors (uploads, a proxy, recordings, code that is edited); the page uses none.
"""

from typing import Any

from diffagent_tools.http_guard import is_short
from retrieval.records.api import MAX_PROMPT_CHARS

_CALLS = "/gradio_api/"
_POSTED = ("queue/join", "cancel", "reset", "call/")
_CLOSED = ("proxy=", "upload_progress", "stream/", "dev/", "vibe-code", "custom_component/")
MOST_BYTES = 30 * MAX_PROMPT_CHARS
"""of a call: two prompts in escaped letters, and the fields beside them"""


class OnlyCalls:
    """Answers 404 to what the page does not use, and 413 to long calls; a middleware of ASGI."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        answer = self._app
        if scope["type"] == "http":
            from starlette.datastructures import Headers
            from starlette.responses import JSONResponse

            length = Headers(scope=scope).get("content-length", "")
            if not _used(scope["method"], scope["path"]):
                answer = JSONResponse({"error": "there is nothing here"}, 404, {"Connection": "close"})
            elif scope["method"] == "POST" and not is_short(length, MOST_BYTES):
                said = f"needed are at most {MOST_BYTES:,} bytes, and their number beforehand"
                answer = JSONResponse({"error": said}, 413, {"Connection": "close"})
        await answer(scope, receive, send)


def _used(method: str, path: str) -> bool:
    if method in ("GET", "HEAD", "OPTIONS"):
        return not path.removeprefix(_CALLS).startswith(_CLOSED)
    return method == "POST" and path.startswith(_CALLS) and path.removeprefix(_CALLS).startswith(_POSTED)
