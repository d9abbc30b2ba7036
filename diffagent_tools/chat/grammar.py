"""How a message of a chat is read: clause by clause, with the tables of phrases of "
"diffagent_tools/chat/words.

    >>> read_message("make it wide, and remove the boat", follows=True)
    (Step(kind='shape', value='wide'), Step(kind='remove', value='boat'))
    >>> read_message("a wide river", follows=True)
    (Step(kind='add', value='a wide river'),)

No language model: what no table knows is a wish for the picture, unless it asks or tells something.
"""

import re
from collections.abc import Iterator

from diffagent_tools.chat.steps import LONGEST_CLAUSE, Known, Step, bare_forms, first_of
from diffagent_tools.chat.styles import is_style
from diffagent_tools.chat.words.filters import FILTERS
from diffagent_tools.chat.words.languages import read_other_language
from diffagent_tools.chat.words.models import MODELS, read_named
from diffagent_tools.chat.words.questions import QUESTIONS, seems_no_wish
from diffagent_tools.chat.words.settings import SETTINGS
from diffagent_tools.chat.words.wishes import SWAPS, WISHES, starts_a_wish
from retrieval.records.api import MAX_PROMPT_CHARS

_NOISE_WORDS = """
    hm whatever no nope nah yes yep yeah sure ok okay please well hmm so now and then thanks oh great cool
    nice good sorry actually hey wow
"""
NOISE = frozenset(_NOISE_WORDS.split())
"""Clauses that say nothing beside others."""

_RULES = (*SETTINGS, *FILTERS, *QUESTIONS, *MODELS)
_SEPARATORS = re.compile(r"(?:(?<!\d),|,(?!\d)|;|\n|[.!?](?=\s|$))\s*")
_AND = re.compile(r"(?:,\s*)?(?:\b(?:and|but|also|then)\b|[&+])\s+", re.IGNORECASE)
_KIND_OF_FAMILY = re.compile(
    r"(?:only |use |with |show me |give me )?(?:an? |the )?(?:(?P<before>.+?) )?(?P<type>loras?|checkpoints?)"
    r"(?: for (?P<behind>.+?))?(?: only)?",
    re.IGNORECASE,
)
_FLAG = re.compile(
    r"\s{0,8}(?:--ar \d{1,2}:\d{1,2}|(?:\b(?:in|at|size)\s+)?(?<![\w.])\d{3,4} ?[x×] ?\d{3,4}\b(?![\w.]))",
    re.I,
)
_QUOTED = re.compile(r"\s*[\"“](.+)[\"”]\s*", re.DOTALL)
_STYLE_ENDS = re.compile(r"^(?:(?:in|as|like|a|an|the) )+|(?: version| look)$", re.IGNORECASE)
_LONGEST_SPLIT = 400


def _nobody(name: str, sure: bool) -> int | None:
    return None


def read_clause(clause: str, *, follows: bool) -> Step | None:
    """What a clause asks for, or None where it is something to draw.

    Args:
        follows: something was asked for before.
    """
    return first_of(_RULES, clause, follows=follows)


def read_wording(clause: str) -> Step | None:
    """What a clause changes in the prompt, in words of its own: "add a moon", "no text", "more like ..."."""
    found = first_of(WISHES, clause, follows=True, keep_case=True)
    if found is not None or len(clause) > LONGEST_CLAUSE:
        return found
    style = next((form for form in bare_forms(clause, keep_case=True)[::-1] if is_style(form)), None)
    return None if style is None else Step("like", _STYLE_ENDS.sub("", style))


def read_message(message: str, *, follows: bool, known: Known = _nobody) -> tuple[Step, ...]:
    """The steps of a message in order; what is no refinement is one last step that adds to the prompt.

    Args:
        follows: something was asked for before.
        known: knows models by name.
    """
    quoted = _QUOTED.fullmatch(message)
    if quoted:
        return (Step("add", quoted[1].strip()),)
    whole = _read_whole(message, follows, known)
    if whole:
        return whole
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
        found, left = _split(clause, follows, known)
        steps += found
        # a first message says what to draw before it says what to leave out
        wording = read_wording(left) if left and (follows or rest) else None
        if wording is not None and (follows or wording.kind == "avoid"):
            steps.append(wording)
        elif left:
            rest.append(left)
    if rest:
        kept = message if not steps and not follows else ", ".join(rest)
        asked = f"{kept}?" if message.rstrip().endswith("?") else kept
        steps.append(Step("unclear" if follows and seems_no_wish(asked) else "add", kept))
    return tuple(steps)


def _read_whole(message: str, follows: bool, known: Known) -> tuple[Step, ...]:
    """A message that is one phrase with its commas and stops, or a phrase of another language."""
    if len(message) > LONGEST_CLAUSE:
        return ()
    step = read_clause(message, follows=follows)
    if step is None and follows:
        step = first_of(SWAPS, message, follows=True, keep_case=True)
    if step is not None:
        return (step,)
    return read_other_language(message) if follows or not message.isascii() else ()


def _clauses(message: str) -> Iterator[str]:
    for clause in _SEPARATORS.split(message):
        if clause.strip():
            yield clause.strip()


def _split(clause: str, follows: bool, known: Known) -> tuple[list[Step], str]:
    """The refinements at either end of a clause joined by "and", and what is left between them."""
    named = read_named(clause, known) if follows and len(clause) <= LONGEST_CLAUSE else None
    if named is not None and named.kind != "unknown":
        return [named], ""
    whole = read_clause(clause, follows=follows)
    if whole is not None:
        return [whole], ""
    if len(clause) > _LONGEST_SPLIT:
        return [], clause
    kind = _KIND_OF_FAMILY.fullmatch(clause)
    if kind is not None and (kind["before"] or kind["behind"]):
        family = read_clause(f"only {kind['before'] or kind['behind']}", follows=follows)
        if family is not None and family.kind in ("family", "commercial"):
            return [Step("type", "LORA" if kind["type"][0] in "lL" else "Checkpoint"), family], ""
    for joint in _AND.finditer(clause):
        head, tail = clause[: joint.start()].strip(), clause[joint.end() :].strip()
        first = read_clause(head, follows=follows) if head else None
        if first is not None and first.kind not in ("thanks", "yes", "no"):
            steps, left = _split(tail, follows, known)
            return [first, *steps], left
        last = read_clause(tail, follows=follows) if head and tail else None
        if last is not None and last.kind not in ("thanks", "yes", "no"):
            steps, left = _split(head, follows, known)
            return [*steps, last], left
        if follows and head and starts_a_wish(tail):
            wording = read_wording(tail)
            if wording is not None:
                steps, left = _split(head, follows, known)
                before = read_wording(left) if left else None
                return [*steps, *([before] if before else []), wording], "" if before else left
    return ([named], "") if named is not None else ([], clause)
