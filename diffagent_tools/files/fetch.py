"""Fetches checkpoints and LoRAs from Civitai into a models folder.

    fetcher = Fetcher(ModelsFolder(Path("models")), key=os.environ.get("CIVITAI_API_KEY"))
    remote = fetcher.look_up(wanted)      # name, size, SHA256, address
    fetcher.fetch(remote)                 # models/dreamshaper_8.safetensors

Safetensors files only: the other forms can run code when they are opened. A download that stops goes on where
it stopped (`NAME.part`), is checked against the SHA256 that Civitai states and only then gets its name. The
key goes to Civitai's own host and nowhere else: downloads are redirected to a store that signs its addresses.
Whatever an answer holds, it can write no other file, fill no disk beyond the size that it states, and show no
control characters.
"""

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from diffagent_tools.files.answers import address_of, host_of, is_usable, safe_name, stated_size
from diffagent_tools.files.folder import SUFFIX, ModelsFolder
from diffagent_tools.files.wanted import WantedFile
from diffagent_tools.quoting import plain
from retrieval.errors import FetchError, MissingModelFile, StorageError
from retrieval.records.border import MAX_ID
from retrieval.storage import sha256_of

if TYPE_CHECKING:
    import httpx

SITE = "https://civitai.com"
KEY_VARIABLE = "CIVITAI_API_KEY"
# what must be left on the disk
SPARE_BYTES = 200_000_000
_BLOCK = 1 << 20
_TOLD_BYTES = 100_000_000
_REDIRECTS = 5
_REDIRECT = {301, 302, 303, 307, 308}
_HTML = b"<"
_MAX_ANSWER = 32_000_000
# Civitai rounds sizes to a few bytes
_ROUNDED = 1024


@dataclass(frozen=True)
class RemoteFile:
    """A file on Civitai; `size` in bytes is rounded as Civitai states it, in kilobytes."""

    wanted: WantedFile
    version_id: int
    name: str
    size: int
    sha256: str
    address: str


