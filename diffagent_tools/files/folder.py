"""A folder of model files: finds a checkpoint or a LoRA by its SHA256, its Civitai version id, or its name.

    models = ModelsFolder(Path("models"))
    models.find(wanted_files(api, catalogue).checkpoint)   # models/checkpoints/dreamshaper_8.safetensors
    models.find(128713)                                    # by version id
    models.find("dreamshaper_8")                           # by name, or by the 64 digits of a SHA256

It may be the folder of A1111 or ComfyUI: subfolders and links are followed, and nothing but safetensors files
and folders in diffusers' layout is looked at. A 7 GB file is hashed once: the hash is kept in the folder, in
`.diffagent-files.json`, with the size and time of the file it is of.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from diffagent_tools.files.wanted import WantedFile
from retrieval.catalogue.names import normalise_name
from retrieval.errors import InvalidInput, MissingModelFile, StorageError
from retrieval.records.model import VersionRecord
from retrieval.storage import atomic_write, cache_dir, sha256_of

INDEX_NAME = ".diffagent-files.json"
SUFFIX = ".safetensors"
FOLDER_MARK = "model_index.json"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_BLOCK = 1 << 20
_TOLD_BYTES = 1_000_000_000


@dataclass(frozen=True)
class KnownFile:
    """What is remembered of a file while its size and time stay the same."""

    size: int
    mtime_ns: int
    sha256: str | None = None
    version_id: int | None = None


class ModelsFolder:
    """The model files below a folder.

    Args:
        path: the folder; it must be there.
        progress: is told before a large file is hashed.

    Raises:
        InvalidInput: there is no such folder.
    """

    def __init__(self, path: Path, *, progress: Callable[[str], None] | None = None) -> None:
        self.path = Path(path).expanduser()
        if not self.path.is_dir():
            raise InvalidInput(
                f"there is no models folder {self.path}; make it, or name the one that holds your checkpoints"
            )
        self._progress = progress or _silent
        self._known: dict[str, KnownFile] | None = None

    def find(self, wanted: WantedFile | VersionRecord | int | str) -> Path:
        """The file (or folder in diffusers' layout) of a model.

        Args:
            wanted: what is known of it; or a version id; or a SHA256, a file's or a model's name.

        Raises:
            MissingModelFile: it is not there; the message says how to get it.
        """
        want = _as_wanted(wanted)
        refused: list[Path] = []
        for each in (want, *want.others):
            found = self._find(each, refused)
            if found is not None:
                return found
        wrong = ", ".join(path.name for path in refused)
        seen = f"; {wrong} has its name but another SHA256" if refused else ""
        raise MissingModelFile(
            f"{want.label} is not in {self.path}{seen}. Fetch it with `diffagent fetch {want.fetch_argument} "
            f"--models {self.path}`, or put the file there"
        )

    def files(self) -> Iterator[Path]:
        """Every safetensors file and every folder in diffusers' layout, sorted within its folder."""
        seen: set[str] = set()
        for root, folders, names in os.walk(self.path, followlinks=True):
            real = os.path.realpath(root)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            if FOLDER_MARK in names:
                folders.clear()
                # a folder of configs beside a single file has no weights
                if not root.endswith(".config"):
                    yield Path(root)
                continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (
                Path(root, name)
                for name in sorted(names)
                if name.lower().endswith(SUFFIX) and not name.startswith(".")
            )

    def sha256(self, path: Path) -> str:
        """The SHA256 of a file in capitals, from memory if the file has not changed since."""
        known = self._entry(path)
        if known.sha256 is not None:
            return known.sha256
        if known.size >= _TOLD_BYTES:
            self._progress(f"hashing {path.name} ({known.size / 1e9:.1f} GB), once")
        digest = sha256_of(path).upper()
        self._remember(path, KnownFile(known.size, known.mtime_ns, digest, known.version_id))
        return digest

    def learn(self, path: Path, sha256: str, version_id: int | None) -> None:
        """Remembers what is known of a file that was just written."""
        stat = path.stat()
        self._remember(path, KnownFile(stat.st_size, stat.st_mtime_ns, sha256.upper(), version_id))

    def _find(self, want: WantedFile, refused: list[Path]) -> Path | None:
        """One version: by version id, then by name, then by the hash of everything."""
        files = list(self.files())
        digests = {digest.upper() for digest in want.sha256}
        for path in files:
            if want.version_id is not None and want.version_id == self._version_id(path):
                return path
        single = [path for path in files if path.is_file()]
        for path in single:
            known = self._entry(path).sha256
            if known is not None and known in digests:
                return path
        names = _names(want)
        for path in [path for path in files if _stem(path) in names]:
            if path.is_dir() or not digests or self.sha256(path) in digests:
                return path
            refused.append(path)
        if digests:
            return next((path for path in single if self.sha256(path) in digests), None)
        return None

    def _version_id(self, path: Path) -> int | None:
        known = self._entry(path).version_id if path.is_file() else None
        return known if known is not None else _told_beside(path)

    @property
    def _index_path(self) -> Path:
        if os.access(self.path, os.W_OK):
            return self.path / INDEX_NAME
        # a folder that others own: the memory goes below this user's cache
        name = hashlib.sha256(os.path.realpath(self.path).encode()).hexdigest()[:16]
        return cache_dir("models") / f"{name}.json"

    def _entry(self, path: Path) -> KnownFile:
        """What is known of the file as it is now."""
        if self._known is None:
            self._known = _read_index(self._index_path)
        stat = path.stat()
        known = self._known.get(self._key(path))
        if known is None or (known.size, known.mtime_ns) != (stat.st_size, stat.st_mtime_ns):
            return KnownFile(stat.st_size, stat.st_mtime_ns)
        return known

    def _key(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.path)).as_posix()

    def _remember(self, path: Path, known: KnownFile) -> None:
        index = self._index_path
        # two commands may hash at once: the lock lies in the cache, as a shared folder may not take one
        lock = cache_dir("models") / f"{hashlib.sha256(str(index).encode()).hexdigest()[:16]}.lock"
        with FileLock(lock):
            entries = _read_index(index)
            entries[self._key(path)] = known
            content = {
                "about": "hashes of the model files of this folder, made by diffagent; may be deleted",
                "files": {key: _wire(entry) for key, entry in sorted(entries.items())},
            }
            try:
                atomic_write(index, json.dumps(content, ensure_ascii=False, indent=1).encode())
            except StorageError as error:
                self._progress(f"the hashes are not kept ({error})")
        self._known = entries


