"""A standing request that a chat refines: what is wanted so far, and how one message changes it.

    request = refine(StandingRequest(), "a happy corgi, pixel art").request
    refined = refine(request, "make it wide, at night, and only LoRAs")
    refined.request.prompt        # "a happy corgi, pixel art, at night"
    refined.understood            # ("wide", "only LoRAs", 'added "at night" to the prompt')

A small grammar (diffagent_tools/chat/grammar.py), no language model: the clauses it knows change the
request or ask something, the rest is a wish, understood as `select` understands it
(retrieval/requests/understanding.py). A message in quotation marks is all wish.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from diffagent_tools.chat.grammar import read_message
from diffagent_tools.chat.rewording import reworded
from diffagent_tools.chat.steps import Kind, Known, Step
from diffagent_tools.chat.styles import is_style
from diffagent_tools.chat.words.models import read_fresh, read_start_over
from diffagent_tools.quoting import plain
from retrieval.calls.shape import shaped
from retrieval.calls.shape import step as whole_step
from retrieval.records.api import T2IApi
from retrieval.requests.sizes import Shape
from retrieval.requests.understanding import Understood, reads_as_prompt, understand

KEPT = 20
"""Earlier requests that can be gone back to."""

_SAID_CHARS, _TOLD_CHARS = 80, 300
QUESTIONS: tuple[Kind, ...] = ("licence", "why", "show", "help", "thanks", "ask", "unclear")
"""They are answered and change nothing."""
ACTS: tuple[Kind, ...] = (
    *("another", "refuse", "pick", "take", "undo", "again", "nudge", "unknown", "yes", "no"),
)
"""They are about the models that were found, which a request does not know."""

_OTHER_MODELS: tuple[Kind, ...] = ("like", "type", "family", "commercial")
_KEPT_FILTERS = ("base_model", "type", "commercial_use", "refused")
"""They are about what a person has and may do, and hold for the next picture, too."""


@dataclass(frozen=True)
class StandingRequest:
    """What is wanted so far. Sizes are in pixels; None is free.

    `ratio` is width to height; it and `shape` hold for every model, each at its own resolution, and `scale`
    multiplies that. `refused` are models that shall not come again; `seen` those that were passed over: they
    come back when they are asked for, or for another picture. `pinned` is a model that the user chose: it
    stays until another kind of model is asked for.
    """

    prompt: str = ""
    negative_prompt: str = ""
    shape: Shape | None = None
    ratio: tuple[int, int] | None = None
    width: int | None = None
    height: int | None = None
    scale: float = 1.0
    base_model: str | None = None
    type: str | None = None
    commercial_use: bool | None = None
    sampling_steps: int | None = None
    cfg_scale: float | None = None
    sampling_method: str | None = None
    lora_weight: float | None = None
    clip_skip: int | None = None
    refused: tuple[int, ...] = ()
    seen: tuple[int, ...] = ()
    pinned: int | None = None
    history: tuple["StandingRequest", ...] = field(default=(), compare=False, repr=False)

    def after(self, **update: Any) -> "StandingRequest":
        """With other values; this one becomes the last of the history."""
        return replace(self, **update, history=_with(self))

    def undone(self) -> "StandingRequest":
        """The request before the last change; itself where there is none."""
        if not self.history:
            return self
        return replace(self.history[-1], history=self.history[:-1])

    @property
    def words(self) -> tuple[str, ...]:
        """All of it, a phrase each, for a person."""
        size = f"{self.width or 'any'}x{self.height or 'any'}" if self.width or self.height else None
        told = {
            "the picture": plain(self.prompt, _TOLD_CHARS),
            "not": plain(self.negative_prompt, _TOLD_CHARS),
            "shape": self.shape,
            "aspect ratio": f"{self.ratio[0]}:{self.ratio[1]}" if self.ratio else None,
            "size": size,
            "scaled": f"{self.scale:.2f} times" if self.scale != 1 else None,
            "base model": self.base_model,
            "type": _TYPES[self.type] if self.type else None,
            "licence": "images may be sold" if self.commercial_use else None,
            "steps": self.sampling_steps,
            "cfg scale": f"{self.cfg_scale:g}" if self.cfg_scale is not None else None,
            "sampler": self.sampling_method,
            "LoRA weight": f"{self.lora_weight:g}" if self.lora_weight is not None else None,
            "clip skip": self.clip_skip,
            "passed over": _models(len(self.seen)),
            "refused": _models(len(self.refused)),
        }
        return tuple(f"{name}: {value}" for name, value in told.items() if value)


def _models(number: int) -> str | None:
    return None if not number else "1 model" if number == 1 else f"{number} models"


@dataclass(frozen=True)
class Refined:
    """The request after a message, what was understood in words, and what is left for the conversation.

    `acts` are about the models on the table and `questions` want an answer; `changed` tells whether the
    message itself asks for another search.
    """

    request: StandingRequest
    understood: tuple[str, ...]
    acts: tuple[Step, ...] = ()
    questions: tuple[Step, ...] = ()
    changed: bool = False


_TYPES = {"LORA": "only LoRAs", "Checkpoint": "only checkpoints"}


def _nobody(name: str, sure: bool) -> int | None:
    return None


def refine(request: StandingRequest, message: str, known: Known = _nobody) -> Refined:
    """Reads one message on top of a standing request.

    Args:
        known: knows models by name, so that "not Pixel Art" refuses one and "not so dark" does not.
    """
    message = message.strip()
    understood: list[str] = []
    made = replace(request, history=())
    other = read_start_over(message) if request.prompt else None
    fresh = read_fresh(message) if request.prompt and other is None else None
    if other is not None:
        made, message = StandingRequest(), other
        understood.append("started over")
    elif fresh is not None and _asks_anew(message, fresh, known):
        made, message = StandingRequest(**{name: getattr(request, name) for name in _KEPT_FILTERS}), fresh
        understood.append("a new picture")
    acts: list[Step] = []
    questions: list[Step] = []
    for step in read_message(message, follows=bool(made.prompt), known=known):
        if step.kind in QUESTIONS:
            questions.append(step)
        elif step.kind in ACTS:
            acts.append(step)
        else:
            update, words = _applied(made, step, known)
            if step.kind in _OTHER_MODELS:
                update["pinned"] = None
            made = replace(made, **update)
            understood += words
    if understood or acts or len(questions) > 1:
        questions = [question for question in questions if question.kind != "thanks"]
    if made == replace(request, history=()):
        return Refined(request, tuple(understood), tuple(acts), tuple(questions))
    made = replace(made, history=_with(request))
    return Refined(made, tuple(understood), tuple(acts), tuple(questions), changed=True)


def _asks_anew(message: str, fresh: str, known: Known) -> bool:
    """Whether the thing to draw is another picture: no setting, no model, no style for the one before."""
    first, *_ = read_message(message, follows=True, known=known)
    return first.kind in ("add", "subject", "like", "unclear") and not is_style(fresh)


def _with(request: StandingRequest) -> tuple[StandingRequest, ...]:
    """The history that this request is the last of."""
    return (*request.history, replace(request, history=()))[-KEPT:] if request.prompt else request.history


def sized(api: T2IApi, request: StandingRequest) -> tuple[int, int]:
    """Width and height of a chosen model under a request, before its family's limits."""
    width, height = shaped(api, shape=request.shape, ratio=request.ratio)
    if request.scale != 1:
        width, height = (whole_step(side * request.scale) for side in (width, height))
    return request.width or width, request.height or height


