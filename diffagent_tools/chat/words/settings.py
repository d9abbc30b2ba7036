"""Phrases about how the picture is made: shape, size, sampler, steps, cfg, LoRA weight, clip skip."""

import re

from diffagent_tools.chat.steps import IT, Rules, Step, rule, says
from retrieval.tables.samplers import find_sampler

_SHAPES = {
    "wide": "wide|wider|widescreen|wide ?screen|landscape|horizontal|panoramic|panorama",
    "tall": "tall|taller|portrait|vertical|upright",
    "square": "square|squared",
}
_COMMON_RATIOS = {(16, 9), (9, 16), (16, 10), (3, 2), (2, 3), (4, 3), (3, 4), (1, 1), (21, 9)}
_COMMON_RATIOS |= {(4, 5), (5, 4), (2, 1), (1, 2), (7, 5), (5, 7)}
# "heun" and "plms" are no words; "euler" is a mathematician of whom nobody says only the name
_SAMPLERS = re.compile(
    r"(?:k_|sample_)?(?:euler|dpm|ddim|heun|lms|plms|unipc|uni pc|lcm|restart|deis|er_sde|ipndm)\b.*|dpm.*"
)


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


def _sampler(match: re.Match[str], follows: bool) -> Step | None:
    name = (match["behind"] or match["before"]).strip()
    found = find_sampler(name)
    return Step("sampler", found.name) if found else None


def _bare_sampler(match: re.Match[str], follows: bool) -> Step | None:
    name = match["name"].strip()
    found = find_sampler(name) if follows and _SAMPLERS.fullmatch(name.lower()) else None
    return Step("sampler", found.name) if found else None


