"""Fetching: an own Civitai behind a transport; resumes, hashes, redirects without the key, plain errors."""

import errno
import hashlib
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from typer.testing import CliRunner

from diffagent_tools.cli.command import app
from diffagent_tools.cli.fetch import wanted_by
from diffagent_tools.files.fetch import Fetcher, safe_name
from diffagent_tools.files.folder import ModelsFolder
from diffagent_tools.files.wanted import WantedFile
from retrieval.catalogue import Catalogue
from retrieval.errors import FetchError, InvalidInput, StorageError
from retrieval.records.model import ModelRecord

CONTENT = b"safetensors " * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest().upper()
WANTED = WantedFile("Dream", "Checkpoint", 1, 8)
KEY = "secret-key"


class Sent(NamedTuple):
    host: str
    path: str
    key: str | None
    bytes_from: str | None


class Civitai:
    """Answers as Civitai does; `files` is what it lists, `store` what its file store sends."""

    def __init__(self, **file: Any) -> None:
        listed = {
            "name": "dream_8.safetensors",
            "type": "Model",
            "sizeKB": len(CONTENT) / 1024,
            "hashes": {"SHA256": SHA256},
            "primary": True,
            "downloadUrl": "https://civitai.com/api/download/models/8",
        }
        self.files: list[dict[str, Any]] = [{**listed, **file}]
        self.content = CONTENT
        self.ranges = True
        self.needs_key = False
        self.sent: list[Sent] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(
            Sent(
                request.url.host,
                request.url.path,
                request.headers.get("authorization"),
                request.headers.get("range"),
            )
        )
        if request.url.path == "/api/v1/models/1":
            return httpx.Response(200, json={"modelVersions": [{"id": 8}]})
        if request.url.path == "/api/v1/model-versions/8":
            return httpx.Response(200, json={"id": 8, "files": self.files})
        if request.url.path == "/api/download/models/8":
            if self.needs_key and not request.headers.get("authorization"):
                return httpx.Response(307, headers={"location": "/login?returnUrl=x"})
            return httpx.Response(307, headers={"location": "https://store.example/file?signature=abc"})
        if request.url.host == "store.example":
            asked = request.headers.get("range")
            if asked and self.ranges:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(self.content):
                    return httpx.Response(416)
                return httpx.Response(206, content=self.content[start:])
            return httpx.Response(200, content=self.content)
        return httpx.Response(404)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path_factory.mktemp("home")))


def fetcher(folder: Path, site: Any, key: str | None = KEY) -> Fetcher:
    return Fetcher(ModelsFolder(folder), key=key, transport=httpx.MockTransport(site))


def test_a_file_is_fetched_checked_and_found_again(tmp_path: Path) -> None:
    own = fetcher(tmp_path, Civitai())
    remote = own.look_up(WANTED)
    assert (remote.name, remote.size, remote.sha256) == ("dream_8.safetensors", len(CONTENT), SHA256)
    path = own.fetch(remote)
    assert path.read_bytes() == CONTENT
    assert [each.name for each in tmp_path.iterdir() if not each.name.startswith(".")] == [path.name]
    assert own.present(WANTED) == path
    assert ModelsFolder(tmp_path).find(SHA256) == path


def test_the_key_goes_to_civitai_and_not_to_the_store(tmp_path: Path) -> None:
    site = Civitai()
    own = fetcher(tmp_path, site)
    own.fetch(own.look_up(WANTED))
    assert {sent.key for sent in site.sent if sent.host == "civitai.com"} == {f"Bearer {KEY}"}
    assert [sent.key for sent in site.sent if sent.host == "store.example"] == [None]
    plain = Fetcher(ModelsFolder(tmp_path), key=KEY)
    assert plain._secret("http://civitai.com/x") == {}
    assert plain._secret("https://civitai.com.example/x") == {}


def test_the_newest_version_where_none_is_named(tmp_path: Path) -> None:
    assert fetcher(tmp_path, Civitai()).look_up(WantedFile("Dream", "Checkpoint", 1)).version_id == 8
    with pytest.raises(FetchError, match="has no Civitai id"):
        fetcher(tmp_path, Civitai()).look_up(WantedFile("Dream", "Checkpoint"))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_stopped(tmp_path: Path, ranges: bool) -> None:
    site = Civitai()
    site.ranges = ranges
    own = fetcher(tmp_path, site)
    (tmp_path / "dream_8.safetensors.part").write_bytes(CONTENT[:5000])
    assert own.fetch(own.look_up(WANTED)).read_bytes() == CONTENT
    assert site.sent[-1].bytes_from == "bytes=5000-"


def test_a_download_that_was_whole_is_only_checked(tmp_path: Path) -> None:
    own = fetcher(tmp_path, Civitai())
    (tmp_path / "dream_8.safetensors.part").write_bytes(CONTENT)
    assert own.fetch(own.look_up(WANTED)).read_bytes() == CONTENT


