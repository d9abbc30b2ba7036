"""What holds of every answer, whatever was put in: real models only, and nothing that a terminal obeys."""

from collections.abc import Iterator
from typing import Any

from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi
from retrieval.records.api import ApiReading, T2IApi
from retrieval.records.inert import is_hidden, json_text

_JOINERS = "\u200c\u200d"


class Broken(AssertionError):
    """An answer that must not come."""


def texts_of(value: Any) -> Iterator[str]:
    """Every text of JSON values, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts_of(key)
            yield from texts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)


def inert(*values: Any) -> None:
    """Raises where a text that is shown holds more than letters, line feeds and tabs."""
    for text in texts_of(values):
        odd = {char for char in text if is_hidden(char) and char not in "\n\t" + _JOINERS}
        if odd:
            raise Broken(f"hidden characters {sorted(odd)!r} in {text[:120]!r}")


def says_something(error: Exception) -> None:
    """Raises where an error has no words."""
    if not str(error).strip():
        raise Broken(f"{type(error).__name__} says nothing")


def readable(reading: ApiReading) -> None:
    """A reading is written down as a whole, or refused in words."""
    try:
        json_text(reading.api.to_wire())
    except InvalidApi as error:
        says_something(error)


def real(api: T2IApi, catalogue: Catalogue) -> None:
    """Raises where a call names a model, a checkpoint or a LoRA that the catalogue does not hold."""
    named = [("model", api.model, api.model_id)]
    named += [("LoRA", lora.model, lora.model_id) for lora in api.loras]
    if api.base_checkpoint is not None:
        named.append(("checkpoint", api.base_checkpoint.model, api.base_checkpoint.model_id))
    for what, name, model_id in named:
        known = model_id in catalogue and catalogue.get(model_id or 0).model == name
        if not known and not (model_id is None and catalogue.find(name)):
            raise Broken(f"the {what} {name[:80]!r} ({model_id}) is not in the catalogue")
    json_text(api.to_wire())
