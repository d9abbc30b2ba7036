"""T2IApi -> a workflow of ComfyUI: the API form that its server runs, and the form that its editor saves.

    POST {"prompt": comfyui_prompt(plan, seed=7)} to ComfyUI's /prompt
    drop comfyui_workflow(comfyui_prompt(plan, seed=7)) on its page

One node each: checkpoint, LoRA, clip skip, two prompts, size, KSampler, VAE, save. JSON has no comments,
so that what has no exact equivalent stands in the title of the KSampler, and as a note in the editor. What
the catalogue calls a file is kept beside its name, for the way back.
"""

from collections.abc import Mapping
from typing import Any

from diffagent_tools.formats.comfyui.graph import KEPT
from diffagent_tools.formats.comfyui.nodes import AFTER_SEED, NODES
from diffagent_tools.formats.plan import (
    ExportFile,
    ExportPlan,
    file_air,
    has_weights,
    require_multiples,
    require_seed,
)
from retrieval.errors import InvalidApi

PREFIX = "diffagent"
_MORE_LORAS = 20
"""The id of the first LoRA beside the one that is the model."""
_TITLES = {"6": "Prompt", "7": "Negative prompt"}
_LIMITS = {"sampling_steps": (1, 10_000), "cfg_scale": (0, 100), "lora_weight": (-100, 100)}
_LIMITS |= {"width": (16, 16_384), "height": (16, 16_384)}
# column, row and size in pixels, wide enough for the widgets
_PLACES = {
    "4": (0, 0, 320, 100),
    "10": (0, 160, 320, 130),
    "11": (0, 350, 320, 60),
    "6": (380, 0, 420, 180),
    "7": (380, 240, 420, 180),
    "5": (380, 480, 320, 110),
    "3": (860, 0, 320, 270),
    "8": (1240, 0, 220, 50),
    "9": (1240, 110, 320, 320),
}

Graph = dict[str, dict[str, Any]]


