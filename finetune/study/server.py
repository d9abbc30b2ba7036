"""The page on which raters compare pairs, served from a study's file by the standard library alone.

    diffagent study serve study.db          # http://127.0.0.1:8378

The page knows places and sides; which picture is whose, and the models' names, never leave this process. An
answer is in the file before the page hears that it is saved, and what the page shows comes from the file: a
refresh, a second tab or a restarted server lose nothing. Nothing comes from elsewhere.
"""

import io
import json
import logging
import socket
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from diffagent_tools.same_origin import is_loopback, refused
from finetune.study.store import QUESTIONS, Rater, Study
from retrieval.errors import InvalidInput, StorageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CONNECTIONS = 256
"""open at once, each with a thread of its own; one more is closed at once"""
ARRIVAL = 30.0
"""seconds in which a whole request must arrive, and in which an answer must be taken"""
_PAGE = Path(__file__).parent / "page"
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_MOST_BYTES = 10_000
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_LOG = logging.getLogger(__name__)


class StudyServer(ThreadingHTTPServer):
    """Serves one study; `port` 0 takes a free one.

    Raises:
        InvalidInput: the address cannot be had.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, study: Study, host: str = "127.0.0.1", port: int = 0) -> None:
        self.study = study
        self.served = host
        self._free = BoundedSemaphore(CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise InvalidInput(
                f"cannot listen on {host}, port {port} ({error}); give another --port, or 0 for a free one"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, while there is one to spare."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was to be had
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


def serve(study: Study, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Serves until it is stopped.

    Raises:
        InvalidInput: the address cannot be had.
    """
    with StudyServer(study, host, port) as server:
        tell(f"{len(study)} pairs; raters open {server.address} (Ctrl-C ends, and all ratings are kept)")
        if not is_loopback(host):
            tell("everybody who reaches this address may rate, under any name: there is no password")
        server.serve_forever()


class _Timely(io.RawIOBase):
    """What a connection sends, read until a point in time, however slowly it comes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request did not arrive in time")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "diffagent"
    sys_version = ""
    server: StudyServer

    def setup(self) -> None:
        super().setup()
        self._timely = _Timely(self.connection)
        self.rfile = io.BufferedReader(self._timely)

    def handle_one_request(self) -> None:
        self._timely.until = time.monotonic() + ARRIVAL
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a line a picture helps nobody."""

    def _answer(self, make: Callable[[], tuple[str, bytes]]) -> None:
        """What went wrong becomes a status and a sentence; a broken connection ends quietly."""
        try:
            status = HTTPStatus.OK
            try:
                kind, content = make()
            except InvalidInput as error:
                status, (kind, content) = HTTPStatus.BAD_REQUEST, _json({"error": str(error)})
            except _Refused as error:
                status, (kind, content) = error.status, _json({"error": str(error)})
            except StorageError as error:
                status, (kind, content) = HTTPStatus.SERVICE_UNAVAILABLE, _json({"error": str(error)})
            except (ConnectionError, TimeoutError):
                raise
            except Exception:
                _LOG.exception("the request for %r failed", self.path)
                status = HTTPStatus.INTERNAL_SERVER_ERROR
                kind, content = _json({"error": "the server failed; its log has the details"})
            if status != HTTPStatus.OK:
                # what is left unread of a refused request must not be taken for the next one
                self.close_connection = True
            self.connection.settimeout(ARRIVAL)
            self.send_response(status)
            for name, value in {
                **_HEADERS,
                "Content-Type": kind,
                "Content-Length": str(len(content)),
            }.items():
                self.send_header(name, value)
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _get(self) -> tuple[str, bytes]:
        self._check_origin()
        parts = urlsplit(self.path)
        if parts.path in _FILES:
            name, kind = _FILES[parts.path]
            return kind, (_PAGE / name).read_bytes()
        asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        study = self.server.study
        if parts.path == "/api/pair":
            rater = study.rater(asked.get("rater", ""))
            return _json(_pair(study, rater, _whole(asked.get("place"))))
        if parts.path == "/api/picture":
            rater = study.rater(asked.get("rater", ""))
            side: Any = asked.get("side")
            return "image/png", study.picture(rater, _whole(asked.get("place")), side)
        raise _Refused(HTTPStatus.NOT_FOUND, f"there is nothing at {parts.path[:100]}")

    def _post(self) -> tuple[str, bytes]:
        self._check_origin()
        given = self._body()
        study = self.server.study
        if self.path == "/api/join":
            rater = study.join(_text(given, "rater"))
            return _json({"rater": rater.name, **_progress(study, rater)})
        if self.path == "/api/rate":
            rater = study.rater(_text(given, "rater"))
            question: Any = _text(given, "question")
            side: Any = _text(given, "side")
            study.rate(rater, _whole(given.get("place")), question, side)
            return _json(_pair(study, rater, _whole(given.get("place"))))
        raise _Refused(HTTPStatus.NOT_FOUND, f"there is nothing at {self.path[:100]}")

    def _check_origin(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        said = refused(self.server.served, self.command, headers)
        if said is not None:
            raise _Refused(HTTPStatus.FORBIDDEN, said)

    def _body(self) -> Mapping[str, Any]:
        # a page of another site can send no JSON without asking first, which is not answered
        if self.headers.get_content_type() != "application/json":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "needed is JSON")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > _MOST_BYTES:
            raise _Refused(HTTPStatus(413), f"needed are at most {_MOST_BYTES:,} bytes")
        try:
            given = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise InvalidInput("the request is no JSON") from error
        if not isinstance(given, dict):
            raise InvalidInput("the request is no JSON object")
        return given


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def _pair(study: Study, rater: Rater, place: int) -> dict[str, Any]:
    """What the page shows of a pair, and how far the rater is."""
    prompt, given = study.prompt(rater, place), study.given(rater)
    return {"place": place, "prompt": prompt, "given": given.get(place, {}), **_progress(study, rater)}


def _progress(study: Study, rater: Rater) -> dict[str, Any]:
    """`next` is the first pair that is not wholly rated; None where all are."""
    given = study.given(rater)
    done = {place for place, answers in given.items() if len(answers) == len(QUESTIONS)}
    following = next((place for place in range(len(study)) if place not in done), None)
    return {"pairs": len(study), "rated": len(done), "next": following}


def _json(value: Any) -> tuple[str, bytes]:
    return "application/json", json.dumps(value).encode()


def _whole(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise InvalidInput(f"the place is {str(value)[:40]!r}; needed is a whole number")


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key)
    if not isinstance(value, str):
        raise InvalidInput(f"{key} is missing or no text")
    return value
