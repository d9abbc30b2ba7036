"""Fields of a call as a person types them into a form: numbers and texts checked where they come in."""

from typing import Any

from diffagent_tools.quoting import plain
from retrieval.errors import InvalidInput
from retrieval.records.api import read_instruction

STANDING = frozenset(
    {
        *("width", "height", "sampling_steps", "cfg_scale", "sampling_method", "negative_prompt"),
        *("lora_weight", "clip_skip"),
    }
)
"""They hold for the models that follow, too."""
_WHOLE = frozenset({"width", "height", "sampling_steps", "clip_skip"})
_TEXT = frozenset({"sampling_method", "prompt", "negative_prompt"})


def read_field(name: str, value: Any) -> Any:
    """A field's value, by the Python name of the field in a T2IApi.

    Raises:
        InvalidInput: it is no number where one is needed, or a text that is too long.
    """
    if name in _TEXT:
        return read_instruction({"prompt": "-", "negative_prompt": str(value)}).negative_prompt
    if value is None or value == "":
        if name in ("clip_skip", "lora_weight"):
            return None
        raise InvalidInput(f"the field {name.replace('_', ' ')} is empty; needed is a number")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"found {plain(str(value), 60)!r} for {name.replace('_', ' ')}; needed is a number"
        ) from error
    if name in _WHOLE:
        if number != int(number) if abs(number) < 1e9 else True:
            raise InvalidInput(f"found {number:g} for {name.replace('_', ' ')}; needed is a whole number")
        return int(number)
    return number
