"""What a catalogue adds to the reading of a picture: whose file or hash it is, the family, the ids.

reading = settled(reading, {"": "ed989d673d"}, Catalogue.starter())
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from retrieval.calls.identify import air_of
from retrieval.catalogue import Catalogue, Match
from retrieval.catalogue.names import normalise_name
from retrieval.errors import UnknownModel
from retrieval.records.api import ApiReading, CheckpointRef, LoraRef, T2IApi
from retrieval.records.model import ModelType

_HEX = re.compile(r"(?:0x|sha256:)?([0-9a-f]{8,64})", re.IGNORECASE)
CHECKPOINT = ""
"""The key of the checkpoint's hash; that of a LoRA has its name."""


def settled(reading: ApiReading, hashes: Mapping[str, str], catalogue: Catalogue | None) -> ApiReading:
    """The reading with what the catalogue knows of its model, its checkpoint and its further LoRAs.

    Args:
        hashes: what is said of the files, by the name of the LoRA or `CHECKPOINT`.
    """
    if catalogue is None:
        return reading
    folded = {normalise_name(name): digest for name, digest in hashes.items() if isinstance(digest, str)}
    guesses = list(reading.guesses)
    guessed = reading.missing.get("base_model")
    api = reading.api
    key = normalise_name(api.model) if api.type == "LORA" else CHECKPOINT
    digest = folded.get(key, "")
    family = None if guessed else api.base_model
    match = _named(api, api.type, catalogue, family)
    hashed = _hashed(digest, catalogue)
    update: dict[str, object] = {}
    if hashed is not None and match is None:
        match = hashed
        guesses.append(
            f"the {'LoRA' if api.type == 'LORA' else 'model'} hash {digest} is that of "
            f"{hashed.record.model!r}"
        )
        update["model"] = hashed.record.model
        if hashed.version is not None:
            update["version_id"] = hashed.version.version_id
    elif hashed is not None and match is not None:
        said = _contradiction(api.model, digest, match, hashed)
        guesses += [said] if said else []
        if not said and hashed.version is not None and api.version_id is None:
            update["version_id"] = hashed.version.version_id
    elif match is not None and api.model == _placeholder(api.version_id):
        update["model"] = match.record.model
    api = api.model_copy(update=update)
    under = _checkpoint(api, folded.get(CHECKPOINT, ""), catalogue, guesses)
    api = api.model_copy(
        update={
            "base_checkpoint": under,
            "loras": tuple(_lora(lora, folded, catalogue) for lora in api.loras),
        }
    )
    own = under.model_id if under else None
    loaded = catalogue.get(own) if own is not None and own in catalogue else None
    record = match.record if match is not None else loaded
    if record is not None and guessed:
        guesses.remove(guessed)
        guesses.append(f"the base model is that of {record.model!r} in the catalogue")
        api = api.model_copy(update={"base_model": record.base_model})
    return replace(reading, api=api, guesses=tuple(guesses))


def _placeholder(version_id: int | None) -> str | None:
    """What stands for a name where only an id is known."""
    return None if version_id is None else f"version {version_id}"


def _named(
    ref: T2IApi | CheckpointRef | LoraRef, kind: ModelType, catalogue: Catalogue, family: str | None = None
) -> Match | None:
    """The model of a name, or of the version id where there is nothing else."""
    if ref.model == _placeholder(ref.version_id):
        try:
            return catalogue.by_version(ref.version_id or 0)
        except UnknownModel:
            return None
    return catalogue.resolve(ref.model, type=kind, base_model=family)


def _hashed(digest: str, catalogue: Catalogue) -> Match | None:
    """The model of a hash, however many of its digits there are."""
    found = _HEX.fullmatch(digest.strip())
    if found is None:
        return None
    for digits in dict.fromkeys((found[1], found[1][:10])):
        match = catalogue.resolve(digits)
        if match is not None:
            return match
    return None


def _contradiction(name: str, digest: str, match: Match, hashed: Match) -> str:
    """A sentence where a name and a hash do not say the same."""
    one, other = match.record.model, hashed.record.model
    if match.record.model_id != hashed.record.model_id:
        return (
            f"the name {name[:60]!r} is that of {one!r}, and the hash {digest} is that of {other!r}; the "
            "name counts"
        )
    versions = match.version, hashed.version
    if versions[0] and versions[1] and versions[0].version_id != versions[1].version_id:
        one, other = versions[0].version, versions[1].version
        return (
            f"the name {name[:60]!r} is that of the version {one!r}, and the hash {digest} that of "
            f"{other!r}; the name counts"
        )
    return ""


def _checkpoint(api: T2IApi, digest: str, catalogue: Catalogue, guesses: list[str]) -> CheckpointRef | None:
    """The checkpoint under a LoRA under its name in the catalogue: files are called as their makers like."""
    ref = api.base_checkpoint
    if ref is None:
        return None
    match, hashed = _named(ref, "Checkpoint", catalogue), _hashed(digest, catalogue)
    if match is not None and hashed is not None:
        said = _contradiction(ref.model, digest, match, hashed)
        guesses += [said] if said else []
        match = match if said or match.version else hashed
    match = match or hashed
    if match is None or match.record.type != "Checkpoint":
        return ref
    record, version = match.record, match.version
    if record.model != ref.model:
        guesses.append(f"the checkpoint {ref.model[:80]!r} is listed as {record.model!r}")
    elif ref.version_id is not None or version is None:
        return ref
    known = record.version(ref.version_id) if ref.version_id is not None else None
    version = version or known
    return CheckpointRef(
        model=record.model,
        model_id=record.model_id,
        version_id=version.version_id if version else ref.version_id,
        air=air_of(record, version) or ref.air,
    )


def _lora(lora: LoraRef, hashes: Mapping[str, str], catalogue: Catalogue) -> LoraRef:
    match = _named(lora, "LORA", catalogue)
    if match is None or match.record.type != "LORA":
        match = _hashed(hashes.get(normalise_name(lora.model), ""), catalogue)
    if match is None or match.record.type != "LORA":
        return lora
    record = match.record
    known = record.version(lora.version_id) if lora.version_id is not None else None
    version = match.version or known or record.default_version
    return lora.model_copy(
        update={
            "model": record.model,
            "model_id": record.model_id,
            "version_id": version.version_id if version else None,
            "air": air_of(record, version),
        }
    )
