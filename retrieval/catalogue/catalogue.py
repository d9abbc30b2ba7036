"""The catalogue: which models exist, and how one is found by any of the names people give it.

    catalogue = Catalogue.starter()                      # the packaged one
    catalogue = Catalogue.load(Path("models.jsonl.gz"))  # one JSON object a line, see
    retrieval/records/model.py catalogue.find("rev-animated v1.2.2.safetensors")[0].record.model_id

A file is checked line by line when it is read (JSON, the keys every record needs, ids that are not repeated),
but a record is built only when it is asked for, so that 100,000 of them load in under two seconds
(benchmarks/catalogue_load.py).
"""

import functools
import gzip
import hashlib
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from retrieval.catalogue.name_index import HEAD, NAMES, Head, How, NameIndex, Names, Place
from retrieval.catalogue.names import without_ending
from retrieval.catalogue.spelling import SpellingIndex
from retrieval.catalogue.written import (
    MAX_NAME,
    Pointer,
    digest_of,
    pointer,
    said_version,
    take_apart,
)
from retrieval.errors import CatalogueError, CatalogueFormatError, UnknownModel
from retrieval.records.model import ModelRecord, Settings, Stats, VersionRecord, document_text, family_name
from retrieval.storage import atomic_write
from retrieval.tables.families import family_of
from retrieval.tables.hub_models import hub_model

__all__ = ["Catalogue", "Match", "ModelRecord", "Settings", "Stats", "VersionRecord", "document_text"]

_RANK: dict[How, int] = {"name": 0, "air": 0, "url": 0, "hash": 0, "alias": 1, "file": 2, "loose": 3}
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Match:
    """A record that a name stands for, the version if the name said one, and how it was found.

    `how`: "name" letter for letter, "air", "url", "hash"; "alias" the same but for case, Unicode and
    punctuation, or a known other name; "file" a file of the model; "loose" without version suffix, without
    brackets, or only the Latin or the other part of the name. `missing`: what was said of a version that the
    record does not have (`v8`, or its id), else empty.
    """

    record: ModelRecord
    version: VersionRecord | None
    how: How
    missing: str = ""

    @property
    def exact(self) -> bool:
        return _RANK[self.how] == 0


