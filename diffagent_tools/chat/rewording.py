"""How a wish is reworded: a thing added, taken out or replaced, and a style that takes the place of another.

>>> reworded("a happy corgi, pixel art", "", Step("like", "watercolour"))
({'prompt': 'a happy corgi, watercolour'}, '"watercolour" instead of "pixel art"')
>>> reworded("a lake with a boat at sunset", "", Step("remove", "boat"))
({'prompt': 'a lake at sunset'}, 'took "boat" out of the prompt')
"""

import re
from typing import Any

from diffagent_tools.chat.steps import Step
from diffagent_tools.chat.styles import is_style, spoken, without_style
from diffagent_tools.quoting import quoted

_SAID_CHARS = 80
_PLACES = re.compile(
    r"(?:background|foreground|sky|season|weather|time of day|place|setting|light"
    r"|lighting)",
    re.I,
)

# what a thing has only one of: another one takes its place
_LOOKS = (
    r"(?:red|blue|green|yellow|orange|purple|pink|brown|black|white|gray|grey|blonde?|golden?|silver|dark"
    r"|light|bright"
    r"|long|short|big|small|large|tiny|huge|old|young|happy|sad|angry|curly|straight|cloudy|clear|stormy)"
)


def reworded(prompt: str, negative: str, step: Step) -> tuple[dict[str, Any], str]:
    """What a step changes of a prompt and a negative prompt, and that in words."""
    value: Any = spoken(step.value) if isinstance(step.value, str) else step.value
    if step.kind in ("remove", "avoid"):
        return _refused(prompt, negative, step)
    if step.kind == "replace":
        old, value = value
        found = _word(old).search(prompt)
        if found:
            article = (
                bool(
                    re.match(
                        r"(?:an?"
                        r"|the) ",
                        found.group(),
                        re.I,
                    )
                )
                or not prompt[: found.start()].strip()
            )
            new = value if article else re.sub(r"^(?:an?|the) (?=\S)", "", value, flags=re.I)
            made = prompt[: found.start()] + new + prompt[found.end() :]
            return {"prompt": made}, f"{_said(found.group().strip())} became {_said(new)}"
        if _PLACES.fullmatch(old) and old.casefold() not in value.casefold():
            value = f"{re.sub(r'^(?:an?|the) ', '', value, flags=re.I)} {old}"
    if step.kind == "attribute":
        how, thing = value
        found = re.search(rf"\b(?P<old>{_LOOKS}) (?={re.escape(thing)}\b)", prompt, re.I)
        if found:
            made = f"{prompt[: found.start()]}{how} {prompt[found.end() :]}"
            before, after = f"{found['old']} {thing}", f"{how} {thing}"
            return {"prompt": made}, f"{_said(before)} became {_said(after)}"
        value = f"{how} {thing}"
    if not prompt:
        return {"prompt": value}, f"a picture of {_said(value)}"
    if step.kind == "subject" and not is_style(value):
        return _other_subject(prompt, value)
    update: dict[str, Any] = {}
    wanted = [part for part in negative.split(",") if part.strip() and not _word(part.strip()).search(value)]
    if len(wanted) != len([part for part in negative.split(",") if part.strip()]):
        # what is asked for now is refused no longer
        update["negative_prompt"] = ",".join(wanted).strip(" ,")
    if is_style(value):
        left, gone = without_style(prompt)
        if gone and left != prompt:
            style = ", ".join(gone)
            return {"prompt": joined(left, value), **update}, f"{_said(value)} instead of {_said(style)}"
    if _word(value).search(prompt):
        return update, f"{_said(value)} is in the prompt already"
    return {"prompt": joined(prompt, value), **update}, f"added {_said(value)} to the prompt"


def _refused(prompt: str, negative: str, step: Step) -> tuple[dict[str, Any], str]:
    """A thing out of the wish where it is in it, else into the negative prompt."""
    value = step.value
    left = _without(prompt, value)
    if left is None and step.kind == "remove" and (is_style(value) or is_style(f"{value} style")):
        shorter, gone = without_style(prompt)
        left = shorter if gone and value.casefold() in " ".join(gone).casefold() else None
    if left is not None:
        update: dict[str, Any] = {"prompt": left}
        if step.kind == "remove":
            return update, f"took {_said(value)} out of the prompt"
        return update | {"negative_prompt": joined(negative, value)}, f"without {_said(value)}"
    if _word(value).search(negative):
        return {}, f"without {_said(value)}"
    return {"negative_prompt": joined(negative, value)}, f"without {_said(value)}"


def _other_subject(prompt: str, subject: str) -> tuple[dict[str, Any], str]:
    """The first clause that is no style makes room for another subject."""
    clauses = [clause.strip() for clause in prompt.split(",")]
    place = next((place for place, clause in enumerate(clauses) if not is_style(clause)), 0)
    old, clauses[place] = clauses[place], subject
    return {"prompt": ", ".join(clauses)}, f"{_said(old)} became {_said(subject)}"


def joined(before: str, more: str) -> str:
    """Two wishes with a comma between them."""
    more = more.strip(" ,")
    return f"{before.rstrip(' ,.')}, {more}" if before else more


def _said(text: str) -> str:
    return quoted(text, _SAID_CHARS)


def _word(text: str) -> re.Pattern[str]:
    """The words of a text, with an article before them if it is there."""
    words = r"\s+".join(re.escape(word) for word in text.split())
    return re.compile(rf"(?:\b(?:a|an|the)\s+)?(?<!\w){words}(?!\w)", re.IGNORECASE)


def _without(prompt: str, text: str) -> str | None:
    """The prompt without a text that it says; None where it does not, or where nothing would be left."""
    found = _word(text).search(prompt)
    if found is None:
        return None
    before = re.sub(
        r"\s+(?:with|and|of|in|under|at|near|on|by|wearing|having)$", "", prompt[: found.start()].rstrip()
    )
    left = f"{before} {prompt[found.end() :].lstrip()}"
    left = re.sub(r"\s+,", ",", re.sub(r"(?:,\s*){2,}", ", ", left)).strip(" ,")
    return left if re.search(r"\w", left) and not re.fullmatch(r"(?:an?|the)", left, re.I) else None