def test_a_wrong_hash_is_deleted_and_named(tmp_path: Path) -> None:
    site = Civitai()
    site.content = b"x" * len(CONTENT)
    own = fetcher(tmp_path, site)
    with pytest.raises(FetchError, match=f"Civitai states {SHA256}: it was damaged"):
        own.fetch(own.look_up(WANTED))
    assert not list(tmp_path.glob("dream*"))


def test_a_broken_connection_keeps_what_came_and_tells_no_secret(tmp_path: Path) -> None:
    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield CONTENT[: 1 << 12] * 300
            raise httpx.ReadError("gone")

    site = Civitai(sizeKB=2000)

    def breaking(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Broken()) if request.url.host == "store.example" else site(request)

    own = fetcher(tmp_path, breaking)
    with pytest.raises(FetchError, match="goes on where it stopped") as caught:
        own.fetch(own.look_up(WANTED))
    assert (tmp_path / "dream_8.safetensors.part").stat().st_size > 0
    assert KEY not in str(caught.value)
    assert "signature" not in str(caught.value)


def test_a_log_in_page_asks_for_the_key(tmp_path: Path) -> None:
    site = Civitai()
    site.needs_key = True
    own = fetcher(tmp_path, site, key=None)
    with pytest.raises(FetchError, match=r"it wants an API key. Make one at .* put it in CIVITAI_API_KEY"):
        own.fetch(own.look_up(WANTED))
    page = Civitai()
    page.content = b"<!doctype html>"
    own = fetcher(tmp_path, page)
    with pytest.raises(FetchError, match="the key in CIVITAI_API_KEY is not enough"):
        own.fetch(own.look_up(WANTED))


@pytest.mark.parametrize(
    ("status", "told"), [(404, "does not have it"), (429, "too many"), (500, "try again")]
)
def test_what_civitai_answers_is_said(tmp_path: Path, status: int, told: str) -> None:
    with pytest.raises(FetchError, match=told):
        fetcher(tmp_path, lambda request: httpx.Response(status)).look_up(WANTED)


@pytest.mark.parametrize(
    "file", [{"name": "dream.ckpt"}, {"hashes": {}}, {"type": "Training Data"}, {"hashes": {"SHA256": "x"}}]
)
def test_only_safetensors_with_a_hash_are_fetched(tmp_path: Path, file: dict[str, Any]) -> None:
    with pytest.raises(FetchError, match="offers no safetensors file of the checkpoint 'Dream'"):
        fetcher(tmp_path, Civitai(**file)).look_up(WANTED)


def test_a_full_disk_is_said_before_and_during(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = fetcher(tmp_path, Civitai())
    remote = own.look_up(WANTED)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 1000))
        with pytest.raises(StorageError, match=r"needs 0.20 GB more and the disk of .* has 0.0 MB"):
            own.fetch(remote)

    def full(path: Path) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("diffagent_tools.files.fetch.sha256_of", full)
    with pytest.raises(StorageError, match="the disk is full"):
        own.fetch(remote)
    assert (tmp_path / "dream_8.safetensors.part").exists()


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("../../etc/cron.safetensors", "cron.safetensors"),
        ("..\\x.safetensors", "x.safetensors"),
        ("/", "8.safetensors"),
        (".hidden.safetensors", "hidden.safetensors"),
        ("a\x00b|c.safetensors", "a_b_c.safetensors"),
        ("日本 v1.safetensors", "日本 v1.safetensors"),
    ],
)
def test_a_strangers_file_name_stays_in_the_folder(given: str, safe: str) -> None:
    assert safe_name(given, 8) == safe


def test_another_file_of_the_name_is_kept(tmp_path: Path) -> None:
    (tmp_path / "dream_8.safetensors").write_bytes(b"mine")
    own = fetcher(tmp_path, Civitai())
    assert own.fetch(own.look_up(WANTED)).name == "dream_8_8.safetensors"
    assert (tmp_path / "dream_8.safetensors").read_bytes() == b"mine"


def test_what_the_command_is_told(tmp_path: Path) -> None:
    dream = ModelRecord(model_id=1, model="Dream", type="Checkpoint", base_model="SD 1.5")
    style = ModelRecord(model_id=2, model="Style", type="LORA", base_model="SD 1.5")
    records = Catalogue([dream, style])
    assert wanted_by("Dream", records) == wanted_by("1", records)
    assert wanted_by("1@8", records)[0].version_id == 8
    assert wanted_by("@8", records)[0].model_id is None
    assert wanted_by("urn:air:sd1:lora:civitai:5@6", records)[0].kind == "LoRA"
    api = tmp_path / "api.json"
    api.write_text('{"model": "Style", "type": "LORA", "base model": "SD 1.5"}')
    assert [file.kind for file in wanted_by(str(api), records)] == ["checkpoint", "LoRA"]
    for bad, told in (("Drem", "holds no model called"), (str(tmp_path / "no.json"), "cannot read")):
        with pytest.raises(InvalidInput, match=told):
            wanted_by(bad, records)


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["fetch", "no such model", "--models", str(tmp_path)])
    assert result.exit_code == 2
    assert "holds no model called" in result.stderr
