"""Which objects of an answer name a model: its own `model` decides, and never what stands beside it.

>>> [each["model"] for each in named_objects('{"model": "X", "like": {"model": "Y"}} {"model": "Z"}', [])]
['X', 'Z']
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from retrieval.errors import InvalidApi
from retrieval.records.answers import (
    civitai_object,
    is_envelope,
    json_value,
    script_object,
    without_thoughts,
    yaml_objects,
)
from retrieval.records.field_names import field_of, fold_key, is_said, names_model
from retrieval.records.lenient_json import Found, find_objects
from retrieval.records.listed import listed_resources

MAX_TEXT_CHARS = 1_000_000
_MAX_SEARCHED = 10_000
_MAX_OBJECTS = 300
MAX_NAMED = 20
"""More APIs are not read out of one answer."""
# settings of the object that they stand in
_PARTS = frozenset(
    (
        "overridesettings",
        "params",
        "parameters",
        "settings",
        "options",
        "generation",
        "generationparams",
        "meta",
    )
)
# for an image or a reader: no API is looked for in them
_WORDS = ("prompt", "negative_prompt", "model_description")
_NAMES = ("model", "lora", "checkpoint", "name")


def named_objects(value: object, guesses: list[str]) -> list[Mapping[str, Any]]:
    """The objects of a text or a value that name a model and lie in no other one, outer before inner.

    Args:
        guesses: gets a sentence for each assumption.
    """
    if not isinstance(value, str):
        return _outermost([value])
    if len(value) > MAX_TEXT_CHARS:
        raise InvalidApi(
            f"the text has {len(value):,} characters and at most {MAX_TEXT_CHARS:,} are read; "
            "pass the answer alone"
        )
    text = without_thoughts(value)
    named: list[Mapping[str, Any]] = []
    for found in itertools.islice(find_objects(text), _MAX_OBJECTS):
        inner = _outermost([found.value])
        if inner and not named:
            _tell(found, guesses)
        named += inner
        if len(named) >= MAX_NAMED:
            break
    if not named:
        script = script_object(text)
        named = [script] if script is not None else _outermost(yaml_objects(text))
        if named:
            guesses.append(f"the text is no JSON; it was read as {'Python' if script else 'YAML'}")
    if len(named) > 1:
        guesses.append("the text holds several APIs; the first that names a model was taken")
    return named[:MAX_NAMED]


def nothing_named(value: object) -> str:
    """Why there is no T2I API in a value, a sentence."""
    needed = 'needed is an object such as {"model": "DreamShaper", "type": "Checkpoint"}'
    if not isinstance(value, str | Mapping):
        return f"found a value of type {type(value).__name__} and no T2I API; {needed}"
    if isinstance(value, Mapping):
        keys = ", ".join(repr(str(key)[:40]) for key in list(value)[:8]) or "no fields"
        return f"found a mapping with {keys} and no model's name in it; {needed}"
    if not value.strip():
        return f"found an empty text and no T2I API; {needed}"
    start = " ".join(value[:200].split())[:60]
    return f"found no object with a model's name in the text {start!r}; {needed}"


def _tell(found: Found, guesses: list[str]) -> None:
    if not found.complete:
        guesses.append("the object is broken or cut off; what could be read of it was taken")
    elif not found.strict:
        guesses.append("the object is not valid JSON; it was read as it seems to be meant")


def _outermost(values: Iterable[Any]) -> list[Mapping[str, Any]]:
    named: list[Mapping[str, Any]] = []
    queue = deque(values)
    for _ in range(_MAX_SEARCHED):
        if not queue:
            break
        value = queue.popleft()
        if isinstance(value, str):
            # the arguments of a tool call are a text, and so is what a chat API answers
            value = json_value(value)
        if isinstance(value, list | tuple):
            queue.extend(value)
        if not isinstance(value, Mapping):
            continue
        if is_envelope(value):
            queue.extend(_texts_of(value))
            continue
        whole = _with_parts(value)
        if names_model(whole) or _lists_model(whole):
            named.append(whole)
            if names_model(value):
                continue
        # what a part or a list names leaves open what else is named beside it
        unread = ("loras", *_WORDS) if named[-1:] == [whole] else _WORDS
        queue.extend(item for key, item in value.items() if field_of(key) not in unread)
    return named


def _texts_of(value: Mapping[Any, Any]) -> Iterator[Any]:
    """What stands within the envelope of a chat API: tool calls, and the objects in its texts."""
    queue: deque[Any] = deque(item for key, item in value.items() if fold_key(key) != "model")
    for _ in range(_MAX_SEARCHED):
        if not queue:
            return
        item = queue.popleft()
        if isinstance(item, str):
            yield from (found.value for found in find_objects(without_thoughts(item)))
        elif isinstance(item, list | tuple):
            queue.extend(item)
        elif isinstance(item, Mapping):
            if fold_key(item.get("type")) in ("tooluse", "function") or "arguments" in item:
                yield item
            else:
                queue.extend(item.values())


def _lists_model(value: Mapping[Any, Any]) -> bool:
    """Whether the settings of a picture have their models in a list (`civitaiResources`) only."""
    fields = {field_of(key): item for key, item in value.items()}
    if (
        "loras" not in fields
        or not {"sampling_steps", "sampling_method", "cfg_scale", "prompt"} & fields.keys()
    ):
        return False
    loras, checkpoints = listed_resources([fields["loras"]])
    return bool(loras or checkpoints)


def _with_parts(value: Mapping[Any, Any]) -> Mapping[str, Any]:
    """The object with the settings that lie in its parts (`params`, …); its own go before."""
    civitai = civitai_object(value)
    if civitai is not None:
        return civitai
    whole: dict[Any, Any] = {key: item for key, item in value.items() if is_said(item, field_of(key))}
    present = {field_of(key) for key in whole}
    for key, part in value.items():
        is_model = field_of(key) == "model"
        if not isinstance(part, Mapping) or not (is_model or fold_key(key) in _PARTS):
            continue
        if not is_model and fold_key(key) != "overridesettings" and not names_model(value):
            continue
        for inner, item in part.items():
            field = field_of(inner)
            if field is None or field in present or field == "name" or not is_said(item, field):
                continue
            if is_model and field in _NAMES:
                continue
            whole[inner] = item
            present.add(field)
    return whole
