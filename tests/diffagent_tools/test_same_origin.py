"""Who may ask a server: by the headers of a request, and by what a real browser sends from another port."""

import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import pytest
from other_site import CHROMIUM, REBOUND, answered, chromium, opened, rebound, site
from small_world import WordSearch, WordSelector, small_catalogue

from diffagent_tools.same_origin import is_loopback, refused

HERE = "127.0.0.1:7860"


def test_loopback_is_told_from_other_addresses() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9")] == [True] * 4
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "example.org", ""))


@pytest.mark.parametrize(
    ("served", "host", "answered"),
    [
        ("127.0.0.1", HERE, True),
        ("127.0.0.1", "LocalHost:7860", True),
        ("127.0.0.1", "[::1]:7860", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "rebound.example:7860", False),
        ("127.0.0.1", "127.0.0.1.rebound.example", False),
        ("127.0.0.1", "localhost.rebound.example", False),
        ("127.0.0.1", "192.168.1.5:7860", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "[x", False),
        ("0.0.0.0", HERE, True),
        ("0.0.0.0", "192.168.1.5:7860", True),
        ("0.0.0.0", "[fe80::1]:7860", True),
        ("0.0.0.0", "workshop:7860", True),
        ("0.0.0.0", "Workshop.local:7860", True),
        ("0.0.0.0", "rebound.example:7860", False),
        ("0.0.0.0", "workshop.rebound.example:7860", False),
        ("0.0.0.0", "", False),
        ("art.example.org", "art.example.org:7860", True),
        ("art.example.org", "rebound.example:7860", False),
    ],
)
def test_a_server_answers_only_under_names_that_nobody_else_can_hold(
    served: str, host: str, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Workshop")
    said = refused(served, "GET", {"host": host})
    assert (said is None) == answered
    assert answered or "IP address" in str(said)


@pytest.mark.parametrize(
    ("method", "headers", "answered"),
    [
        ("POST", {}, True),  # a program says nothing of a page
        ("POST", {"origin": f"http://{HERE}", "sec-fetch-site": "same-origin"}, True),
        ("POST", {"origin": f"https://{HERE}"}, True),
        ("GET", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, True),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),
        ("POST", {"origin": "http://127.0.0.1:7861"}, False),
        ("POST", {"origin": "http://localhost:7860"}, False),
        ("POST", {"origin": "null"}, False),
        ("POST", {"origin": ""}, False),
        ("POST", {"origin": f"ftp://{HERE}"}, False),
        ("POST", {"origin": f"http://{HERE}.rebound.example"}, False),
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, False),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, False),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, False),
    ],
)
def test_only_the_servers_own_pages_and_programs_may_ask(
    method: str, headers: dict[str, str], answered: bool
) -> None:
    said = refused("127.0.0.1", method, {"host": HERE, **headers})
    assert (said is None) == answered
    assert answered or "another site" in str(said)


class Asked(WordSelector):
    """Counts what it is asked, but for what a server asks itself as it loads."""

    def __init__(self) -> None:
        super().__init__(small_catalogue())
        self.asked = 0

    def select(self, *request: Any, **filters: Any) -> Any:
        self.asked += "pixel art" in str(request)
        return super().select(*request, **filters)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    pytest.importorskip("playwright.sync_api")
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    with site() as address:
        yield address


@pytest.fixture
def selector() -> Asked:
    return Asked()


@pytest.fixture
def mcp(selector: Asked) -> Iterator[str]:
    """The address of a served MCP server."""
    pytest.importorskip("mcp")
    from diffagent_tools.agents.mcp import ProgressHub, make_server
    from diffagent_tools.agents.mcp_http import PATH, http_server
    from diffagent_tools.agents.operations import Operations
    from diffagent_tools.http_guard import listen

    engines = Operations(selector.catalogue, selector, WordSearch(selector.catalogue))
    server = http_server(make_server(lambda: engines, ProgressHub(lambda line: None)), "127.0.0.1")
    with listen("127.0.0.1", 0) as listening:
        running = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        running.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{PATH}"
        server.should_exit = True
        running.join()


@pytest.fixture
def page(selector: Asked) -> Iterator[str]:
    """The address of the function that a message is sent to on a served page."""
    pytest.importorskip("gradio")
    from diffagent_tools.chat.conversation import Conversation
    from diffagent_tools.ui.page import build_page, serve

    made = build_page(Conversation(selector, selector.catalogue))
    yield f"{serve(made, host='127.0.0.1', port=None, block=False)}gradio_api/call/say"
    made.close()


CALL = (
    '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "select", "arguments": '
    '{"prompt": "pixel art"}}}'
)
SAY = '{"data": ["pixel art"]}'


@pytest.mark.parametrize(("served", "body"), [("mcp", CALL), ("page", SAY)])
def test_no_page_of_another_port_or_name_asks_in_a_real_browser(
    served: str, body: str, request: pytest.FixtureRequest, browser: Any, elsewhere: str, selector: Asked
) -> None:
    url = request.getfixturevalue(served)
    read, sent = answered(browser, elsewhere, url, body)
    assert (read[0], read[2]) == (0, 0)
    # what may be sent only after asking is not sent (-1) or refused: Gradio lets this machine's ports ask
    assert {read[1], read[3]} <= {-1, 403}
    assert len(sent) >= 2
    assert set(sent) == {403}
    assert opened(browser, rebound(url)) == 403
    assert REBOUND in rebound(url)
    time.sleep(0.2)
    assert selector.asked == 0

    # the same from the server's own page is answered
    read, sent = answered(browser, urljoin(url, "/"), url, body)
    assert read[1] == 200
    for _ in range(100):
        if selector.asked:
            break
        time.sleep(0.05)
    assert selector.asked == 1