def _as_wanted(wanted: WantedFile | VersionRecord | int | str) -> WantedFile:
    if isinstance(wanted, WantedFile):
        return wanted
    if isinstance(wanted, VersionRecord):
        return WantedFile(
            wanted.version or str(wanted.version_id),
            "Checkpoint",
            version_id=wanted.version_id,
            sha256=wanted.sha256,
            file_names=wanted.file_names,
        )
    if isinstance(wanted, int):
        return WantedFile(str(wanted), "Checkpoint", version_id=wanted)
    if _SHA256.fullmatch(wanted):
        return WantedFile(f"{wanted[:10]}…", "Checkpoint", sha256=(wanted.upper(),))
    return WantedFile(wanted.removesuffix(SUFFIX), "Checkpoint")


def _names(want: WantedFile) -> set[str]:
    names = [*want.file_names, want.model] if want.file_names or not want.sha256 else []
    return {normalise_name(name.removesuffix(SUFFIX)) for name in names}


def _stem(path: Path) -> str:
    return normalise_name(path.name if path.is_dir() else path.name[: -len(SUFFIX)])


def _told_beside(path: Path) -> int | None:
    """The version id that other programs keep beside a file (`NAME.civitai.info`), or that names it."""
    stem = path.name if path.is_dir() else path.name[: -len(SUFFIX)]
    if stem.isdecimal():
        return int(stem)
    info = path.with_name(f"{stem}.civitai.info")
    try:
        told = json.loads(info.read_bytes()) if info.is_file() else {}
    except (OSError, ValueError):
        return None
    found = told.get("id") if isinstance(told, dict) else None
    return found if isinstance(found, int) else None


def _read_index(path: Path) -> dict[str, KnownFile]:
    """The remembered files; a memory that cannot be read is no memory."""
    try:
        files = json.loads(path.read_bytes())["files"]
        return {str(key): KnownFile(**value) for key, value in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _wire(known: KnownFile) -> dict[str, Any]:
    return {key: value for key, value in vars(known).items() if value is not None}


def _silent(line: str) -> None:
    """No progress is wanted."""