class Fetcher:
    """Looks up and downloads.

    Args:
        models: where files go.
        key: Civitai's API key; most files need one.
        site: Civitai's address.
        transport: how requests are sent; tests pass their own.
        progress: is told how far it is.
    """

    def __init__(
        self,
        models: ModelsFolder,
        *,
        key: str | None = None,
        site: str = SITE,
        transport: "httpx.BaseTransport | None" = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.models = models
        self.site = site.rstrip("/")
        self._key = (key or "").strip() or None
        self._transport = transport
        self._progress = progress or (lambda line: None)

    def present(self, wanted: WantedFile) -> Path | None:
        """The file, if the folder holds it."""
        try:
            return self.models.find(wanted)
        except MissingModelFile:
            return None

    def look_up(self, wanted: WantedFile) -> RemoteFile:
        """What Civitai says of a file.

        Raises:
            FetchError: it cannot be asked, does not know the model, or has no safetensors file of it.
        """
        version_id = self._newest(wanted) if wanted.version_id is None else wanted.version_id
        answer = self._json(f"{self.site}/api/v1/model-versions/{version_id}", wanted)
        listed = answer.get("files")
        files: list[Any] = listed if isinstance(listed, list) else []
        usable = [file for file in files if isinstance(file, dict) and is_usable(file)]
        if not usable:
            named = [plain(str(file.get("name")), 80) for file in files[:8] if isinstance(file, dict)]
            raise FetchError(
                f"Civitai offers no safetensors file of {wanted.label} with a SHA256 (it offers "
                f"{', '.join(named) or 'no file'}); "
                "other forms can run code when they are opened and are not fetched: choose another version"
            )
        known = {digest.upper() for digest in wanted.sha256}
        best = max(
            usable, key=lambda file: (file["hashes"]["SHA256"].upper() in known, bool(file.get("primary")))
        )
        return RemoteFile(
            wanted=wanted,
            version_id=version_id,
            name=safe_name(str(best.get("name", "")), version_id),
            size=stated_size(best.get("sizeKB"), wanted),
            sha256=best["hashes"]["SHA256"].upper(),
            address=address_of(
                best.get("downloadUrl") or f"{self.site}/api/download/models/{version_id}", wanted
            ),
        )

    def fetch(self, remote: RemoteFile) -> Path:
        """Downloads a file, or goes on with it; the path it lies at.

        Raises:
            FetchError: the network or Civitai refuses, or what came has another SHA256 (it is deleted then).
            StorageError: the disk is full or the folder cannot be written; what came is kept.
        """
        target = self._target(remote)
        part = target.with_name(f"{target.name}.part")
        with _storing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            have = _size_of(part)
            self._check_room(remote, have)
            self._download(remote, part, have)
            found = sha256_of(part).upper()
            if found != remote.sha256:
                part.unlink(missing_ok=True)
                raise FetchError(
                    f"{remote.name} came with the SHA256 {found}, and Civitai states {remote.sha256}: it was "
                    "damaged or changed on its way, and is deleted. Try again"
                )
            part.replace(target)
        self.models.learn(target, found, remote.version_id)
        return target

    def _target(self, remote: RemoteFile) -> Path:
        """A file of this name may be another model's: then the version goes into the name."""
        target = self.models.path / remote.name
        if os.path.lexists(target):
            return target.with_name(f"{target.stem}_{remote.version_id}{SUFFIX}")
        return target

    def _check_room(self, remote: RemoteFile, have: int) -> None:
        free = shutil.disk_usage(self.models.path).free
        needed = max(remote.size - have, 0) + SPARE_BYTES
        if free < needed:
            raise StorageError(
                f"{remote.name} needs {gigabytes(needed)} more and the disk of {self.models.path} has "
                f"{gigabytes(free)}; free some space or name another folder with --models"
            )

    def _download(self, remote: RemoteFile, part: Path, have: int) -> None:
        if remote.size and have >= remote.size + _ROUNDED:
            part.unlink()  # longer than the file: of something else
            have = 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._open(remote.address, headers, remote.wanted) as response:
            if response.status_code == 416:
                return  # nothing is missing; the SHA256 will tell
            if have and response.status_code != 206:
                have = 0
            elif have:
                self._progress(f"{remote.name}: going on after {gigabytes(have)}")
            shown = have
            with _opened(part, go_on=bool(have)) as out:
                for block in response.iter_bytes(_BLOCK):
                    if not have and block[:1] == _HTML:
                        raise FetchError(_refused(remote.wanted, "a page instead of the file", self._key))
                    have += len(block)
                    if remote.size and have >= remote.size + _ROUNDED:
                        part.unlink(missing_ok=True)
                        raise FetchError(
                            f"{remote.name} has more than the {gigabytes(remote.size)} that Civitai states; "
                            "what came is deleted. Try again later, or choose another version"
                        )
                    out.write(block)
                    if have - shown >= _TOLD_BYTES:
                        self._progress(f"{remote.name}: {gigabytes(have)} of {gigabytes(remote.size)}")
                        shown = have

    def _newest(self, wanted: WantedFile) -> int:
        if wanted.model_id is None:
            raise FetchError(
                f"{wanted.label} has no Civitai id; name it as MODEL@VERSION or by its AIR, or load a "
                "catalogue that holds it"
            )
        answer = self._json(f"{self.site}/api/v1/models/{wanted.model_id}", wanted)
        versions = answer.get("modelVersions")
        first = versions[0] if isinstance(versions, list) and versions else None
        newest = first.get("id") if isinstance(first, dict) else None
        if type(newest) is not int or not 1 <= newest <= MAX_ID:
            raise FetchError(f"Civitai lists no version of {wanted.label}; it may have been taken down")
        return newest

    def _json(self, address: str, wanted: WantedFile) -> Mapping[str, Any]:
        with self._open(address, {}, wanted) as response:
            content = bytearray()
            for block in response.iter_bytes(_BLOCK):
                content += block
                if len(content) > _MAX_ANSWER:
                    raise FetchError(
                        f"Civitai's answer for {wanted.label} has more than {gigabytes(_MAX_ANSWER)}, which "
                        "is no record; try again later"
                    )
            try:
                value = json.loads(content)
            except (ValueError, RecursionError) as error:
                raise FetchError(f"Civitai gave no JSON for {wanted.label}; try again later") from error
        if not isinstance(value, dict):
            raise FetchError(f"Civitai gave no record for {wanted.label}; try again later")
        return value

    @contextmanager
    def _open(
        self, address: str, headers: Mapping[str, str], wanted: WantedFile
    ) -> "Iterator[httpx.Response]":
        """The answer behind all redirects. The key is sent to Civitai's own host alone, over TLS."""
        import httpx

        timeout = httpx.Timeout(30, read=120)
        try:
            with httpx.Client(transport=self._transport, timeout=timeout, follow_redirects=False) as client:
                for _ in range(_REDIRECTS + 1):
                    request = client.build_request(
                        "GET", address, headers={**headers, **self._secret(address)}
                    )
                    response = client.send(request, stream=True)
                    try:
                        if response.status_code in _REDIRECT:
                            location = response.headers.get("location", "")
                            address = address_of(location, wanted, base=address)
                            if urlsplit(address).path.startswith("/login"):
                                raise FetchError(_refused(wanted, "its log-in page", self._key))
                            continue
                        if response.status_code >= 400 and response.status_code != 416:
                            raise FetchError(_refused(wanted, str(response.status_code), self._key))
                        yield response
                        return
                    finally:
                        response.close()
            raise FetchError(f"Civitai redirects {wanted.label} in a circle; try again later")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            host = host_of(address)
            told = type(error).__name__
            raise FetchError(
                f"{wanted.label} did not come: {host} cannot be reached or broke off ({told}); run the same "
                "command again, and it goes on where it stopped"
            ) from None

    def _secret(self, address: str) -> dict[str, str]:
        own, there = urlsplit(self.site), urlsplit(address)
        same = (own.scheme, own.hostname, own.port) == (there.scheme, there.hostname, there.port)
        return {"Authorization": f"Bearer {self._key}"} if self._key and same else {}


def _size_of(part: Path) -> int:
    """The bytes that came before; 0 where nothing did.

    Raises:
        FetchError: something lies there that is no plain file, such as a link to another one.
    """
    try:
        found = part.lstat()
    except FileNotFoundError:
        return 0
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise FetchError(
            f"{part} is no plain file but a link or a device, and nothing is written through it; delete it, "
            "and run the same command again"
        )
    return found.st_size


def _opened(part: Path, *, go_on: bool) -> "IO[bytes]":
    """For writing, at its end or anew; never through a link, also one that was put there just now."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if go_on else os.O_TRUNC)
    # Windows has neither, and no such links for other users to put there
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(part, flags, 0o666), "ab" if go_on else "wb")


def gigabytes(size: int) -> str:
    """A size in words."""
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _refused(wanted: WantedFile, answer: str, key: str | None) -> str:
    told = {
        "401": "it wants an API key",
        "403": "it wants an API key, or the file is in early access",
        "404": "it does not have it (any more)",
        "429": "it has had too many requests; wait a while",
        "its log-in page": "it wants an API key",
        "a page instead of the file": "it wants an API key",
    }.get(answer, "try again later")
    hint = ""
    if "API key" in told:
        hint = (
            f". Make one at {SITE}/user/account and put it in {KEY_VARIABLE}"
            if key is None
            else f"; the key in {KEY_VARIABLE} is not enough for it"
        )
    return f"Civitai answered {answer} for {wanted.label}: {told}{hint}"


@contextmanager
def _storing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno == errno.ENOSPC
        what = "the disk is full" if full else error.strerror or str(error)
        raise StorageError(
            f"cannot write {target} ({what}); what came is kept in {target.name}.part, and the same command "
            "goes on with it when there is room"
        ) from error
