"""What somebody wrote, a model's name or a T2I API, checked and repaired in one step.

    found = check('{"model": "Dream Shapper", "steps": 0}', Catalogue.starter())
    found.verdict.status, found.repair.api.model

The command `diffagent check`, the tool for agents and the examples all call it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retrieval.calls.base_checkpoint import mixed_families
from retrieval.calls.identify import identify, table_family
from retrieval.calls.limits import idle
from retrieval.calls.repair import Change, Repair, Searcher, repair
from retrieval.calls.verdict import Verdict
from retrieval.catalogue import Catalogue
from retrieval.catalogue.written import MAX_NAME, is_address
from retrieval.errors import InvalidApi
from retrieval.records.api import ApiReading, Instruction, T2IApi, read_apis
from retrieval.records.lenient import BOTH_NAMED, SIZE_TELLS_NOTHING
from retrieval.records.listed import take_tags
from retrieval.records.model import ModelRecord
from retrieval.tables.samplers import find_sampler, rarity_note

MAX_CHARS = 100_000
"""A longer text is no API."""
_SAME = ("valid", "alias")
_DOCUMENT = re.compile(
    r"\.(?:json|jsonl|ya?ml|toml|txt|log|csv|md|py|html?|png|jpe?g|webp|avif|gif|bmp|tiff?|heic|info|pdf)$",
    re.IGNORECASE,
)
_CODE = re.compile(r"\bfrom_(?:pretrained|single_file)\s*\(|</?(?:think|reasoning)|```")
_LABEL = re.compile(
    r"(?:model|checkpoint|lora)(?:[ _]name)?\s{0,9}[:=]\s{0,9}(?P<name>[^\s/].*)", re.IGNORECASE
)
_SENTENCE = 4
_STOPS = (".", "!", "?", "。", "！", "？", ":")
_SPEAKING = re.compile(
    r"\b(?:I|I'm|you|your|we|please|sorry|cannot|can't|should|would|could|recommend|suggest)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Check:
    """What was read, what is wrong with it, and the API that can be called.

    `read` is None where only a name was given; `guesses` is what the reading assumed, a sentence each, and
    `unread` those of them on what was written and could not be read, so that the picture is another one.
    """

    named: str
    read: T2IApi | None
    guesses: tuple[str, ...]
    repair: Repair
    unread: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Of what was written, before the repair."""
        return self.repair.verdict

    @property
    def accepted(self) -> bool:
        """Whether it names a model that can be called as it stands, if under another spelling."""
        return self.verdict.status in _SAME

    def to_wire(self) -> dict[str, Any]:
        """JSON values: verdict and problems, then the repair with its changes."""
        return {
            "model": self.named,
            "status": self.verdict.status,
            "problems": [
                {"kind": problem.kind, "field": problem.field, "reason": problem.reason}
                for problem in self.verdict.problems
            ],
            "guesses": list(self.guesses),
            **({"unread": list(self.unread)} if self.unread else {}),
            "repair": {
                "api": self.repair.api.to_wire(),
                "changes": [_change_wire(change) for change in self.repair.changes],
                "abstained": self.repair.abstained,
                "similarity": self.repair.similarity,
            },
        }


def check(
    written: str | Mapping[str, Any] | ApiReading,
    catalogue: Catalogue,
    search: Searcher | None = None,
    instruction: Instruction | str | Mapping[str, Any] | None = None,
) -> Check:
    """Reads a name or an API, checks it against the catalogue and repairs it.

    Args:
        written: a bare name, an answer (JSON, YAML or code for diffusers, also inside prose), a mapping, or
            what was read already. Text with a brace is a name only where the catalogue has just this one.
        search: finds a substitute by meaning; without it shared words count.
        instruction: the request the model was meant for.

    Raises:
        InvalidApi: it is empty, too long, or names no model.
        InvalidInstruction: the instruction is empty or no text.
        UnknownModel: the catalogue holds no checkpoint to fall back on.
    """
    if isinstance(written, str) and is_bare_name(written, catalogue):
        named = written.strip()
        label = _LABEL.fullmatch(named)
        if label and not catalogue.find(named):
            named = label["name"]
        prompt, loras = take_tags(named)
        if loras and (prompt or len(loras) > 1):
            # a prompt of A1111, which names its LoRAs and no checkpoint
            return check({"prompt": prompt, "loras": loras}, catalogue, search, instruction)
        return Check(named, None, (), repair(named, catalogue, search, instruction))
    readings = (written,) if isinstance(written, ApiReading) else read_apis(written)
    reading = settled(_chosen(readings, catalogue), catalogue)
    call = reading.api
    mended = repair(call, catalogue, search, instruction)
    return Check(call.model, call, reading.guesses, mended, reading.unread)


