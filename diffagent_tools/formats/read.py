"""A picture, a workflow or an infotext -> the T2I API that made it.

    reading = import_file(Path("picture.png"), Catalogue.starter())
    reading.api.model, reading.guesses

`diffagent check picture.png` tells with it whether what made a picture exists and can be had. With a
catalogue a file's name or hash becomes the model's name, and the model says its family.
"""

import json
from pathlib import Path
from typing import Any

from diffagent_tools.formats.comfyui.read import is_workflow, read_workflow
from diffagent_tools.formats.infotext import api_from_infotext, read_infotext
from diffagent_tools.formats.picture_text import MAX_TEXT_BYTES, SUFFIXES, picture_texts_of
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.api import ApiReading
from retrieval.records.lenient import fold_key

__all__ = ["import_file", "import_json_file", "import_text", "is_importable"]


def is_importable(path: Path) -> bool:
    """Whether a file's ending says that it is a picture."""
    return path.suffix.lower() in SUFFIXES


def import_file(path: Path, catalogue: Catalogue | None = None) -> ApiReading:
    """The T2I API of a picture: A1111's infotext first, else ComfyUI's workflow.

    Raises:
        InvalidInput: the file cannot be read, is too large, or holds nothing that names a model.
    """
    texts = picture_texts_of(path)
    reasons: list[str] = []
    for key in ("parameters", "prompt", "workflow"):
        if key not in texts:
            continue
        try:
            reading = import_text(texts[key], catalogue)
        except InvalidInput as error:
            reasons.append(f"its {key!r}: {error}")
            continue
        if reading is not None:
            return reading
    if reasons:
        raise InvalidInput(f"{path.name} cannot be read as an API; {'; '.join(reasons)}")
    found = ", ".join(repr(key[:40]) for key in list(texts)[:8])
    raise InvalidInput(
        f"{path.name} holds the texts {found}, and read are A1111's 'parameters' and ComfyUI's 'prompt' and "
        "'workflow'; give a picture of one of those programs"
    )


def import_text(text: str, catalogue: Catalogue | None = None) -> ApiReading | None:
    """The T2I API of an infotext or of a workflow's JSON; None if the text is neither.

    Raises:
        InvalidInput: it is one of them and names no model, or is too large.
    """
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped.startswith("{"):
        value = _json(stripped)
        return _settled(read_workflow(value), {}, catalogue) if is_workflow(value) else None
    try:
        infotext = read_infotext(text)
    except InvalidInput:
        return None
    settings = {fold_key(key): value for key, value in infotext.settings.items()}
    if not {"sampler", "model", "modelhash", "size", "civitairesources"} & settings.keys():
        return None
    return _settled(api_from_infotext(infotext), settings, catalogue)


def import_json_file(path: Path) -> str:
    """The text of a JSON or text file.

    Raises:
        InvalidInput: it cannot be read or is too large.
    """
    try:
        size = path.stat().st_size
        if size > MAX_TEXT_BYTES:
            raise InvalidInput(
                f"{path.name} has {size / 1e6:,.0f} MB and at most {MAX_TEXT_BYTES / 1e6:.0f} MB are read; "
                "give one T2I API or one workflow"
            )
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InvalidInput(f"cannot read {path} ({error.strerror}); name a readable file") from error


def _json(text: str) -> Any:
    try:
        # ComfyUI writes NaN, which JSON has not, for the hashes of its own nodes
        return json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None


def _settled(reading: ApiReading, settings: dict[str, str], catalogue: Catalogue | None) -> ApiReading:
    """What a catalogue adds: the model of a hash or a file's name, and with it the family."""
    if catalogue is None:
        return reading
    api, guesses = reading.api, list(reading.guesses)
    guessed = reading.missing.get("base_model")
    family = None if guessed else api.base_model
    match = catalogue.resolve(api.model, type=api.type, base_model=family)
    digest = settings.get("modelhash", "").strip()
    if match is None and api.type == "Checkpoint" and digest:
        match = catalogue.resolve(digest, type="Checkpoint")
        if match is not None:
            guesses.append(f"the model hash {digest} is that of {match.record.model!r}")
            api = api.model_copy(update={"model": match.record.model})
            if match.version is not None:
                api = api.model_copy(update={"version_id": match.version.version_id})
    if match is not None and guessed:
        guesses.remove(guessed)
        guesses.append(f"the base model is that of {match.record.model!r} in the catalogue")
        api = api.model_copy(update={"base_model": match.record.base_model})
    return ApiReading(api, tuple(guesses), reading.missing)
