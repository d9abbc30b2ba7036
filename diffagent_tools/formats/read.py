"""A picture, a workflow or an infotext -> the T2I API that made it.

    reading = import_file(Path("picture.png"), Catalogue.starter())
    reading.api.model, reading.guesses

`diffagent check picture.png` tells with it whether what made a picture exists and can be had. With a
catalogue a file's name or hash becomes the model's name, and the model says its family.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffagent_tools.formats.comfyui.read import is_workflow, read_workflow
from diffagent_tools.formats.family_guess import read_guessing_family
from diffagent_tools.formats.infotext import api_from_infotext, hashes_of, read_infotext
from diffagent_tools.formats.loras import with_loras
from diffagent_tools.formats.picture_text import (
    MAX_TEXT_BYTES,
    SUFFIXES,
    is_picture,
    picture_texts_of,
    texts_of,
)
from diffagent_tools.formats.programs import HASHES, program_fields
from diffagent_tools.formats.settle import CHECKPOINT, settled
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.api import ApiReading
from retrieval.records.lenient import fold_key

__all__ = ["import_bytes", "import_file", "import_json_file", "import_text", "is_importable"]

# in the order in which they are looked at: what says more comes first
_KEYS = (
    *("parameters", "invokeai_metadata", "sd-metadata", "fooocus_scheme", "prompt", "workflow"),
    *("Comment", "Description", "comment"),
)
_TELLING = {"sampler", "model", "modelhash", "size", "civitairesources", "hashes", "lorahashes"}


def is_importable(path: Path) -> bool:
    """Whether a file's ending says that it is a picture."""
    return path.suffix.lower() in SUFFIXES


def import_file(path: Path, catalogue: Catalogue | None = None) -> ApiReading:
    """The T2I API of a picture: A1111's infotext first, else what another program keeps, ComfyUI's workflow.

    Raises:
        InvalidInput: the file cannot be read, is too large, or holds nothing that names a model.
    """
    return _import_texts(picture_texts_of(path), path.name, catalogue)


def import_bytes(data: bytes, catalogue: Catalogue | None = None) -> ApiReading | None:
    """`import_file` for a picture that comes over a pipe; None where the bytes are no picture.

    Raises:
        InvalidInput: as `import_file`.
    """
    return (
        _import_texts(texts_of(data, "the picture"), "the picture", catalogue) if is_picture(data) else None
    )


def _import_texts(texts: Mapping[str, str], name: str, catalogue: Catalogue | None) -> ApiReading:
    reasons: list[str] = []
    known = [key for key in _KEYS if key in texts]
    for key in [*known, *(key for key in texts if key not in known)]:
        try:
            reading = import_text(texts[key], catalogue)
        except InvalidInput as error:
            reasons.append(f"its {key[:40]!r}: {error}")
            continue
        if reading is not None:
            return reading
    if reasons:
        raise InvalidInput(f"{name} cannot be read as an API; {'; '.join(reasons[:3])}")
    found = ", ".join(repr(key[:40]) for key in list(texts)[:8])
    raise InvalidInput(
        f"{name} holds the texts {found}, and none of them says in a way that is known here what made the "
        "picture; give one of A1111, ComfyUI, SwarmUI, InvokeAI, Fooocus or Draw Things"
    )


def import_text(text: str, catalogue: Catalogue | None = None) -> ApiReading | None:
    """The T2I API of an infotext, of a workflow's JSON or of another program's; None if the text is neither.

    Raises:
        InvalidInput: it is one of them and names no model, or is too large.
    """
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped.startswith("{"):
        value = _json(stripped)
        if is_workflow(value):
            return settled(read_workflow(value), {}, catalogue)
        return _of_program(value, catalogue) if isinstance(value, Mapping) else None
    try:
        infotext = read_infotext(text)
    except InvalidInput:
        return None
    settings = {fold_key(key) for key in infotext.settings}
    if not _TELLING & settings:
        return None
    return settled(api_from_infotext(infotext), hashes_of(infotext), catalogue)


def _of_program(value: Mapping[str, Any], catalogue: Catalogue | None) -> ApiReading | None:
    """The API of another program's JSON; None if no program is known by it."""
    fields = program_fields(value)
    if fields is None:
        return None
    hashes = fields.pop(HASHES, {})
    checkpoint = {key: fields.pop(key) for key in ("model", "base model") if fields.get(key)}
    loras = [lora for lora in fields.pop("loras", ()) if lora["model"]]
    if not checkpoint.get("model") and hashes.get(CHECKPOINT):
        checkpoint["model"] = hashes[CHECKPOINT]
    if not checkpoint.get("model") and not loras:
        raise InvalidInput("the picture's settings name no model; name a checkpoint or a LoRA")
    guesses: list[str] = []
    made = with_loras(checkpoint, loras, guesses)
    if loras and "base model" in checkpoint:
        made["base model"] = checkpoint["base model"]
        made["base checkpoint"] = {"model": checkpoint.get("model", "")}
    return settled(read_guessing_family(fields | made, guesses), hashes, catalogue)


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
