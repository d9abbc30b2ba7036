"""The texts that a conditioning is made of, and the clip skip on their way.

prompt = prompt_of(graph, sampler.inputs["positive"], "positive", notes)
prompt.text, prompt.clip_skip
"""

from dataclasses import dataclass
from typing import Any

from diffagent_tools.formats.comfyui.graph import Graph, Link, Node
from diffagent_tools.formats.comfyui.values import number_of, text_of
from diffagent_tools.formats.comfyui.walk import onward, output_role, way

_SHOWN = 80
_MAX_PARTS = 200
# the long text first: what the other encoders get is mostly a short form of it
_TEXTS = ("populated_text", "text", "prompt", "t5xxl", "user_prompt", "llama", "mt5xl", "text_g", "caption")
_SECOND = ("text_l", "clip_l", "clip_g", "bert", "t5xxl", "text_g")
_COMBINED = (
    *("conditioning_1", "conditioning_2", "conditioning_3", "conditioning_4", "conditioning_to"),
    *("conditioning_from", "cond1", "cond2"),
)
_NO_TEXT = ("ConditioningZeroOut", "easy negative zero")


@dataclass(frozen=True)
class Prompt:
    """`text` is None where no text was found; `guidance` is the distilled guidance scale of Flux."""

    text: str | None
    clip_skip: int | None = None
    guidance: float | None = None
    ended: Node | None = None


def prompt_of(graph: Graph, value: Any, role: str, notes: list[str]) -> Prompt:
    """The prompt of a conditioning; several that are combined are joined, and that is said."""
    parts: list[str] = []
    state = _State(notes)
    _collect(graph, value, role, parts, state)
    if not parts and not state.was_read:
        return Prompt(None, state.clip_skip, state.guidance, state.ended)
    texts = list(dict.fromkeys(part for part in parts if part.strip())) or parts[:1]
    if len(texts) > 1:
        notes.append(f"{len(texts)} texts make up the {role} prompt in the workflow; they were joined")
    return Prompt(", ".join(texts), state.clip_skip, state.guidance)


@dataclass
class _State:
    notes: list[str]
    clip_skip: int | None = None
    guidance: float | None = None
    was_read: bool = False
    ended: Node | None = None
    steps: int = 0


def _collect(graph: Graph, value: Any, role: str, parts: list[str], state: _State) -> None:
    if isinstance(value, str):
        state.was_read = True
        parts.append(value)
        return
    for node, slot, carried in way(graph, value, role):
        state.ended = node
        state.steps += 1
        if state.steps > _MAX_PARTS:
            return
        if node.kind in _NO_TEXT:
            state.was_read = True
            return
        if "guidance" in node.inputs and state.guidance is None:
            number = number_of(graph, node.inputs["guidance"], "guidance")
            state.guidance = None if number is None else float(number)
        combined = [name for name in _COMBINED if isinstance(node.inputs.get(name), Link)]
        if len(combined) > 1:
            for name in combined:
                _collect(graph, node.inputs[name], role, parts, state)
            return
        text = _own_text(graph, node, slot, carried, state)
        if text is not None:
            state.was_read = True
            parts.append(text)
            if state.clip_skip is None:
                state.clip_skip = clip_skip_of(graph, node)
            return


def _own_text(graph: Graph, node: Node, slot: int, role: str, state: _State) -> str | None:
    """The text that a node encodes itself; None where it only hands on a conditioning."""
    inputs = node.inputs
    told = output_role(node, slot, role)
    if told in ("positive", "negative") and told in inputs and not isinstance(inputs[told], Link):
        return text_of(graph, inputs[told], state.notes)
    is_encoder = "clip" in inputs or "encode" in node.kind.casefold()
    if not is_encoder:
        # a loader whose prompt is linked to it as text
        following = onward(graph, node, slot, role)
        linked = inputs.get(told)
        if isinstance(linked, Link) and (following is None or following[0] == linked):
            return _linked_text(graph, linked, state)
        return None
    keys = [key for key in _TEXTS if key in inputs]
    if not keys:
        keys = [key for key in (told, f"{told}_prompt", f"text_{told}") if key in inputs]
        keys += [key for key, _ in node.texts() if key.startswith("*")][:1]
        keys = [
            key
            for key in keys
            if not isinstance(inputs[key], Link) or not _is_conditioning(graph, inputs[key])
        ]
    if not keys:
        return None
    text = text_of(graph, inputs[keys[0]], state.notes)
    for key in dict.fromkeys(key for key in _SECOND if key in inputs and key != keys[0]):
        second = text_of(graph, inputs[key], [])
        if second and second.strip() and second != text:
            if text is None or not text.strip():
                text = second
                continue
            shown = second if len(second) <= _SHOWN else second[:_SHOWN] + "…"
            state.notes.append(f"the text of {key!r}, {shown!r}, for another encoder was left out")
    return text


def _linked_text(graph: Graph, link: Link, state: _State) -> str | None:
    """The text of a node that makes text; None if it makes a conditioning."""
    return None if _is_conditioning(graph, link) else text_of(graph, link, state.notes)


def _is_conditioning(graph: Graph, link: Link) -> bool:
    """Whether a link comes from an encoder, not from a text."""
    found = False
    for node, slot, _ in way(graph, link, "positive"):
        names = node.outputs
        told = names[slot] if 0 <= slot < len(names) else ""
        if any(word in told for word in ("string", "text", "prompt")):
            return False
        if told in ("positive", "negative") or "conditioning" in told:
            return True
        found = "clip" in node.inputs or "conditioning" in node.inputs or node.kind.startswith("ControlNet")
        found = found or "clip" in node.kind.casefold() or node.kind.startswith("Conditioning")
        if found:
            break
    return found


def clip_skip_of(graph: Graph, encoder: Node) -> int | None:
    """A1111's clip skip, of the text encoder that made a conditioning or of a loader that is it."""
    starts: list[tuple[Node, Any]] = [(encoder, encoder.inputs.get("clip"))]
    for node, value in starts:
        for each in (node, *(found for found, _, _ in way(graph, value, "clip"))):
            for name in ("stop_at_clip_layer", "clip_skip", "base_clip_skip"):
                skip = number_of(graph, each.inputs[name], name) if name in each.inputs else None
                if isinstance(skip, int) and skip and abs(skip) < 100:
                    return abs(skip)
    return None
