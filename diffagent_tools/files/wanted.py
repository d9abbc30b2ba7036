"""Which files a T2I API is rendered with: its checkpoint, and the LoRA on it.

    wanted = wanted_files(api, Catalogue.starter())
    wanted.checkpoint.model, wanted.lora

A file is known by the SHA256 of its content, by Civitai's version id, or by its name. The catalogue knows the
hashes; without one, or for a model it does not hold, what the API itself says must do.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from diffagent_tools.quoting import NAME_CHARS, plain
from retrieval.catalogue import Catalogue
from retrieval.records.air import parse_air
from retrieval.records.api import CheckpointRef, LoraRef, T2IApi
from retrieval.records.model import ModelRecord, ModelType, VersionRecord
from retrieval.tables.families import family_of


@dataclass(frozen=True)
class WantedFile:
    """One file. Empty `sha256` and `file_names` are not known.

    `others` are further versions of the model that would do, the newest first, where no version was named.
    """

    model: str
    type: ModelType
    model_id: int | None = None
    version_id: int | None = None
    sha256: tuple[str, ...] = ()
    file_names: tuple[str, ...] = ()
    others: tuple["WantedFile", ...] = ()

    @property
    def kind(self) -> str:
        """The type in running text."""
        return "LoRA" if self.type == "LORA" else "checkpoint"

    @property
    def label(self) -> str:
        """What messages call it: name, version and file."""
        known = [f"version {self.version_id}" if self.version_id is not None else "", *self.file_names[:1]]
        told = plain(", ".join(part for part in known if part), NAME_CHARS)
        return f"the {self.kind} {plain(self.model, NAME_CHARS)!r}" + (f" ({told})" if told else "")

    @property
    def fetch_argument(self) -> str:
        """What `diffagent fetch` is told: `MODEL@VERSION` as at the end of an AIR, or the name."""
        if self.version_id is not None:
            return f"{self.model_id or ''}@{self.version_id}"
        return str(self.model_id) if self.model_id is not None else shlex.quote(self.model)


@dataclass(frozen=True)
class WantedFiles:
    """The files of one API; `lora` is None where the API is a checkpoint, `loras` are those beside it."""

    checkpoint: WantedFile
    lora: WantedFile | None = None
    loras: tuple[WantedFile, ...] = ()

    @property
    def all(self) -> tuple[WantedFile, ...]:
        return (self.checkpoint, *((self.lora,) if self.lora else ()), *self.loras)


def wanted_files(api: T2IApi, catalogue: Catalogue | None = None) -> WantedFiles:
    """The checkpoint and the LoRAs of an API; a LoRA without a base checkpoint takes its family's base model.

    Raises:
        UnknownBaseModel: a LoRA without a base checkpoint, of no known family.
    """
    air = parse_air(api.air) if api.air else None
    named = _look_up(
        api.model,
        api.type,
        api.model_id or (air.model_id if air else None),
        api.version_id or (air.version_id if air else None),
        catalogue,
        api.base_model,
    )
    loras = tuple(_look_up_lora(lora, api.base_model, catalogue) for lora in api.loras)
    if api.type == "Checkpoint":
        return WantedFiles(named, loras=loras)
    ref = api.base_checkpoint
    if ref is None:
        family = family_of(api.base_model)
        ref = CheckpointRef(model=family.default_model or family.name, model_id=family.default_model_id)
    air = parse_air(ref.air) if ref.air else None
    base = _look_up(
        ref.model,
        "Checkpoint",
        ref.model_id or (air.model_id if air else None),
        ref.version_id or (air.version_id if air else None),
        catalogue,
        None,
    )
    return WantedFiles(base, named, loras)


def _look_up_lora(lora: LoraRef, base_model: str, catalogue: Catalogue | None) -> WantedFile:
    air = parse_air(lora.air) if lora.air else None
    return _look_up(
        lora.model,
        "LORA",
        lora.model_id or (air.model_id if air else None),
        lora.version_id or (air.version_id if air else None),
        catalogue,
        base_model,
    )


def wanted_of_record(record: ModelRecord, version_id: int | None = None) -> WantedFile:
    """The file of a model of the catalogue: of the version named, else the default one, others beside it."""
    if version_id is not None:
        version = record.version(version_id)
        return _of_version(record, version) if version else _bare(record, version_id)
    default = record.default_version
    if default is None:
        return _bare(record, None)
    rest: Sequence[VersionRecord] = [
        version
        for version in record.versions
        if version != default and version.base_model == default.base_model
    ]
    first = _of_version(record, default)
    return WantedFile(
        model=first.model,
        type=first.type,
        model_id=first.model_id,
        version_id=first.version_id,
        sha256=first.sha256,
        file_names=first.file_names,
        others=tuple(_of_version(record, version) for version in rest),
    )


def _of_version(record: ModelRecord, version: VersionRecord) -> WantedFile:
    return WantedFile(
        model=record.model,
        type=record.type,
        model_id=record.model_id,
        version_id=version.version_id,
        sha256=version.sha256,
        file_names=version.file_names,
    )


def _bare(record: ModelRecord, version_id: int | None) -> WantedFile:
    return WantedFile(record.model, record.type, record.model_id, version_id)


def _look_up(
    name: str,
    type_: ModelType,
    model_id: int | None,
    version_id: int | None,
    catalogue: Catalogue | None,
    base_model: str | None,
) -> WantedFile:
    """The ids are worth more than the name, which is looked up only where there are none."""
    record = None
    if catalogue is not None:
        if model_id is not None:
            record = catalogue.get(model_id) if model_id in catalogue else None
        else:
            match = catalogue.resolve(name, type=type_, base_model=base_model)
            record = match.record if match else None
            if match and match.version and version_id is None:
                version_id = match.version.version_id
    if record is None:
        return WantedFile(name, type_, model_id, version_id)
    return wanted_of_record(record, version_id)