def _applied(request: StandingRequest, step: Step, known: Known) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What a step changes in the request, and that in words."""
    if step.kind == "add" and not reads_as_prompt(step.value):
        return _wished(request, step.value, known)
    if step.kind in ("add", "like", "more", "subject", "attribute", "avoid", "remove", "replace"):
        update, words = reworded(request.prompt, request.negative_prompt, step)
        return update, (words,)
    update, words = _set(request, step)
    return update, (words,)


def _wished(request: StandingRequest, text: str, known: Known) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A wish as `select` understands it: a shape, a licence, a refusal in it become those of the request.

    A wish that names a model, or is in another language, stays as it is, for the selector to read.
    """
    found = understand(text, known)
    if found.nothing is not None or found.named is not None or found.foreign:
        found = Understood(text)
    # a comma less is no reason to change what was typed
    wish = text if _letters(found.wish) == _letters(text) else found.wish
    update, words = reworded(request.prompt, request.negative_prompt, Step("add", wish))
    negative = update.get("negative_prompt", request.negative_prompt)
    if found.refused:
        update["negative_prompt"] = ", ".join((*filter(None, (negative,)), *found.refused))
    if found.shape or found.ratio or found.size:
        width, height = found.size or (None, None)
        shape = None if found.ratio or found.size else found.shape
        update |= {"shape": shape, "ratio": found.ratio, "width": width, "height": height}
    filters = {"base_model": found.base_model, "type": found.type, "commercial_use": found.commercial_use}
    update |= {name: value for name, value in filters.items() if value is not None}
    return update, (words, *found.words) if request.prompt else found.words


