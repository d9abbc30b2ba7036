"""A workflow of ComfyUI -> T2IApi, from its API form or from the form that its editor saves.

    read_workflow(json.loads(Path("workflow.json").read_text())).api.model

The way goes back from the saved picture to the sampler that made its composition: through a second pass or a
refiner to the first one. From that sampler it goes along `model` to the LoRAs and the checkpoint, along
`positive` and `negative` to the texts, along the latent image to its size. What cannot be read is said by the
name of the node that hinders.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from diffagent_tools.formats.comfyui.graph import MAX_NODES, Graph, Link, Node, Unread, listed, plain_graph
from diffagent_tools.formats.comfyui.models import models_of
from diffagent_tools.formats.comfyui.prompts import prompt_of
from diffagent_tools.formats.comfyui.saved import saved_graph
from diffagent_tools.formats.comfyui.values import chosen_size, number_of, plain, text_of
from diffagent_tools.formats.comfyui.walk import origin, way
from diffagent_tools.formats.family_guess import HINT, read_guessing_family
from diffagent_tools.formats.loras import take_lora_tags, with_loras
from retrieval.errors import InvalidInput
from retrieval.records.api import ApiReading

# along these a sampler takes the picture that it goes on with
_PICTURE = ("latent_image", "latent", "samples", "image", "images", "pixels", "latents", "optional_latent")
# and along these no picture comes to a node that is none
_NO_PICTURE = (
    "vae",
    "clip",
    "model",
    "control_net",
    "upscale_model",
    "clip_vision",
    "mask",
    "audio",
    "audio_vae",
)
_SCHEDULES = {
    "KarrasScheduler": "karras",
    "ExponentialScheduler": "exponential",
    "PolyexponentialScheduler": "polyexponential",
    "BetaSamplingScheduler": "beta",
    "LaplaceScheduler": "laplace",
    "AlignYourStepsScheduler": "align_your_steps",
    "GITSScheduler": "gits",
}
_SAMPLERS = {
    "SamplerEulerAncestral": "euler_ancestral",
    "SamplerEulerAncestralCFGPP": "euler_ancestral_cfg_pp",
    "SamplerEulerCFGpp": "euler_cfg_pp",
    "SamplerDPMPP_2S_Ancestral": "dpmpp_2s_ancestral",
    "SamplerDPMPP_2M_SDE": "dpmpp_2m_sde",
    "SamplerDPMPP_3M_SDE": "dpmpp_3m_sde",
    "SamplerDPMPP_SDE": "dpmpp_sde",
    "SamplerDPMAdaptative": "dpm_adaptive",
    "SamplerLMS": "lms",
    "SamplerER_SDE": "er_sde",
    "SamplerSASolver": "sa_solver",
    "SamplerLCMUpscale": "lcm",
}
# what a text encoder that is loaded for one family calls it
_ENCODERS = {"flux": "Flux.1 D", "flux2": "Flux.2 D", "sd3": "SD 3", "hidream": "HiDream", "chroma": "Chroma"}
_ENCODERS |= {"qwen_image": "Qwen", "pixart": "PixArt E", "stable_cascade": "Stable Cascade"}


def is_workflow(value: object) -> bool:
    """Whether JSON is a workflow in either form, also one that is wrapped as a server takes it."""
    return isinstance(value, Mapping) and _unwrapped(value) is not None


def read_workflow(value: Mapping[str, Any]) -> ApiReading:
    """The T2I API that a workflow makes a picture with, and what was assumed.

    Raises:
        InvalidInput: no sampler or no model can be found; the message names the node that hinders.
    """
    given = _unwrapped(value) or value
    graph = saved_graph(given) if isinstance(given.get("nodes"), list) else plain_graph(given)
    notes: list[str] = []
    sampler = _composing(graph, notes)
    if sampler is None:
        raise InvalidInput(
            f"the workflow has no sampler that is known here; its nodes are {listed(graph)}. Needed is a "
            "KSampler, or a node with its inputs"
        )
    settings = _settings(graph, sampler, notes)
    models = models_of(graph, settings["model"], notes)
    if not models.loras and not models.checkpoint:
        where = (
            f"its model comes from the node {models.last.shown}, which is not known here"
            if models.last
            else "no model is linked to it"
        )
        raise InvalidInput(
            f"no checkpoint is behind the sampler {sampler.shown}: {where}. The workflow's nodes are "
            f"{listed(graph)}; needed is a node such as CheckpointLoaderSimple or LoraLoader"
        )
    fields = with_loras(models.checkpoint, models.loras, notes)
    fields |= _prompts(graph, settings, notes)
    fields |= {name: settings[key] for name, key in _FIELDS.items()}
    for name, key in _FIELDS.items():
        if settings[key] is None and key != "schedule type":
            notes.append(f"the {name} cannot be told: {_hinder(graph, sampler, key)}")
    fields |= _size(graph, settings["latent"], notes)
    fields[HINT] = _family(graph)
    told = list(dict.fromkeys(notes))
    unread = tuple(note for note in told if isinstance(note, Unread))
    return replace(read_guessing_family(fields, told), unread=unread)


def _hinder(graph: Graph, sampler: Node, key: str) -> str:
    """The node at which the way to a setting ends."""
    names = {"steps": ("steps", "sigmas"), "cfg": ("cfg", "guider")}.get(key, ("sampler_name", "sampler"))
    value = next((sampler.inputs[name] for name in names if name in sampler.inputs), None)
    ended = [node for node, _, _ in way(graph, value, names[-1])]
    return f"it comes from the node {(ended or [sampler])[-1].shown}"


_FIELDS = {
    "sampling steps": "steps",
    "cfg scale": "cfg",
    "sampling method": "sampling method",
    "schedule type": "schedule type",
}


def _unwrapped(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The workflow itself: a server takes `{"prompt": …}`, and a picture keeps `workflow` beside it."""
    for _ in range(4):
        if isinstance(value.get("nodes"), list):
            return value
        if any(
            isinstance(node, Mapping) and "class_type" in node for node in list(value.values())[:MAX_NODES]
        ):
            return value
        inner = (value.get(key) for key in ("prompt", "output", "workflow", "extra_data", "extra_pnginfo"))
        found = next((one for one in inner if isinstance(one, Mapping)), None)
        if found is None:
            return None
        value = found
    return None


