"""The raters' server: pages of other sites in a real browser, silent connections, and too many of them."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from other_site import CHROMIUM, answered, chromium, connect, is_closed, opened, rebound, site
from study_world import served, table

from finetune.study import server as study_server
from finetune.study.create import create_study, read_table
from finetune.study.store import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    create_study(read_table(table(folder)), folder / "study.db", source="run.parquet", pairs=3, seed=3)
    return Study.open(folder / "study.db")


@pytest.fixture
def address(study: Study) -> Iterator[str]:
    with served(study) as server:
        yield server.address


def get(address: str) -> int:
    with httpx.Client(trust_env=False) as client:
        return client.get(address).status_code


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_no_page_of_another_port_or_name_rates_in_a_real_browser(address: str, study: Study) -> None:
    pytest.importorskip("playwright.sync_api")
    url = urljoin(address, "/api/join")
    with chromium() as browser, site() as elsewhere:
        read, sent = answered(browser, elsewhere, url, '{"rater": "Mallory"}')
        assert read == [0, -1, 0, -1]
        assert sent == [403, 403]
        assert opened(browser, rebound(address)) == 403
        read, _ = answered(browser, address, url, '{"rater": "Ann"}')
        assert read[1] == 200
        # a link from elsewhere may lead here
        context = browser.new_context()
        page = context.new_page()
        page.goto(elsewhere)
        with page.expect_navigation():
            page.evaluate("url => { location = url }", address)
        assert page.title() != ""
        context.close()
    with pytest.raises(Exception, match="Mallory"):
        study.rater("Mallory")
    assert study.rater("Ann").name == "Ann"


HEAD = (
    b"POST /api/join HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 50\r\n"
)
WHOLE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [(), (b"GET",), (HEAD,), (HEAD + b"\r\n", b"{"), (WHOLE, b"GET /"), (*[b"G"] * 12,), (WHOLE,)],
    ids=["nothing", "a word", "half a head", "half a body", "half a second", "a letter at a time", "idle"],
)
def test_a_request_that_does_not_arrive_is_not_waited_for(
    sent: tuple[bytes, ...], address: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(study_server, "ARRIVAL", 0.3)
    began = time.monotonic()
    try:
        assert is_closed(connect(address, *sent, pause=0.05))
    except ConnectionError:  # closed while the letters came
        assert len(sent) == 12
    monkeypatch.undo()
    assert time.monotonic() - began < 10
    assert get(address) == 200
    assert "Traceback" not in capsys.readouterr().err


def test_one_connection_too_many_is_closed_and_the_next_is_served(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_server, "CONNECTIONS", 3)
    with served(study) as server:
        held = [connect(server.address, b"GET") for _ in range(3)]
        time.sleep(0.1)
        assert is_closed(connect(server.address))
        held.pop().close()
        time.sleep(0.2)
        assert get(server.address) == 200
        for each in held:
            each.close()


def test_a_client_that_leaves_in_the_middle_leaves_no_traceback(address: str, capsys: Any) -> None:
    import socket
    import struct

    for sent in (b"GET", HEAD + b"\r\n{"):
        connection = connect(address, sent)
        time.sleep(0.05)
        # closed with a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    time.sleep(0.1)
    assert get(address) == 200
    assert "Traceback" not in capsys.readouterr().err
