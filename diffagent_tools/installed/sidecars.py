"""What programs keep beside a file of weights: their own facts, Civitai's, and a picture made with it.

    read_sidecars(Path("loras/ink.safetensors"), {"ink.civitai.info", "ink.png"})

| file                | program                                     |
|---------------------|---------------------------------------------|
| NAME.civitai.info   | Civitai Helper: a version as the API has it |
| NAME.metadata.json  | ComfyUI LoRA Manager: the same, and more    |
| NAME.cm-info.json   | Stability Matrix                            |
| NAME.swarm.json     | SwarmUI: the model specification            |
| NAME.json           | A1111 and Forge: what a user noted          |
| NAME.png, …         | all: a preview, often with its infotext     |

What a user noted goes before what a page says, and a newer page's words before an older one's. A file that
cannot be read says nothing: it is somebody else's.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from diffagent_tools.files.training_metadata import read_training
from diffagent_tools.formats.generation import number, read_generation
from diffagent_tools.formats.picture_text import SUFFIXES, picture_texts_of
from diffagent_tools.installed.facts import Sample, Told, sample_of
from retrieval.errors import InvalidInput
from retrieval.records.civitai import ApiModel, ApiVersion, hash_text, images_of, read_model, text, whole
from retrieval.records.samples import stats_of

MAX_BYTES = 20_000_000
SAMPLES_KEPT = 20
ENDINGS = (".json", ".civitai.info", ".metadata.json", ".cm-info.json", ".swarm.json")
"""of the files beside a file, in the order in which they are believed"""
PREVIEWS = tuple(f"{kind}{ending}" for kind in ("", ".preview") for ending in SUFFIXES)
_SHA256_LENGTH = 64
_TEXT_CHARS = 50_000
Json = Mapping[str, Any]


def beside(stem: str, names: Collection[str]) -> tuple[str, ...]:
    """The sidecars of a file among the names of its folder."""
    return tuple(name for ending in (*ENDINGS, *PREVIEWS) if (name := f"{stem}{ending}") in names)


def read_sidecars(path: Path, names: Collection[str]) -> Told:
    """What all sidecars of a file say together.

    Args:
        path: of the file of weights.
        names: of its sidecars, in its folder.
    """
    stem = path.name if path.is_dir() else path.stem
    told = Told()
    for ending in ENDINGS:
        if f"{stem}{ending}" in names:
            told = _read(path.with_name(f"{stem}{ending}"), ending, stem).behind(told)
    pictures = [
        sample
        for ending in PREVIEWS
        if f"{stem}{ending}" in names
        and (sample := _picture(path.with_name(f"{stem}{ending}"), told.version_id, stem))
    ]
    return told.model_copy(update={"samples": (*pictures, *told.samples)[:SAMPLES_KEPT]})


def told_by_model(raw: Json, version_id: int | None, stem: str = "") -> Told:
    """What an object of Civitai's API says of one of a model's versions, of its first where none is named."""
    model = read_model(raw)
    if model is None or not model.versions:
        return Told()
    found = [version for version in model.versions if version.id == version_id]
    version = (found or list(model.versions))[0]
    return Told(
        model_id=model.id if model.id > 0 else None,
        version_id=version.id if version.id > 0 else None,
        model=model.name,
        version=version.name or None,
        type=model.type,
        base_model=version.base_model,
        trigger_words=version.trained_words,
        tags=model.tags,
        text=model.description[:_TEXT_CHARS],
        creator=model.creator,
        **_rights(model),
        withdrawn=_withdrawn(model),
        early=_early(version),
        version_level=version.level,
        stats=stats_of(model.votes),
        sha256=tuple(digest for file in version.files if (digest := file.hashes.get("SHA256"))),
        samples=tuple(_samples(raw, version.id, stem)),
    )


def told_by_version(raw: Json, stem: str = "") -> Told:
    """What an object of GET /api/v1/model-versions says, which holds a part of its model."""
    held = raw.get("model")
    model = held if isinstance(held, Mapping) else {}
    if whole(raw.get("id")) is None and not model:
        return Told()
    number_ = whole(raw.get("modelId"))
    whole_model = {
        "name": text(model.get("name")) or stem,
        "stats": raw.get("stats"),
        "creator": raw.get("creator"),
        **model,
        # a negative number is LoRA Manager's and Civitai Helper's for "not there"
        "id": number_ if number_ is not None else -1,
        "modelVersions": [{"id": -1, **raw}],
    }
    return told_by_model(whole_model, None, stem)


def read_json_file(path: Path) -> Any:
    """The JSON value of a file; None where it is too large, cannot be read, or is none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        return json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except (OSError, ValueError, RecursionError):
        return None


def _read(path: Path, ending: str, stem: str) -> Told:
    raw = read_json_file(path)
    if not isinstance(raw, Mapping):
        return Told()
    if ending == ".civitai.info":
        return told_by_version(raw, stem)
    if ending == ".metadata.json":
        return _lora_manager(raw, stem)
    if ending == ".cm-info.json":
        return _stability_matrix(raw, stem)
    if ending == ".swarm.json":
        return _swarm(raw)
    return _webui(raw)