def _is_sampler(node: Node) -> bool:
    names = node.inputs.keys()
    if {"guider", "sigmas"} <= names or {"sampler", "sigmas", "model"} <= names:
        return True
    piped = {"model", "pipe", "basic_pipe", "context", "ctx", "base_ctx"} & names
    return bool(piped) and {"steps", "sampler_name"} <= names and "cfg" in names


def _composing(graph: Graph, notes: list[str]) -> Node | None:
    """The sampler that made the composition of the saved picture."""
    samplers = [node for node in graph.values() if _is_sampler(node)]
    if not samplers:
        return None
    used = {link.node for node in graph.values() for _, link in node.links()}
    ends = sorted(
        (node for node in graph.values() if node.id not in used or "filename_prefix" in node.inputs),
        key=_rank,
    )
    found: dict[str, Node] = {}
    for node in ends:
        if (
            found
            and _rank(node) > _rank(ends[0])
            and any(_starts_empty(graph, one) for one in found.values())
        ):
            break
        for each in _first_passes(graph, node):
            found.setdefault(each.id, each)
    candidates = list(found.values()) or samplers
    fresh = [node for node in candidates if _starts_empty(graph, node)]
    chosen = (fresh or candidates)[0]
    if len(fresh or candidates) > 1:
        notes.append(
            f"the workflow samples {len(fresh or candidates)} pictures; the one of the node {chosen.id[:40]} "
            "was taken"
        )
    return chosen


