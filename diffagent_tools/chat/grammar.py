"""The words of a chat that refine a request: clause by clause, one table of patterns.

    >>> read_clause("make it wide", follows=True)
    Step(kind='shape', value='wide')
    >>> read_clause("a wide river", follows=True) is None
    True

A clause is a refinement only where all of its words are accounted for, so that "a wide river" stays a thing
to draw. In a first message (`follows` false), words that are also subjects ("portrait", "another") need more
around them ("in portrait format").
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from retrieval.errors import UnknownBaseModel
from retrieval.tables.families import family_of
from retrieval.tables.samplers import find_sampler

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
    "add",
    "like",
    "avoid",
    "remove",
    "replace",
    "another",
    "refuse",
    "pick",
    "take",
    "undo",
    "reset",
    "licence",
    "why",
    "show",
    "help",
    "thanks",
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
NOISE = frozenset({"no", "yes", "ok", "okay", "please", "well", "hmm", "so", "now", "and", "then", "thanks"})
"""Clauses that say nothing beside others."""


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    step: Callable[[re.Match[str], bool], Step | None]


_BEFORE = re.compile(
    r"(?:(?:please|ok|okay|now|but|and|also|well|then|so|just|rather|actually|hmm+|oh|maybe"
    r"|can you|could you|would you|will you|i want|i would like|i'd like|i need|let's|how about|what about"
    r")[\s,]+)*"
)
_AFTER = re.compile(r"(?:[\s,]+(?:please|instead|now|then|too|thanks|thank you|for me|this time))*\s*[.!?]*$")
_SHAPES = {
    "wide": "wide|wider|widescreen|wide ?screen|landscape|horizontal|panoramic|panorama",
    "tall": "tall|taller|portrait|vertical|upright",
    "square": "square|squared",
}
_COMMON_RATIOS = {(16, 9), (9, 16), (16, 10), (3, 2), (2, 3), (4, 3), (3, 4), (1, 1), (21, 9)}
_COMMON_RATIOS |= {(4, 5), (5, 4), (2, 1), (1, 2), (7, 5), (5, 7)}
# names of families that are also words to draw: they need a word such as "use" before, or "models" behind
_EVERYDAY = {"pony", "flux", "chroma", "anima", "lumina", "ernie", "illustrious", "noob", "il", "xl", "qwen"}
_EVERYDAY |= {"kolors", "ponyxl", "qwen2", "nobody"}
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6}
_MODEL = "(?:one|model|lora|checkpoint)"
_IT = "(?:it|this|that|them|these|those|the (?:image|picture|photo|result|output)s?)"


def read_clause(clause: str, *, follows: bool) -> Step | None:
    """What a clause asks for, or None where it is something to draw.

    Args:
        follows: something was asked for before.
    """
    if len(clause) > LONGEST_CLAUSE:
        return None
    return _first(_RULES, (_core(clause, whole=True), _core(clause)), follows)


def read_named(clause: str, known: "Known") -> Step | None:
    """A model that a clause takes or refuses by its name."""
    if len(clause) > LONGEST_CLAUSE:
        return None
    match = _NAMED.fullmatch(_core(clause, keep_case=True))
    if match is None:
        return None
    model_id = known(match["name"].strip(" \"'"), bool(match["kind"]))
    return None if model_id is None else Step("refuse" if match["no"] else "take", model_id)


def read_wording(clause: str) -> Step | None:
    """What a clause changes in the prompt, in words of its own: "add a moon", "no text", "more like ..."."""
    if len(clause) > LONGEST_CLAUSE:
        return None
    return _first(_WORDINGS, (_core(clause, keep_case=True),), True)


def _first(rules: "tuple[_Rule, ...]", cores: tuple[str, ...], follows: bool) -> Step | None:
    for rule in rules:
        for core in dict.fromkeys(cores):
            match = rule.pattern.fullmatch(core)
            step = rule.step(match, follows) if match else None
            if step is not None:
                return step
    return None


def _core(clause: str, *, keep_case: bool = False, whole: bool = False) -> str:
    """The clause without the politeness around it; `whole` leaves that before it."""
    text = " ".join(clause.replace("’", "'").split())
    folded = text.lower()
    if len(folded) != len(text):  # a letter whose lower case is longer: positions would not agree
        text = folded
    start = _BEFORE.match(folded)
    begin = start.end() if start and not whole else 0
    end = _AFTER.search(folded, begin)
    stop = end.start() if end else len(folded)
    # "now", "then" alone, or "yes please": nothing is left, and nothing is taken off
    if begin >= stop:
        begin, stop = 0, len(text)
    return (text if keep_case else folded)[begin:stop].strip()


def _rule(pattern: str, step: Callable[[re.Match[str], bool], Step | None]) -> _Rule:
    return _Rule(re.compile(pattern, re.IGNORECASE), step)


def _says(pattern: str, step: Step, *, first: bool = False) -> _Rule:
    """A fixed wish; `first`: also in a first message."""
    return _rule(pattern, lambda match, follows: step if follows or first else None)


def _shape(match: re.Match[str], follows: bool) -> Step | None:
    told = match["do"] or match["form"]
    # "a portrait" is a subject, "make it a portrait" a shape
    if not told and (match["article"] or not follows):
        return None
    word = match["word"]
    return next(
        Step("shape", name) for name, words in _SHAPES.items() if re.fullmatch(words, word, re.IGNORECASE)
    )


def _side(match: re.Match[str], follows: bool) -> Step:
    wide = match["side"].lower().startswith("wid")
    return Step("width" if wide else "height", int(match["n"]))


def _ratio(match: re.Match[str], follows: bool) -> Step | None:
    sides = int(match["w"]), int(match["h"])
    told = match["before"] or match["after"]
    if 0 in sides or not (told or sides in _COMMON_RATIOS):
        return None
    return Step("ratio", sides)


def _family(match: re.Match[str], follows: bool) -> Step | None:
    name = match["name"]
    key = re.sub(r"\W", "", name).lower()
    if key in _EVERYDAY and not (match["before"] or match["after"]):
        return None
    try:
        return Step("family", family_of(name).name)
    except UnknownBaseModel:
        return None


def _type(match: re.Match[str], follows: bool) -> Step:
    lora = match["type"].lower().startswith("lora")
    return Step("type", "LORA" if lora != bool(match["no"]) else "Checkpoint")


def _sampler(match: re.Match[str], follows: bool) -> Step | None:
    found = find_sampler((match["behind"] or match["before"]).strip())
    return Step("sampler", found.name) if found else None


def _pick(match: re.Match[str], follows: bool) -> Step | None:
    word = match["place"].lower()
    place = _ORDINALS.get(word, -1 if word == "last" else 0) or int(word)
    # "7" alone is no subject; "first" alone is
    return Step("pick", place) if follows else None


_SELL = r"(?:sell|use .*commercially|make money (?:with|from)|earn money (?:with|from)|commercial(?:ly)?)"
_RULES = (
    _rule(
        r"(?P<do>(?:make|turn|render|draw|get|do) (?:it |this |that |the (?:image|picture|photo) )?"
        r"|it (?:should|must) be )?(?:to be |be |in(?:to)? |as |more |much )*(?P<article>an? )?"
        rf"(?P<word>{'|'.join(_SHAPES.values())})"
        r"(?P<form> (?:format|orientation|image|picture|photo|shape|mode|layout|aspect(?: ratio)?))?",
        _shape,
    ),
    _rule(
        r"(?:--size |make it |set it to |(?:set )?(?:the )?(?:size|resolution)(?: to| is| of|:|=)? "
        r"|(?:in|at) )?"
        r"(?P<w>\d{2,5}) ?(?:px )?(?:x|×|\*|by) ?(?P<h>\d{2,5}) ?(?:px|pixels?)?(?: (?:size|resolution))?",
        lambda match, follows: Step("size", (int(match["w"]), int(match["h"]))),
    ),
    _rule(
        r"(?P<before>--ar |make it |(?:an? |the )?(?:aspect )?(?:ratio|format)(?: of| to| is|:"
        r"|=)? )?(?:in )?(?P<w>\d{1,2}) ?[:/] ?(?P<h>\d{1,2})(?P<after> (?:aspect )?(?:ratio|format))?",
        _ratio,
    ),
    _rule(
        r"(?:set )?(?:the )?(?P<side>width|height)(?: to| of| is|:|=)? ?(?P<n>\d{2,5}) ?(?:px|pixels)?",
        _side,
    ),
    _rule(r"(?:make it )?(?P<n>\d{2,5}) ?(?:px|pixels)? (?P<side>wide|tall|high)", _side),
    _says(
        rf"(?:make {_IT} )?(?:(?:a bit|much|even) )?(?:bigger|larger|higher resolution)", Step("scale", 1.25)
    ),
    _says(rf"(?:make {_IT} )?(?:a bit |much |even )?smaller", Step("scale", 0.8)),
    _rule(
        r"(?:only |use |using |with |switch to |prefer |it must be |as )*(?P<no>no |not "
        r"|without )?(?:an? |the )?"
        r"(?P<type>loras?|checkpoints?)(?: models?)?(?: only)?",
        _type,
    ),
    _says(
        r"(?:any|either|no matter (?:which|what)) type|(?:any )?(?:loras? or checkpoints?"
        r"|checkpoints? or loras?)"
        r"|(?:the )?type (?:does not|doesn't) matter",
        Step("type"),
        first=True,
    ),
    _says(
        r"any (?:base model|family)|(?:the )?base model (?:does not|doesn't) matter",
        Step("family"),
        first=True,
    ),
    _rule(
        r"(?P<before>only |use |using |switch to |on |for |with |(?:the )?base model(?: is| to|:|=)? )*"
        r"(?:an? |the )?(?P<name>[\w.][\w. -]{0,30}?)(?P<after>(?: models?| base model| only| family)+)?",
        _family,
    ),
    _says(
        rf"(?:may|can|could|am) i (?:be )?(?:allowed to )?(?:{_SELL})(?: {_IT})?(?: commercially)?"
        rf"|is (?:commercial use|selling)(?: {_IT})? (?:allowed|ok|okay|possible|fine)"
        rf"|(?:is|are) {_IT} (?:free )?for commercial use"
        r"|(?:what(?: is|'s) )?(?:the|its)? ?licen[cs]e(?: of (?:it|this|that))?",
        Step("licence"),
        first=True,
    ),
    _says(
        rf"(?:only )?(?:use |take )?(?:(?:models?|ones?|something|images?) )?(?:that |which "
        rf"|whose images )?"
        rf"(?:i|we) (?:may|can|want to|will|must be able to"
        rf"|am allowed to) {_SELL}(?: {_IT})?(?: commercially)?"
        r"|(?:only |it is |it's |this is )*(?:for )?commercial(?:ly)? (?:use|usable"
        r"|purposes?)(?: (?:only|models?))*"
        r"|(?:it )?must be (?:sellable|commercially usable)|commercial(?: models?)? only"
        r"|only commercial(?: models?)?",
        Step("commercial", True),
        first=True,
    ),
    _says(
        r"any licen[cs]e|(?:the )?licen[cs]e (?:does not|doesn't) matter|(?:it is |it's )?not for sale"
        r"|(?:it is |it's )?not for commercial use|non-?commercial(?: use)?(?: is fine)?",
        Step("commercial", None),
    ),
    _rule(
        r"(?:use |with |set )?(?:(?P<n>\d{1,4}) (?:sampling )?steps"
        r"|(?:the )?(?:sampling )?steps(?: to| is|:|=)? "
        r"?(?P<m>\d{1,4}))",
        lambda match, follows: Step("steps", int(match["n"] or match["m"])),
    ),
    _rule(
        r"(?:use |with |set )?(?:the )?(?:cfg|cfg scale|guidance|guidance scale)(?: of| to| is|:|=)? "
        r"?(?P<n>\d{1,3}(?:\.\d{1,2})?)",
        lambda match, follows: Step("cfg", float(match["n"])),
    ),
    _rule(
        r"(?:use |with |set )?(?:the )?(?:(?:sampler|sampling method)(?: to| is|:|=)? (?P<behind>.+)"
        r"|(?P<before>.+) (?:sampler|sampling method))",
        _sampler,
    ),
    _says(
        rf"(?:show me |give me |try |get |find )?(?:(?:yet )?another(?: {_MODEL})?|something else"
        rf"|an? (?:different|other) {_MODEL}|(?:different|other) {_MODEL}|(?:the )?next(?: {_MODEL})?)"
        r"|try again",
        Step("another"),
    ),
    _says(
        rf"(?:not|never|without|anything but) (?:that|this|the)(?: {_MODEL})?(?: again)?"
        rf"|i (?:don't|do not) like (?:it|that|this|the)(?: {_MODEL})?|wrong {_MODEL}|not it",
        Step("refuse"),
    ),
    _rule(
        rf"(?:(?:use|take|pick|choose|i like|i prefer|select) )?(?:the )?(?:number |no\.? ?|# ?|{_MODEL} )?"
        rf"(?P<place>[1-9]|{'|'.join(_ORDINALS)}|last)(?:st|nd|rd|th)?(?: (?:{_MODEL}|alternative))?",
        _pick,
    ),
    _says(
        r"undo(?: (?:that|it|the last (?:one|step|change)))?|(?:go )?back|take (?:that|it) back|revert"
        r"|never ?mind|as (?:it was )?before",
        Step("undo"),
    ),
    # alone it is about the model; before a comma it is noise
    _says(r"no|nope", Step("refuse")),
    _says(
        r"why(?: (?:that|this|it)(?: one| model)?| (?:did|do) you (?:choose|pick|take|chose).*)?", Step("why")
    ),
    _says(
        r"what (?:do|did|have) you (?:have|understand|understood)(?: so far)?"
        r"|(?:show(?: me)? )?(?:the )?(?:request"
        r"|settings|status)",
        Step("show"),
    ),
    _says(r"help(?: me)?|\?|what can i (?:say|do|ask)|commands", Step("help"), first=True),
    _says(
        r"thanks|thank you(?: very much)?|thx|(?:that(?: is|'s) )?(?:great|perfect|nice|good|lovely"
        r"|fine|it)"
        r"|ok|okay|yes|cool|i like (?:it|that|this)(?: one)?",
        Step("thanks"),
    ),
    _says(r"hello|hi|hey|good (?:morning|day|evening)", Step("help"), first=True),
)
_NAMED = re.compile(
    r"(?:(?P<no>not|never|anything but)|use|take|pick|choose) (?:the )?(?P<kind>model |lora |checkpoint )?"
    r"(?P<name>.{2,120}?)",
    re.IGNORECASE,
)
_START_OVER = re.compile(
    r"(?:please |ok |okay |no |now )*(?:(?:let's )?start (?:over|again|afresh|anew)|reset|restart"
    r"|begin again|from "
    r"scratch|forget (?:it|that|everything|all (?:of )?that)|(?:a |an )?(?:completely "
    r"|entirely )?new (?:image|"
    r"picture|request|chat))(?: please)?(?:[\s,:.!-]+(?:with |of |and draw |but )?(?P<rest>.+)|[\s.!]*)",
    re.IGNORECASE | re.DOTALL,
)


def read_start_over(message: str) -> str | None:
    """What is wanted instead (perhaps nothing, "") of a message that starts over; else None."""
    match = _START_OVER.fullmatch(message)
    return None if match is None else (match["rest"] or "").strip()


_WORDINGS = (
    _rule(
        r"(?:replace|swap|change|exchange) (?:the |a |an |that |this )?(?P<old>.+?) (?:with|by|for"
        r"|to|into) "
        r"(?P<new>.+)",
        lambda match, follows: Step("replace", (match["old"], match["new"])),
    ),
    _rule(
        r"(?P<new>.+?) instead of (?:the |a |an |that |this )?(?P<old>.+)",
        lambda match, follows: Step("replace", (match["old"], match["new"])),
    ),
    _rule(
        r"(?:remove|drop|delete|take away|get rid of|leave out) (?:the |a |an |all |any )?(?P<what>.+)",
        lambda match, follows: Step("remove", match["what"]),
    ),
    _rule(
        r"(?:no|without|avoid|with no|do not show|don't show|less(?: like)?|not) (?:the |a |an |any "
        r"|so )?(?P<what>.+)",
        lambda match, follows: Step("avoid", match["what"]),
    ),
    _rule(
        r"(?:make it |it should be |it should look )?(?:(?:a bit|a little|much) )?(?:more|rather"
        r"|look) like "
        r"(?:a |an )?(?P<what>.+)|(?:make it |turn it into )?(?:like )(?:a |an )(?P<like>.+)",
        lambda match, follows: Step("like", match["what"] or match["like"]),
    ),
    _rule(
        r"(?:add|include|put in|there should be|there must be|make (?:it|that)|turn (?:it"
        r"|that) into) (?P<what>.+)",
        lambda match, follows: Step("add", match["what"]),
    ),
)
