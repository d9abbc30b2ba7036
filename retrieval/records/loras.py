"""The LoRAs beside the first one: each with its weight and what tells it apart, read however it is written.

>>> read_loras([{"name": "Pixel Art", "strength": 0.6}, ["ink.safetensors", 0.3]])
(LoraRef(model='Pixel Art', weight=0.6, ...), LoraRef(model='ink.safetensors', weight=0.3, ...))
"""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from retrieval.records.air import parse_air
from retrieval.records.lenient import fold_key, well_formed

MAX_LORAS = 50
_MAX_ID = 2**63 - 1
_WEIGHTS = ("weight", "strength", "loraweight", "modelstrength", "strengthmodel")


class LoraRef(BaseModel):
    """A LoRA that is loaded beside another; `weight` None is not said, and then 1 in every program."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", " "),
        populate_by_name=True,
        protected_namespaces=(),
    )

    model: str
    weight: float | None = None
    model_id: int | None = None
    version_id: int | None = None
    air: str | None = None

    @property
    def strength(self) -> float:
        """The weight that programs use."""
        return 1.0 if self.weight is None else self.weight

    def to_wire(self) -> dict[str, Any]:
        """JSON values; whole weights as whole numbers."""
        wire = self.model_dump(by_alias=True, exclude_none=True)
        if self.weight is not None and self.weight.is_integer() and abs(self.weight) < 2**53:
            wire["weight"] = int(self.weight)
        return wire

    def faults(self) -> list[str]:
        """What no program could use, a phrase each."""
        found = [] if self.model.strip() else ["a LoRA beside the first has an empty model"]
        if self.weight is not None and not math.isfinite(self.weight):
            found.append(f"the LoRA {self.model!r} has the weight {self.weight}, needed is a finite number")
        if any(i is not None and not 1 <= i <= _MAX_ID for i in (self.model_id, self.version_id)):
            found.append(f"the LoRA {self.model!r} has an id that is no positive number")
        return found


def read_loras(value: object) -> tuple[LoraRef, ...]:
    """The LoRAs of a list of names, of `[name, weight]` pairs or of objects; what is none is left out."""
    items = value if isinstance(value, list | tuple) else []
    return tuple(lora for lora in map(_lora, items[:MAX_LORAS]) if lora is not None)


def _lora(item: object) -> LoraRef | None:
    if isinstance(item, LoraRef):
        return item
    if isinstance(item, list | tuple):
        item = {"model": item[0], "weight": item[1] if len(item) > 1 else None} if item else None
    if isinstance(item, str):
        item = {"model": item}
    if not isinstance(item, Mapping):
        return None
    given = {fold_key(key): one for key, one in item.items()}
    name = next((given[key] for key in ("model", "name", "modelname", "lora", "air") if given.get(key)), None)
    if isinstance(name, Mapping):
        name = name.get("name")
    if not isinstance(name, str) or not name.strip() or name.strip().casefold() == "none":
        return None
    weight = next((given[key] for key in _WEIGHTS if given.get(key) is not None), None)
    air = given.get("air")
    return LoraRef(
        model=well_formed(name.strip()),
        weight=_number(weight),
        model_id=_id(given.get("modelid")),
        version_id=_id(given.get("versionid", given.get("modelversionid"))),
        air=air if isinstance(air, str) and parse_air(air) else None,
    )


def _number(value: object) -> float | None:
    """A weight, also one that is written as text."""
    if isinstance(value, str):
        try:
            value = float(value[:40])
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e9:
        return None
    return float(value) if math.isfinite(value) else None


def _id(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:19])
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 1 <= value <= _MAX_ID else None
