"""A page of another site in a real browser, and what it may do to a server of this project."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

CHROMIUM = (
    os.environ.get("DIFFAGENT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
REBOUND = "rebound.example"
"""a name of another site that points to this machine"""
_TRY = """
async ([url, body]) => {
    const kinds = {'Content-Type': 'application/json', Accept: 'application/json, text/event-stream'};
    const ways = [
        {method: 'POST', mode: 'no-cors', headers: {'Content-Type': 'text/plain'}, body},
        {method: 'POST', headers: kinds, body},
        {mode: 'no-cors'},
        {},
    ];
    const read = [];
    for (const way of ways) {
        try { const answer = await fetch(url, way); read.push(answer.status); } catch { read.push(-1); }
    }
    return read;
}
"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser for which `REBOUND` is this machine."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        rules = f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", rules])
        yield started
        started.close()


@contextmanager
def site() -> Iterator[str]:
    """Another site on this machine, on a port of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        running = threading.Thread(target=server.serve_forever, args=(0.01,))
        running.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            running.join()


def answered(browser: Any, page_url: str, url: str, body: str) -> tuple[list[int], list[int]]:
    """What a page gets that sends `body` to `url` in four ways: as the page reads it, and as it was sent.

    The ways: a POST without asking, a POST as JSON, a GET without reading, a GET. -1: nothing is read.
    """
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(page_url)
        sent: list[int] = []
        page.on("response", lambda answer: sent.append(answer.status))
        read = page.evaluate(_TRY, [url, body])
        page.wait_for_timeout(50)
        return read, sent
    finally:
        context.close()


def opened(browser: Any, url: str) -> int:
    """The status of a page that is opened by its address."""
    context = browser.new_context()
    try:
        answer = context.new_page().goto(url)
        return int(answer.status)
    finally:
        context.close()


def rebound(url: str) -> str:
    """The same address under the name of another site."""
    return url.replace(str(urlsplit(url).hostname), REBOUND)


def connect(url: str, *sent: bytes, pause: float = 0.0) -> socket.socket:
    """A connection to a server over which pieces were sent."""
    parts = urlsplit(url)
    connection = socket.create_connection((str(parts.hostname), int(parts.port or 80)), timeout=20)
    for piece in sent:
        connection.sendall(piece)
        time.sleep(pause)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends a connection, after whatever it still says; it is closed here, too."""
    with connection:
        try:
            while connection.recv(65_536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
    return True
