"""The tests of `diffagent_tools.installed.programs`, against the shapes that the programs answer with."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from installed_world import captions, kohya, weights

from diffagent_tools.installed.facts import FoundFile
from diffagent_tools.installed.programs import is_address, read_program
from retrieval.errors import InvalidInput, ServiceError

WEBUI = {
    "/sdapi/v1/sd-models": [
        {
            "title": "xl/ponyDiffusionV6XL.safetensors [67ab2fd8ec]",
            "model_name": "xl_ponyDiffusionV6XL",
            "hash": "67ab2fd8ec",
            "sha256": "67ab2fd8" + "0" * 56,
            "filename": "/far/models/Stable-diffusion/xl/ponyDiffusionV6XL.safetensors",
            "config": None,
        },
        {"title": "old.ckpt", "model_name": "old", "filename": "/far/models/Stable-diffusion/old.ckpt"},
        "not an object",
        {},
    ],
    "/sdapi/v1/loras": [
        {
            "name": "corgi",
            "alias": "corgi",
            "path": "/far/models/Lora/corgi.safetensors",
            "metadata": {
                "ss_base_model_version": "sd_v1",
                "ss_tag_frequency": {"10_corgi": {"pixelcorgi": 9}},
            },
        }
    ],
}
COMFY = {
    "/models": ["checkpoints", "loras", "diffusion_models"],
    "/models/checkpoints": ["sd_xl_base_1.0.safetensors", "old.ckpt"],
    "/models/diffusion_models": ["flux1-schnell.safetensors"],
    "/models/loras": ["styles/corgi.safetensors", "mystery.safetensors"],
    "/view_metadata/loras?filename=styles%2Fcorgi.safetensors": captions({"pixelcorgi": 9}, 9),
}
OLD_COMFY = {
    "/object_info/CheckpointLoaderSimple": {
        "CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": [["v1/sd_v1-5.safetensors"]]}}}
    },
    "/object_info/LoraLoader": {
        "LoraLoader": {"input": {"required": {"lora_name": ["COMBO", {"options": ["sdxl/ink.safetensors"]}]}}}
    },
}


@contextmanager
def program(answers: Mapping[str, Any]) -> Iterator[str]:
    """A program on loopback that answers these addresses, and 404 to others."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = answers.get(self.path)
            body = known if isinstance(known, bytes) else json.dumps(known).encode()
            self.send_response(404 if known is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Tells nobody."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def found_in(answers: Mapping[str, Any]) -> dict[str, FoundFile]:
    with program(answers) as url:
        return {file.name: file for file in read_program(f"{url}/")}


def test_a1111_lists_names_hashes_and_headers() -> None:
    found = found_in(WEBUI)
    pony = found["xl/ponyDiffusionV6XL.safetensors"]
    assert (pony.kind, pony.base_model, pony.guessed, pony.path) == ("Checkpoint", "Pony", True, None)
    assert pony.sha256 == "67AB2FD8" + "0" * 56
    corgi = found["corgi.safetensors"]
    assert (corgi.kind, corgi.base_model, corgi.guessed) == ("LORA", "SD 1.5", False)
    assert corgi.tags == {"pixelcorgi": 1.0}
    assert found["old.ckpt"].fault


def test_a_file_that_lies_here_is_read_here(tmp_path: Path) -> None:
    path = weights(tmp_path / "models" / "Lora" / "ink.safetensors", kohya(1024))
    path.with_name("ink.json").write_text(json.dumps({"activation text": "inkwash"}))
    listed = {"name": "ink", "path": str(path), "metadata": {}}
    found = found_in({"/sdapi/v1/sd-models": [], "/sdapi/v1/loras": [listed]})["ink.safetensors"]
    assert (found.path, found.base_model) == (str(path), "SD 2.1")
    assert found.told.trigger_words == ("inkwash",)


def test_comfyui_lists_folders_and_headers() -> None:
    found = found_in(COMFY)
    assert found["sd_xl_base_1.0.safetensors"].base_model == "SDXL 1.0"
    assert found["flux1-schnell.safetensors"].base_model == "Flux.1 S"
    corgi = found["styles/corgi.safetensors"]
    assert (corgi.kind, corgi.base_model, corgi.guessed) == ("LORA", "SD 1.5", False)
    assert found["mystery.safetensors"].base_model is None


def test_an_older_comfyui_says_it_in_its_nodes() -> None:
    found = found_in(OLD_COMFY)
    assert {name: file.base_model for name, file in found.items()} == {
        "v1/sd_v1-5.safetensors": "SD 1.5",
        "sdxl/ink.safetensors": "SDXL 1.0",
    }


@pytest.mark.parametrize("answer", [b"", b"{", b"<html>", b"[" * 100_000, {"a": 1}, [1, 2]])
def test_another_server_is_told_from_a_program(answer: Any) -> None:
    with (
        program({"/models/checkpoints": answer, "/models/loras": answer}) as url,
        pytest.raises(ServiceError, match="neither as A1111"),
    ):
        read_program(url)


def test_nobody_answers() -> None:
    with pytest.raises(ServiceError, match="does not answer"):
        read_program("http://127.0.0.1:9")


@pytest.mark.parametrize("url", ["http://[", "http://"])
def test_no_address(url: str) -> None:
    with pytest.raises((InvalidInput, ServiceError)):
        read_program(url)


def test_addresses_and_folders() -> None:
    assert is_address("HTTP://127.0.0.1:7860")
    assert not is_address("/home/me/models")
