"""A1111's infotext, the text under its pictures, read and written.

    >>> infotext = read_infotext("a corgi <lora:pixel:0.8>\\nSteps: 20, Sampler: Euler a, Model: v1-5")
    >>> take_lora_tags(infotext.prompt)
    ('a corgi', (LoraTag(name='pixel', weight=0.8),))
    >>> api_from_infotext(infotext).api.base_checkpoint.model
    'v1-5'

Three parts: the prompt, the lines from `Negative prompt:` on, and one line of settings. Since A1111 1.9 the
noise schedule stands apart (`Sampler: DPM++ 2M, Schedule type: Karras`); both forms are read and written.
The prompt has no escapes there, so that what would be read as another part is joined to the line before it.
`Civitai resources` carries names and ids; a description, trigger words and a confidence are not carried.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from diffagent_tools.formats.civitai_resources import (
    civitai_resources,
    named_checkpoint,
    named_loras,
    pairs,
    resources_text,
)
from diffagent_tools.formats.family_guess import HINT, read_guessing_family
from diffagent_tools.formats.loras import number_or_text, take_lora_tags, with_loras
from retrieval.errors import InvalidInput
from retrieval.records.api import ApiReading, T2IApi
from retrieval.records.lenient import fold_key, well_formed
from retrieval.tables.samplers import find_sampler

MAX_INFOTEXT_CHARS = 400_000
_NEGATIVE = "Negative prompt:"
_TEMPLATES = ("Template:", "Negative Template:")
_KEY = re.compile(r"\s*(\w[\w \-/.()]{0,80}):[^\S\n]*")
_STEPS = re.compile(r"Steps:\s*\d", re.IGNORECASE)
_ALONE = re.compile(
    r"(?:Sampler|Schedule type|CFG scale|Seed|Size|Model|Model hash|Clip skip):\s*[^,:]{1,200}$",
    re.IGNORECASE,
)
_TITLE = re.compile(r"(.{1,400}?)\s*\[([0-9a-fA-F]{6,64})\]")
_END = re.compile(r"\s*(?:,|$)")


@dataclass(frozen=True)
class Infotext:
    """The three parts; `settings` has the keys as they are written, in their order."""

    prompt: str
    negative_prompt: str
    settings: Mapping[str, str]


def read_infotext(text: str) -> Infotext:
    """The parts of an infotext, LoRA tags still in the prompt.

    The settings begin at the last line that begins with `Steps:`, or at single settings before it, else they
    are the last line if it has three of them or more (as A1111 decides). Lines behind them go on with them,
    but for the templates of an extension.

    Raises:
        InvalidInput: there is no line of settings, or the text is too long to be an infotext.
    """
    if len(text) > MAX_INFOTEXT_CHARS:
        raise InvalidInput(
            f"the infotext has {len(text):,} characters and at most {MAX_INFOTEXT_CHARS:,} are read; "
            "pass the text of one picture"
        )
    lines = _lines(text)
    at = next((i for i in range(len(lines) - 1, -1, -1) if _STEPS.match(lines[i])), None)
    while at and _ALONE.match(lines[at - 1]):
        at -= 1
    if at is None and len(_settings(lines[-1])) >= 3:
        at = len(lines) - 1
    if at is None:
        start = " ".join(text[:200].split())[:60]
        raise InvalidInput(
            f"found no settings in the text {start!r}; needed is an infotext of A1111, whose last line is "
            "such as 'Steps: 20, Sampler: Euler a, CFG scale: 7, Size: 512x512, Model: dreamshaper_8'"
        )
    prompt: list[str] = []
    negative: list[str] = []
    part = prompt
    for line in lines[:at]:
        if line.startswith(_NEGATIVE):
            part = negative
            line = line.removeprefix(_NEGATIVE).strip()
        part.append(line)
    behind = next((i for i in range(at, len(lines)) if lines[i].startswith(_TEMPLATES)), len(lines))
    settings = _settings(_block(lines[at:behind]))
    if not negative and prompt[-1:] and prompt[-1].startswith("-") and "Guidance Scale" in settings:
        # Draw Things marks what shall not be seen with no more than this
        negative = [prompt.pop().removeprefix("-").strip()]
    settings |= _templates(lines[behind:])
    return Infotext("\n".join(prompt).strip(), "\n".join(negative).strip(), MappingProxyType(settings))


def _block(lines: Sequence[str]) -> str:
    """The lines of settings as one: a setting a line, or a value that goes on in the next one."""
    text = lines[0]
    for line in lines[1:]:
        text += f", {line}" if _KEY.match(line) else f"\n{line}"
    return text


def hashes_of(infotext: Infotext) -> dict[str, str]:
    """The hashes of the files behind a picture: the checkpoint's under an empty name, LoRAs' under theirs."""
    settings = {fold_key(key): value for key, value in infotext.settings.items()}
    found: dict[str, str] = {}
    title = _TITLE.fullmatch(settings.get("model", ""))
    if title:
        found[""] = title[2]
    try:
        listed = json.loads(settings.get("hashes", "{}"))
    except (ValueError, RecursionError):
        listed = {}
    for name, digest in listed.items() if isinstance(listed, dict) else ():
        if isinstance(digest, str) and (name == "model" or name.startswith(("lora:", "lycoris:"))):
            found[name.partition(":")[2]] = digest
    found |= pairs(settings.get("lorahashes", ""))
    if settings.get("modelhash", "").strip():
        found[""] = settings["modelhash"].strip()
    return found


def api_from_infotext(infotext: Infotext) -> ApiReading:
    """The T2I API that made the picture, with a sentence for each assumption.

    With LoRAs the one of the largest weight is the model, and the checkpoint is under it.

    Raises:
        InvalidInput: neither a model nor a LoRA is named.
    """
    settings = {fold_key(key): value for key, value in infotext.settings.items()}
    prompt, tags = take_lora_tags(infotext.prompt)
    negative, unused = take_lora_tags(infotext.negative_prompt)
    resources = civitai_resources(settings.get("civitairesources", ""))
    guesses: list[str] = []
    hashes = hashes_of(infotext)
    title = _TITLE.fullmatch(settings.get("model", ""))
    if title:
        settings["model"] = title[1]
    checkpoint = named_checkpoint({**settings, "modelhash": hashes.get("", "")}, resources, guesses)
    loras = named_loras([(tag.name, tag.weight) for tag in tags], settings, resources, list(hashes))
    if not checkpoint.get("model") and not loras:
        raise InvalidInput(
            "the infotext names no model; needed is a setting such as 'Model: dreamshaper_8', or a tag such "
            "as '<lora:pixel-art:0.8>' in the prompt"
        )
    if unused:
        named = ", ".join(repr(tag.name) for tag in unused)
        guesses.append(f"no program loads a LoRA from the negative prompt; {named} was left out")
    fields = with_loras(checkpoint, loras, guesses)
    fields |= {"prompt": prompt, "negative prompt": negative}
    fields |= {"sampling method": settings.get("sampler"), "schedule type": settings.get("scheduletype")}
    fields["sampling steps"] = number_or_text(settings.get("steps"))
    fields["cfg scale"] = number_or_text(settings.get("cfgscale", settings.get("guidancescale")))
    fields["clip skip"] = number_or_text(settings.get("clipskip"))
    sides = (settings.get("size1"), settings.get("size2"))
    fields["size"] = settings.get("size") or ("x".join(map(str, sides)) if all(sides) else None)
    fields["base model"] = settings.get("basemodel")
    # only Forge has it, and only for models of Flux
    fields[HINT] = "Flux.1 D" if "distilledcfgscale" in settings else None
    return read_guessing_family(fields, guesses)


def infotext_of(
    api: T2IApi,
    *,
    schedule_type: bool = False,
    seed: int | None = None,
    checkpoint_file: str | None = None,
    lora_file: str | None = None,
    lora_files: Sequence[str] = (),
    model_hash: str | None = None,
    note: str = "",
) -> str:
    """The infotext that pastes into A1111 and Forge.

    Args:
        schedule_type: the split form of A1111 1.9 and later, `Sampler` and `Schedule type`; else one name.
        seed: left out if None.
        checkpoint_file: the name of the checkpoint's file without ending; its model's name if None.
        lora_file: that of the LoRA's file, which A1111 looks up.
        lora_files: those of the further LoRAs, in their order.
        model_hash: the first ten digits of the checkpoint's SHA256, by which A1111 finds it under any name.
        note: kept behind the settings, where A1111 does not look.

    Raises:
        InvalidApi: the API may not be written.
    """
    api.to_wire()
    prompt = _part(api.prompt)
    tags: list[tuple[str, float]] = []
    if api.type == "LORA":
        tags.append((lora_file or api.model, 1.0 if api.lora_weight is None else api.lora_weight))
    names = [*lora_files, *(lora.model for lora in api.loras[len(lora_files) :])]
    tags += [(name, lora.strength) for name, lora in zip(names, api.loras, strict=False)]
    for file, weight in tags:
        name = re.sub(r"[:<>]", "_", " ".join(file.strip().splitlines()))
        prompt = f"{prompt.rstrip(', ')} <lora:{name}:{_short(weight)}>".strip()
    sampler = find_sampler(api.sampling_method)
    method = sampler.name if sampler else api.sampling_method
    settings: dict[str, str | None] = {"Steps": str(api.sampling_steps), "Sampler": method}
    if schedule_type and sampler:
        settings |= {"Sampler": sampler.a1111_name, "Schedule type": sampler.schedule_type}
    settings["CFG scale"] = _short(api.cfg_scale)
    settings["Seed"] = None if seed is None else str(seed)
    settings["Size"] = f"{api.width}x{api.height}"
    settings["Model hash"] = model_hash
    checkpoint = api.model if api.type == "Checkpoint" else api.base_checkpoint and api.base_checkpoint.model
    settings["Model"] = checkpoint_file or checkpoint or None
    settings["Clip skip"] = None if api.clip_skip is None else str(api.clip_skip)
    settings["Base model"] = api.base_model
    settings["Note"] = note or None
    pairs = [f"{key}: {_quoted(value)}" for key, value in settings.items() if value is not None]
    pairs.append(f"Civitai resources: {resources_text(api)}")
    negative = _part(api.negative_prompt)
    parts = (prompt, f"{_NEGATIVE} {negative}" if negative else "", ", ".join(pairs))
    return well_formed("\n".join(part for part in parts if part))


def _lines(text: str) -> list[str]:
    unified = well_formed(text).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return [line.strip() for line in unified.strip().split("\n")]


def _settings(line: str) -> dict[str, str]:
    """`Key: value, Key: "quoted, value", Key: [JSON]`; what has no key belongs to the value before it."""
    settings: dict[str, list[str]] = {}
    at, last = 0, None
    while at < len(line):
        key = _KEY.match(line, at)
        start = key.end() if key else at
        value, at = _setting_value(line, start)
        if key:
            last = key[1].strip()
            settings[last] = [value]
        elif last is not None and value:
            settings[last].append(value)
    return {name: ", ".join(values) for name, values in settings.items()}


def _setting_value(line: str, start: int) -> tuple[str, int]:
    """The value that begins at `start`, unquoted, and where the next setting begins."""
    if line[start : start + 1] in ('"', "[", "{"):
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(line, start)
        except (ValueError, RecursionError):
            pass
        else:
            behind = _END.match(line, end)
            if behind:
                return well_formed(value) if isinstance(value, str) else line[start:end], behind.end()
    comma = line.find(",", start)
    end = len(line) if comma < 0 else comma
    return line[start:end].strip(), end + 1


def _templates(lines: Sequence[str]) -> dict[str, str]:
    """What the dynamic prompts' extension writes behind the settings; it may have several lines."""
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        start = next((template for template in _TEMPLATES if line.startswith(template)), None)
        if start:
            name = start.removesuffix(":")
            found[name] = line.removeprefix(start).strip()
        elif name:
            found[name] += f"\n{line}"
    return found


def _part(text: str) -> str:
    """A prompt as A1111 reads it back: lines stripped, and none that begins another part."""
    lines: list[str] = []
    for line in _lines(text):
        if not line.startswith(_NEGATIVE):
            lines.append(line)
        elif lines:
            lines[-1] = f"{lines[-1]} {line}".strip() if lines[-1] else f", {line}"
        else:
            lines.append(f", {line}")
    return "\n".join(lines)


def _short(number: float) -> str:
    """`7`, `7.5`: every digit that counts and no other."""
    return str(int(number)) if float(number).is_integer() and abs(number) < 2**53 else repr(float(number))


def _quoted(value: str) -> str:
    """As A1111 quotes, and also what would be read as quoted or lose its spaces."""
    plain = not any(sign in value for sign in ",:\n\r") and value == value.strip() and value[:1] not in '"[{'
    return value if plain else json.dumps(value, ensure_ascii=False)
