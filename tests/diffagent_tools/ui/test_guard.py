"""What the page's server takes: calls of the page's functions, and nothing else of what Gradio serves."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from small_world import WordSelector, small_catalogue

from diffagent_tools.chat.conversation import Conversation
from diffagent_tools.ui.guard import MOST_BYTES

KIND = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def web() -> Iterator[httpx.Client]:
    pytest.importorskip("gradio", reason="the extra `ui` is not installed")
    from diffagent_tools.ui.page import build_page, serve

    catalogue = small_catalogue()
    page = build_page(Conversation(WordSelector(catalogue), catalogue))
    address = serve(page, host="127.0.0.1", port=None, block=False)
    with httpx.Client(base_url=address, trust_env=False) as client:
        yield client
    page.close()


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("upload", {"files": {"files": ("a.png", b"x", "image/png")}}),
        ("run/predict", {"json": {"data": []}}),
        ("component_server", {"json": {}}),
        ("process_recording", {"json": {}}),
        ("vibe-edit", {"json": {}}),
        ("stream/1", {"json": {}}),
    ],
)
def test_the_page_takes_no_upload_and_no_other_post(
    web: httpx.Client, path: str, sent: dict[str, Any]
) -> None:
    answer = web.post(f"/gradio_api/{path}", **sent)
    assert (answer.status_code, answer.json()) == (404, {"error": "there is nothing here"})
    assert web.put("/gradio_api/queue/join", json={}).status_code == 404
    assert web.post("/queue/join", json={}).status_code == 404
    assert web.get("/").status_code == 200


@pytest.mark.parametrize("path", ["proxy=https://a.example/", "upload_progress?upload_id=1", "vibe-code"])
def test_other_doors_of_the_library_are_closed(web: httpx.Client, path: str) -> None:
    answer = web.get(f"/gradio_api/{path}")
    assert (answer.status_code, answer.json()) == (404, {"error": "there is nothing here"})


def test_a_long_call_and_one_of_unknown_length_are_refused(web: httpx.Client) -> None:
    call = "/gradio_api/call/say"
    for content in (b"1" * (MOST_BYTES + 1), iter([b"1"])):
        answer = web.post(call, content=content, headers=KIND)
        assert answer.status_code == 413
        assert f"at most {MOST_BYTES:,} bytes" in answer.json()["error"]
    longest = "\U0001f600" * 20_000  # twelve bytes each as escapes
    assert web.post(call, content=json.dumps({"data": [longest]}), headers=KIND).status_code == 200
