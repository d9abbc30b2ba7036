"""What an answer is wrapped in: thoughts, fences, YAML, code, envelopes of chat APIs, Civitai's objects.

>>> without_thoughts('<think>{"model": "maybe"}</think>{"model": "X"}')
'{"model": "X"}'
>>> script_object('p = DiffusionPipeline.from_pretrained("a/b")')
{'model': 'a/b'}

Nothing is evaluated, and what is too long or nested to be an answer is left alone.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

_THOUGHT = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*(```|~~~)[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ \t]*\1|\Z)", re.DOTALL | re.MULTILINE)
_YAML_LINE = re.compile(r"[ \t]*(?:-[ \t]+)?[A-Za-z][\w .-]{0,40}:(?:[ \t]|$)|[ \t]+\S|[ \t]*-[ \t]")
_MAX_YAML = 8_000
_MAX_SCRIPT = 50_000
_LOADERS = ("from_pretrained", "from_single_file")


def without_thoughts(text: str) -> str:
    """The text without what a model thought before it answered; the whole where it never stopped thinking."""
    kept: list[str] = []
    at, inside = 0, False
    for tag in _THOUGHT.finditer(text):
        if not inside:
            kept.append(text[at : tag.start()])
        if tag[1] and not inside:
            # the template of some models opens the thoughts, and the answer only closes them
            kept = []
        at, inside = tag.end(), not tag[1]
    if not inside:
        kept.append(text[at:])
    return "".join(kept) if any(part.strip() for part in kept) else text


def json_value(text: str) -> Any:
    """The value of a text that is the JSON of an object or a list, else None."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def yaml_objects(text: str) -> Iterator[Mapping[str, Any]]:
    """The mappings of a text's YAML: in its fences, else of each run of lines that look like it."""
    for block in _yaml_blocks(text):
        if len(block) > _MAX_YAML:
            continue
        try:
            value = yaml.safe_load(block)
        except (yaml.YAMLError, ValueError, RecursionError):
            continue
        if isinstance(value, Mapping) and len(value) > 1:
            yield value


def _yaml_blocks(text: str) -> Iterator[str]:
    for fence in _FENCE.finditer(text):
        if fence[2].lower() in ("", "yaml", "yml"):
            yield fence[3]
    run: list[str] = []
    for line in [*_FENCE.sub("", text).splitlines(), "."]:
        if _YAML_LINE.match(line):
            run.append(line)
            continue
        if len(run) > 1:
            yield "\n".join(run)
        run = []


def script_object(text: str) -> dict[str, Any] | None:
    """The settings in Python code for diffusers, as fields of a T2I API; None if it loads no pipeline."""
    if not any(loader in text for loader in _LOADERS) or len(text) > _MAX_SCRIPT:
        return None
    blocks = [fence[3] for fence in _FENCE.finditer(text) if any(loader in fence[3] for loader in _LOADERS)]
    for code in blocks or [text]:
        try:
            tree = ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        found = _Script(tree).found
        if "model" in found:
            return found
    return None


class _Script:
    """Reads the calls of a parsed script; only constants and names of constants have a value."""

    def __init__(self, tree: ast.AST) -> None:
        self.found: dict[str, Any] = {}
        self.loras: list[dict[str, Any]] = []
        nodes = list(ast.walk(tree))
        self.names = {
            target.id: node.value.value
            for node in nodes
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in nodes:
            if isinstance(node, ast.Call):
                self._call(node)
        if self.loras:
            self.found["loras"] = self.loras

    def _value(self, node: ast.AST | None) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.List):
            return [self._value(item) for item in node.elts]
        return self.names.get(node.id) if isinstance(node, ast.Name) else None

    def _call(self, call: ast.Call) -> None:
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        of = (
            owner.id
            if isinstance(owner, ast.Name)
            else owner.attr
            if isinstance(owner, ast.Attribute)
            else ""
        )
        given = {each.arg: self._value(each.value) for each in call.keywords if each.arg}
        first = self._value(call.args[0]) if call.args else None
        if method in _LOADERS and "pipeline" in of.lower():
            name = (
                first
                or given.get("pretrained_model_name_or_path")
                or given.get("pretrained_model_link_or_path")
            )
            if isinstance(name, str):
                self.found.setdefault("model", name)
        elif method == "load_lora_weights":
            name = given.get("weight_name") or first
            if isinstance(name, str):
                self.loras.append({"name": name})
        elif method in ("set_adapters", "fuse_lora"):
            second = self._value(call.args[1]) if call.args[1:] else given.get("lora_scale")
            weights = given.get("adapter_weights", second)
            listed = weights if isinstance(weights, list) else [weights]
            for lora, weight in zip(self.loras, listed, strict=False):
                lora["weight"] = weight
        elif method in ("from_config", "from_pretrained") and of.endswith("Scheduler"):
            self.found["sampler"] = of
            if given.get("use_karras_sigmas") is True:
                self.found["schedule type"] = "Karras"
        elif {"num_inference_steps", "guidance_scale", "prompt"} & given.keys():
            prompt = given.get("prompt", first)
            self.found |= {key: value for key, value in given.items() if value is not None}
            self.found |= {"prompt": prompt} if isinstance(prompt, str) else {}


def civitai_object(value: Mapping[Any, Any]) -> dict[str, Any] | None:
    """A model or a version as Civitai's API and helpers keep it (`.civitai.info`), as fields of a T2I API."""
    versions, model = value.get("modelVersions"), value.get("model")
    if isinstance(versions, list) and isinstance(value.get("name"), str):
        first = versions[0] if versions and isinstance(versions[0], Mapping) else {}
        return _of_version(first) | {
            "model": value["name"],
            "type": value.get("type"),
            "model id": value.get("id"),
        }
    if isinstance(model, Mapping) and isinstance(model.get("name"), str) and "baseModel" in value:
        fields = _of_version(value)
        return fields | {"model": model["name"], "type": model.get("type"), "model id": value.get("modelId")}
    return None


def _of_version(version: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "version id": version.get("id"),
        "version": version.get("name"),
        "base model": version.get("baseModel"),
        "trigger words": version.get("trainedWords"),
    }


def is_envelope(value: Mapping[Any, Any]) -> bool:
    """Whether it is the answer of a chat API around a text: its `model` is the chat model that wrote it."""
    kind = str(value.get("object", ""))
    assistant = value.get("type") == "message" and value.get("role") == "assistant"
    return kind.startswith("chat.completion") or kind == "response" or assistant
