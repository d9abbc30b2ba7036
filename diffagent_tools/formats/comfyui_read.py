"""A workflow of ComfyUI -> T2IApi, from its API form or from the form that its editor saves.

    read_workflow(json.loads(Path("workflow.json").read_text())).api.model

The way goes back from the sampler: along `model` to the LoRAs and the checkpoint, along `positive` and
`negative` to the texts, along the latent image to its size. A node that is not known here is passed through
where it has an input of the same name, and named among the guesses.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from diffagent_tools.formats.civitai_resources import read_guessing_family
from diffagent_tools.formats.comfyui_nodes import AFTER_SEED, NODES
from diffagent_tools.formats.comfyui_write import KEPT
from retrieval.catalogue.names import without_ending
from retrieval.errors import InvalidInput
from retrieval.records.api import ApiReading

_MAX_NODES = 10_000
_SHOWN = 8
_NUMBER_KEYS = ("value", "seed", "int", "float", "number", "Value")
_TEXT_KEYS = ("text", "value", "string", "text_g", "prompt", "positive", "wildcard_text", "Value")
_OFF = (2, 4)  # muted, bypassed

Graph = dict[str, Mapping[str, Any]]


def is_workflow(value: object) -> bool:
    """Whether JSON is a workflow in either form."""
    if not isinstance(value, Mapping):
        return False
    if isinstance(value.get("nodes"), list):
        return True
    inner = value.get("prompt")
    graph = inner if isinstance(inner, Mapping) else value
    return any(isinstance(node, Mapping) and "class_type" in node for node in graph.values())


def read_workflow(value: Mapping[str, Any]) -> ApiReading:
    """The T2I API that a workflow makes a picture with, and what was assumed.

    Raises:
        InvalidInput: no sampler or no model can be found; the message names the nodes that are there.
    """
    inner = value.get("prompt")
    given = inner if isinstance(inner, Mapping) else value
    graph = _saved(given) if isinstance(given.get("nodes"), list) else _plain(given)
    guesses: list[str] = []
    sampler = _sampler(graph)
    if sampler is None:
        raise InvalidInput(
            f"the workflow has no sampler that is known here; its nodes are {_listed(graph)}. Needed is a "
            "KSampler, or a node with its inputs; a workflow of subgraphs is read in its API form"
        )
    inputs = _inputs(sampler)
    loras, checkpoint = _models(graph, inputs, guesses)
    if not loras and not checkpoint:
        raise InvalidInput(
            f"no checkpoint is behind the sampler; the workflow's nodes are {_listed(graph)}. Needed is "
            "a node such as CheckpointLoaderSimple or LoraLoader"
        )
    fields: dict[str, Any] = dict(checkpoint)
    if loras:
        chosen = max(loras, key=lambda lora: abs(lora.get("lora weight", 1)))
        others = ", ".join(repr(lora["model"]) for lora in loras if lora is not chosen)
        if others:
            guesses.append(
                f"{len(loras)} LoRAs are used; {chosen['model']!r} with the largest weight is the model, "
                f"and {others} were left out"
            )
        fields = dict(chosen) | ({"base checkpoint": checkpoint} if checkpoint else {})
    fields["type"] = "LORA" if loras else "Checkpoint"
    for name, key in (("sampling steps", "steps"), ("cfg scale", "cfg")):
        fields[name] = _scalar(graph, inputs.get(key))
    fields["sampling method"] = _scalar(graph, inputs.get("sampler_name"))
    fields["schedule type"] = _scalar(graph, inputs.get("scheduler"))
    fields |= _size(graph, inputs)
    fields["prompt"], skip = _text(graph, inputs.get("positive"))
    fields["negative prompt"], _ = _text(graph, inputs.get("negative"))
    fields["clip skip"] = skip
    return read_guessing_family(fields, guesses)


def _plain(given: Mapping[str, Any]) -> Graph:
    """The nodes of the API form."""
    nodes = ((str(id_), node) for id_, node in list(given.items())[:_MAX_NODES])
    return {id_: node for id_, node in nodes if isinstance(node, Mapping) and "class_type" in node}


def _saved(given: Mapping[str, Any]) -> Graph:
    """The saved form as the API form: widgets get their names back, links their nodes."""
    sources: dict[Any, list[Any]] = {}
    for link in given.get("links") or []:
        if isinstance(link, list) and len(link) >= 5:
            sources[_key(link[0])] = [str(link[1]), link[2]]
        elif isinstance(link, Mapping):
            sources[_key(link.get("id"))] = [str(link.get("origin_id")), link.get("origin_slot")]
    graph: Graph = {}
    for node in given["nodes"][:_MAX_NODES]:
        if not isinstance(node, Mapping) or node.get("mode") in _OFF[:1]:
            continue
        kind = NODES.get(str(node.get("type")))
        values = node.get("widgets_values")
        named = node.get("widgets_values_named")
        inputs: dict[str, Any] = {}
        if isinstance(named, Mapping):
            inputs |= named
        elif isinstance(values, Mapping):
            inputs |= values
        elif kind and isinstance(values, list):
            inputs |= dict(zip(kind.widgets, values, strict=False))
        inputs.pop(AFTER_SEED, None)
        for entry in node.get("inputs") or []:
            if isinstance(entry, Mapping) and _key(entry.get("link")) in sources:
                inputs[str(entry.get("name"))] = sources[_key(entry.get("link"))]
        if node.get("mode") in _OFF:
            inputs = {name: item for name, item in inputs.items() if isinstance(item, list)}
        properties = node.get("properties")
        kept = properties.get(KEPT) if isinstance(properties, Mapping) else None
        graph[str(node.get("id"))] = {
            "class_type": node.get("type"),
            "inputs": inputs,
            "_meta": {KEPT: kept},
        }
    return graph


def _key(value: object) -> str | None:
    return str(value) if isinstance(value, int | str) else None


def _inputs(node: Mapping[str, Any]) -> Mapping[str, Any]:
    inputs = node.get("inputs")
    return inputs if isinstance(inputs, Mapping) else {}


def _sampler(graph: Graph) -> Mapping[str, Any] | None:
    """The first sampler that starts from an empty picture, else the first one."""
    found = [
        node for node in graph.values() if {"steps", "cfg", "sampler_name", "model"} <= _inputs(node).keys()
    ]
    fresh = (node for node in found if "width" in _size(graph, _inputs(node)))
    return next(fresh, found[0] if found else None)


def _linked(graph: Graph, value: object) -> Mapping[str, Any] | None:
    """The node that a link comes from."""
    if isinstance(value, list) and len(value) == 2:
        return graph.get(str(value[0]))
    return None


def _scalar(graph: Graph, value: object) -> Any:
    """A widget's value, also where a node of one value is linked to it."""
    for _ in range(_SHOWN):
        node = _linked(graph, value)
        if node is None:
            return value if isinstance(value, str | int | float) else None
        inputs = _inputs(node)
        value = next((inputs[key] for key in (*_NUMBER_KEYS, *_TEXT_KEYS) if key in inputs), None)
    return None