class Catalogue:
    """The models that can be named.

    Args:
        records: no two with one id.
        name: what messages call this catalogue.

    `path` is the file that it was loaded from, if any, and `file_digest` the SHA256 of what it held.

    Raises:
        CatalogueError: two records have one id.
    """

    def __init__(self, records: Iterable[ModelRecord], name: str = "catalogue") -> None:
        self.name = name
        self.path: Path | None = None
        self.file_digest: str | None = None
        self._lines: list[bytes] = []
        self._line_numbers: list[int] = []
        self._heads: list[Head] = []
        self._built: dict[int, ModelRecord] = {}
        self._position: dict[int, int] = {}
        for position, record in enumerate(records):
            if record.model_id in self._position:
                raise CatalogueError(
                    f"two records of {name} have one id, {record.model_id} "
                    f"({self.get(record.model_id).model!r} and {record.model!r}); keep one"
                )
            head = Head(
                model_id=record.model_id,
                model=record.model,
                type=record.type,
                base_model=record.base_model,
                available=record.available,
            )
            self._heads.append(head)
            self._built[position] = record
            self._position[record.model_id] = position

    @classmethod
    def load(cls, path: Path, name: str | None = None) -> "Catalogue":
        """Reads a `.jsonl` or `.jsonl.gz` file; empty lines are passed over.

        Raises:
            CatalogueError: there is no such file, or it cannot be read.
            CatalogueFormatError: a line is not a record; `.path` and `.line` say which.
        """
        path = Path(path)
        try:
            content = path.read_bytes()
            file_digest = hashlib.sha256(content).hexdigest()
            if content.startswith(_GZIP_MAGIC):
                content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise CatalogueError(
                f"cannot read the catalogue {path} ({error}); needed is a .jsonl or .jsonl.gz file of records"
            ) from error
        catalogue = cls((), name or path.name.removesuffix(".gz").removesuffix(".jsonl"))
        catalogue.path, catalogue.file_digest = path, file_digest
        catalogue._read(content.split(b"\n"))
        return catalogue

    @classmethod
    def starter(cls) -> "Catalogue":
        """The catalogue that is packaged with this project; read once."""
        return _starter()

    def save(self, path: Path) -> None:
        """Writes the catalogue so that a reader sees the old file or the whole new one; `.gz` is compressed.

        Raises:
            StorageError: the folder cannot be written.
        """
        content = b"".join(_wire_line(record) + b"\n" for record in self)
        atomic_write(Path(path), gzip.compress(content, 9, mtime=0) if str(path).endswith(".gz") else content)

    def __len__(self) -> int:
        return len(self._heads)

    def __iter__(self) -> Iterator[ModelRecord]:
        return (self._record(position) for position in range(len(self)))

    def __contains__(self, model_id: object) -> bool:
        return model_id in self._position

    def __repr__(self) -> str:
        return f"Catalogue({self.name!r}, {len(self):,} models)"

    @property
    def model_ids(self) -> tuple[int, ...]:
        return tuple(self._position)

    def names(self) -> Iterator[tuple[int, str, tuple[str, ...]]]:
        """Id, name and other names of every model, without building its record."""
        for position, head in enumerate(self._heads):
            yield head["model_id"], head["model"], tuple(self._names(position).get("aliases", ()))

    def get(self, model_id: int) -> ModelRecord:
        """Raises UnknownModel if the catalogue does not hold the id."""
        if model_id not in self._position:
            raise UnknownModel(
                f"no model with the id {model_id} among the {len(self):,} of {self.name}; {_REFRESH}"
            )
        return self._record(self._position[model_id])

    def by_version(self, version_id: int) -> Match:
        """The model and version of a version id. Raises UnknownModel."""
        if version_id not in self._index.versions:
            raise UnknownModel(f"no version with the id {version_id} in {self.name}; {_REFRESH}")
        return self._match(self._index.versions[version_id], version_id, "air")

    def find(self, name: str) -> list[Match]:
        """Every record that a name, AIR, page, file name or hash stands for, the most downloaded first.

        A name that fits exactly hides looser fits. Unknown names give an empty list.
        """
        name = name.strip()
        if not name or len(name) > MAX_NAME:
            return []
        pointed = pointer(name)
        if pointed is not None:
            return self._pointed(pointed)
        apart = take_apart(name)
        names = tuple(dict.fromkeys((name, apart.whole, apart.name)))
        exact: list[Place] = [(position, None) for each in names for position in self._exact.get(each, ())]
        closest: tuple[How, list[Place]] = ("name", exact)
        levels = self._index.levels(names, self._base_model(apart.hub_id, apart.name))
        for how, found in itertools.chain([closest], levels):
            if found:
                return _by_downloads(_unique(self._said(place, how, apart.name) for place in found))
        return self.hashed(name)

    def hashed(self, digest: str) -> list[Match]:
        """The records with a file of this SHA256, or of its first 8 (where no other has them), 10 or 12."""
        found = self._index.by_hash(digest_of(digest))
        return _unique(self._match(position, version_id, "hash") for position, version_id in found)

    def _base_model(self, *names: str) -> list[Place]:
        """The family's default model where one of its ids or files is named."""
        for name in names:
            row = hub_model(without_ending(name))
            model_id = family_of(row.family).default_model_id if row is not None and row.is_default else None
            if model_id in self._position:
                return [(self._position[model_id], None)]
        return []

    def _said(self, place: Place, how: How, name: str) -> Match:
        """The match of a place, with the version that the name says."""
        position, version_id = place
        record = self._record(position)
        missing = ""
        if version_id is None and how in ("file", "loose"):
            version_id, missing = said_version(name, record.model, record.versions)
        return Match(record, record.version(version_id) if version_id is not None else None, how, missing)

    def resolve(self, name: str, *, type: str | None = None, base_model: str | None = None) -> Match | None:
        """The one record that a name stands for, or None where there is none, or several.

        `type` and `base_model` narrow several; they do not exclude the only one.
        """
        matches = self.find(name)
        if type is not None:
            matches = [
                match for match in matches if match.record.type.casefold() == type.casefold()
            ] or matches
        if base_model is not None:
            family = family_name(base_model)
            matches = [match for match in matches if match.record.base_model == family] or matches
        return matches[0] if len(matches) == 1 else None

    def select(
        self,
        base_model: str | None = None,
        type: str | None = None,
        commercial_use: bool | None = None,
        available: bool | None = True,
        max_nsfw: int | None = None,
    ) -> list[ModelRecord]:
        """The records that satisfy every condition that is given; what is unknown does not satisfy one.

        Raises:
            UnknownBaseModel: `base_model` is of no known family and no record has it.
        """
        family = None
        if base_model is not None:
            family = base_model if base_model in self.families else family_of(base_model).name
        positions = range(len(self)) if family is None else self._by_family.get(family, ())
        chosen = (
            self._record(position)
            for position in positions
            if (type is None or self._heads[position]["type"].casefold() == type.casefold())
            and (available is None or self._heads[position].get("available", True) == available)
        )
        return [
            record
            for record in chosen
            if (commercial_use is None or record.allows_commercial_use() is commercial_use)
            and (max_nsfw is None or record.allows_nsfw_level(max_nsfw))
        ]

    @functools.cached_property
    def families(self) -> tuple[str, ...]:
        """The families that occur, the most frequent first."""
        found = self._by_family
        return tuple(sorted(found, key=lambda family: (-len(found[family]), family)))

    @functools.cached_property
    def _by_family(self) -> dict[str, list[int]]:
        """Positions of the models of each family."""
        found: dict[str, list[int]] = {}
        for position, head in enumerate(self._heads):
            found.setdefault(family_name(head["base_model"]), []).append(position)
        return found

    @functools.cached_property
    def spelling(self) -> SpellingIndex:
        """The names as they are looked up when misspelled; made at the first use."""
        return SpellingIndex(self.names())

    @functools.cached_property
    def digest(self) -> str:
        """SHA256 of the content, whatever the order of records or of keys in the file."""
        content = hashlib.sha256()
        for model_id in sorted(self._position):
            content.update(_wire_line(self._record(self._position[model_id])) + b"\n")
        return content.hexdigest()

    def _read(self, lines: Sequence[bytes]) -> None:
        validate = HEAD.validate_json
        for number, line in enumerate(lines, start=1):
            if not line or line.isspace():
                continue
            try:
                head = validate(line)
            except ValidationError as error:
                raise self._broken(number, error) from error
            first = self._position.setdefault(head["model_id"], len(self._heads))
            if first != len(self._heads):
                raise CatalogueFormatError(
                    f"{self.path}, line {number}: the id {head['model_id']} was already on line "
                    f"{self._line_numbers[first]}; keep one of the two",
                    path=str(self.path),
                    line=number,
                )
            self._heads.append(head)
            self._lines.append(line)
            self._line_numbers.append(number)

    def _record(self, position: int) -> ModelRecord:
        if position not in self._built:
            try:
                self._built[position] = ModelRecord.model_validate_json(self._lines[position])
            except ValidationError as error:
                raise self._broken(self._line_numbers[position], error) from error
        return self._built[position]

    def _broken(self, number: int, error: ValidationError) -> CatalogueFormatError:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return CatalogueFormatError(
            f"{self.path}, line {number}: {where + ': ' if where else ''}{first['msg']}; a record needs at "
            "least model_id, model, type (LORA or Checkpoint) and base_model as one JSON object on the line",
            path=str(self.path),
            line=number,
        )

    def _match(self, position: int, version_id: int | None, how: How) -> Match:
        record = self._record(position)
        return Match(record, record.version(version_id) if version_id is not None else None, how)

    def _pointed(self, at: Pointer) -> list[Match]:
        """What an AIR or an address of Civitai points to."""
        model_id, version_id = at.model_id, at.version_id
        if model_id is not None:
            position = self._position.get(model_id)
        else:
            position = self._index.versions.get(version_id) if version_id is not None else None
        if position is None:
            return []
        match = self._match(position, version_id, at.how)
        unknown = version_id is not None and match.version is None and match.record.versions
        return [Match(match.record, None, at.how, f"the id {version_id}")] if unknown else [match]

    @functools.cached_property
    def _exact(self) -> dict[str, list[int]]:
        exact: dict[str, list[int]] = {}
        for position, head in enumerate(self._heads):
            exact.setdefault(head["model"].strip(), []).append(position)
        return exact

    @functools.cached_property
    def _index(self) -> NameIndex:
        return NameIndex(self._names(position) for position in range(len(self)))

    def _names(self, position: int) -> Names:
        if position in self._built:
            record = self._built[position]
            wire = record.model_dump(include={"model", "aliases", "versions"}, mode="json")
            return NAMES.validate_python(wire)
        try:
            return NAMES.validate_json(self._lines[position])
        except ValidationError as error:
            raise self._broken(self._line_numbers[position], error) from error


def _unique(matches: Iterable[Match]) -> list[Match]:
    """One match a record: a version is kept if only one was meant."""
    found: dict[int, Match] = {}
    for match in matches:
        earlier = found.setdefault(match.record.model_id, match)
        if earlier.version != match.version:
            found[match.record.model_id] = Match(match.record, None, match.how)
    return list(found.values())


def _by_downloads(matches: Iterable[Match]) -> list[Match]:
    return sorted(matches, key=lambda match: -(match.record.stats.downloads or 0))


def _wire_line(record: ModelRecord) -> bytes:
    wire: dict[str, Any] = record.to_wire()
    return json.dumps(wire, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


@functools.cache
def _starter() -> Catalogue:
    return Catalogue.load(Path(__file__).parent / "starter" / "models.jsonl.gz", name="the starter catalogue")


_REFRESH = "name another, or load a newer catalogue"
