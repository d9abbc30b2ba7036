"""Fetching: an own Civitai behind a transport; resumes, hashes, redirects without the key, plain errors."""

import errno
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from typer.testing import CliRunner

from diffagent_tools.cli.command import app
from diffagent_tools.cli.fetch import wanted_by
from diffagent_tools.files.answers import safe_name
from diffagent_tools.files.fetch import Fetcher
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


HOSTILE = "x\x1b[2J\x85\u202e\ny"


def look_up_fails(tmp_path: Path, answer: httpx.Response, wanted: WantedFile = WANTED) -> str:
    """What is said of an answer: one line without control characters."""
    with pytest.raises(FetchError) as caught:
        fetcher(tmp_path, lambda request: answer).look_up(wanted)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_000
    return str(caught.value)


@pytest.mark.parametrize(
    "size",
    [float("inf"), float("nan"), 10**400, -1, "1e400", [], {}, True, 1e300],
    ids=lambda size: str(size)[:9],
)
def test_a_size_that_no_file_has_is_said(tmp_path: Path, size: object) -> None:
    files = [{**Civitai().files[0], "sizeKB": size}]
    content = json.dumps({"files": files}).replace("Infinity", "1e400")
    assert "states the size" in look_up_fails(tmp_path, httpx.Response(200, content=content))


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"files": ' * 50_000,
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"files": {"a": 1}}',
        b'{"files": [1, null, [], {"name": 5, "hashes": []}]}',
        b'{"files": [{"name": "a.safetensors", "hashes": {"SHA256": 5}}]}',
        b'{"id": ' + b"9" * 5_000 + b"}",
        json.dumps({"files": [{"name": HOSTILE}, {"name": "n" * 1_000_000}]}).encode(),
    ],
    ids=lambda content: repr(content[:24]),
)
def test_an_answer_of_other_types_or_depths_is_a_plain_line(tmp_path: Path, content: bytes) -> None:
    look_up_fails(tmp_path, httpx.Response(200, content=content))


@pytest.mark.parametrize(
    "versions", [[5], ["x"], [None], [{}], [{"id": True}], [{"id": -1}], [{"id": 2**63}], {}]
)
def test_a_newest_version_that_is_none(tmp_path: Path, versions: object) -> None:
    answer = httpx.Response(200, json={"modelVersions": versions})
    assert "lists no version" in look_up_fails(tmp_path, answer, WantedFile("Dream", "Checkpoint", 1))


def test_an_answer_without_an_end_is_not_read_to_it(tmp_path: Path) -> None:
    class Endless(httpx.SyncByteStream):
        given = 0

        def __iter__(self) -> Any:
            while self.given < 1 << 30:
                self.given += 1 << 20
                yield b" " * (1 << 20)

    stream = Endless()
    assert "is no record" in look_up_fails(tmp_path, httpx.Response(200, stream=stream))
    assert stream.given < 1 << 26


BAD_ADDRESSES = [
    "http://[::1",
    "https://a:99999/x",
    "file:///etc/passwd",
    "javascript:1",
    "https://",
    "http://" + "a" * 5_000,
    "https://exa mple/\x1b\n",
    5,
    ["https://civitai.com"],
]


@pytest.mark.parametrize("address", BAD_ADDRESSES, ids=lambda address: str(address)[:12])
def test_a_bad_address_is_a_plain_line(tmp_path: Path, address: object) -> None:
    def at_the_address(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if request.url.host != "civitai.com" else site(request)

    site = Civitai(downloadUrl=address)
    own = fetcher(tmp_path, at_the_address)
    with pytest.raises(FetchError) as caught:
        own.fetch(own.look_up(WANTED))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("address", BAD_ADDRESSES[:6], ids=lambda address: str(address)[:12])
def test_a_bad_redirect_is_a_plain_line(tmp_path: Path, address: str) -> None:
    def redirecting(request: httpx.Request) -> httpx.Response:
        if request.url.host == "civitai.com" and "download" in request.url.path:
            return httpx.Response(307, headers={"location": address})
        return httpx.Response(404) if request.url.host != "civitai.com" else Civitai()(request)

    own = fetcher(tmp_path, redirecting)
    with pytest.raises(FetchError) as caught:
        own.fetch(own.look_up(WANTED))
    assert len(str(caught.value)) < 1_000


def test_a_host_name_that_no_resolver_takes(tmp_path: Path) -> None:
    own = Fetcher(ModelsFolder(tmp_path), site="http://" + "a" * 70 + ".example")
    with pytest.raises(FetchError, match="cannot be reached"):
        own.look_up(WANTED)


@pytest.mark.parametrize("letter", ["絵", "é", "a", "\U0001f3a8", "e\u0301"])
def test_a_long_name_fits_the_file_system(tmp_path: Path, letter: str) -> None:
    (tmp_path / "models").mkdir()
    site = Civitai(name=letter * 400 + ".safetensors")
    own = fetcher(tmp_path / "models", site)
    remote = own.look_up(WANTED)
    first, second = own.fetch(remote), own.fetch(remote)
    assert first != second
    assert first.read_bytes() == second.read_bytes() == CONTENT
    assert first.name.encode().decode() == first.name


@pytest.mark.parametrize("key", [None, KEY])
def test_more_bytes_than_stated_are_not_written(tmp_path: Path, key: str | None) -> None:
    site = Civitai()
    site.content = CONTENT * 300
    own = fetcher(tmp_path, site, key)
    with pytest.raises(FetchError, match=r"has more than the 0\.0 MB that Civitai states"):
        own.fetch(own.look_up(WANTED))
    assert not list(tmp_path.glob("dream*"))


@pytest.mark.parametrize("how", ["link", "broken link", "hard link", "folder"])
def test_nothing_is_written_through_a_link(tmp_path: Path, how: str) -> None:
    (tmp_path / "models").mkdir()
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    part = tmp_path / "models" / "dream_8.safetensors.part"
    if how == "hard link":
        part.hardlink_to(mine)
    elif how == "folder":
        part.mkdir()
    else:
        part.symlink_to(mine if how == "link" else tmp_path / "new")
    own = fetcher(tmp_path / "models", Civitai())
    with pytest.raises(FetchError, match="is no plain file"):
        own.fetch(own.look_up(WANTED))
    assert mine.read_bytes() == b"mine"
    assert not (tmp_path / "new").exists()


def test_a_link_that_is_put_there_after_the_look_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    own = fetcher(tmp_path, Civitai())
    part = tmp_path / "dream_8.safetensors.part"
    monkeypatch.setattr(own, "_check_room", lambda *given: part.symlink_to(mine))
    with pytest.raises(StorageError, match="cannot write"):
        own.fetch(own.look_up(WANTED))
    assert mine.read_bytes() == b"mine"


def test_a_disk_that_is_full_while_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(part: Path, *, go_on: bool) -> Any:
        return Path("/dev/full").open("wb")

    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    monkeypatch.setattr("diffagent_tools.files.fetch._opened", full)
    own = fetcher(tmp_path, Civitai())
    with pytest.raises(StorageError, match="the disk is full"):
        own.fetch(own.look_up(WANTED))


def test_what_a_catalogue_calls_a_file_is_shown_on_one_line() -> None:
    wanted = WantedFile(HOSTILE * 500, "LORA", 1, 2, file_names=(HOSTILE,))
    assert wanted.label.isprintable()
    assert len(wanted.label) < 400
