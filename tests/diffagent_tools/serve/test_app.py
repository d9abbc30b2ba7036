"""The HTTP server over small engines: what it answers, refuses and bounds, and says while it loads."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from other_site import connect, is_closed
from served import ask, served, small_operations, wait_until_ready
from small_world import WordSearch, WordSelector, small_catalogue

from diffagent_tools import http_guard
from diffagent_tools.agents.operations import Operations
from diffagent_tools.serve import work
from retrieval.errors import CatalogueError, DescriptionIndexError
from retrieval.records.api import read_api

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(small_operations) as address:
        wait_until_ready(address)
        yield address


def said(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def test_select_is_the_record_with_what_is_said_of_it(url: str) -> None:
    asked = {"prompt": "a happy corgi, pixel art", "k": 2, "width": 700, "max_nsfw": None}
    answer = ask(f"{url}/select", asked).json()
    assert read_api(str(answer)).api.model_id == 201
    assert (answer["width"], answer["abstained"], answer["max nsfw"]) == (704, False, 1)
    assert [other["model"] for other in answer["alternatives"]] == ["Free Pixels"]
    assert "700" in str(answer["notes"])


def test_check_search_and_export(url: str) -> None:
    checked = ask(f"{url}/check", {"api": "free pixels.safetensors"}).json()
    assert (checked["accepted"], checked["repair"]["api"]["model"]) == (True, "Free Pixels")
    found = ask(f"{url}/search", {"query": "neon streets at night", "k": 1}).json()
    assert [model["model_id"] for model in found["models"]] == [204]
    selected = ask(f"{url}/select", {"prompt": "pixel art"}).json()
    for form, part in (("comfyui", '"KSampler"'), ("infotext", "Steps: 25"), ("air", "civitai:201@2011")):
        answer = ask(f"{url}/export", {"api": selected, "format": form, "seed": 7}).json()
        assert answer["format"] == form
        assert part in answer["text"]
    refused = said(ask(f"{url}/export", {"api": "Night Sity of Nobody"}))
    assert refused[0] == 422
    assert "holds no model called" in refused[1]


def test_every_argument_of_the_agents_door_counts_here_too(url: str) -> None:
    asked = {"prompt": "pixel art", "export": "infotext", "orientation": "wide"}
    answer = ask(f"{url}/select", asked).json()
    assert answer["width"] > answer["height"]
    assert f"Size: {answer['width']}x{answer['height']}" in answer["export"]["text"]
    checked = ask(f"{url}/check", {"api": "Free Pixels", "export": "infotext"}).json()
    assert "Free Pixels" in checked["export"]["text"]
    code, error = said(ask(f"{url}/calls", {"prompt": "pixel art", "export": "comfyui"}))
    assert (code, "belongs to /select" in error) == (422, True)


def test_a_batch_keeps_ids_and_says_which_line_is_wrong(url: str) -> None:
    requests = ["pixel art", {"prompt": "neon streets", "id": "b"}, {"prompt": " ", "id": 3}, {"id": [1]}]
    answers = ask(f"{url}/batch", {"requests": requests, "k": 1}).json()["answers"]
    assert [answer["id"] for answer in answers] == [1, "b", 3, 4]
    assert [answer["ranked"][0]["model id"] for answer in answers[:2]] == [201, 204]
    assert "it is empty" in answers[2]["error"]
    assert "the id is" in answers[3]["error"]
    assert said(ask(f"{url}/batch", {"requests": ["a"] * 65}))[0] == 422


def test_a_call_for_a_host_names_files_and_samplers(url: str) -> None:
    (call,) = ask(f"{url}/calls", {"prompt": "pixel art"}).json()["calls"]
    assert call["api"]["model"] == "Pixel Art Helper"
    assert call["call"]["comfyui"] == {"sampler_name": "dpmpp_2m", "scheduler": "karras"}
    assert call["call"]["a1111"] == {"sampler": "DPM++ 2M", "schedule_type": "Karras"}
    assert call["call"]["checkpoint"]["model"] == "v1-5-pruned-emaonly"
    (lora,) = call["call"]["loras"]
    assert (lora["model"], lora["weight"]) == ("Pixel Art Helper", 0.8)
    listed = {
        "checkpoints": ["sd15\\\\free-pixels_v1.safetensors", "mine.ckpt"],
        "loras": ["FreePixels.safetensors"],
    }
    files = ask(f"{url}/files", {**listed, "sha256": {"mine.ckpt": "0" * 64}}).json()
    assert files["loras"] == {}, "a checkpoint is no LoRA"
    assert list(files["checkpoints"]) == listed["checkpoints"][:1]
    assert files["checkpoints"][listed["checkpoints"][0]]["version_id"] == 2021
    known = ask(f"{url}/settings", {"name": "Free Pixels v1.safetensors"}).json()
    assert (known["known"], known["call"]["checkpoint"]["model"]) == (True, "Free Pixels")
    unknown = ask(f"{url}/settings", {"name": "my own merge.safetensors"}).json()
    assert (unknown["known"], "call" in unknown) == (False, False)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("select", {"promt": "a corgi"}, 422, "promt: Extra inputs are not permitted"),
        ("select", {"prompt": "art", "base_model": "Nothing XL"}, 422, "Nothing XL"),
        ("select", {"prompt": ""}, 422, "it is empty"),
        ("select", {"prompt": "art", "k": 21}, 422, "k: Input should be less than or equal to 20"),
        ("select", {"prompt": "art", "base_model": "SDXL", "commercial_use": True}, 404, "no model passes"),
        ("search", ["watercolor"], 422, "the body"),
        ("check", {"api": ""}, 422, "there is nothing to check"),
        ("export", {"api": "Free Pixels", "format": "png"}, 422, "format: Input should be"),
        ("nothing", {}, 404, "/openapi.json"),
        ("select", None, 405, "takes POST"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_said_in_words(
    url: str, path: str, body: Any, status: int, words: str
) -> None:
    code, error = said(ask(f"{url}/{path}", body))
    assert (code, words in error) == (status, True), error


@pytest.mark.parametrize("sent", [b"{", b"[" * 100_000, b'"\xff"', b'{"prompt": "\\ud800"}', b""])
def test_what_is_no_json_is_refused(url: str, sent: bytes) -> None:
    with httpx.Client(trust_env=False) as client:
        answer = client.post(f"{url}/select", content=sent, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500 or answer.json()["prompt"]
    assert answer.json()


def test_the_description_names_every_path_and_field(url: str) -> None:
    described = ask(f"{url}/openapi.json").json()
    paths = {path for path, ways in described["paths"].items() if "post" in ways}
    assert paths == {
        *("/select", "/check", "/search", "/export", "/batch"),
        *("/calls", "/settings", "/files"),
    }
    fields = described["components"]["schemas"]["SelectArguments"]
    assert fields["additionalProperties"] is False
    assert {"prompt", "k", "base_model", "max_nsfw"} <= set(fields["properties"])
    answers = described["paths"]["/select"]["post"]["responses"]["200"]["content"]["application/json"]
    assert "sampling method" in answers["schema"]["properties"]


def test_who_may_ask_and_how_much(url: str) -> None:
    with httpx.Client(trust_env=False) as client:
        long = client.post(f"{url}/select", content=b"1" * 1_000_001)
        pieces = client.post(f"{url}/select", content=(piece for piece in [b"{}"]))
    assert (long.status_code, pieces.status_code) == (413, 413)
    assert ask(f"{url}/select", {"prompt": "art"}, Origin="http://elsewhere.example").status_code == 403
    assert ask(f"{url}/select", {"prompt": "art"}, Host="rebound.example").status_code == 403
    with served(small_operations, TOKEN) as guarded:
        assert ask(f"{guarded}/health").status_code == 200
        assert ask(f"{guarded}/select", {"prompt": "art"}).status_code == 401
        assert ask(f"{guarded}/openapi.json").status_code == 401
        assert ask(f"{guarded}/check", {"api": "x"}, Authorization=f"Bearer {TOKEN}").status_code == 200


def test_a_request_that_does_not_arrive_and_one_connection_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "ARRIVAL", 0.2)
    monkeypatch.setattr(http_guard, "CONNECTIONS", 2)
    with served(small_operations) as url:
        assert is_closed(connect(url, b"POST /select HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le"))
        monkeypatch.setattr(http_guard, "ARRIVAL", 20)
        held = [connect(url) for _ in range(2)]
        time.sleep(0.1)
        assert is_closed(connect(url))
        for each in held:
            each.close()
        time.sleep(0.1)
        assert ask(f"{url}/health").status_code == 200


def test_the_port_answers_while_the_models_load(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = threading.Event()

    def slowly() -> Operations:
        assert loaded.wait(20)
        return small_operations()

    with served(slowly) as url, ThreadPoolExecutor() as pool:
        assert ask(f"{url}/health").json()["status"] == "ok"
        assert said(ask(f"{url}/ready")) == (503, "the models are still loading")
        monkeypatch.setattr(work, "SECONDS", 0.1)
        early = ask(f"{url}/select", {"prompt": "pixel art"})
        assert said(early) == (503, "not answered in 0.1 s, because the models are still loading; ask again")
        assert early.headers["retry-after"] == "1"
        monkeypatch.setattr(work, "SECONDS", 20)
        waiting = pool.submit(ask, f"{url}/select", {"prompt": "pixel art"})
        loaded.set()
        assert waiting.result().json()["model id"] == 201
        assert ask(f"{url}/ready").json() == {"ready": True, "catalogue": "the small one", "models": 7}


def test_what_cannot_be_loaded_is_said_and_tried_again() -> None:
    tries = iter([CatalogueError("line 1 of the catalogue is broken"), StopIteration()])

    def broken_first() -> Operations:
        error = next(tries)
        if isinstance(error, CatalogueError):
            raise error
        return small_operations()

    with served(broken_first) as url:
        states = [said(ask(f"{url}/ready"))]
        while states[-1][1] == "the models are still loading":
            states.append(said(ask(f"{url}/ready")))
        assert states[-1] == (503, "the models cannot be loaded: line 1 of the catalogue is broken")
        assert ask(f"{url}/health").status_code == 200
        assert ask(f"{url}/check", {"api": "Free Pixels"}).json()["accepted"]


class Held(WordSelector):
    """Answers the request of a gate only when it is open; `begun` counts who is in."""

    def __init__(self) -> None:
        super().__init__(small_catalogue())
        self.open, self.begun = threading.Event(), threading.Semaphore(0)

    def select(self, *request: Any, **words: Any) -> Any:
        if "gate" in str(request):
            self.begun.release()
            assert self.open.wait(20)
        return super().select(*request, **words)


def test_so_many_are_worked_on_at_once_and_each_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "AT_ONCE", 2)
    selector = Held()
    gate = {"prompt": "a gate in pixel art"}
    with served(lambda: Operations(selector.catalogue, selector)) as url, ThreadPoolExecutor() as pool:
        wait_until_ready(url)
        monkeypatch.setattr(work, "SECONDS", 0.5)
        held = [pool.submit(ask, f"{url}/select", gate) for _ in range(2)]
        for _ in held:
            assert selector.begun.acquire(timeout=20)
        # no place is left, and a thread that is late keeps its own
        code, error = said(ask(f"{url}/select", {"prompt": "pixel art"}))
        assert (code, "because many are asking" in error) == (503, True)
        assert {said(each.result())[0] for each in held} == {504}
        assert said(ask(f"{url}/select", {"prompt": "pixel art"}))[0] == 503
        monkeypatch.setattr(work, "SECONDS", 20)
        selector.open.set()
        assert ask(f"{url}/select", gate).status_code == 200


def test_an_index_that_is_silent_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "AT_THE_INDEX", 2)
    goes_on = threading.Event()

    class Silent(WordSearch):
        def search(self, *query: Any, **words: Any) -> Any:
            assert goes_on.wait(20)
            return super().search(*query, **words)

    catalogue = small_catalogue()
    query = {"query": "watercolor"}
    with served(lambda: Operations(catalogue, WordSelector(catalogue), Silent(catalogue))) as url:
        wait_until_ready(url)
        monkeypatch.setattr(work, "SECONDS", 0.4)
        with ThreadPoolExecutor(3) as pool:
            silent = list(pool.map(lambda _: said(ask(f"{url}/search", query))[0], range(3)))
        assert sorted(silent) == [503, 504, 504]
        assert ask(f"{url}/select", {"prompt": "pixel art"}).status_code == 200
        monkeypatch.setattr(work, "SECONDS", 20)
        goes_on.set()
        assert ask(f"{url}/search", query).json()["models"]


def test_an_unforeseen_fault_tells_nothing_but_itself() -> None:
    class Broken(WordSearch):
        def search(self, text: Any, *options: Any, **words: Any) -> Any:
            if "index" in text.prompt:
                raise DescriptionIndexError("the Chroma server does not answer")
            raise RuntimeError("a secret of the machine")

    catalogue = small_catalogue()
    with served(lambda: Operations(catalogue, WordSelector(catalogue), Broken(catalogue))) as url:
        answer = ask(f"{url}/search", {"query": "watercolor"})
        assert (answer.status_code, "secret" in answer.text) == (500, False)
        gone = said(ask(f"{url}/search", {"query": "an index"}))
        assert gone == (503, "the Chroma server does not answer")
        assert ask(f"{url}/select", {"prompt": "pixel art"}).status_code == 200
