"""A T2I API out of fields that do not say the base model: by ids, by fields of one family, by names.

    reading = read_guessing_family({"model": "flux1-dev-bnb-nf4-v2"}, guesses)
    reading.api.base_model      # 'Flux.1 D', and the sentence on it among `reading.missing`

A size tells nothing: pictures of every family are made small, or enlarged.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from retrieval.records.air import parse_air
from retrieval.records.api import ApiReading, read_api
from retrieval.records.lenient import SIZE_TELLS_NOTHING
from retrieval.records.loras import read_loras
from retrieval.tables.families import FAMILIES

HINT = "family hint"
"""The field under which a reader passes the family that something else than a name tells."""
_LARGE = 800_000
"""Pixels above which SD 1.5 makes no good picture at once."""
_EDGE = r"(?<![a-z0-9])"
# the narrower before the wider
_NAMES = (
    (r"flux\.?[-_ ]?2.*klein.*4b", "Flux.2 Klein 4B"),
    (r"flux\.?[-_ ]?2.*klein", "Flux.2 Klein 9B"),
    (r"flux\.?[-_ ]?2(?!\d)", "Flux.2 D"),
    (r"flux.*kontext", "Flux.1 Kontext"),
    (r"flux.*krea", "Flux.1 Krea"),
    (r"flux.*schnell", "Flux.1 S"),
    (rf"{_EDGE}flux(?![-_ .]?[2-9])", "Flux.1 D"),
    (r"sd[-_ ]?3[._]?5[-_ ]?m|stable[-_ ]?diffusion[-_ ]?3[._]5[-_ ]?m", "SD 3.5 Medium"),
    (r"sd[-_ ]?3[._]?5|stable[-_ ]?diffusion[-_ ]?3[._]5", "SD 3.5"),
    (rf"{_EDGE}sd[-_ ]?3(?!\d)|stable[-_ ]?diffusion[-_ ]?3(?!\d)", "SD 3"),
    (r"noob[-_ ]?ai", "NoobAI"),
    (r"illustrious", "Illustrious"),
    (rf"{_EDGE}pony", "Pony"),
    (rf"{_EDGE}chroma(?:[-_ ]?\d|[-_ ]?unlocked|[-_ ]?v)", "Chroma"),
    (r"qwen[-_ ]?image", "Qwen"),
    (r"z[-_ ]?image[-_ ]?turbo", "ZImageTurbo"),
    (rf"{_EDGE}z[-_ ]?image", "ZImageBase"),
    (r"hidream", "HiDream"),
    (r"auraflow", "AuraFlow"),
    (r"lumina", "Lumina"),
    (r"kolors", "Kolors"),
    (r"sd[-_ ]?xl|xl(?=$|[-_ .v\d])", "SDXL 1.0"),
    (rf"{_EDGE}sd[-_ ]?1[._-]?[45](?!\d)|{_EDGE}v1[-_.]5", "SD 1.5"),
    (rf"{_EDGE}sd[-_ ]?2[._-]?[01](?!\d)|{_EDGE}v2[-_.]1[-_ ]", "SD 2.1"),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), family) for pattern, family in _NAMES)


def read_guessing_family(fields: Mapping[str, Any], guesses: Sequence[str]) -> ApiReading:
    """The API of these fields, those of them that are not None; a base model that is not said is guessed.

    Args:
        fields: as `read_api` takes them, further LoRAs under `loras`, and perhaps a `HINT`.
        guesses: what was assumed to get the fields; they come first in the reading's own.
    """
    given = {key: value for key, value in fields.items() if value is not None and key not in (HINT, "loras")}
    loras = read_loras(fields.get("loras"))
    guessed = None if given.get("base model") else _guessed_family(given, fields.get(HINT))
    if guessed is not None:
        given["base model"] = guessed[0]
    reading = read_api(given)
    missing = dict(reading.missing)
    told = list(reading.guesses)
    if guessed is not None:
        missing["base_model"] = guessed[1]
        told.insert(0, guessed[1])
    elif "base_model" in missing and reading.api.width * reading.api.height > _LARGE:
        told.append(SIZE_TELLS_NOTHING)
    api = reading.api.model_copy(update={"loras": loras}) if loras else reading.api
    return replace(reading, api=api, guesses=(*guesses, *told), missing=missing)


def family_by_name(name: str) -> str | None:
    """The family that the name of a model or of its file says."""
    return next((family for pattern, family in _PATTERNS if pattern.search(name[:200])), None)


def _guessed_family(fields: Mapping[str, Any], hint: str | None) -> tuple[str, str] | None:
    """The base model, and a sentence on it."""
    under = fields.get("base checkpoint")
    named = [fields, under] if isinstance(under, Mapping) else [fields]
    for one in named:
        air = parse_air(one["air"]) if isinstance(one.get("air"), str) else None
        name = next((family.name for family in FAMILIES if air and family.air == air.ecosystem), None)
        if air and name:
            return name, f"base model is missing; {name} was taken, as the AIR says {air.ecosystem}"
    for one in reversed(named):
        called = str(one.get("model", ""))
        name = family_by_name(called)
        # the loader of the encoder says the same of a family's first model and of its offspring
        if name is not None:
            return name, f"base model is missing; {name} was guessed from the name {called[:60]!r}"
    if hint is not None:
        return hint, f"base model is missing; {hint} was guessed from fields that only it has"
    return None