def comfyui_prompt(plan: ExportPlan, *, seed: int = 0) -> Graph:
    """The workflow in API form: node id -> class, inputs and title. A link is `[node id, output]`.

    Raises:
        InvalidApi: the architecture has no one-file checkpoint, or a number is outside of what ComfyUI takes.
    """
    _ = plan.pipeline
    api = plan.api
    require_multiples(api)
    for name, (least, most) in _LIMITS.items():
        values = [getattr(api, name)]
        values += [lora.weight for lora in api.loras] if name == "lora_weight" else []
        value = next((one for one in values if one is not None and not least <= one <= most), None)
        if value is not None:
            raise InvalidApi(
                f"{name.replace('_', ' ')} is {value}, and ComfyUI takes {least} to {most:,}; "
                "`diffagent check` repairs it"
            )
    model: list[Any] = ["4", 0]
    clip: list[Any] = ["4", 1]
    graph: Graph = {"4": _node("CheckpointLoaderSimple", {"ckpt_name": plan.checkpoint.listed})}
    graph["4"]["_meta"] = _kept(plan, plan.checkpoint)
    first = [(plan.lora, api.lora_weight)] if plan.lora is not None else []
    for number, (file, strength) in enumerate([*first, *plan.loras]):
        id_ = "10" if file is plan.lora else str(_MORE_LORAS + number)
        weights = {"strength_model": strength, "strength_clip": strength}
        graph[id_] = _node("LoraLoader", {"lora_name": file.listed, **weights, "model": model, "clip": clip})
        graph[id_]["_meta"] = _kept(plan, file)
        model, clip = [id_, 0], [id_, 1]
    if plan.clip_skip is not None:
        graph["11"] = _node("CLIPSetLastLayer", {"stop_at_clip_layer": -plan.clip_skip, "clip": clip})
        clip = ["11", 0]
    graph["6"] = _node("CLIPTextEncode", {"text": api.prompt, "clip": clip})
    graph["7"] = _node("CLIPTextEncode", {"text": api.negative_prompt, "clip": clip})
    graph["5"] = _node("EmptyLatentImage", {"width": api.width, "height": api.height, "batch_size": 1})
    graph["3"] = _node(
        "KSampler",
        {
            "seed": require_seed(seed),
            "steps": api.sampling_steps,
            "cfg": api.cfg_scale,
            "sampler_name": plan.sampler.comfy_sampler,
            "scheduler": plan.sampler.comfy_scheduler,
            "denoise": 1.0,
            "model": model,
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    )
    graph["8"] = _node("VAEDecode", {"samples": ["3", 0], "vae": ["4", 2]})
    graph["9"] = _node("SaveImage", {"filename_prefix": PREFIX, "images": ["8", 0]})
    for id_, title in _TITLES.items():
        graph[id_]["_meta"]["title"] = title
    notes = comfyui_notes(plan)
    if notes:
        graph["3"]["_meta"] = {"title": f"KSampler ({'; '.join(notes)})", "notes": list(notes)}
    return graph


def comfyui_notes(plan: ExportPlan) -> tuple[str, ...]:
    """What ComfyUI does not do exactly as was asked."""
    notes = [*plan.notes, *plan.file_notes]
    if plan.sampler.comfy_note:
        notes.append(plan.sampler.comfy_note)
    if has_weights(plan.api.prompt, plan.api.negative_prompt):
        notes.append("ComfyUI weighs words by a rule of its own: (word:1.2) is not as strong as in A1111")
    if "{" in plan.api.prompt and "}" in plan.api.prompt:
        notes.append("the editor takes {a|b} in a prompt for a choice; the API form does not")
    return tuple(notes)


def comfyui_workflow(graph: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The same workflow as the editor of ComfyUI saves it (version 0.4), from its API form."""
    links: list[list[Any]] = []
    nodes: dict[str, dict[str, Any]] = {}
    for order, (id_, given) in enumerate(graph.items()):
        kind = NODES[given["class_type"]]
        x, y, width, height = _PLACES.get(id_) or (0, 480 + 160 * (int(id_) - _MORE_LORAS), 320, 130)
        inputs = {**given["inputs"], AFTER_SEED: "fixed"}
        meta = given["_meta"]
        nodes[id_] = {
            "id": int(id_),
            "type": given["class_type"],
            "pos": [x, y],
            "size": [width, height],
            "flags": {},
            "order": order,
            "mode": 0,
            "inputs": [{"name": name, "type": type_, "link": None} for name, type_ in kind.inputs],
            "outputs": [{"name": name, "type": type_, "links": []} for name, type_ in kind.outputs],
            "title": meta["title"],
            "properties": {"Node name for S&R": given["class_type"], "cnr_id": "comfy-core"},
            "widgets_values": [inputs[name] for name in kind.widgets],
        }
        if KEPT in meta:
            nodes[id_]["properties"][KEPT] = meta[KEPT]
            # with this the editor offers to fetch a file that is missing
            url = meta[KEPT].get("url", "")
            if "/api/download/" in url:
                folder = "loras" if given["class_type"] == "LoraLoader" else "checkpoints"
                entry = {"name": meta[KEPT]["file"], "url": url, "directory": folder}
                nodes[id_]["properties"]["models"] = [entry]
    for id_, given in graph.items():
        for place, taken in enumerate(nodes[id_]["inputs"]):
            source, output = given["inputs"][taken["name"]]
            taken["link"] = len(links) + 1
            links.append([taken["link"], int(source), output, int(id_), place, taken["type"]])
            nodes[source]["outputs"][output]["links"].append(taken["link"])
    saved = list(nodes.values())
    notes = graph["3"]["_meta"].get("notes")
    if notes:
        nodes["3"]["title"] = "KSampler"
        saved.append(_note(len(saved), "\n".join(f"- {note}" for note in notes)))
    return {
        "last_node_id": max(node["id"] for node in saved),
        "last_link_id": len(links),
        "nodes": saved,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _node(class_type: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": inputs, "class_type": class_type, "_meta": {"title": class_type}}


def _kept(plan: ExportPlan, file: ExportFile) -> dict[str, Any]:
    """What of the model is more than its file's name."""
    own = file is plan.lora or plan.lora is None
    known = {
        "file": file.file,
        "model": file.wanted.model,
        "model id": file.wanted.model_id,
        "version id": file.wanted.version_id,
        "version": plan.api.version if own else None,
        "air": (plan.api.air if own else None) or file_air(file, plan.family),
        "base model": plan.api.base_model if own else None,
        "url": file.url,
    }
    title = f"{file.wanted.kind}: {file.wanted.model}"
    return {"title": title, KEPT: {key: value for key, value in known.items() if value is not None}}


def _note(order: int, text: str) -> dict[str, Any]:
    return {
        "id": 12,
        "type": "Note",
        "pos": [860, 340],
        "size": [320, 160],
        "flags": {},
        "order": order,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "title": "No exact equivalent",
        "properties": {},
        "widgets_values": [text],
    }