def _letters(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _set(request: StandingRequest, step: Step) -> tuple[dict[str, Any], str]:
    """What a step changes in the request, and that in words."""
    value = step.value
    match step.kind:
        case "shape":
            free: dict[str, Any] = {"ratio": None, "width": None, "height": None}
            return {"shape": value, **free}, value
        case "ratio":
            free = {"shape": None, "width": None, "height": None}
            return {"ratio": value, **free}, f"aspect ratio {value[0]}:{value[1]}"
        case "size":
            free = {"shape": None, "ratio": None, "scale": 1.0}
            return {"width": value[0], "height": value[1], **free}, f"{value[0]}x{value[1]} pixels"
        case "width" | "height":
            return {step.kind: value}, f"{step.kind} {value} pixels"
        case "scale":
            scale = min(4.0, max(0.25, request.scale * value))
            if request.width or request.height:
                sides = {
                    name: whole_step(side * value) if side else None
                    for name, side in (("width", request.width), ("height", request.height))
                }
                return dict(sides), "larger" if value > 1 else "smaller"
            return {"scale": scale}, "larger" if value > 1 else "smaller"
        case "type":
            return {"type": value}, _TYPES.get(value, "LoRAs and checkpoints")
        case "family":
            return {"base_model": value}, f"only models for {value}" if value else "any base model"
        case "commercial":
            return {"commercial_use": value}, (
                "only models whose images may be sold" if value else "any licence"
            )
        case "steps":
            return {"sampling_steps": value}, f"{value} steps"
        case "cfg":
            return {"cfg_scale": value}, f"cfg scale {value:g}"
        case "sampler":
            return {"sampling_method": value}, f"sampler {value}"
        case "weight":
            return {"lora_weight": value}, f"LoRA weight {value:g}"
        case "clip skip":
            return {"clip_skip": value}, f"clip skip {value}"
        case _:
            return _FREE[value]


_SIZE_FREE: dict[str, Any] = {"shape": None, "ratio": None, "width": None, "height": None, "scale": 1.0}
_SETTINGS_FREE: dict[str, Any] = dict.fromkeys(
    ("sampling_steps", "cfg_scale", "sampling_method", "lora_weight", "clip_skip")
)
_FILTERS_FREE: dict[str, Any] = dict.fromkeys(("base_model", "type", "commercial_use"))
_FREE: dict[str, tuple[dict[str, Any], str]] = {
    "size": (_SIZE_FREE, "the model's usual size"),
    "settings": (_SIZE_FREE | _SETTINGS_FREE, "the model's usual settings"),
    "filters": (_FILTERS_FREE, "any model"),
}
