"""A real HTTP server on loopback that speaks the chat completions protocol, and fails as servers do.

    with ChatServer(lambda body: "2") as server:
        ServedModel(server.url, "scripted").choose(messages, ["1", "2"])

`says` makes the answer of a request's body: a text, log-probabilities by token, or one of the faults.
"""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

HANG, HALF, HTML, EMPTY, ENDLESS, DRIP = "hang", "half", "html", "empty", "endless", "drip"
Said = str | Mapping[str, float] | int | tuple[str]
"""a text; log-probabilities of the first token, the likeliest said; an HTTP status; one of the faults in a
tuple"""


class ChatServer:
    """Serves until it is left.

    Attributes:
        bodies: every request so far, with its headers in lower case under "headers" and its path.
    """

    def __init__(self, says: Callable[[dict[str, Any]], Said]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.says = says
        self._left = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.bodies.append({**body, "headers": headers, "path": self.path})
                outer._answer(self, body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._left.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        said = self.says(body)
        if isinstance(said, int):
            self._send(handler, said, b'{"error": {"message": "no"}}')
        elif isinstance(said, tuple):
            self._fail(handler, said[0])
        elif handler.path.endswith("/chat/completions"):
            self._send(handler, 200, json.dumps(_completion(said)).encode())
        else:
            self._send(handler, 200, json.dumps({"choices": [{"text": said}]}).encode())

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, body: bytes, length: int | None = None
    ) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        try:
            handler.wfile.write(body)
        except OSError:  # the client has heard enough
            handler.close_connection = True

    def _fail(self, handler: BaseHTTPRequestHandler, fault: str) -> None:
        if fault == HANG:
            self._left.wait(20)
            handler.close_connection = True
        elif fault == DRIP:
            self._send(handler, 200, b"{", length=10_000)
            while not self._left.wait(0.05):
                try:
                    handler.wfile.write(b" ")
                except OSError:
                    break
            handler.close_connection = True
        elif fault == HALF:
            whole = json.dumps(_completion("1")).encode()
            self._send(handler, 200, whole[: len(whole) // 2], length=len(whole))
            handler.close_connection = True
        elif fault == HTML:
            self._send(handler, 200, b"<!DOCTYPE html><html><body>Sign in</body></html>")
        elif fault == EMPTY:
            self._send(handler, 200, b'{"choices": []}')
        elif fault == ENDLESS:
            self._send(handler, 200, json.dumps(_completion("1 " * 1_000_000)).encode())


def _completion(said: str | Mapping[str, float]) -> dict[str, Any]:
    if isinstance(said, str):
        return {"choices": [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]}
    best = max(said, key=lambda token: said[token])
    top = [{"token": token, "logprob": log} for token, log in said.items()]
    place = {"token": best, "logprob": said[best], "top_logprobs": top}
    message = {"role": "assistant", "content": best}
    return {"choices": [{"message": message, "logprobs": {"content": [place]}, "finish_reason": "length"}]}