def _lora_manager(raw: Json, stem: str) -> Told:
    page = raw.get("civitai")
    told = told_by_version(page, stem) if isinstance(page, Mapping) and page else Told()
    tips = raw.get("usage_tips")
    if isinstance(tips, str):
        try:
            tips = json.loads(tips[:10_000])
        except ValueError:
            tips = None
    own = Told(
        model=text(raw.get("model_name")),
        base_model=_known(raw.get("base_model")),
        tags=_words(raw.get("tags")),
        text=(text(raw.get("modelDescription")) or "")[:_TEXT_CHARS],
        version_level=whole(raw.get("preview_nsfw_level")) or None,
        sha256=_digests(raw.get("sha256")),
        weight=_weight(tips.get("strength")) if isinstance(tips, Mapping) else None,
    )
    return told.behind(own)


def _stability_matrix(raw: Json, stem: str) -> Told:
    version = {
        "id": raw.get("VersionId"),
        "name": raw.get("VersionName"),
        "baseModel": raw.get("BaseModel"),
        "trainedWords": raw.get("TrainedWords"),
        "files": [{"name": stem, "hashes": raw.get("Hashes")}],
    }
    names = {"id": "ModelId", "name": "ModelName", "type": "ModelType", "tags": "Tags"}
    model = {key: raw.get(name) for key, name in names.items()}
    model |= {"description": raw.get("ModelDescription"), "nsfw": raw.get("Nsfw"), "stats": raw.get("Stats")}
    return told_by_model({**model, "modelVersions": [version]}, None, stem)


def _swarm(raw: Json) -> Told:
    fields = list(raw.items())[:500]
    spec = {f"modelspec.{str(key).removeprefix('modelspec.')}": value for key, value in fields}
    told = read_training(spec)
    tags = spec.get("modelspec.tags")
    return Told(
        model=told.title,
        trigger_words=told.triggers,
        tags=_words(tags.split(",") if isinstance(tags, str) else tags),
        text=told.description,
        creator=told.author,
        weight=_weight(spec.get("modelspec.lora_default_weight")),
    )


def _webui(raw: Json) -> Told:
    """What a user noted in A1111; other JSON beside a file has none of these keys.

    Its "sd version" is passed over: it calls all of SDXL's shapes "SDXL", and the weights say as much.
    """
    activation = text(raw.get("activation text"))
    return Told(
        trigger_words=(activation[:1000],) if activation else (),
        text=(text(raw.get("description")) or "")[:_TEXT_CHARS],
        weight=_weight(raw.get("preferred weight")),
        negative=(text(raw.get("negative text")) or "")[:4000],
    )


def _withdrawn(model: ApiModel) -> str | None:
    if model.mode is not None:
        return f"{model.mode} on Civitai"
    private = model.availability not in (None, "Public")
    return f"{model.availability} on Civitai" if private else None


def _early(version: ApiVersion) -> str | None:
    """Early access that has not ended yet, or another reason that it cannot be downloaded."""
    if version.status not in (None, "Published"):
        return f"{version.status} on Civitai"
    ends = version.early_access_ends
    try:
        over = ends is not None and datetime.fromisoformat(ends).astimezone(UTC) <= datetime.now(UTC)
    except ValueError:
        over = False
    if ends is not None and not over:
        return f"early access until {ends[:10]}"
    return "early access" if ends is None and version.availability == "EarlyAccess" else None


def _rights(model: ApiModel) -> dict[str, Any]:
    return {
        "nsfw": model.nsfw,
        "nsfw_level": model.level,
        "poi": model.poi,
        "minor": model.minor,
        "commercial_use": model.commercial_use,
        "allow_no_credit": model.allow_no_credit,
        "allow_derivatives": model.allow_derivatives,
    }


def _samples(raw: Json, version_id: int, stem: str) -> Iterator[Sample]:
    for image in list(images_of(raw))[:SAMPLES_KEPT]:
        made = read_generation(image.meta) if image.version_id == version_id else None
        sample = sample_of(made, version_id, stem) if made else None
        if sample:
            yield sample


def _picture(path: Path, version_id: int | None, stem: str) -> Sample | None:
    """The infotext of a preview; that of another program, and a preview without one, say nothing."""
    try:
        made = read_generation({"parameters": picture_texts_of(path).get("parameters", "")})
    except InvalidInput:
        return None
    return sample_of(made, version_id, stem) if made else None


def _known(value: Any) -> str | None:
    """A base model that says something; programs write these where they know none."""
    name = text(value)
    return None if name is None or name.casefold() in ("unknown", "other", "n/a", "none") else name


def _words(value: Any) -> tuple[str, ...]:
    found = value if isinstance(value, list) else []
    return tuple(word.strip() for word in found[:200] if isinstance(word, str) and word.strip())


def _digests(value: Any) -> tuple[str, ...]:
    digest = hash_text(value)
    return (digest,) if digest and len(digest) == _SHA256_LENGTH else ()


def _weight(value: Any) -> float | None:
    weight = number(value)
    # 0 is what A1111 writes where a user set none
    return weight if weight and abs(weight) <= 2 else None
