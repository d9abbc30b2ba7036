"""The two records everything is about: what was asked for, and the T2I API that answers it.

    >>> read_instruction("a corgi, pixel art").prompt
    'a corgi, pixel art'
    >>> reading = read_api("Use {'model': 'Pixel Art', 'steps': 30}")
    >>> reading.api.sampling_steps, reading.guesses[1]
    (30, "'steps' was read as 'sampling steps'")

On the wire the nine fields of the paper under the paper's own names (section 3.1: `model`, `type`,
`base model`, `width`, `height`, `sampling method`, `sampling steps`, `cfg scale`, `model description`), then
ours. Reading is forgiving and says what it guessed; writing is strict.
"""

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from retrieval.errors import InvalidApi, InvalidInstruction
from retrieval.records.air import Air, make_air, parse_air
from retrieval.records.border import MAX_ID
from retrieval.records.inert import json_text
from retrieval.records.lenient import DEFAULT_PARAMETERS, fold_key, read_every, well_formed
from retrieval.records.loras import LoraRef, read_loras

__all__ = [
    "DEFAULT_PARAMETERS",
    "MAX_PROMPT_CHARS",
    "PAPER_FIELDS",
    "Air",
    "ApiReading",
    "CheckpointRef",
    "Instruction",
    "LoraRef",
    "T2IApi",
    "api_json_schema",
    "make_air",
    "parse_air",
    "read_api",
    "read_apis",
    "read_instruction",
]

MAX_PROMPT_CHARS = 20_000
MAX_SIDE = 1_000_000
PAPER_FIELDS = (
    "model",
    "type",
    "base_model",
    "width",
    "height",
    "sampling_method",
    "sampling_steps",
    "cfg_scale",
    "model_description",
)
_EXACT_FLOAT = 2**53


def _spaced(name: str) -> str:
    return name.replace("_", " ")


_WIRE = ConfigDict(
    frozen=True,
    extra="forbid",
    alias_generator=_spaced,
    populate_by_name=True,
    protected_namespaces=(),
)


class Instruction(BaseModel):
    """A request for an image: what shall be seen and what not. On the wire `prompt`, `negative prompt`."""

    model_config = _WIRE

    prompt: str = Field(description="what should be seen")
    negative_prompt: str = Field(default="", description="what should not be seen")

    @field_validator("prompt", "negative_prompt")
    @classmethod
    def _clean(cls, value: str) -> str:
        kept = (c for c in value if c in "\n\t" or unicodedata.category(c) != "Cc")
        clean = unicodedata.normalize("NFC", "".join(kept)).strip()
        if len(clean) > MAX_PROMPT_CHARS:
            raise ValueError(
                f"it has {len(clean):,} characters and at most {MAX_PROMPT_CHARS:,} are read; shorten it"
            )
        return clean

    @field_validator("prompt")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not value:
            raise ValueError("it is empty; say in words what the image should show")
        return value

    def to_wire(self) -> dict[str, str]:
        """The two fields of the paper: `prompt` and `negative prompt`."""
        return {"prompt": self.prompt, "negative prompt": self.negative_prompt}


class CheckpointRef(BaseModel):
    """The checkpoint a LoRA is loaded on."""

    model_config = _WIRE

    model: str
    model_id: int | None = None
    version_id: int | None = None
    air: str | None = None


