"""The MCP server over HTTP: its token, what others may not ask, and connections that say nothing."""

import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from other_site import connect, is_closed
from small_world import WordSearch, WordSelector, small_catalogue
from typer.testing import CliRunner

from diffagent_tools import http_guard
from diffagent_tools.agents import mcp_http
from diffagent_tools.agents.mcp import ProgressHub, make_server
from diffagent_tools.agents.operations import Operations
from diffagent_tools.cli import command as cli
from retrieval.errors import InvalidInput

TOKEN = "correct-horse-battery-staple"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
KINDS = {"Accept": "application/json, text/event-stream"}


@contextmanager
def served(selector: Any = None, token: str | None = None) -> Iterator[str]:
    """The address of a server in a thread, until the end."""
    catalogue = small_catalogue()
    engines = Operations(catalogue, selector or WordSelector(catalogue), WordSearch(catalogue))
    made = make_server(lambda: engines, ProgressHub(lambda line: None))
    server = mcp_http.http_server(made, "127.0.0.1", token)
    with http_guard.listen("127.0.0.1", 0) as listening:
        running = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        running.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}{mcp_http.PATH}"
        finally:
            server.should_exit = True
            running.join()


def post(address: str, **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        return client.post(address, json=LIST, headers={**KINDS, **headers})


async def test_whoever_sends_the_token_is_served_and_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "uvicorn")
    caplog.set_level(logging.DEBUG, "diffagent_tools")
    with served(token=TOKEN) as address:
        wrong = ["", TOKEN, "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x"]
        for given in [*wrong, "Bearer \xff\xfe", f"Bearer {TOKEN.upper()}"]:
            with httpx.Client(trust_env=False) as client:
                headers = {**KINDS, "Authorization": given.encode("latin-1")}
                answer = client.post(address, json=LIST, headers=headers)
            assert answer.status_code == 401, given
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "DIFFAGENT_TOKEN" in answer.json()["error"]
            assert TOKEN not in answer.text
        assert post(address).status_code == 401
        assert post(address, Authorization=f"bearer  {TOKEN}").status_code == 200
        # a token does not open the server to other sites' pages
        assert post(address, Authorization=f"Bearer {TOKEN}", Origin="http://a.example").status_code == 403
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False) as web,
            Client(streamable_http_client(address, http_client=web)) as client_of_sdk,
        ):
            found = await client_of_sdk.call_tool("search", {"query": "neon streets at night", "k": 1})
            assert not found.is_error
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("host", "token", "said"),
    [
        ("0.0.0.0", None, "0.0.0.0 is reached by others, and there is no token; set DIFFAGENT_TOKEN"),
        ("::", None, ":: is reached by others"),
        ("0.0.0.0", "", "DIFFAGENT_TOKEN is too short"),
        ("127.0.0.1", "123456789012345", "DIFFAGENT_TOKEN is too short"),
        ("127.0.0.1", "a token with its spaces", "a header cannot carry it"),
        ("127.0.0.1", "ein längerer-schlüssel", "a header cannot carry it"),
    ],
)
def test_a_server_that_others_reach_has_a_token_that_is_one(
    host: str, token: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token is None:
        monkeypatch.delenv("DIFFAGENT_TOKEN", raising=False)
    else:
        monkeypatch.setenv("DIFFAGENT_TOKEN", token)
    done = CliRunner().invoke(cli.app, ["mcp", "--http", "--host", host, "--port", "0"])
    assert done.exit_code == 2
    assert said in done.stderr
    assert not token or token not in done.output


def test_a_token_opens_any_address_and_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Never:
        def run(self, sockets: list[socket.socket]) -> None:
            assert sockets[0].getsockname()[0] == "0.0.0.0"

    monkeypatch.setattr(mcp_http, "http_server", lambda server, host, token: Never())
    monkeypatch.setenv("DIFFAGENT_TOKEN", TOKEN[:16])
    done = CliRunner().invoke(cli.app, ["mcp", "--http", "--host", "0.0.0.0", "--port", "0"])
    assert done.exit_code == 0, done.output
    assert re.search(r"listening on http://0\.0\.0\.0:\d+/mcp", done.stderr)
    assert "unencrypted" in done.stderr
    assert TOKEN[:16] not in done.output


HEAD = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 50\r\n"
WHOLE = b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [(), (b"POST",), (HEAD,), (HEAD + b"\r\n", b"{"), (WHOLE, b"GET /"), (*[b"G"] * 12,), (WHOLE,)],
    ids=["nothing", "a word", "half a head", "half a body", "half a second", "a letter at a time", "idle"],
)
def test_a_request_that_does_not_arrive_is_not_waited_for(
    sent: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_guard, "ARRIVAL", 0.3)
    with served() as address:
        began = time.monotonic()
        pause = 0.05
        try:
            assert is_closed(connect(address, *sent, pause=pause))
        except ConnectionError:  # closed while the letters came
            assert len(sent) == 12
        monkeypatch.undo()
        assert time.monotonic() - began < 10
        assert post(address).status_code == 200


def test_an_answer_may_take_longer_than_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "ARRIVAL", 0.4)

    class Slow(WordSelector):
        def select(self, *request: Any, **filters: Any) -> Any:
            time.sleep(0.9)
            return super().select(*request, **filters)

    call = {"name": "select", "arguments": {"prompt": "pixel art"}}
    with served(Slow(small_catalogue())) as address, httpx.Client(trust_env=False) as client:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        answer = client.post(address, json=asked, headers=KINDS)
    assert "Pixel Art Helper" in answer.text


def test_one_connection_too_many_is_closed_and_the_next_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "CONNECTIONS", 3)
    with served() as address:
        held = [connect(address) for _ in range(3)]
        time.sleep(0.1)
        assert is_closed(connect(address))
        held.pop().close()
        time.sleep(0.1)
        assert post(address).status_code == 200
        for each in held:
            each.close()


def test_a_long_request_is_refused() -> None:
    with served() as address, httpx.Client(trust_env=False) as client:
        answer = client.post(address, content=b"1" * (mcp_http.MOST_BYTES + 1), headers=KINDS)
        assert answer.status_code == 413


def test_a_taken_address_is_said() -> None:
    with http_guard.listen("127.0.0.1", 0) as taken, pytest.raises(InvalidInput, match="cannot listen on"):
        http_guard.listen("127.0.0.1", taken.getsockname()[1])
