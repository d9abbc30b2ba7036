"""Reads what people can download or already have, as facts of models: lists, saved objects, sidecars.

    read_source(Path("checkpoints.json.gz"))     # shinich39's list: one object a version
    read_source(Path("models/loras"))            # a folder with .civitai.info files
    read_source(Path("models.jsonl"))            # objects of Civitai's API

Prompts in them belong to the people who wrote them: of a catalogue they become single words and two-word
terms, as everywhere. A list without base models needs them from Civitai (finetune/civitai/refresh.py).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from diffagent_tools.files.weights_kind import family_in_words
from diffagent_tools.formats.generation import read_generation
from diffagent_tools.installed.facts import FoundFile, Told, sample_of
from diffagent_tools.installed.sidecars import (
    SAMPLES_KEPT,
    read_json_file,
    told_by_model,
    told_by_version,
)
from finetune.civitai.saved import read_objects
from retrieval.errors import DataError, InvalidInput, UnknownBaseModel
from retrieval.records.civitai import hash_text, text, whole
from retrieval.tables.families import family_of

_INFO = ".civitai.info"
_KINDS = {"lora": "LORA", "locon": "LORA", "lycoris": "LORA", "dora": "LORA", "checkpoint": "Checkpoint"}
_LIST_FIELDS = ("modelId", "versionId")
_SHA256 = re.compile(r"[0-9A-F]{64}")


def read_source(source: Path) -> list[FoundFile]:
    """The versions that a file or folder tells of, a model's newest first where the source says it.

    Raises:
        InvalidInput: there is no such file or folder.
        DataError: nothing in it is a model.
    """
    if source.is_dir():
        found = [file for path in sorted(source.rglob(f"*{_INFO}")) if (file := _of_info(path)) is not None]
    elif source.is_file():
        objects = [record for record, _ in read_objects(source) if isinstance(record, Mapping)]
        found = list(_of_objects(objects, source))
    else:
        raise InvalidInput(
            f"no file or folder {source}; give a list of models, saved API objects, or a folder with "
            f"{_INFO} files"
        )
    if not found:
        raise DataError(
            f"{source} tells of no model; needed are objects of Civitai's API, a list of versions "
            f"(modelId, versionId, …), or a folder with {_INFO} files"
        )
    return found


def files_of_model(raw: Mapping[str, Any]) -> list[FoundFile]:
    """The versions of an object of Civitai's API, as far as they are checkpoints or LoRAs of known families;
    with none of them, the first version with the reason."""
    versions = raw.get("modelVersions")
    numbers = [
        number
        for version in (versions if isinstance(versions, list) else ())
        if isinstance(version, Mapping) and (number := whole(version.get("id"))) is not None
    ]
    found = [_file(told_by_model(raw, number), _file_name(raw, number)) for number in numbers]
    return [file for file in found if file.is_usable] or found[:1]


def _of_objects(objects: Iterable[Mapping[str, Any]], source: Path) -> Iterator[FoundFile]:
    listed = "LORA" if "lora" in source.name.lower() else "Checkpoint"
    for raw in objects:
        if all(whole(raw.get(name)) is not None for name in _LIST_FIELDS) and "modelVersions" not in raw:
            yield _of_list(raw, listed)
        elif "modelVersions" in raw:
            yield from files_of_model(raw)
        elif whole(raw.get("modelId")) is not None and "baseModel" in raw:
            yield _file(told_by_version(raw), "")


def _of_list(raw: Mapping[str, Any], kind: str) -> FoundFile:
    """A version of shinich39's list, whose file says whether it lists checkpoints or LoRAs."""
    names = raw.get("files")
    name = next((each for each in names if isinstance(each, str)), "") if isinstance(names, list) else ""
    hashes = raw.get("hashes")
    digests = [hash_text(each) for each in hashes] if isinstance(hashes, list) else []
    stem = PurePosixPath(name).stem
    number = whole(raw.get("versionId"))
    metas = raw.get("metas")
    samples = []
    for meta in metas[:SAMPLES_KEPT] if isinstance(metas, list) else ():
        made = read_generation(_generation(meta)) if isinstance(meta, Mapping) else None
        sample = sample_of(made, number, stem) if made else None
        if sample is not None:
            samples.append(sample)
    model = text(raw.get("modelName"))
    told = Told(
        model_id=whole(raw.get("modelId")),
        version_id=number,
        model=model,
        version=text(raw.get("versionName")),
        type=kind,
        base_model=family_in_words(" ".join((model or "", text(raw.get("versionName")) or "", name))),
        sha256=tuple(each for each in digests if each and _SHA256.fullmatch(each)),
        samples=tuple(samples),
    )
    return _file(told, name).model_copy(update={"guessed": True})


def _generation(meta: Mapping[str, Any]) -> dict[str, Any]:
    """An image of the list under the names that Civitai's own metadata have."""
    names = {"pp": "prompt", "np": "negativePrompt", "cfg": "cfgScale", "size": "Size"}
    return {names.get(key, key): value for key, value in meta.items() if key != "denoise"}


def _of_info(path: Path) -> FoundFile | None:
    raw = read_json_file(path)
    stem = path.name.removesuffix(_INFO)
    told = told_by_version(raw, stem) if isinstance(raw, Mapping) else Told()
    return _file(told, f"{stem}.safetensors") if told.model_id is not None else None


def _file_name(raw: Mapping[str, Any], version_id: int) -> str:
    """The name of a version's primary file, else of its first."""
    for version in raw["modelVersions"]:
        if isinstance(version, Mapping) and whole(version.get("id")) == version_id:
            files = version.get("files")
            held = [each for each in files if isinstance(each, Mapping)] if isinstance(files, list) else []
            held.sort(key=lambda each: each.get("primary") is not True)
            return next((name for each in held if (name := text(each.get("name")))), "")
    return ""


def _file(told: Told, name: str) -> FoundFile:
    try:
        family = family_of(told.base_model).name if told.base_model else None
    except UnknownBaseModel:
        family = None
    return FoundFile(
        root="Civitai",
        name=name.replace("\\", "/").rpartition("/")[2] or f"{told.version_id}.safetensors",
        kind=_KINDS.get((told.type or "").casefold(), told.type or "unknown"),
        base_model=family,
        told=told,
        sha256=next(iter(told.sha256), None),
    )
