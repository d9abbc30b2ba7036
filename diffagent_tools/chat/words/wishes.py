"""Phrases that change the wish itself: add, remove, replace, no, more like, more realistic, darker."""

import re

from diffagent_tools.chat.steps import Rules, Step, rule

_COMPARED = {
    "darker": "dark",
    "brighter": "bright",
    "lighter": "light",
    "softer": "soft",
    "warmer": "warm colors",
    "colder": "cold colors",
    "cooler": "cool colors",
    "happier": "happy",
    "sadder": "sad",
    "cuter": "cute",
    "scarier": "scary",
    "creepier": "creepy",
    "simpler": "simple",
    "cleaner": "clean",
    "sharper": "sharp",
    "older": "old",
    "younger": "young",
    "moodier": "moody",
    "sunnier": "sunny",
    "calmer": "calm",
    "wilder": "wild",
    "richer": "rich colors",
    "smoother": "smooth",
    "rougher": "rough",
    "grittier": "gritty",
    "dreamier": "dreamy",
    "spookier": "spooky",
    "stranger": "strange",
    "weirder": "weird",
    "funnier": "funny",
    "fancier": "fancy",
    "prettier": "pretty",
    "flatter": "flat",
    "rounder": "round",
    "fluffier": "fluffy",
    "closer": "close-up",
    "nearer": "close-up",
    "farther away": "far away",
    "further away": "far away",
    "zoomed in": "close-up",
    "zoomed out": "far away",
}
_MORE_OF = {
    "detail": "detailed",
    "details": "detailed",
    "color": "colorful",
    "colors": "colorful",
    "colour": "colorful",
    "colours": "colorful",
    "contrast": "high contrast",
    "light": "bright",
    "drama": "dramatic",
    "colourful": "colorful",
}
_HOW = r"(?:(?:a bit|a little|a little bit|a lot|much|even|way|far|slightly|somewhat) )?"
_MAKE = (
    r"(?:(?:make|let|have) (?:it|him|her|this|that|them|the (?:picture|image|whole thing|thing))(?: look| be"
    r"| "
    r"appear)? "
    r"|it (?:should|must|could) (?:be|look) |should be |should look |something |look |looking |turn it |give "
    r"it )?"
)
_ARTICLE = r"(?:the |a |an |that |this |those |these |his |her |its |their )?"
_STARTS = re.compile(
    r"(?:add|include|put|insert|remove|drop|delete|take away|take out|take|get rid of|lose|leave out|erase"
    r"|replace|swap"
    r"|change|exchange|make|turn|no|without|less|more|avoid|don't|do not|with|give|skip|have)\b",
    re.IGNORECASE,
)


def starts_a_wish(text: str) -> bool:
    """Whether a text begins as a wish of its own does, so that an "and" before it parts two wishes."""
    return bool(_STARTS.match(text))


def _compared(match: re.Match[str], follows: bool) -> Step | None:
    return Step("more", _COMPARED[" ".join(match["word"].lower().split())])


def _more(match: re.Match[str], follows: bool) -> Step:
    what = match["what"].strip()
    return Step("more", _MORE_OF.get(what.lower(), what))


def _made(match: re.Match[str], follows: bool) -> Step:
    how = match["how"].lower()
    return Step("attribute", (_COMPARED.get(how, how), match["what"]))


