"""The client: what it retries, how long it waits, and whom it shows the key."""

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from replay_server import ReplayServer

from finetune.civitai.client import MAX_PAUSE, Civitai, Exhausted
from finetune.civitai.pages import Passing, read_page, read_retry_after
from retrieval.errors import InvalidInput, ServiceError

KEY = "secret0123456789"
MODELS = [{"id": number, "type": "LORA", "modelVersions": []} for number in range(1, 61)]


class Failing(ReplayServer):
    """Answers every call with one status and text."""

    def __init__(self, status: int, said: str = "no") -> None:
        super().__init__([])
        self.status, self.said = status, said

    def answer(self, call: Any) -> tuple[int, dict[str, Any]]:
        """The same to everybody."""
        return self.status, {"error": self.said}


def patient(url: str, pauses: list[float], **changes: Any) -> Civitai:
    """A client that notes its pauses instead of sleeping."""
    return Civitai(url, **{"rate": 1e9, "sleep": pauses.append, **changes})


def test_the_key_goes_in_a_header_to_its_own_host_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ReplayServer(MODELS) as other, ReplayServer([], redirect=other.origin) as server:
        with Civitai(server.url, key=KEY) as civitai:
            assert civitai.page("models", {}, limit=5).items
            assert KEY not in repr(civitai)
        assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"
        assert "authorization" not in other.calls[0].headers
        assert not any(KEY in value for call in server.calls for value in call.query.values())
    assert KEY not in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_no_fault_that_passes_and_hides_the_key(status: int) -> None:
    with Failing(status, f"unknown key {KEY}") as server, Civitai(server.url, key=KEY) as civitai:
        with pytest.raises(ServiceError) as found:
            civitai.page("models", {}, limit=5)
        assert len(server.calls) == 1
    assert KEY not in str(found.value)
    assert "unknown key ***" in str(found.value)


@pytest.mark.parametrize("key", ["two\nlines", "ключ", "a b"])
def test_a_key_that_cannot_be_one_is_refused_unquoted(key: str) -> None:
    with pytest.raises(InvalidInput, match="CIVITAI_API_KEY") as found:
        Civitai(key=key)
    assert key not in str(found.value)


def test_a_key_never_travels_unencrypted() -> None:
    with pytest.raises(InvalidInput, match="unencrypted"):
        Civitai("http://mirror.example/api/v1", key=KEY)


@pytest.mark.parametrize(
    "url", ["", "civitai.com", "ftp://x/", f"https://x/?token={KEY}", f"https://u:{KEY}@x/", "https://x:port"]
)
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as found:
        Civitai(url)
    assert KEY not in str(found.value)


def test_retry_after_is_honoured() -> None:
    pauses: list[float] = []
    with ReplayServer(MODELS, faults=True, retry_after="7") as server, patient(server.url, pauses) as civitai:
        for _ in range(20):
            civitai.page("models", {}, limit=5)
        assert civitai.faults["status 429"] == 2
    assert sum(7 <= pause <= 8 for pause in pauses) == 2


def test_a_pause_that_is_too_long_ends_it() -> None:
    pauses: list[float] = []
    with (
        ReplayServer(MODELS, faults=True, retry_after="86400") as server,
        patient(server.url, pauses) as civitai,
        pytest.raises(Exhausted, match="86,400 seconds"),
    ):
        _ = [civitai.page("models", {}, limit=5) for _ in range(10)]
    assert all(pause <= MAX_PAUSE + 1 for pause in pauses)


def test_pauses_double_up_to_a_cap_with_jitter() -> None:
    pauses: list[float] = []
    with Failing(503) as server, patient(server.url, pauses) as civitai:
        with pytest.raises(Exhausted, match="after 8 attempts"):
            civitai.page("models", {}, limit=5)
        assert len(server.calls) == 8
    for pause, least in zip(pauses, (1, 2, 4, 8, 16, 30, 30), strict=True):
        assert least <= pause <= least + 1


def test_pages_shrink_while_the_service_is_too_slow_and_grow_again() -> None:
    class Slow(ReplayServer):
        def answer(self, call: Any) -> tuple[int, dict[str, Any]]:
            return (504, {}) if int(call.query["limit"]) > 25 else super().answer(call)

    with Slow(MODELS) as server, patient(server.url, []) as civitai:
        page = civitai.page("models", {}, limit=100)
        assert [item["id"] for item in page.items] == list(range(1, 26))
        rest = civitai.page("models", {}, limit=20, start=page.next)
        civitai.page("models", {}, limit=20)
        assert rest.items[0]["id"] == 26
        assert [call.query["limit"] for call in server.calls] == ["100", "50", "25", "10", "20"]


def test_requests_keep_to_the_rate() -> None:
    pauses: list[float] = []
    with ReplayServer(MODELS) as server, Civitai(server.url, rate=0.01, sleep=pauses.append) as civitai:
        for _ in range(3):
            civitai.page("models", {}, limit=5)
    assert [round(pause, -1) for pause in pauses] == [100, 200]


def test_a_redirect_in_a_circle_ends() -> None:
    with ReplayServer([]) as server:
        server.redirect = server.origin
        with Civitai(server.url) as civitai, pytest.raises(ServiceError, match="circle"):
            civitai.page("models", {}, limit=5)


@pytest.mark.parametrize(
    ("metadata", "start"),
    [
        ('{"nextCursor": "75363|932023|257749"}', ("cursor", "75363|932023|257749")),
        ('{"nextCursor": 63864}', ("cursor", 63864)),
        ('{"nextCursor": null, "nextPage": "https://x/images?limit=2&cursor=a%7Cb"}', ("cursor", "a|b")),
        ('{"nextPage": "https://x/models?limit=2&page=2"}', ("page", "2")),
        ('{"nextPage": "https://x/models?limit=2"}', None),
        ('{"nextCursor": null}', None),
        ("[]", None),
        ("null", None),
    ],
)
def test_the_next_page_is_found_in_every_form(metadata: str, start: Any) -> None:
    page = read_page(f'{{"items": [], "metadata": {metadata}}}'.encode())
    assert page.next == start


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"items": [', b'{"error": "x"}', b"[]", b'{"items": {}}'])
def test_a_body_that_is_no_page_is_a_fault_that_passes(body: bytes) -> None:
    with pytest.raises(Passing):
        read_page(body)


def test_retry_after_is_a_number_or_a_date() -> None:
    assert read_retry_after("12") == 12
    assert read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert read_retry_after("soon") is None
    assert read_retry_after("") is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_stops_cleanly_and_says_how_to_go_on(number: int, tmp_path: Path) -> None:
    class Silent(ReplayServer):
        def fault(self, number: int) -> str | None:
            return "hang"

    with Silent([]) as server:
        options = ["collect", "--output", str(tmp_path / "raw"), "--url", server.url]
        process = subprocess.Popen(
            [sys.executable, "-m", "diffagent_tools", "dabench", *options],
            stderr=subprocess.PIPE,
            text=True,
            # a shell starts what it puts in the background with Ctrl-C ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            cwd=Path(__file__).parents[3],
        )
        until = time.monotonic() + 60
        while not server.calls and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on after it" in said
    assert "Traceback" not in said
