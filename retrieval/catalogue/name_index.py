"""What the catalogue reads of a line before a record is built, and where it looks names up.

The catalogue (retrieval/catalogue/catalogue.py) is the only caller.
"""

import functools
from collections.abc import Iterable
from typing import NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from retrieval.catalogue.names import alias_keys, normalise_name, without_ending
from retrieval.records.model import ModelType

Place = tuple[int, int | None]
"""Position of a record, and a version id if the name said one."""


class VersionHead(TypedDict):
    version_id: int
    version: str
    sha256: NotRequired[list[str]]
    file_names: NotRequired[list[str]]


class Head(TypedDict):
    """What every line must have, and what look-ups need before a record is built."""

    model_id: int
    model: str
    type: ModelType
    base_model: str
    available: NotRequired[bool]


class Names(TypedDict):
    model: str
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
        self.hashes: dict[str, list[tuple[int, int, str]]] = {}
        self.versions: dict[int, int] = {}
        for position, entry in enumerate(names):
            self._add(position, entry)

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
        for version in entry.get("versions", ()):
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