def _rank(node: Node) -> int:
    """Saved pictures before previews, and those before anything else."""
    kind = node.kind.casefold()
    if "filename_prefix" in node.inputs or kind.startswith("save") or "image save" in kind:
        return 0
    return 1 if "preview" in kind else 2


def _first_passes(graph: Graph, end: Node) -> list[Node]:
    """The samplers behind a node before which no other one worked on the picture."""
    firsts: list[Node] = []
    seen: set[str] = set()
    stack: list[Node] = [end]
    while stack:
        node = stack.pop()
        if node.id in seen:
            continue
        seen.add(node.id)
        behind = list(_pictures(graph, node))
        if _is_sampler(node) and not any(_reaches_sampler(graph, one, {node.id}) for one in behind):
            firsts.append(node)
            continue
        # the last is looked at first: keep the order of the inputs
        stack += reversed(behind)
    return firsts


def _pictures(graph: Graph, node: Node) -> Iterator[Node]:
    """The nodes from which a node takes a picture."""
    for name, link in node.links():
        folded = name.casefold()
        if link.node not in graph or folded in _NO_PICTURE:
            continue
        is_pipe = folded in ("pipe", "basic_pipe", "context", "base_ctx", "sdxl_tuple")
        if not _is_sampler(node) or folded in _PICTURE or is_pipe:
            yield graph[link.node]


def _reaches_sampler(graph: Graph, node: Node, seen: set[str]) -> bool:
    stack = [node]
    while stack:
        each = stack.pop()
        if each.id in seen:
            continue
        seen.add(each.id)
        if _is_sampler(each):
            return True
        stack += _pictures(graph, each)
    return False


def _latent(node: Node) -> Any:
    return next((node.inputs[name] for name in _PICTURE if name in node.inputs), None) or _pipe(node)


def _pipe(node: Node) -> Any:
    names = ("pipe", "basic_pipe", "context", "ctx", "base_ctx", "sdxl_tuple")
    return next((node.inputs[name] for name in names if isinstance(node.inputs.get(name), Link)), None)


def _starts_empty(graph: Graph, node: Node) -> bool:
    """Whether a sampler starts from an empty picture, not from one that is loaded."""
    found = [each for each, _, _ in way(graph, _latent(node), "latent")]
    return not found or not any("load" in each.kind.casefold() and "image" in each.inputs for each in found)


def _settings(graph: Graph, sampler: Node, notes: list[str]) -> dict[str, Any]:
    """What a sampler is told, by itself or by the guider, the sampler and the schedule that are linked."""
    inputs = sampler.inputs
    pipe = _pipe(sampler)
    found: dict[str, Any] = {
        name: inputs.get(name, pipe) for name in ("model", "positive", "negative", "cfg", "steps")
    }
    found |= {"latent": _latent(sampler), "sampling method": None, "schedule type": None}
    if "guider" in inputs:
        guider = origin(graph, inputs["guider"], "guider", lambda node: "model" in node.inputs)
        if guider is not None:
            own = guider.inputs
            found |= {name: own.get(name) for name in ("model", "positive", "negative", "cfg")}
            found["positive"] = own.get("positive", own.get("conditioning", own.get("cond1")))
            if found["cfg"] is None:
                # one without a negative prompt has no scale to weigh it with
                found["cfg"] = own.get("cfg_conds", 1.0 if found["negative"] is None else None)
    found["cfg"] = number_of(graph, found["cfg"], "cfg")
    if "sigmas" in inputs:
        found |= _schedule(graph, inputs["sigmas"], notes)
        found["sampling method"] = _method(graph, inputs.get("sampler"))
    else:
        found["steps"] = number_of(graph, found["steps"], "steps")
        found["sampling method"] = _word(graph, inputs.get("sampler_name"))
        found["schedule type"] = _word(graph, inputs.get("scheduler"))
    return found


