"""The ComfyUI nodes, installed by the README's line, run as ComfyUI runs them against a real server."""

import json
import math
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from comfyui_host import SAMPLERS, SCHEDULERS, ComfyUI
from installing import install
from served import served, small_operations

BASE = "sd15/v1-5-pruned-emaonly.safetensors"
LORA = "styles/pixel_art_helper_v2.safetensors"
FREE = "freePixels_v1.safetensors"


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ComfyUI")
    (folder / "custom_nodes").mkdir()
    install("comfyui", COMFYUI=folder)
    return folder / "custom_nodes" / "diffagent"


@pytest.fixture
def host(pack: Path) -> Iterator[ComfyUI]:
    with ComfyUI(checkpoints=[FREE, BASE, "my merge.safetensors"], loras=[LORA]).with_nodes_of(pack) as made:
        yield made


def test_a_request_becomes_names_that_the_host_lists(host: ComfyUI, url: str) -> None:
    made = host.run("DiffAgentSelect", {"text": "a corgi, pixel art", "negative": "blurry", "server": url})
    assert (made["ckpt_name"], made["lora_stack"]) == (BASE, [(LORA, 0.8, 0.8)])
    assert (made["sampler_name"], made["scheduler"]) == ("dpmpp_2m", "karras")
    assert (made["steps"], made["cfg"], made["width"], made["height"]) == (25, 8.0, 512, 512)
    assert made["prompt"] == "a corgi, pixel art"
    assert made["negative"] == "blurry"
    assert made["report"].startswith("Pixel Art Helper: ")
    links = {"model": "m", "clip": "c", "lora_stack": made["lora_stack"]}
    applied = host.run("DiffAgentApplyLoras", links)
    assert applied == {"MODEL": f"m+{LORA}", "CLIP": f"c+{LORA}"}
    assert host.loaded == [(LORA, 0.8, 0.8)]


def test_outputs_link_to_the_inputs_of_other_nodes_after_files_were_added(host: ComfyUI) -> None:
    for _ in range(2):
        for place, wanted in enumerate(
            [
                *(host.listed("checkpoints"), "LORA_STACK", "STRING", "STRING", SAMPLERS, SCHEDULERS),
                *("INT", "FLOAT", "INT", "INT", "STRING"),
            ]
        ):
            assert host.accepts("DiffAgentSelect", place, wanted), place
        assert host.accepts("DiffAgentSettings", 0, host.listed("checkpoints"))
        assert not host.accepts("DiffAgentSelect", 0, host.listed("loras"))
        host.files["checkpoints"].append("another.safetensors")


def test_the_best_that_is_here_is_taken_and_the_better_one_told(host: ComfyUI, url: str) -> None:
    host.files["loras"].clear()
    made = host.run("DiffAgentSelect", {"text": "a corgi, pixel art", "server": url})
    assert (made["ckpt_name"], made["lora_stack"]) == (FREE, [])
    better = "would fit better, but is not here: Pixel Art Helper (LORA for SD 1.5, https://civitai.com/models/201)"
    assert better in made["report"]
    host.files |= {"checkpoints": [FREE], "loras": [LORA]}
    made = host.run("DiffAgentSelect", {"text": "a corgi, pixel art", "server": url})
    assert made["ckpt_name"] == FREE, "a LoRA goes on another checkpoint of its family"
    assert f"{FREE} takes the place of v1-5-pruned-emaonly" in made["report"]


def test_settings_of_a_checkpoint_that_is_here(host: ComfyUI, url: str) -> None:
    made = host.run("DiffAgentSettings", {"ckpt_name": FREE, "server": url})
    assert made["ckpt_name"] == FREE
    assert (made["width"], made["stop_at_clip_layer"]) == (512, -1)
    assert made["sampler_name"] in SAMPLERS
    host.files["checkpoints"].append("freePixels_v9.safetensors")
    made = host.run("DiffAgentSettings", {"ckpt_name": "freePixels_v9.safetensors", "server": url})
    assert "9 of 'Free Pixels' is not a version that is known here; 'v1' is offered" in made["report"]
    with pytest.raises(Exception, match=r"no settings are known for 'my merge.safetensors': .*no model"):
        host.run("DiffAgentSettings", {"ckpt_name": "my merge.safetensors", "server": url})


