"""LoRAs in a prompt as `<lora:name:weight>`, and which of several is the model of a call.

>>> take_lora_tags("a corgi, <lora:pixel:0.8>")
('a corgi', (LoraTag(name='pixel', weight=0.8),))
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TAG = re.compile(r"<(?:lora|lyco):([^:<>\n]*[^:<>\s][^:<>\n]*)(?::([^<>\n]*))?>", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?", re.IGNORECASE)


@dataclass(frozen=True)
class LoraTag:
    """`<lora:name:weight>`; the name is that of a file, and None is a weight that is not said."""

    name: str
    weight: float | None = None


def take_lora_tags(prompt: str) -> tuple[str, tuple[LoraTag, ...]]:
    """The prompt without its `<lora:name:weight>` tags, and the tags in their order.

    Of a comma on either side of a tag one is left, and none at the end of a line. Of two weights (text
    encoder and U-Net) the one of the U-Net is taken.
    """
    tags: list[LoraTag] = []
    kept = ""
    end = 0
    for match in _TAG.finditer(prompt):
        kept = _joined(kept, prompt[end : match.start()]) if end else prompt[: match.start()]
        end = match.end()
        tags.append(LoraTag(match[1].strip(), _weight(match[2] or "")))
    if not tags:
        return prompt, ()
    return _joined(kept, prompt[end:]), tuple(tags)


def _joined(left: str, right: str) -> str:
    """Two pieces of a prompt between which a tag stood."""
    gap = " " if left[-1:].isspace() or right[:1].isspace() else ""
    left, right = left.rstrip(" \t"), right.lstrip(" \t")
    ends, begins = right[:1] in ("", "\n"), left[-1:] in ("", "\n")
    if left.endswith(",") and (ends or right.startswith(",")):
        left = left[:-1].rstrip(" \t")
    elif begins and right.startswith(","):
        right = right[1:].lstrip(" \t")
    return left + right if ends or begins or right.startswith(",") else left + gap + right


def _weight(arguments: str) -> float | None:
    """Of `0.8`, `0.5:0.8` (text encoder, U-Net) or `te=0.5:unet=0.8`."""
    te: float | None = None
    unet: float | None = None
    for position, argument in enumerate(arguments.split(":")[:4]):
        name, equals, text = argument.strip().partition("=")
        number = number_or_text(text if equals else name)
        if not isinstance(number, int | float):
            continue
        if name.strip() == "unet" or (not equals and position == 1):
            unet = float(number)
        elif name.strip() == "te" or (not equals and position == 0):
            te = float(number)
    return te if unet is None else unet


def number_or_text(text: str | None) -> int | float | str | None:
    """A number where the text is one that a record can hold."""
    if text is None or not _NUMBER.fullmatch(text.strip()[:400]):
        return text
    number = float(text.strip()[:400])
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def with_loras(
    checkpoint: Mapping[str, Any], loras: Sequence[Mapping[str, Any]], guesses: list[str]
) -> dict[str, Any]:
    """The fields of a call: the LoRA of the largest weight is the model, the others are beside it, and the
    checkpoint is under it.

    Args:
        loras: with their `lora weight`, of which None or none counts as 1.
        guesses: gets a sentence where there are several.
    """
    if not loras:
        return {**checkpoint, "type": "Checkpoint"}

    def strength(lora: Mapping[str, Any]) -> float:
        weight = lora.get("lora weight")
        return abs(1.0 if weight is None else float(weight))

    # what this project wrote says of one that it is the model
    written = (lora for lora in loras if lora.get("base model"))
    chosen = next(written, None) or max(loras, key=strength)
    fields = {**chosen, "type": "LORA"} | (
        {"base checkpoint": dict(checkpoint)} if checkpoint.get("model") else {}
    )
    others = [dict(lora) for lora in loras if lora is not chosen]
    if others:
        fields["loras"] = others
        guesses.append(
            f"{len(loras)} LoRAs are used; {chosen['model']!r} with the largest weight is the model, and "
            f"{', '.join(repr(lora['model']) for lora in others)} beside it"
        )
    return fields