def is_bare_name(text: str, catalogue: Catalogue) -> bool:
    """Whether a text is a model's name alone, and no answer in which one is to be looked for.

    Raises:
        InvalidApi: it is empty, too long, the name of a document, or words that name no model.
    """
    name = text.strip()
    if not name:
        raise InvalidApi("there is nothing to check; give a model's name or a T2I API as JSON")
    if len(text) > MAX_CHARS:
        raise InvalidApi(
            f"the text has {len(text):,} characters and at most {MAX_CHARS:,} are read; "
            "give one T2I API as JSON"
        )
    found = catalogue.find(name)
    if found and ("{" not in name or found[0].how == "name"):
        return True
    if "{" in name or "\n" in name or _CODE.search(name):
        return False
    if _DOCUMENT.search(name):
        raise InvalidApi(
            f"{name[:80]!r} is the name of a file that is not here, and no model's; give the path of a "
            "file that exists, a model's name, or a T2I API as JSON"
        )
    if len(name) > MAX_NAME or _is_prose(name):
        raise InvalidApi(
            f"no model is named in the text {' '.join(name[:200].split())[:60]!r}; give a model's name, or a "
            "link to it, as the whole text, or a T2I API as JSON"
        )
    return True


def _is_prose(name: str) -> bool:
    """Whether one line is a sentence: words around a link, several with a full stop, somebody speaking."""
    words = name.split()
    if len(words) < 2:
        return False
    if any(is_address(word.strip("()[]<>.,;")) and not word.isalnum() for word in words):
        return True
    return len(words) >= _SENTENCE and bool(name.endswith(_STOPS) or _SPEAKING.search(name))


def _chosen(readings: Sequence[ApiReading], catalogue: Catalogue) -> ApiReading:
    """The API to judge: the first, but one with a model that does not exist goes before it."""
    if len(readings) == 1:
        return readings[0]
    for reading in readings:
        if identify(reading.api.model, catalogue, reading.api) is None:
            told = f"of {len(readings)} APIs in the text, one with a model that does not exist was taken"
            return replace(reading, guesses=(told, *reading.guesses[1:]))
    return readings[0]


def settled(reading: ApiReading, catalogue: Catalogue) -> ApiReading:
    """What a catalogue adds to a reading: family and type of the model where they were not said, and what is
    to be told of hash, checkpoint and sampler."""
    api, guesses, missing = reading.api, list(reading.guesses), dict(reading.missing)
    base = api.base_checkpoint
    if (
        any(guess.startswith(BOTH_NAMED) for guess in guesses)
        and base is not None
        and not catalogue.find(base.model)
    ):
        # the answer's own model decides, whatever LoRA it is wanted with
        api = api.model_copy(
            update={"model": base.model, "type": "Checkpoint", "base_checkpoint": None, "lora_weight": None}
        )
        guesses.append(f"the checkpoint {base.model[:80]!r} is judged, which does not exist")
    match = identify(api.model, catalogue, api)
    if match is not None:
        record = match.record
        for field, wire in (("base_model", "base model"), ("type", "type")):
            guessed = missing.pop(field, None)
            if field == "base_model":
                guesses = [guess for guess in guesses if guess != SIZE_TELLS_NOTHING]
            if guessed is None or getattr(api, field) == getattr(record, field):
                continue
            api = api.model_copy(update={field: getattr(record, field)})
            told = f"the {wire} is that of {record.model!r} in the catalogue"
            guesses = [told if guess == guessed else guess for guess in guesses]
            if field == "base_model":
                api = _at_home(api, missing)
                guesses = [_resized(guess, missing, api, record) for guess in guesses]
        owners = catalogue.hashed(reading.digest)
        if owners and record.model_id not in {owner.record.model_id for owner in owners}:
            other = owners[0].record.model
            guesses.append(f"the hash {reading.digest} is that of {other!r}, and not of {record.model!r}")
    sampler = find_sampler(api.sampling_method)
    rare = rarity_note(sampler) if sampler is not None else ""
    notes = [rare, mixed_families(api, catalogue)]
    # A1111's own form writes it whatever the family, so it is no fault
    notes += [
        f"clip skip {change.before}: {change.why}"
        for change in idle(api, table_family(api.base_model))
        if change.field == "clip skip" and change.before != 1
    ]
    return replace(reading, api=api, guesses=(*guesses, *filter(None, notes)))


def _resized(guess: str, missing: Mapping[str, str], api: T2IApi, record: ModelRecord) -> str:
    """The sentence on a side of the default size, where the model's family has another."""
    for side in ("width", "height"):
        if guess == missing.get(side):
            return f"{side} is missing; {getattr(api, side)} was taken, which {record.model!r} is made for"
    return guess


def _at_home(api: T2IApi, missing: Mapping[str, str]) -> T2IApi:
    """The call in the size of its family, where no size was said."""
    family = table_family(api.base_model)
    if family is None or not {"width", "height"} <= missing.keys():
        return api
    return api.model_copy(update={"width": family.default_width, "height": family.default_height})


def _change_wire(change: Change) -> dict[str, Any]:
    return {
        "field": change.field,
        "before": _json_value(change.before),
        "after": _json_value(change.after),
        "why": change.why,
    }


def _json_value(value: Any) -> Any:
    """A changed field's value; one that JSON cannot say (infinity, not a number) as text."""
    if hasattr(value, "model_dump"):
        return value.model_dump(by_alias=True, exclude_none=True)
    if isinstance(value, tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value
