"""A standing request that a chat refines: what is wanted so far, and how one message changes it.

    request = refine(StandingRequest(), "a happy corgi, pixel art").request
    refined = refine(request, "make it wide, at night, and only LoRAs")
    refined.request.prompt        # "a happy corgi, pixel art, at night"
    refined.understood            # ("wide", 'added "at night" to the prompt', "only LoRAs")

A small grammar (diffagent_tools/chat/grammar.py), no language model: the clauses it knows change the
request or ask something, the rest is appended to the prompt. A message in quotation marks is all prompt.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from diffagent_tools.chat.grammar import (
    NOISE,
    Kind,
    Known,
    Step,
    read_clause,
    read_named,
    read_start_over,
    read_wording,
)
from diffagent_tools.quoting import plain, quoted
from retrieval.calls.shape import shaped
from retrieval.calls.shape import step as whole_step
from retrieval.records.api import MAX_PROMPT_CHARS, T2IApi
from retrieval.requests.sizes import Shape

KEPT = 20
"""Earlier requests that can be gone back to."""

_SAID_CHARS, _TOLD_CHARS = 80, 300
QUESTIONS: tuple[Kind, ...] = ("licence", "why", "show", "help", "thanks")
"""They are answered and change nothing."""
ACTS: tuple[Kind, ...] = ("another", "refuse", "pick", "take", "undo")
"""They are about the models that were found, which a request does not know."""

_OTHER_MODELS: tuple[Kind, ...] = ("like", "type", "family", "commercial")
_SEPARATORS = re.compile(r"(?:(?<!\d),|,(?!\d)|;|\n|[.!?](?=\s|$))\s*")
_AND = re.compile(r"(?:,\s*)?\b(?:and|but|also|then)\b\s+", re.IGNORECASE)
_KIND_OF_FAMILY = re.compile(
    r"(?:only |use |with )?(?:(?P<before>.+?) )?(?P<type>loras?|checkpoints?)"
    r"(?: for (?P<behind>.+?))?(?: only)?",
    re.IGNORECASE,
)
_FLAG = re.compile(
    r"\s*(?:--ar \d{1,2}:\d{1,2}|(?:\b(?:in|at|size)\s+)?(?<![\w.])\d{3,4} ?[x×] ?\d{3,4}\b(?![\w.]))", re.I
)
_QUOTED = re.compile(r"\s*[\"“](.+)[\"”]\s*", re.DOTALL)


@dataclass(frozen=True)
class StandingRequest:
    """What is wanted so far. Sizes are in pixels; None is free.

    `ratio` is width to height; it and `shape` hold for every model, each at its own resolution, and `scale`
    multiplies that. `refused` are models that shall not come again; `seen` those that were passed over for
    these very words, and may come back with other ones. `pinned` is a model that the user chose: it stays
    until another kind of model is asked for.
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
            "prompt": plain(self.prompt, _TOLD_CHARS),
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
            "refused": f"{len(self.refused)} models" if self.refused else None,
        }
        return tuple(f"{name}: {value}" for name, value in told.items() if value)


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
    start = replace(request, history=())
    other = read_start_over(message) if request.prompt else None
    if other is not None:
        start, message = StandingRequest(), other
        understood.append("started over")
    made = start
    acts: list[Step] = []
    questions: list[Step] = []
    for step in read_message(message, follows=bool(start.prompt), known=known):
        if step.kind in QUESTIONS:
            questions.append(step)
        elif step.kind in ACTS:
            acts.append(step)
        else:
            update, words = _applied(made, step)
            if step.kind in _OTHER_MODELS:
                update["pinned"] = None
            made = replace(made, **update)
            understood.append(words)
    if made == replace(request, history=()):
        return Refined(request, tuple(understood), tuple(acts), tuple(questions))
    # with other words or filters, what was passed over may be right now
    made = replace(made, seen=(), history=_with(request))
    return Refined(made, tuple(understood), tuple(acts), tuple(questions), changed=True)


def _with(request: StandingRequest) -> tuple[StandingRequest, ...]:
    """The history that this request is the last of."""
    return (*request.history, replace(request, history=()))[-KEPT:] if request.prompt else request.history