def _models(
    graph: Graph, inputs: Mapping[str, Any], guesses: list[str]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The LoRAs and the checkpoint on the way of `model`, as fields of T2I APIs."""
    loras: list[dict[str, Any]] = []
    node = _linked(graph, inputs.get("model"))
    for _ in range(len(graph)):
        if node is None:
            break
        own = _inputs(node)
        for name in ("ckpt_name", "unet_name"):
            file = _scalar(graph, own.get(name))
            if isinstance(file, str) and file.strip():
                return loras, _named(node, file)
        found = list(_loras_of(graph, node))
        loras += found
        if not found and str(node.get("class_type")) not in NODES:
            guesses.append(
                f"the node {str(node.get('class_type'))[:60]!r} is not known and was passed through"
            )
        link = own.get("model")
        node = _linked(graph, link if link is not None else next(_model_links(own), None))
    return loras, {}


def _model_links(inputs: Mapping[str, Any]) -> Iterator[Any]:
    return (item for name, item in inputs.items() if "model" in name.lower() and isinstance(item, list))


def _loras_of(graph: Graph, node: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The LoRA of a loader, or all of a loader of several (`lora_1: {"lora", "strength", "on"}`)."""
    inputs = _inputs(node)
    file = _scalar(graph, inputs.get("lora_name"))
    if isinstance(file, str) and file.strip() and file != "None":
        yield _named(node, file) | _strength(_scalar(graph, inputs.get("strength_model")))
    for entry in inputs.values():
        if isinstance(entry, Mapping) and isinstance(entry.get("lora"), str) and entry.get("on", True):
            yield {"model": _stem(entry["lora"])} | _strength(entry.get("strength"))


def _strength(value: object) -> dict[str, Any]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
    return {"lora weight": value} if is_number else {}


def _stem(file: str) -> str:
    """`sd15\\dreamshaper_8.safetensors` without folder and ending."""
    name = PurePosixPath(file.replace("\\", "/")).name
    return without_ending(name) or name or file


def _named(node: Mapping[str, Any], file: str) -> dict[str, Any]:
    """The model of a file; with what was kept beside it, if it is still of this file."""
    meta = node.get("_meta")
    kept = meta.get(KEPT) if isinstance(meta, Mapping) else None
    if isinstance(kept, Mapping) and kept.get("file") == file and isinstance(kept.get("model"), str):
        names = ("model", "model id", "version id", "version", "air", "base model")
        return {name: kept[name] for name in names if kept.get(name) is not None}
    return {"model": _stem(file)}


def _text(graph: Graph, value: object) -> tuple[str | None, int | None]:
    """The text that a conditioning is made of, and A1111's clip skip on its way."""
    nodes, seen = [_linked(graph, value)], 0
    while nodes and seen < len(graph):
        node = nodes.pop(0)
        seen += 1
        if node is None:
            continue
        inputs = _inputs(node)
        text = next((_scalar(graph, inputs[key]) for key in _TEXT_KEYS if key in inputs), None)
        if isinstance(text, str):
            return text, _clip_skip(graph, inputs.get("clip"))
        nodes += [
            _linked(graph, item) for name, item in inputs.items() if name not in ("clip", "model", "vae")
        ]
    return None, None


def _clip_skip(graph: Graph, value: object) -> int | None:
    for _ in range(len(graph)):
        node = _linked(graph, value)
        if node is None:
            break
        inputs = _inputs(node)
        stop = _scalar(graph, inputs.get("stop_at_clip_layer"))
        if isinstance(stop, int) and -100 < stop < 0:
            return -stop
        value = inputs.get("clip")
    return None


def _size(graph: Graph, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Width and height of the empty picture."""
    value = inputs.get("latent_image", inputs.get("latent"))
    for _ in range(len(graph)):
        node = _linked(graph, value)
        if node is None:
            break
        own = _inputs(node)
        sides = {name: _scalar(graph, own.get(name)) for name in ("width", "height")}
        if all(isinstance(side, int) and not isinstance(side, bool) for side in sides.values()):
            return sides
        value = next((own[name] for name in ("samples", "latent_image", "latent") if name in own), None)
    return {}


def _listed(graph: Graph) -> str:
    names = sorted({str(node.get("class_type"))[:60] for node in graph.values()})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "none"
