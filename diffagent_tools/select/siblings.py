"""Models that are nearly one: versions, extractions and repacks of the same creator under one name.

folded(records)      # [(the place of the best of each, the others), ...], in their order

The best k of a ranking shall differ, so siblings come as one answer that names them.
"""

import re
from collections.abc import Sequence

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


def folded(records: Sequence[ModelRecord]) -> list[tuple[int, tuple[ModelRecord, ...]]]:
    """The places of those that are no siblings of an earlier one, each with its later siblings."""
    found: dict[object, tuple[int, list[ModelRecord]]] = {}
    for place, record in enumerate(records):
        key = _family(record) or record.model_id
        if key in found:
            found[key][1].append(record)
        else:
            found[key] = (place, [])
    return [(place, tuple(siblings)) for place, siblings in found.values()]


def siblings_note(siblings: Sequence[ModelRecord]) -> str:
    """What an answer says of them; nothing where there are none."""
    return f"nearly the same: {', '.join(f'“{record.model}”' for record in siblings)}" if siblings else ""


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
