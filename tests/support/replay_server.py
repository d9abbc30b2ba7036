"""A real HTTP server on loopback that pages API objects as Civitai's API does, and fails as it does.

    with ReplayServer(models, images, faults=True) as server:
        Civitai(server.url)

Cursors are opaque; the link to the next page drops the query's parameters, as the real one has done; `meta`
comes only with `withMeta=true`. With faults, every tenth call is answered 429 with Retry-After, others with
503, a Cloudflare page, half a body, or nothing at all.
"""

import base64
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, quote, urlsplit

CLOUDFLARE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking</body></html>"
HANG_SECONDS = 30.0
LARGEST = {"models": 100, "images": 200}


@dataclass(frozen=True)
class Call:
    """A request as it came: path, query, and headers with names in lower case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


class ReplayServer:
    """Serves until it is left.

    Attributes:
        url: what a client is given, ending in /api/v1.
        calls: every request so far.
    """

    def __init__(
        self,
        models: Sequence[Any],
        images: Mapping[int, Sequence[Any]] | None = None,
        *,
        faults: bool = False,
        retry_after: str = "0",
        redirect: str | None = None,
    ) -> None:
        """Args:
        models: what the listing of models gives, in this order.
        images: for each version's id what the listing of its images gives; None takes those that lie inside
            the versions, as in 2023.
        redirect: another origin, to which every request is redirected.
        """
        self.models = list(models)
        self.images = _nested_images(models) if images is None else images
        self.faults = faults
        self.retry_after = retry_after
        self.redirect = redirect
        self.calls: list[Call] = []
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Where the API lies."""
        return f"{self.origin}/api/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, call: Call) -> int:
        """Notes a call; says which it is, counted from 1."""
        with self._lock:
            self.calls.append(call)
            return len(self.calls)

    def fault(self, number: int) -> str | None:
        """What goes wrong with a call."""
        if not self.faults:
            return None
        if number % 10 == 0:
            return "429"
        return {3: "503", 5: "cloudflare", 7: "cut", 41: "hang"}.get(number % 60)

    def hang(self) -> None:
        """Says nothing until the client has long gone."""
        self._closing.wait(HANG_SECONDS)

    def answer(self, call: Call) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        name = call.path.rpartition("/")[2]
        if not call.path.startswith("/api/v1/") or name not in LARGEST:
            one = self._one(call.path.removeprefix("/api/v1/"))
            return (200, one) if one is not None else (404, {"error": f"no {call.path}"})
        limit = int(call.query.get("limit", "100"))
        if not 1 <= limit <= LARGEST[name]:
            return 400, {"error": "limit out of range"}
        found = self._listed(name, call.query)
        start = _offset(call.query["cursor"]) if "cursor" in call.query else 0
        metadata: dict[str, Any] = {}
        if start + limit < len(found):
            cursor = _cursor(start + limit)
            # the link loses the other parameters; a client that follows it gets images without meta
            metadata["nextPage"] = f"{self.url}/{name}?limit={limit}&cursor={quote(cursor)}"
            # some sorts have no cursor but in the link
            metadata["nextCursor"] = None if call.query.get("sort") == "Most Reactions" else cursor
        return 200, {"items": found[start : start + limit], "metadata": metadata}

    def _one(self, path: str) -> dict[str, Any] | None:
        """A model by its number, or a version by its number or the SHA256 of one of its files."""
        kind, _, key = path.partition("/")
        for model in self.models:
            if kind == "models" and key == str(model["id"]):
                return dict(model)
            for version in model.get("modelVersions", ()) if kind == "model-versions" else ():
                digests = {file["hashes"].get("SHA256") for file in version.get("files", ())}
                if key == str(version["id"]) or key.removeprefix("by-hash/").upper() in digests:
                    about = {name: model.get(name) for name in ("name", "type", "nsfw", "poi")}
                    return {**version, "modelId": model["id"], "model": about}
        return None

    def _listed(self, name: str, query: Mapping[str, str]) -> list[Any]:
        if name == "images":
            meta = query.get("withMeta") == "true"
            found = self.images.get(int(query["modelVersionId"]), ())
            return [item if meta or not isinstance(item, dict) else {**item, "meta": None} for item in found]
        if "ids" in query:
            return [model for model in self.models if str(model["id"]) in query["ids"].split(",")]
        return [model for model in self.models if _matches(model, query)]


def _matches(model: Any, query: Mapping[str, str]) -> bool:
    if not isinstance(model, dict):
        return True
    if "types" in query and model.get("type") != query["types"]:
        return False
    if query.get("nsfw") == "false" and model.get("nsfw"):
        return False
    versions = model.get("modelVersions") or [{"baseModel": query.get("baseModels")}]
    return any(version.get("baseModel") == query.get("baseModels") for version in versions)


def _nested_images(models: Sequence[Any]) -> dict[int, list[Any]]:
    versions = [version for model in models for version in model.get("modelVersions", ())]
    return {version["id"]: version.get("images") or [] for version in versions}


def _cursor(offset: int) -> str:
    """Opaque, and with characters that a query has to escape."""
    return f"{base64.b64encode(str(offset).encode()).decode()}|&=é"


def _offset(cursor: str) -> int:
    text, mark, rest = cursor.partition("|")
    assert (mark, rest) == ("|", "&=é"), f"a mangled cursor {cursor!r}"
    return int(base64.b64decode(text))


def _handler(replay: ReplayServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # without it every small answer waits for the acknowledgement of its headers
        wbufsize = -1

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = dict(parse_qsl(address.query, keep_blank_values=True))
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(address.path, query, headers)
            number = replay.take(call)
            try:
                self._answer(call, number)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def _answer(self, call: Call, number: int) -> None:
            if replay.redirect:
                self._send(302, b"", location=replay.redirect + self.path)
                return
            fault = replay.fault(number)
            if fault == "429":
                self._send(429, b'{"error": "slow down"}', **{"retry-after": replay.retry_after})
            elif fault == "503":
                self._send(503, b'{"error": "busy"}')
            elif fault == "cloudflare":
                self._send(403, CLOUDFLARE, kind="text/html; charset=UTF-8")
            elif fault == "hang":
                replay.hang()
                self.close_connection = True
            else:
                status, value = replay.answer(call)
                self._send(status, json.dumps(value).encode(), cut=fault == "cut")

        def _send(
            self, status: int, body: bytes, kind: str = "application/json", *, cut: bool = False, **more: str
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.wfile.flush()
            self.close_connection = self.close_connection or cut

        def log_message(self, format: str, *values: object) -> None:
            """Says nothing."""

    return Handler