def _schedule(graph: Graph, value: Any, notes: list[str]) -> dict[str, Any]:
    node = origin(
        graph,
        value,
        "sigmas",
        lambda node: (
            {"steps", "scheduler", "sigmas"} & node.inputs.keys() != set()
            and not isinstance(node.inputs.get("sigmas"), Link)
        ),
    )
    if node is None:
        return {"steps": None, "schedule type": None}
    steps = number_of(graph, node.inputs.get("steps"), "steps")
    listed_ = node.inputs.get("sigmas")
    if steps is None and isinstance(listed_, str):
        steps = max(1, len(listed_.replace(",", " ").split()) - 1)
    schedule = _word(graph, node.inputs.get("scheduler")) or _SCHEDULES.get(node.kind)
    if schedule is None:
        notes.append(f"the noise schedule of the node {node.shown} has no name of its own and was left out")
    return {"steps": steps, "schedule type": schedule}


def _method(graph: Graph, value: Any) -> str | None:
    def names(node: Node) -> bool:
        return "sampler_name" in node.inputs or node.kind in _SAMPLERS

    node = origin(graph, value, "sampler", names)
    if node is None:
        return None
    return _word(graph, node.inputs.get("sampler_name")) or _SAMPLERS.get(node.kind)


def _word(graph: Graph, value: Any) -> str | None:
    """The name that a list offers, here or in a node that is linked."""
    found = plain(value) if not isinstance(value, Link) else text_of(graph, value, [])
    return found if isinstance(found, str) and found.strip() else None


def _prompts(graph: Graph, settings: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    positive = prompt_of(graph, settings["positive"], "positive", notes)
    negative = prompt_of(graph, settings["negative"], "negative", notes)
    for role, prompt in (("positive", positive), ("negative", negative)):
        if prompt.text is None and prompt.ended is not None:
            where = prompt.ended.shown
            notes.append(Unread(f"the {role} prompt was not read: it comes from the node {where}"))
    if positive.guidance is not None and settings["cfg"] in (None, 1):
        notes.append(
            f"the distilled guidance {positive.guidance:g} has no field of its own; the cfg scale is that of "
            "the sampler"
        )
    text, tags = take_lora_tags(positive.text or "")
    if tags:
        named = ", ".join(repr(tag.name) for tag in tags)
        notes.append(f"ComfyUI takes the LoRA tags in the prompt ({named}) for words; they were left out")
    return {
        "prompt": text if positive.text is not None else None,
        "negative prompt": negative.text,
        "clip skip": positive.clip_skip,
    }


def _size(graph: Graph, value: Any, notes: list[str]) -> dict[str, Any]:
    """Width and height of the empty picture, else of the last node that gave a loaded one its size."""
    resized: dict[str, Any] = {}
    last: Node | None = None
    for node, _, _ in way(graph, value, "latent"):
        last = node
        inputs = node.inputs
        for prefix in ("", "empty_latent_", "latent_"):
            names = (f"{prefix}width", f"{prefix}height")
            if not set(names) <= inputs.keys():
                continue
            sides = [number_of(graph, inputs[name], name.removeprefix(prefix)) for name in names]
            if all(isinstance(side, int) and side > 0 for side in sides):
                made = {"width": sides[0], "height": sides[1]}
                if not any(name in inputs for name in ("samples", "pixels", "image")):
                    return made
                resized = resized or made
                break
        else:
            chosen = chosen_size(node)
            if chosen is not None:
                return {"width": chosen[0], "height": chosen[1]}
    if not resized and last is not None:
        side = last.inputs.get("width", last.inputs.get("empty_latent_width"))
        ended = [node for node, _, _ in way(graph, side, "width")]
        shown = (ended or [last])[-1].shown
        notes.append(f"the size of the picture cannot be told: it comes from the node {shown}")
    return resized


def _family(graph: Graph) -> str | None:
    """The family that the loader of the text encoder names."""
    for node in graph.values():
        kind = node.inputs.get("type")
        if "clip" in node.kind.casefold() and isinstance(kind, str) and kind in _ENCODERS:
            return _ENCODERS[kind]
    return None