def test_a_sampler_that_the_host_does_not_offer_is_replaced_and_told(host: ComfyUI, url: str) -> None:
    SAMPLERS.remove("dpmpp_2m")
    try:
        made = host.run("DiffAgentSelect", {"text": "a corgi, pixel art", "server": url})
    finally:
        SAMPLERS.insert(2, "dpmpp_2m")
    assert made["sampler_name"] == "euler"
    assert "'dpmpp_2m' is not offered here; 'euler' is taken" in made["report"]


def test_it_runs_again_when_the_answer_may_be_another(host: ComfyUI, url: str) -> None:
    words = {"text": "a corgi", "server": url}
    assert host.runs_again("DiffAgentSelect", words)
    assert not host.runs_again("DiffAgentSelect", words)
    host.files["loras"].append("new.safetensors")
    assert host.runs_again("DiffAgentSelect", words)
    settings = {"ckpt_name": FREE, "server": url}
    assert host.runs_again("DiffAgentSettings", settings)
    assert not host.runs_again("DiffAgentSettings", settings)
    node = host.nodes["DiffAgentSelect"]
    assert math.isnan(node.IS_CHANGED(server="http://127.0.0.1:9", text="a corgi"))
    assert math.isnan(node.IS_CHANGED(server=None, text=None)), "linked inputs are not known yet"


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """A server of somebody else, which says the same to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as other:
        running = threading.Thread(target=other.serve_forever, args=(0.01,))
        running.start()
        try:
            yield f"http://127.0.0.1:{other.server_address[1]}"
        finally:
            other.shutdown()
            running.join()


def said(host: ComfyUI, server: str, **words: Any) -> str:
    with pytest.raises(Exception, match=r"\w") as caught:
        host.run("DiffAgentSelect", {"text": "a corgi, pixel art", **words, "server": server})
    assert type(caught.value).__name__ == "DiffAgentError", caught.value
    return str(caught.value)


def test_what_goes_wrong_is_said_in_plain_words(
    host: ComfyUI, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert said(host, nowhere).startswith(f"no DiffAgent server can be reached at {nowhere}")
        assert "diffagent serve" in said(host, nowhere)
    assert "no DiffAgent server can be reached" in said(host, "http://nobody.invalid:8378")
    assert "is no address of a DiffAgent server" in said(host, "file:///etc/passwd")
    for body in (b"<html>", b"[1]", b'{"a": 1}'):
        with answering(200, body) as other:
            assert "is no DiffAgent server" in said(host, other)
    with answering(302, b"", Location="http://elsewhere.example/") as other:
        assert "is no DiffAgent server (status 302)" in said(host, other)
    with answering(200, json.dumps({"version": "9.1", "interface": 2}).encode()) as newer:
        told = said(host, newer)
        assert "(version 9.1) speaks interface 2, and this integration 1; update this integration" in told
    with served(small_operations, "correct-horse-battery-staple") as guarded:
        assert "needs its token: set DIFFAGENT_TOKEN" in said(host, guarded)
        monkeypatch.setenv("DIFFAGENT_TOKEN", "correct-horse-battery-staple")
        assert host.run("DiffAgentSelect", {"text": "pixel art", "server": guarded})["ckpt_name"] == BASE


def test_a_catalogue_of_another_family_and_files_that_nobody_knows(host: ComfyUI, url: str) -> None:
    assert "no model passes these filters" in said(host, url, base_model="Flux.1 D")
    assert "Quux" in said(host, url, base_model="Quux")
    host.files |= {"checkpoints": ["my merge.safetensors"], "loras": []}
    told = said(host, url)
    assert "is among the 1 checkpoints and 0 LoRAs here (0 and 0 of them" in told
    assert "Pixel Art Helper (LORA for SD 1.5, https://civitai.com/models/201)" in told
    assert "it is empty" in said(host, url, text="")


def test_a_proxy_of_the_network_is_not_asked_for_this_machine(
    host: ComfyUI, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert host.run("DiffAgentSelect", {"text": "pixel art", "server": url})["ckpt_name"] == BASE