class T2IApi(BaseModel):
    """A text-to-image model with the settings to call it with.

    A record with a width of 513 or a sampler nobody knows can be made: `retrieval.calls.verdict` names such
    faults. Only writing (`to_wire`) refuses what no program could run.
    """

    model_config = _WIRE

    model: str = Field(description="the model's name in the catalogue")
    type: Literal["LORA", "Checkpoint"]
    base_model: str = Field(description="family, such as 'SD 1.5' or 'SDXL 1.0'")
    width: int = Field(description="pixels")
    height: int = Field(description="pixels")
    sampling_method: str = Field(description="Civitai's name of the sampler, such as 'DPM++ 2M Karras'")
    sampling_steps: int
    cfg_scale: float = Field(description="strength of the prompt (classifier-free guidance)")
    model_description: str = ""

    model_id: int | None = Field(default=None, description="Civitai's number of the model")
    version_id: int | None = Field(default=None, description="Civitai's number of the version")
    version: str | None = Field(default=None, description="the version's name")
    air: str | None = Field(default=None, description="urn:air:ECOSYSTEM:TYPE:civitai:MODEL@VERSION")
    base_checkpoint: CheckpointRef | None = Field(default=None, description="checkpoint a LoRA is loaded on")
    lora_weight: float | None = None
    loras: tuple[LoraRef, ...] = Field(default=(), description="further LoRAs that are loaded beside `model`")
    trigger_words: tuple[str, ...] = ()
    clip_skip: int | None = Field(default=None, description="as AUTOMATIC1111 counts: 1 is the last layer")
    negative_prompt: str = ""
    prompt: str = Field(default="", description="the request, with the trigger words it lacked")
    confidence: float | None = Field(default=None, description="0 to 1")

    def to_wire(self) -> dict[str, Any]:
        """The record as JSON values: the paper's nine fields first, then those of ours that are set.

        Raises:
            InvalidApi: a field that no program could use; the message names all of them.
        """
        faults = _faults(self)
        if faults:
            raise InvalidApi(f"this T2I API may not be written: {'; '.join(faults)}; set these fields first")
        wire: dict[str, Any] = {}
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            if name not in PAPER_FIELDS and value == info.default:
                continue
            if isinstance(value, CheckpointRef):
                value = value.model_dump(by_alias=True, exclude_none=True)
            elif name == "loras":
                value = [lora.to_wire() for lora in value]
            elif isinstance(value, tuple):
                value = list(value)
            elif isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
                value = int(value)
            wire[_spaced(name)] = value
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "T2IApi":
        """The record of which `to_wire` made this. Nothing is guessed; `read_api` reads what others write.

        Raises:
            InvalidApi: a field is missing, unknown or of another type, and the message names the first; or
                numbers are no program's, and it names all of them.
        """
        try:
            api = cls.model_validate_json(json.dumps(wire), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise InvalidApi(
                f"this is no T2I API as this project writes it ({where}: {first['msg']}); "
                "`diffagent check` reads other spellings and gives one that is"
            ) from error
        if faults := _faults(api):
            raise InvalidApi(
                f"this T2I API cannot be called: {'; '.join(faults)}; `diffagent check` mends it"
            )
        return api

    def to_json(self, indent: int | None = None) -> str:
        """`to_wire` as JSON text, hidden characters as escapes."""
        return json_text(self.to_wire(), indent)

    def paper_json(self) -> str:
        """The paper's nine fields only, `model` first, no spaces: what training and decoding write."""
        wire = self.to_wire()
        nine = {_spaced(name): wire[_spaced(name)] for name in PAPER_FIELDS}
        return json.dumps(nine, ensure_ascii=False, separators=(",", ":"))


def _faults(api: T2IApi) -> list[str]:
    """What `to_wire` refuses, a phrase each."""
    faults = [
        f"{_spaced(name)} is empty"
        for name in ("model", "base_model", "sampling_method")
        if not getattr(api, name).strip()
    ]
    for name, most in (("width", MAX_SIDE), ("height", MAX_SIDE), ("sampling_steps", MAX_SIDE)):
        value = getattr(api, name)
        if not 1 <= value <= most:
            faults.append(f"{_spaced(name)} is {str(value)[:40]}, needed is 1 to {most:,}")
    for name in ("cfg_scale", "lora_weight"):
        number = getattr(api, name)
        if number is not None and not math.isfinite(number):
            faults.append(f"{_spaced(name)} is {number}, needed is a finite number")
    if api.confidence is not None and not 0 <= api.confidence <= 1:
        faults.append(f"confidence is {api.confidence}, needed is 0 to 1")
    for name in ("model_id", "version_id", "clip_skip"):
        whole = getattr(api, name)
        if whole is not None and not 1 <= whole <= MAX_ID:
            faults.append(f"{_spaced(name)} is {str(whole)[:40]}, needed is a positive number")
    if api.base_checkpoint is not None:
        ref = api.base_checkpoint
        if not ref.model.strip():
            faults.append("base checkpoint has an empty model")
        if any(i is not None and not 1 <= i <= MAX_ID for i in (ref.model_id, ref.version_id)):
            faults.append("base checkpoint has an id that is no positive number")
    return faults + [fault for lora in api.loras for fault in lora.faults()]


@dataclass(frozen=True)
class ApiReading:
    """A T2I API that was read, and every assumption made on the way, a sentence each.

    `missing`: the fields (as in Python) that the text did not say, or not so that they could be read, with
    the sentence among `guesses` that says what was taken. `digest`: the hash of the file that was said beside
    the model, as it was written. `unread`: those of the guesses on a prompt or a model that was written and
    could not be read.
    """

    api: T2IApi
    guesses: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    unread: tuple[str, ...] = ()


def read_api(value: str | Mapping[str, Any]) -> ApiReading:
    """Reads a T2I API out of text or a mapping, however it is spelled.

    Understood are JSON inside prose or code fences, single quotes, trailing commas, Python literals, an
    object that is cut off, missing fields (defaults) and other spellings (`sampler`, `steps`, `cfgScale`,
    `Size: "512x768"`). Of several objects the first with a model's name is taken. Nothing is evaluated.

    Raises:
        InvalidApi: no object with a model's name. A bare name is no API.
    """
    return read_apis(value)[0]


def read_apis(value: str | Mapping[str, Any]) -> tuple[ApiReading, ...]:
    """Every T2I API of a text or a mapping that lies in no other one; `read_api` is the first.

    Raises:
        InvalidApi: no object with a model's name.
    """
    return tuple(_reading(*fields) for fields in read_every(value))


def _reading(fields: dict[str, Any], guesses: list[str], missing: dict[str, str]) -> ApiReading:
    reference = fields.get("base_checkpoint")
    if reference is not None:
        fields["base_checkpoint"] = CheckpointRef(**reference)
    fields["loras"] = read_loras(fields["loras"])
    digest = fields.pop("digest")
    return ApiReading(T2IApi(**fields), tuple(guesses), missing, digest)


def read_instruction(value: str | Mapping[str, Any] | Instruction) -> Instruction:
    """Reads a request: words, a mapping with `prompt` and `negative prompt`, or the JSON text of one.

    Raises:
        InvalidInstruction: it is empty, longer than `MAX_PROMPT_CHARS`, or not text.
    """
    if isinstance(value, Instruction):
        return value
    fields: Mapping[Any, Any] = {"prompt": value} if isinstance(value, str) else value
    if isinstance(value, str) and value.lstrip().startswith("{"):
        fields = _instruction_object(value) or fields
    if not isinstance(fields, Mapping):
        raise InvalidInstruction(
            f"the request is of type {type(value).__name__}; needed are the words of the image as text, "
            'or a mapping such as {"prompt": "a corgi", "negative prompt": "blurry"}'
        )
    texts: dict[str, str] = {}
    for key, given in fields.items():
        name = {"prompt": "prompt", "negativeprompt": "negative_prompt"}.get(fold_key(key))
        if name is None:
            raise InvalidInstruction(
                f"the request has the field {str(key)[:60]!r}; needed are 'prompt' and, if wanted, "
                "'negative prompt'"
            )
        if given is None and name == "negative_prompt":
            continue
        if not isinstance(given, str):
            raise InvalidInstruction(
                f"{_spaced(name)} is of type {type(given).__name__}; needed is text: put it in quotes"
            )
        texts[name] = well_formed(given)
    if "prompt" not in texts:
        raise InvalidInstruction("the request has no prompt; say in words what the image should show")
    try:
        return Instruction(**texts)
    except ValidationError as error:
        first = error.errors()[0]
        where = _spaced(str(first["loc"][0]))
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise InvalidInstruction(f"{where} cannot be used: {reason}") from error


def _instruction_object(text: str) -> Mapping[str, Any] | None:
    """The mapping, if the text is the JSON of one with a prompt; a prompt may begin with a brace, too."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and "prompt" in map(fold_key, value) else None


def api_json_schema() -> dict[str, Any]:
    """The JSON Schema of the wire form of `T2IApi`."""
    schema = T2IApi.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