_SET = (
    r"(?:use |with |set |at |in |try |do |make it |change |switch |bump |raise |lower |increase |reduce |put "
    r"|turn up |turn"
    r" down )?(?:the |an? )?"
)
_TO = r"(?: at| of| to| is|:|=| up to| down to| on)? ?"
_LITTLE = r"(?:(?:a few|a couple|a bit|a little|a little bit|a lot|slightly|much|even|some|way) )?"
SETTINGS: Rules = (
    rule(
        r"(?P<do>(?:make|turn|render|draw|get|do|have) (?:it |this |that |the (?:image|picture|photo) )?"
        r"|it (?:should|must) be )?(?:to be |be |back to |in(?:to)? |as |more |much |a bit |a little )*"
        rf"(?P<article>an? )?(?P<word>{'|'.join(_SHAPES.values())})"
        r"(?P<form> (?:format|orientation|image|picture|photo|shape|mode|layout|aspect(?: ratio)?|version"
        r"|one))?",
        _shape,
    ),
    says(r"(?:make it |turn it )?(?:on its side|sideways)|turn it around|rotate it", Step("shape", "wide")),
    rule(
        r"(?:--size |make it |set it to |give me |(?:set |change |switch )?(?:the )?(?:size|resolution)(?: "
        r"to| is| of|:|=)? "
        r"|(?:in|at) )?"
        r"(?P<w>\d{2,5}) ?(?:px )?(?:x|×|\*|by) ?(?P<h>\d{2,5}) ?(?:px|pixels?)?(?: (?:size|resolution))?",
        lambda match, follows: Step("size", (int(match["w"]), int(match["h"]))),
    ),
    rule(
        r"(?P<before>--ar |make it |(?:make |set |change )?(?:an? |the )?(?:aspect )?(?:ratio|format)(?: of| "
        r"to| is|:"
        r"|=)? )?(?:in )?(?P<w>\d{1,2}) ?[:/] ?(?P<h>\d{1,2})(?P<after> (?:aspect )?(?:ratio|format))?",
        _ratio,
    ),
    rule(
        r"(?:set )?(?:the )?(?P<side>width|height)(?: to| of| is|:|=)? ?(?P<n>\d{2,5}) ?(?:px"
        r"|pixels)?",
        _side,
    ),
    rule(r"(?:make it )?(?P<n>\d{2,5}) ?(?:px|pixels)? (?P<side>wide|tall|high)", _side),
    says(
        r"(?:the )?(?:normal|default|original|usual|standard|its own) (?:size|shape|format|resolution)"
        r"|any (?:size|shape|format)|(?:the )?(?:size|shape|format) (?:does not|doesn't) matter",
        Step("free", "size"),
    ),
    says(
        rf"(?:make {IT} )?{_LITTLE}(?:bigger|larger|higher(?: in)? resolution|more pixels|high(?:er)? res)"
        r"|upsize(?: it)?|enlarge(?: it)?",
        Step("scale", 1.25),
    ),
    says(
        rf"(?:make {IT} )?{_LITTLE}(?:smaller|lower resolution|fewer pixels)|shrink(?: it)?",
        Step("scale", 0.8),
    ),
    rule(
        rf"{_SET}(?:(?P<n>\d{{1,4}}) (?:sampling )?steps|(?:sampling )?steps{_TO}(?P<m>\d{{1,4}}))",
        lambda match, follows: Step("steps", int(match["n"] or match["m"])),
    ),
    rule(
        rf"{_SET}(?:cfg(?: scale)?|guidance(?: scale)?){_TO}(?P<n>\d{{1,3}}(?:\.\d{{1,2}})?)",
        lambda match, follows: Step("cfg", float(match["n"])),
    ),
    rule(
        rf"{_SET}clip ?skip{_TO}(?P<n>\d{{1,2}})", lambda match, follows: Step("clip skip", int(match["n"]))
    ),
    rule(
        rf"{_SET}(?:lora(?:'s)? ?)?(?:weight|strength|intensity){_TO}(?P<n>[0-2]?\.?\d{{1,2}})(?P<percent> "
        rf"?%)?"
        rf"|{_SET}lora{_TO}(?P<m>[0-2]?\.\d{{1,2}}|[01])(?: (?:weight|strength))?",
        lambda match, follows: Step("weight", _weight(match)),
    ),
    rule(
        rf"{_SET}(?:(?:sampler|sampling method)(?: to| is|:|=)? (?P<behind>.+)"
        r"|(?P<before>.+) (?:sampler|sampling method))",
        _sampler,
    ),
    rule(rf"{_SET}(?P<name>\S+(?: \S+){{0,4}})", _bare_sampler),
    says(rf"{_LITTLE}more (?:sampling )?steps", Step("nudge", ("sampling_steps", 1.5))),
    says(rf"{_LITTLE}(?:fewer|less) (?:sampling )?steps|faster", Step("nudge", ("sampling_steps", 0.6))),
    says(
        rf"{_LITTLE}(?:higher|more|raise(?: the)?) (?:cfg(?: scale)?|guidance)"
        rf"|(?:follow|stick to) the prompt {_LITTLE}(?:more|closer|more closely)",
        Step("nudge", ("cfg_scale", 1.25)),
    ),
    says(rf"{_LITTLE}(?:lower|less) (?:cfg(?: scale)?|guidance)", Step("nudge", ("cfg_scale", 0.75))),
    says(
        rf"(?:make )?(?:the )?(?:lora )?(?:style |effect |lora |it )?{_LITTLE}(?:stronger|more intense)(?: "
        rf"lora| style)?"
        r"|more (?:lora|strength|weight)",
        Step("nudge", ("lora_weight", 1.25)),
    ),
    says(
        rf"(?:make )?(?:the )?(?:lora )?(?:style |effect |lora |it )?{_LITTLE}(?:weaker|subtler|less intense)"
        r"(?: lora| style)?|less (?:lora|strength|weight)",
        Step("nudge", ("lora_weight", 0.75)),
    ),
    says(
        r"(?:use )?(?:the )?(?:default|usual|normal|recommended|original) (?:settings|parameters|values)"
        r"|reset the (?:settings|parameters)",
        Step("free", "settings"),
    ),
)


def _weight(match: re.Match[str]) -> float:
    number = float(match["n"] or match["m"])
    return number / 100 if match["percent"] or number > 3 else number
