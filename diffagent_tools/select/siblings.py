"""Models that are nearly one: versions, extractions and repacks of the same creator under one name.

apart(selector.select("a fox, watercolor", k=3 + SPARE), catalogue)[:3]

The best k that a person or an agent is shown differ, so siblings come as one answer that names them. A batch
keeps every model, since accuracy is measured by it.
"""

import re
from collections.abc import Sequence

from diffagent_tools.select.selection import Selection
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord

_BRACKETS = re.compile(r"\[[^\]]*\]|\([^)]*\)|【[^】]*】")
_VERSION = re.compile(r"(?<![^\W_])(?:v|x|ver|version)?[ ._]?\d+(?:[._]\d+)*[a-z]?(?![^\W_])")
_SAYS_NOTHING = frozenset(
    (
        *("lora", "locon", "loha", "lycoris", "checkpoint", "model", "mix", "extract", "extraction", "ver"),
        *("version", "edition", "pruned", "fp16", "inpainting", "sd", "sdxl", "full", "release", "official"),
    )
)
_SHORTEST = 3
_WORD = re.compile(r"[^\W_]+")


SPARE = 4
"""how many more answers are asked for, as siblings may be among them"""


def apart(found: Sequence[Selection], catalogue: Catalogue) -> list[Selection]:
    """Answers that are no siblings of an earlier one; the note of each names its later siblings."""
    sets: dict[object, list[Selection]] = {}
    for place, selection in enumerate(found):
        model_id = selection.api.model_id
        known = model_id is not None and model_id in catalogue
        key = _family(catalogue.get(model_id)) if known and model_id is not None else None
        sets.setdefault(key or place, []).append(selection)
    return [
        first.model_copy(update={"notes": (*first.notes, _note(others))}) if others else first
        for first, *others in sets.values()
    ]


def _note(others: Sequence[Selection]) -> str:
    return f"nearly the same: {', '.join(f'“{each.api.model}”' for each in others)}"


def _family(record: ModelRecord) -> tuple[str, str, str] | None:
    """Creator, family of models and the core of the name; None where too little of a name is left to tell."""
    core = core_of(record.model)
    if not record.creator or len(core) < _SHORTEST:
        return None
    return record.creator.casefold(), record.base_model, core


def core_of(name: str) -> str:
    """A name without brackets, versions and words that half of all names carry, in lower case."""
    plain = _VERSION.sub(" ", _BRACKETS.sub(" ", name).casefold())
    return " ".join(word for word in _WORD.findall(plain) if word not in _SAYS_NOTHING)
