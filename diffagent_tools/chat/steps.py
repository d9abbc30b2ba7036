"""What a message can ask for, and how a clause is matched with a table of phrases.

    >>> rules = (says("wider", Step("shape", "wide")),)
    >>> first_of(rules, "Wider, please!", follows=True)
    Step(kind='shape', value='wide')

A clause is a refinement only where all of its words are accounted for, so that "a wide river" stays a thing
to draw. In a first message (`follows` false), words that are also subjects ("portrait", "another") need more
around them ("in portrait format").
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "shape",
    "size",
    "ratio",
    "width",
    "height",
    "scale",
    "type",
    "family",
    "commercial",
    "steps",
    "cfg",
    "sampler",
    "weight",
    "clip skip",
    "free",
    "nudge",
    "add",
    "like",
    "more",
    "avoid",
    "remove",
    "replace",
    "subject",
    "attribute",
    "another",
    "refuse",
    "pick",
    "take",
    "undo",
    "again",
    "unknown",
    "licence",
    "why",
    "show",
    "help",
    "thanks",
    "ask",
    "yes",
    "no",
    "unclear",
]
LONGEST_CLAUSE = 160
"""Characters; a longer clause is never a refinement."""


@dataclass(frozen=True)
class Step:
    """One thing that a clause asks for; what `value` is depends on the kind."""

    kind: Kind
    value: Any = None


Known = Callable[[str, bool], int | None]
"""The id of the model with a name, if there is one; True: the name was said to be a model's."""


@dataclass(frozen=True)
class Rule:
    """A phrase, and what it asks for; the step is None where it asks for nothing after all."""

    pattern: re.Pattern[str]
    step: Callable[[re.Match[str], bool], Step | None]


Rules = tuple[Rule, ...]

MODEL = "(?:one|model|lora|checkpoint|suggestion|option|result|answer|choice)"
IT = "(?:it|this|that|them|these|those|the (?:image|picture|photo|result|output|whole thing)s?)"

_BEFORE = re.compile(
    r"(?:(?:please|pls|ok|okay|now|but|and|also|well|then|so|just|rather|actually|hmm+|oh|maybe|perhaps"
    r"|alright"
    r"|all right|sorry|great|nice|cool|perfect|good|hey|can you|could you|would you|will you|can we|could we"
    r"|can i have|could i have|can i get|could i get|i want|i would like|i'd like|i would love|i'd love|i "
    r"need"
    r"|i think|i'd prefer|i would prefer|i prefer|let's|lets|let us|how about|what about|why not|what if|try "
    r"to"
    r"|(?:the )?same(?: (?:thing|one|picture|image|again|prompt))?,? (?:but|only|just)(?: with| as)?"
    r"|(?:the )?same(?: (?:thing|one|picture|image|again|prompt))?(?= (?:in|with|at|as|on|for) )"
    r")[\s,]+)*"
)
_AFTER = re.compile(
    r"(?:[\s,]+(?:please|pls|instead|now|then|too|as well|thanks|thank you|thx|for me|this time|again|if "
    r"possible"
    r"|if you can|after all|though|whatever|instead of that|maybe|perhaps|ok|okay|(?:would|might|could) be "
    r"(?:better|nicer|nice|great"
    r"|good|best|cool)"
    r"|(?:is|was|looks|looked|sounds) (?:better|good|nice|nicer|best|great)))*\s*[.!?…]*$"
)

_ASKING = re.compile(
    r"(?:(?:do you (?:also )?have (?:it |that |this |one |something |anything |any )?(?:for)?"
    r"|(?:can|could|would|should|may|will|shall) (?:you|it|we|i|this|that)(?: also)?(?: be| get| do| make| "
    r"have| go"
    r"| use| try| give me| show me| turn)?(?: it| this| that)?(?: to)?"
    r"|(?:i|we)(?:'d| would|'ll| will)?(?: rather)? (?:want|need|like|prefer|love|only have|have|meant)(?: "
    r"it| this)?(?: to be| to have)?"
    r"|(?:it |that |this )?(?:needs|wants)(?: to be| to have)?|(?:it |that |this )?(?:should|must) be|make "
    r"it|try it"
    r"|redo it|do it|get it|have it|go for|go with|give me|show me|i'll take|i will take|make that|let me "
    r"(?:have|see)"
    r"|change it|switch|go up to|go down to|go|do|try|use|can i see|i'd rather|(?:it|this|that)(?= (?:in|at"
    r"|on|with|as|to) ))[\s,]+)*"
)
_FILLER = re.compile(
    r"\b(?:exactly|actually|really|basically|just|maybe|perhaps|simply|kindly|please|pls|ever"
    r"|even)\b",
    re.IGNORECASE,
)


def rule(pattern: str, step: Callable[[re.Match[str], bool], Step | None]) -> Rule:
    """A phrase whose words decide what it asks for."""
    return Rule(re.compile(pattern, re.IGNORECASE), step)


def says(pattern: str, step: Step, *, first: bool = False) -> Rule:
    """A fixed wish; `first`: also in a first message."""
    return rule(pattern, lambda match, follows: step if follows or first else None)


def first_of(rules: Rules, clause: str, *, follows: bool, keep_case: bool = False) -> Step | None:
    """What the first rule that fits all of a clause says; its politeness counts only where that helps.

    Args:
        keep_case: the rules take over words as they are: the barest form goes first.
    """
    if len(clause) > LONGEST_CLAUSE:
        return None
    forms = bare_forms(clause, keep_case=keep_case)
    forms = forms[::-1] if keep_case else forms
    for each in rules:
        for form in forms:
            match = each.pattern.fullmatch(form)
            step = each.step(match, follows) if match else None
            if step is not None:
                return step
    return None


def bare_forms(clause: str, *, keep_case: bool = False) -> tuple[str, ...]:
    """The clause, then without politeness behind it, on both sides, and without the words that ask for it."""
    text = " ".join(clause.replace("’", "'").split())
    if len(text.lower()) != len(text):  # a letter whose lower case is longer: positions would not agree
        text = text.lower()
    text = text.rstrip(" .!?…") or text
    behind = _without_end(text)
    simple = _without_start(_BEFORE, " ".join(_FILLER.sub(" ", text).split()))
    asked = _without_start(_ASKING, simple)
    bare = _without_start(_ASKING, _without_end(simple))
    forms = dict.fromkeys((text, behind, _without_start(_BEFORE, behind), asked, bare))
    return tuple(forms) if keep_case else tuple(dict.fromkeys(form.lower() for form in forms))


def _without_end(text: str) -> str:
    found = _AFTER.search(text.lower())
    # "now", "then" alone, or "yes please": nothing is left, and nothing is taken off
    return text[: found.start()].strip() if found and found.start() else text


def _without_start(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text.lower())
    return text[found.end() :].strip() if found and found.end() < len(text) else text
