"""What the catalogue reads of a line before a record is built, and where it looks names up.

The catalogue (retrieval/catalogue/catalogue.py) is the only caller.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from retrieval.catalogue.names import alias_keys, normalise_name, without_ending, without_version
from retrieval.catalogue.written import SHORTEST_DIGEST, file_key, version_file_key
from retrieval.records.border import Id, Name
from retrieval.records.model import ModelType

How = Literal["name", "air", "url", "hash", "alias", "file", "loose"]
MIN_FILE_KEY = 3
"""Latin signs that a name must have for its file to be known by them."""
Place = tuple[int, int | None]
"""Position of a record, and a version id if the name said one."""


class VersionHead(TypedDict):
    version_id: Id
    version: str
    sha256: NotRequired[list[str]]
    file_names: NotRequired[list[str]]


class Head(TypedDict):
    """What every line must have, and what look-ups need before a record is built."""

    model_id: Id
    model: Name
    type: ModelType
    base_model: Name
    available: NotRequired[bool]


class Names(TypedDict):
    model: Name
    aliases: NotRequired[list[str]]
    versions: NotRequired[list[VersionHead]]


HEAD = TypeAdapter(Head)
NAMES = TypeAdapter(Names)


class NameIndex:
    """Dictionaries from keys to (position, version id): built at the first look-up."""

    def __init__(self, names: Iterable[Names]) -> None:
        self.aliases: dict[str, list[Place]] = {}
        self.files: dict[str, list[Place]] = {}
        self._named: list[tuple[str, int]] = []
        self._versions: list[tuple[int, str, list[tuple[int, str]]]] = []
        self.hashes: dict[str, list[tuple[int, int, str]]] = {}
        self.versions: dict[int, int] = {}
        for position, entry in enumerate(names):
            self._add(position, entry)

    def levels(self, names: Sequence[str], base_model: list[Place]) -> Iterator[tuple[How, list[Place]]]:
        """What fits, the closest first; looser dictionaries are built only if nothing closer fits.

        Args:
            names: a name as it was written and, if it is another, what is within its folders, tag or hash.
            base_model: what a table says of the name.
        """
        for name in names:
            yield "alias", self.aliases.get(normalise_name(name), [])
            yield "file", self.files.get(normalise_name(without_ending(name)), [])
        yield "alias", base_model
        loose = [(name, alias_keys(name)) for name in names]
        for _, keys in loose:
            for key in keys:
                yield "loose", self.aliases.get(key, []) or self.files.get(key, [])
        inner = without_ending(names[-1])
        if inner.isascii() and " " not in inner:
            stem, _, version = inner.partition("_")
            yield "file", self.civitai_files.get(normalise_name(stem) + normalise_name(version or " "), [])
            # of what stands behind the name only a version may be unknown: other words make another name
            yield "loose", self.civitai_files.get(normalise_name(without_version(inner)), [])
        for name, keys in loose:
            for key in (normalise_name(name), *keys):
                yield "loose", self.loose.get(key, [])

    def by_hash(self, digest: str) -> list[Place]:
        """What has a file of this SHA256, or of its first 8 (if no other has them), 10 or 12 digits."""
        keys = [digest[:10]] if len(digest) >= 10 else self.short_hashes.get(digest, [])
        found: list[Place] = [
            (position, version_id)
            for key in keys
            for position, version_id, full in self.hashes.get(key, ())
            # a catalogue may know ten digits only
            if full.startswith(digest) or (len(full) < len(digest) and digest.startswith(full))
        ]
        return found if len(digest) != SHORTEST_DIGEST or len(keys) == 1 else []

    @functools.cached_property
    def short_hashes(self) -> dict[str, list[str]]:
        """The ten digits of each hash by its first eight, as programs before A1111 1.0 wrote them."""
        short: dict[str, list[str]] = {}
        for digits in self.hashes:
            short.setdefault(digits[:8], []).append(digits)
        return short

    @functools.cached_property
    def civitai_files(self) -> dict[str, list[Place]]:
        """Keys of the names that Civitai gives to files, with a version and without; built as `loose` is."""
        files: dict[str, list[Place]] = {}
        for position, name, versions in self._versions:
            own = file_key(name)
            if len(own) < MIN_FILE_KEY:
                continue
            files.setdefault(own, []).append((position, None))
            for version_id, version in versions:
                files.setdefault(own + version_file_key(name, version), []).append((position, version_id))
        return files

    @functools.cached_property
    def loose(self) -> dict[str, list[Place]]:
        """Keys of parts of names; built when nothing closer was found."""
        loose: dict[str, list[Place]] = {}
        for name, position in self._named:
            for key in alias_keys(name):
                loose.setdefault(key, []).append((position, None))
        return loose

    def _add(self, position: int, entry: Names) -> None:
        name = entry["model"]
        for other in (name, *entry.get("aliases", ())):
            self.aliases.setdefault(normalise_name(other), []).append((position, None))
            self._named.append((other, position))
        listed = entry.get("versions", ())
        self._versions.append((position, name, [(each["version_id"], each["version"]) for each in listed]))
        for version in listed:
            version_id = version["version_id"]
            self.versions.setdefault(version_id, position)
            # a name of signs alone (`>_<`) would leave nothing but the version
            if normalise_name(name + version["version"]) != normalise_name(version["version"]):
                self.aliases.setdefault(normalise_name(name + version["version"]), []).append(
                    (position, version_id)
                )
            for digest in version.get("sha256", ()):
                self.hashes.setdefault(digest[:10].upper(), []).append((position, version_id, digest.upper()))
            for file_name in version.get("file_names", ()):
                key = normalise_name(without_ending(file_name))
                self.files.setdefault(key, []).append((position, version_id))
