"""From an input back to the node that makes what comes in: through switches, pipes and nodes that hand on.

    node = origin(graph, sampler.inputs["model"], "model", lambda node: "ckpt_name" in node.inputs)

A role is what a link carries: model, clip, positive, negative, latent, image, guider, sampler, sigmas, or a
setting's own name. Where a node has several outputs, the place of the link tells which input leads
on.
"""

from collections.abc import Callable, Iterator
from typing import Any

from diffagent_tools.formats.comfyui.graph import Graph, Link, Node
from diffagent_tools.formats.comfyui.nodes import output_names

_MAX_LINKED = 20
_ROLES = {
    "model": ("model", "unet", "model1", "model_1", "base_model", "model_high_noise", "optional_model"),
    "clip": ("clip", "clip1", "clip_1", "base_clip", "optional_clip"),
    "positive": ("positive", "conditioning", "cond", "pos", "conditioning_1", "conditioning_to", "cond1"),
    "negative": ("negative", "conditioning", "cond", "neg", "conditioning_1", "conditioning_to"),
    "latent": ("latent_image", "latent", "samples", "samples1", "samples_to", "latents", "pixels", "image"),
    "image": ("image", "images", "pixels", "samples"),
}
_ALIASES = {"conditioning+": "positive", "conditioning-": "negative", "pos": "positive", "neg": "negative"}
_ALIASES |= {"latent_image": "latent", "samples": "latent", "sampler": "sampler_name"}
_PIPES = ("pipe", "basic_pipe", "context", "base_ctx", "ctx", "base_context", "sdxl_tuple", "pipe_line")


def output_role(node: Node, slot: int, role: str) -> str:
    """What an output of a node carries; `role` where nothing tells more."""
    names = output_names(node.kind) or node.outputs
    if 0 <= slot < len(names):
        told = _ALIASES.get(names[slot], names[slot])
        if told in _ROLES or told in node.inputs:
            return told
        return role
    if role in ("positive", "negative"):
        both = all(isinstance(node.inputs.get(name), Link) for name in ("positive", "negative"))
        # the convention of every node that changes both: positive first
        if both and slot in (0, 1):
            return ("positive", "negative")[slot]
    return role


def onward(graph: Graph, node: Node, slot: int, role: str) -> tuple[Link, str] | None:
    """The link that an output of a node hands on, and what it carries; None where the node makes it."""
    role = output_role(node, slot, role)
    chosen = switched(graph, node)
    if chosen is not None:
        return (chosen, role) if isinstance(chosen, Link) else None
    for name in _ROLES.get(role, (role,)):
        if isinstance(node.inputs.get(name), Link):
            return node.inputs[name], role
    links = dict(node.links())
    for name, link in links.items():
        if name.casefold() in _PIPES or name.startswith("ctx_"):
            return link, role
    for name, link in links.items():
        if role in name.casefold():
            return link, role
    return (next(iter(links.values())), role) if len(links) == 1 else None


def is_switch(node: Node) -> bool:
    """Whether a node hands on one of its inputs as it is."""
    kind = node.kind.casefold()
    return "switch" in kind and "ksampler" not in kind


def switched(graph: Graph, node: Node) -> Any:
    """What a switch lets through, a link or a value; None where the node is none or does not tell."""
    if not is_switch(node):
        return None
    inputs = node.inputs
    for name in ("switch", "boolean", "condition", "value"):
        told = _setting(graph, inputs.get(name))
        if told is not None and {"on_true", "on_false"} & inputs.keys():
            return inputs.get("on_true" if told else "on_false")
    for name, form in (("select", "input{}"), ("index", "value{}"), ("Input", "model{}")):
        place = _setting(graph, inputs.get(name))
        if place is not None:
            for key in (form.format(int(place)), form.format(f"_{int(place)}")):
                if key in inputs:
                    return inputs[key]
    named = sorted((name, link) for name, link in node.links() if not name.startswith("ctx_"))
    return next((link for name, link in named if name.casefold().startswith(("any", "input", "value"))), None)


def _setting(graph: Graph, value: Any) -> int | float | None:
    """What a switch is set to, here or in a node of one value that is linked."""
    for _ in range(_MAX_LINKED):
        if isinstance(value, int | float):
            return value if abs(value) < 1e9 else None
        node = graph.get(value.node) if isinstance(value, Link) else None
        if node is None:
            return None
        value = next((node.inputs[key] for key in ("value", "boolean", "*0") if key in node.inputs), None)
    return None


def way(graph: Graph, value: Any, role: str) -> Iterator[tuple[Node, int, str]]:
    """The nodes from an input back, each with the output by which it is reached and what that carries."""
    seen: set[tuple[str, int, str]] = set()
    while isinstance(value, Link) and value.node in graph and (*value, role) not in seen:
        seen.add((*value, role))
        node = graph[value.node]
        yield node, value.slot, role
        following = onward(graph, node, value.slot, role)
        if following is None:
            return
        value, role = following


def origin(graph: Graph, value: Any, role: str, wanted: Callable[[Node], bool]) -> Node | None:
    """The first node on the way back that is wanted."""
    return next((node for node, _, _ in way(graph, value, role) if wanted(node)), None)