def read_message(message: str, *, follows: bool, known: Known = _nobody) -> tuple[Step, ...]:
    """The steps of a message in order; what is no refinement is one last step that adds to the prompt."""
    quoted = _QUOTED.fullmatch(message)
    if quoted:
        return (Step("add", quoted[1].strip()),)
    steps: list[Step] = []
    rest: list[str] = []
    flags = [found.group() for found in _FLAG.finditer(message)] if len(message) <= MAX_PROMPT_CHARS else []
    for flag in flags:
        step = read_clause(flag.strip(), follows=follows)
        if step is not None:
            steps.append(step)
            message = message.replace(flag, " ", 1)
    clauses = list(_clauses(message))
    if len(clauses) > 1 or flags:
        clauses = [clause for clause in clauses if not follows or clause.lower() not in NOISE]
    for clause in clauses:
        named = read_named(clause, known) if follows else None
        if named is not None:
            steps.append(named)
            continue
        found, left = _split(clause, follows)
        steps += found
        # a first message says what to draw before it says what to leave out
        wording = read_wording(left) if left and (follows or rest) else None
        if wording is not None and (follows or wording.kind == "avoid"):
            steps.append(wording)
        elif left:
            rest.append(left)
    if rest:
        whole = not steps and not follows
        steps.append(Step("add", message if whole else ", ".join(rest)))
    return tuple(steps)


def sized(api: T2IApi, request: StandingRequest) -> tuple[int, int]:
    """Width and height of a chosen model under a request, before its family's limits."""
    width, height = shaped(api, shape=request.shape, ratio=request.ratio)
    if request.scale != 1:
        width, height = (whole_step(side * request.scale) for side in (width, height))
    return request.width or width, request.height or height


def _clauses(message: str) -> Iterator[str]:
    for clause in _SEPARATORS.split(message):
        if clause.strip():
            yield clause.strip()


def _split(clause: str, follows: bool) -> tuple[list[Step], str]:
    """The refinements at either end of a clause joined by "and", and what is left between them."""
    whole = read_clause(clause, follows=follows)
    if whole is not None:
        return [whole], ""
    if len(clause) > 400:
        return [], clause
    kind = _KIND_OF_FAMILY.fullmatch(clause)
    if kind is not None and (kind["before"] or kind["behind"]):
        family = read_clause(f"only {kind['before'] or kind['behind']}", follows=follows)
        if family is not None and family.kind == "family":
            return [Step("type", "LORA" if kind["type"][0] in "lL" else "Checkpoint"), family], ""
    for joint in _AND.finditer(clause):
        head, tail = clause[: joint.start()].strip(), clause[joint.end() :].strip()
        first = read_clause(head, follows=follows) if head else None
        if first is not None:
            steps, left = _split(tail, follows)
            return [first, *steps], left
        last = read_clause(tail, follows=follows) if head and tail else None
        if last is not None:
            return [last], head
    return [], clause


def _applied(request: StandingRequest, step: Step) -> tuple[dict[str, Any], str]:
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
        case _:
            return _reworded(request, step)


def _reworded(request: StandingRequest, step: Step) -> tuple[dict[str, Any], str]:
    """What a step changes in the two prompts."""
    value = step.value
    if step.kind == "remove":
        left = _without(request.prompt, value)
        if left is not None:
            return {"prompt": left}, f"took {_said(value)} out of the prompt"
    if step.kind in ("remove", "avoid"):
        return {"negative_prompt": _joined(request.negative_prompt, value)}, f"without {_said(value)}"
    if step.kind == "replace":
        old, value = value
        found = _word(old).search(request.prompt)
        if found:
            made = request.prompt[: found.start()] + value + request.prompt[found.end() :]
            return {"prompt": made}, f"{_said(found.group().strip())} became {_said(value)}"
    if not request.prompt:
        return {"prompt": value}, f"a picture of {_said(value)}"
    return {"prompt": _joined(request.prompt, value)}, f"added {_said(value)} to the prompt"


def _said(text: str) -> str:
    return quoted(text, _SAID_CHARS)


def _joined(before: str, more: str) -> str:
    more = more.strip(" ,")
    return f"{before.rstrip(' ,.')}, {more}" if before else more


def _word(text: str) -> re.Pattern[str]:
    """The words of a text, with an article before them if it is there."""
    words = r"\s+".join(re.escape(word) for word in text.split())
    return re.compile(rf"(?:\b(?:a|an|the)\s+)?(?<!\w){words}(?!\w)", re.IGNORECASE)


def _without(prompt: str, text: str) -> str | None:
    """The prompt without a text that it says; None where it does not, or where nothing would be left."""
    found = _word(text).search(prompt)
    if found is None:
        return None
    before = re.sub(r"\s+(?:with|and|of|in|under|at|near)$", "", prompt[: found.start()].rstrip())
    left = f"{before} {prompt[found.end() :].lstrip()}"
    left = re.sub(r"\s+,", ",", re.sub(r"(?:,\s*){2,}", ", ", left)).strip(" ,")
    return left or None