_SCENE = (
    r"(?:scene|day|night|morning|evening|sunset|mood|world|background|setting|close-?up|portrait|view|shot"
    r"|story|summer"
    r"|winter|party|storm)"
)
_TOO = (
    r"(?:(?:it|this|that)(?:'s| is| looks)? |it's |looks |is )?(?:(?:a bit|a little|much|far|way|just"
    r"|still) )*"
)
WISHES: Rules = (
    rule(
        r"no,? (?:i (?:want|wanted|meant|mean|need|said)|it should be) (?P<what>(?:an?|two|three|my) .+)",
        lambda match, follows: Step("subject", match["what"]),
    ),
    rule(
        rf"(?:instead of|rather than|in place of) {_ARTICLE}(?P<old>[\w' -]+?),? (?P<new>(?:an?|the|some|two"
        rf"|my) .+)",
        lambda match, follows: _replaced(match["old"], match["new"]),
    ),
    rule(r"why not (?:in |as )?(?P<what>.+)", lambda match, follows: Step("like", match["what"])),
    rule(rf"{_TOO}too (?P<what>.+)", lambda match, follows: Step("remove", _plain(match["what"]))),
    rule(
        rf"{_TOO}not (?P<what>.+) enough",
        lambda match, follows: Step("more", _MORE_OF.get(match["what"].lower(), match["what"])),
    ),
    rule(
        r"make (?:him|her|them) (?P<what>(?!.* instead of ).+)",
        lambda match, follows: Step("add", match["what"]),
    ),
    rule(
        rf"(?:make|turn|change) (?:it|this|that|him|her)(?: in)?(?:to)? (?P<what>(?:an?|two|three|my) "
        rf"(?!.*\b{_SCENE}\b).+)",
        lambda match, follows: Step("subject", match["what"]),
    ),
    rule(
        rf"(?:replace|swap|change|exchange|turn|switch) {_ARTICLE}(?P<old>.+?) (?:with|by|for|to|into) "
        rf"(?P<new>.+)",
        lambda match, follows: _replaced(match["old"], match["new"]),
    ),
    rule(
        rf"{_MAKE}(?P<new>.+?) (?:instead of|rather than|in place of) {_ARTICLE}(?P<old>.+)",
        lambda match, follows: _replaced(match["old"], match["new"]),
    ),
    rule(
        rf"not {_ARTICLE}(?P<old>.+?) but (?P<new>.+)",
        lambda match, follows: _replaced(match["old"], match["new"]),
    ),
    rule(
        r"make (?:the |my |that )(?P<old>[\w' -]{2,40}?) (?:into )?(?P<new>(?:an?|two|three) .+)",
        lambda match, follows: Step("replace", (match["old"], match["new"])),
    ),
    rule(
        rf"(?:take|leave|keep|cut) {_ARTICLE}(?:any )?(?P<what>[^,]+?) (?:out|away|off)(?: of (?:it|this|the "
        rf"(?:picture|image)))?"
        rf"|(?:i (?:don't|do not) (?:need|want)|(?:there's |there is )?no need for) "
        rf"{_ARTICLE}(?P<need>.+?)(?: any ?more| in it)?",
        lambda match, follows: Step("remove", match["what"] or match["need"]),
    ),
    rule(
        r"(?:don't|do not|never) (?:make|draw|paint|do|render) (?:it|this|that)(?: look)?(?: like| in| as)? "
        r"?(?:an? |the )?"
        r"(?P<what>.+)|(?:there|it) (?:shouldn't|should not|mustn't|must not|can't)(?: be| have| show)?(?: "
        r"any)? (?P<any>.+)",
        lambda match, follows: Step("avoid", match["what"] or match["any"]),
    ),
    rule(
        r"(?:remove|drop|delete|take away|take out|get rid of|leave out|lose|erase|cut|omit|scratch)"
        r" (?:the |a |an |all |any |that |those |these |all the |my )?(?P<what>.+?)(?: from (?:it|the "
        r"(?:picture|image)))?",
        lambda match, follows: Step("remove", match["what"]),
    ),
    rule(
        rf"{_MAKE}{_HOW}(?:less|not (?:so|as|that|too)|not quite so)(?: like)? (?:a |an |the )?(?P<what>.+)",
        lambda match, follows: Step("remove", _plain(match["what"])),
    ),
    rule(
        r"(?:no|without|avoid|with no|do not show|don't show|don't (?:add|draw|include|want|put)(?: any)?"
        r"|do not (?:add|draw|include|want)|i don't want|there should be no|there must be no|not|never"
        r"|nothing"
        r"|exclude|but no|but not|but without|please no)(?: any)? (?:more )?(?:the |a |an |any |so "
        r")?(?P<what>.+)",
        lambda match, follows: Step("avoid", _plain(match["what"])),
    ),
    rule(
        rf"{_MAKE}{_HOW}(?:more|rather|look|closer|nearer|similar) ?(?:like|to|in the (?:style|direction) of"
        rf"|towards?) "
        rf"(?:a |an |the )?(?P<what>.+)",
        lambda match, follows: Step("like", match["what"]),
    ),
    rule(
        r"(?:make it |turn it into |do it |draw it |paint it |render it |but |this |that )?"
        r"(?:like|as|in the style of|in the manner of) (?:a |an |the )?(?P<what>.+)",
        lambda match, follows: Step("like", match["what"]),
    ),
    rule(
        r"(?:draw|paint|render|do|make) (?:it|this|that) (?:in|with|using) (?P<what>.+)|(?:switch|change) "
        r"(?:it )?"
        r"(?:to|into) (?:a |an |the )?(?P<to>.+)",
        lambda match, follows: Step("like", match["what"] or match["to"]),
    ),
    rule(rf"{_MAKE}{_HOW}(?P<word>{'|'.join(_COMPARED)})", _compared),
    rule(rf"{_MAKE}{_HOW}(?:more|extra|very) (?P<what>.+)", _more),
    rule(
        r"make (?:the |his |her |its |their |that )(?P<what>[\w' -]{1,40}?) (?:look )?(?:a bit |a little "
        r"|more |much )?"
        r"(?P<how>[^\W\d_]+)",
        _made,
    ),
    rule(
        r"(?:add|include|put in|put|insert|there should be|there must be|make (?:it|that|this)(?: into)?"
        r"|give (?:it|him"
        r"|her|them|me)|turn (?:it|that|this) into|i also want|let there be|have|also add|it should have|with"
        r" (?=some|more))"
        r" (?:in |also )?(?:some more )?(?P<what>.+)",
        lambda match, follows: Step("add", re.sub(r"^(?:it|this) (?=in|at|on|with )", "", match["what"])),
    ),
    rule(
        r"(?P<what>(?:an?|two|three|my|one) \S.*?) (?:instead|this time)",
        lambda match, follows: Step("subject", match["what"]),
    ),
    rule(r"(?P<what>\S.*?) (?:instead|this time)", lambda match, follows: Step("like", match["what"])),
)

SWAPS: Rules = (
    rule(
        rf"(?:i meant|i mean|make that|it should be|i said) (?P<new>[^,]+), (?:and )?not "
        rf"{_ARTICLE}(?P<old>[^,]+)",
        lambda match, follows: _replaced(match["old"], match["new"]),
    ),
)
"""Wishes that have a comma in them."""


def _replaced(old: str, new: str) -> Step | None:
    # "turn it into a castle" and "change to watercolour" replace no word
    gone = old.lower() in ("it", "that", "this", "to")
    return None if gone else Step("replace", (old, new))


def _plain(what: str) -> str:
    return re.sub(
        r"^(?:the|a|an|any|so|too|very|much|that)\s+(?=\S)|\s+(?:at all|please|anymore|any "
        r"more)$",
        "",
        what,
    )
