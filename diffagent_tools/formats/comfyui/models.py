"""The checkpoint and the LoRAs on the way from a sampler back to the loader of its weights.

    found = models_of(graph, sampler.inputs["model"], notes)
    found.checkpoint, found.loras       # fields of T2I APIs

LoRAs are told by the names of inputs (`lora_name`, `lora_2_name` with `lora_2_strength`, …), by entries with
a name, a strength and a switch, and by `<lora:name:0.8>` in the text of a loader.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from diffagent_tools.formats.comfyui.graph import Graph, Link, Node, Unread
from diffagent_tools.formats.comfyui.nodes import is_known
from diffagent_tools.formats.comfyui.values import file_of, number_of, plain, text_of
from diffagent_tools.formats.comfyui.walk import is_switch, way
from diffagent_tools.formats.loras import take_lora_tags
from retrieval.catalogue.names import without_ending
from retrieval.records.air import parse_air

_FILES = (
    *("ckpt_name", "unet_name", "base_ckpt_name", "gguf_name", "diffusion_model", "model_name"),
    *("model_path", "unet_path", "checkpoint", "model"),
)
_WEIGHTS = re.compile(r"\.(safetensors|ckpt|gguf|pt|pth|bin|sft)$", re.IGNORECASE)
_LORA_NAME = re.compile(r"lora(?:_name)?_?(\d{0,3})(?:_name)?")
_STRENGTHS = (
    *("lora_{}_model_strength", "model_str_{}", "lora_{}_strength", "lora_wt_{}", "strength_model_{}"),
    *("model_weight_{}", "strength_{}", "lora_strength_{}", "weight_{}"),
)
_STRENGTH = ("strength_model", "lora_model_strength", "model_strength", "lora_strength", "strength", "weight")
_SWITCHES = ("switch_{}", "lora_{}_on", "enabled_{}", "enable_{}", "lora_{}_enabled")
_STACKS = ("lora_stack", "optional_lora_stack", "lora_stack_opt", "loras")
_READS_TAGS = re.compile(r"lora.*(tag|manager|text|prompt)|wildcard.?encode|PC.*Encode|ScheduleLoRA", re.I)
_KIND_CHARS = 200
_OFF = ("off", "false", "no", "disable", "disabled")


@dataclass
class Models:
    """`checkpoint` is empty where none was found, and `last` then the node at which the way ended."""

    checkpoint: dict[str, Any] = field(default_factory=dict)
    loras: list[dict[str, Any]] = field(default_factory=list)
    last: Node | None = None


def models_of(graph: Graph, value: Any, notes: list[str]) -> Models:
    """What is on the way of `model`; a LoRA nearest to the loader comes first, as it is loaded first."""
    found = Models()
    for node, _, role in way(graph, value, "model"):
        found.last = node
        own = list(_loras(graph, node, notes))
        found.loras[:0] = own
        file = _file(graph, node) if role == "model" else None
        if file is not None:
            found.checkpoint = named(node, file)
            return found
        if not own and not is_known(node.kind) and not is_switch(node):
            notes.append(f"the node {node.shown} is not known and was passed through")
        merged = [name for name, _ in node.links() if re.fullmatch(r"model_?[12ab]", name)]
        if len(merged) > 1:
            other = models_of(graph, node.inputs[sorted(merged)[1]], [])
            name = other.checkpoint.get("model", "another one")
            told = f"the node {node.shown} merges two models; the first is read and not {name!r}"
            notes.append(Unread(told))
    return found


def _file(graph: Graph, node: Node) -> str | None:
    """The file of weights that a loader names."""
    for name in _FILES:
        if name not in node.inputs:
            continue
        if name in ("model", "checkpoint", "model_name", "model_path") and isinstance(
            node.inputs[name], Link
        ):
            continue
        file = file_of(graph, node.inputs[name])
        if file is not None:
            return file
    if any(name.startswith(("model", "lora")) for name, _ in node.links()):
        return None
    # a loader that is not known: its one file that is neither an encoder nor a VAE
    files = [
        text
        for name, text in node.texts()
        if _WEIGHTS.search(text) and not re.search(r"vae|clip|lora|control|encoder|upscale", name, re.I)
    ]
    return files[0] if len(files) == 1 else None


def _loras(graph: Graph, node: Node, notes: list[str], depth: int = 0) -> Iterator[dict[str, Any]]:
    """The LoRAs that a node loads, those of the stack that is linked to it first."""
    if depth > 20:
        return
    for name in _STACKS:
        link = node.inputs.get(name)
        if isinstance(link, Link):
            for stacked, _, _ in way(graph, link, name):
                if not is_switch(stacked):
                    yield from _loras(graph, stacked, notes, depth + 1)
                    break
    listed = list(_entries(node)) or list(_numbered(graph, node))
    if not listed and _READS_TAGS.search(node.kind[:_KIND_CHARS]):
        key = next((key for key in ("populated_text", "text", "prompt", "*0") if key in node.inputs), None)
        text = text_of(graph, node.inputs[key], notes) if key else None
        for tag in take_lora_tags(text or "")[1]:
            listed.append((tag.name, tag.weight))
    for file, strength in listed:
        # one of no strength is off
        if strength != 0:
            yield named(node, file) | ({} if strength is None else {"lora weight": strength})


def _entries(node: Node) -> Iterator[tuple[str, float | None]]:
    """LoRAs of entries `{"lora": …, "strength": …, "on": true}`, as lists or one an input."""
    for value in node.inputs.values():
        for entry in value if isinstance(value, list) else [value]:
            if not isinstance(entry, Mapping) or isinstance(entry, Link):
                continue
            file = entry.get("lora", entry.get("name") if "strength" in entry else None)
            on = entry.get("on", entry.get("active", entry.get("enabled", True)))
            if isinstance(file, str) and file.strip() and file.casefold() != "none" and on is not False:
                yield file, _number(entry.get("strength", entry.get("strength_model")))


def _numbered(graph: Graph, node: Node) -> Iterator[tuple[str, float | None]]:
    """LoRAs of inputs such as `lora_name`, or `lora_name_1` with `model_str_1`."""
    inputs = node.inputs
    count = next((inputs[key] for key in ("lora_count", "num_loras") if key in inputs), None)
    most = count if isinstance(count, int) else 1000
    if inputs.get("toggle") is False:
        return
    simple = str(inputs.get("input_mode", inputs.get("mode"))) == "simple"
    for name, value in inputs.items():
        place = _LORA_NAME.fullmatch(name.casefold())
        if place is None or (isinstance(value, Link) and name in _STACKS):
            continue
        file = file_of(graph, value)
        i = place[1]
        if file is None or (i and int(i) > most):
            continue
        switches = (plain(inputs.get(form.format(i))) for form in _SWITCHES)
        if any(one is False or (isinstance(one, str) and one.casefold() in _OFF) for one in switches):
            continue
        forms = [form.format(i) for form in _STRENGTHS] if i else list(_STRENGTH)
        if simple:
            forms.sort(key=lambda form: "wt" not in form and form != f"lora_{i}_strength")
        key = next((form for form in forms if form in inputs), None)
        yield file, _number(number_of(graph, inputs[key], key)) if key else None


def _number(value: object) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value[:40])
        except ValueError:
            return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
    return float(value) if is_number else None  # type: ignore[arg-type]


def named(node: Node, file: str) -> dict[str, Any]:
    """The model of a file; with what was kept beside it, if it is still of this file."""
    kept = node.kept
    if kept.get("file") == file and isinstance(kept.get("model"), str):
        names = ("model", "model id", "version id", "version", "air", "base model")
        return {name: kept[name] for name in names if kept.get(name) is not None}
    address = without_ending(file)
    air = parse_air(address)
    if air is not None:
        ids = {"model id": air.model_id, "version id": air.version_id}
        return {"model": address, "air": address} | {key: id_ for key, id_ in ids.items() if id_ is not None}
    return {"model": stem(file)}


def stem(file: str) -> str:
    """`sd15\\\\dreamshaper_8.safetensors` without folder and ending."""
    name = PurePosixPath(file.replace("\\", "/")).name
    return without_ending(name) or name or file
