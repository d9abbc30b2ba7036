"""Phrases about which models may come: their type, their family, their licence."""

import re

from diffagent_tools.chat.steps import IT, Rules, Step, rule, says
from retrieval.errors import UnknownBaseModel
from retrieval.tables.families import family_of

# names of families that are also words to draw: they need a word such as "use" before, or "models" behind
_EVERYDAY = {"pony", "flux", "chroma", "anima", "lumina", "ernie", "illustrious", "noob", "il", "xl", "qwen"}
_EVERYDAY |= {"kolors", "ponyxl", "qwen2", "nobody"}
_SELL = (
    r"(?:sell|use .*commercially|make money (?:with|from)|earn money (?:with|from)|monetis?z?e|print and sell"
    r"|commercial(?:ly)?)"
)
_SHOP = (
    r"(?: (?:on|at|in) (?:etsy|amazon|redbubble|my (?:web ?)?(?:shop|store|site)|a (?:shop|store"
    r"|market)))?"
)


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


FILTERS: Rules = (
    rule(
        r"(?:only |use |using |with |as |switch to |prefer |it must be |it should be |show me |show |give me "
        r"|find "
        r"|search |just )*(?P<no>no |not |without )?(?:an? |the |some |other )?"
        r"(?P<type>loras?|checkpoints?)(?: models?)?(?: only)?",
        _type,
    ),
    says(
        r"(?:any|either|no matter (?:which|what)) (?:type|kind)|(?:any )?(?:loras? or checkpoints?"
        r"|checkpoints? or loras?)"
        r"|(?:the )?type (?:does not|doesn't) matter|loras? and checkpoints?|checkpoints? and loras?",
        Step("type"),
        first=True,
    ),
    says(
        r"any (?:base model|family)|(?:the )?base model (?:does not|doesn't) matter",
        Step("family"),
        first=True,
    ),
    rule(
        r"(?P<before>only |use |using |switch to |on |for |with |in |(?:the )?base model(?: is| to|:|=)? |i "
        r"have "
        r"|i use |any |models? for |something for |it must be |works? with |that works? with |(?:it )?must "
        r"work with |work with )*"
        r"(?:an? |the )?(?P<name>[\w.][\w. -]{0,30}?)(?P<after>(?: models?| base model| only| family)+)?",
        _family,
    ),
    says(
        rf"(?:may|can|could|am) i (?:be )?(?:allowed to )?(?:{_SELL})(?: {IT})?(?: commercially)?{_SHOP}"
        rf"|is (?:commercial use|selling)(?: {IT})? (?:allowed|ok|okay|possible|fine)"
        rf"|(?:is|are) {IT} (?:free )?for commercial use"
        rf"|(?:is|are) {IT} (?:okay |ok |allowed )?to {_SELL}{_SHOP}"
        rf"|(?:can|may) (?:i|we) use {IT} (?:for|in) (?:my )?(?:work|business|company|a client|clients|a "
        rf"product)"
        r"|(?:what(?: is|'s)|what about|and) ?(?:the|its)? ?(?:licen[cs]e|copyright)(?: of (?:it|this|that))?"
        r"|(?:the|its)? ?licen[cs]e(?: of (?:it|this|that))?"
        r"|(?:can|may|could) (?:i|we) .{3,60} and sell (?:it|them|that)|is it (?:okay|ok|fine|allowed|legal) "
        r"(?:if i|to) (?:sell|use) .{1,40}|what(?:'s| is) the licen[cs]e.{0,30}|who owns (?:it|the (?:image"
        r"|picture)s?)|do i (?:have|need) to (?:credit|name) (?:the )?(?:creator"
        r"|author)"
        r"|(?:must|should) i (?:credit|name) (?:the )?(?:creator|author)",
        Step("licence"),
        first=True,
    ),
    says(
        rf"(?:only )?(?:use |take |find |show me |give me )?(?:(?:models?|ones?|something|images?|one) )?"
        rf"(?:that |which |whose images )?"
        rf"(?:i|we) (?:may|can|want to|will|must be able to|would like to|plan to|intend to"
        rf"|am allowed to|am going to) {_SELL}(?: {IT})?(?: commercially)?{_SHOP}"
        r"|(?:only |it is |it's |this is |they are )*(?:for )?commercial(?:ly)? (?:use|usable"
        r"|purposes?|projects?)(?: (?:only|models?))*"
        r"|(?:it )?must be (?:sellable|commercially usable|(?:okay|ok|fine|allowed|free|cleared) (?:for|to) "
        r".*(?:commercial|sell).*)|(?:i|we) (?:will|want to|plan to|'ll) (?:sell|print) .{1,60}"
        r"|commercial(?: models?)? only"
        r"|only commercial(?: models?)?|(?:it is |it's |this is )?(?:for|to) (?:sale|sell)(?: it)?"
        rf"{_SHOP}|(?:it is |it's |this is )?for (?:a client|my (?:business|company|shop|store))",
        Step("commercial", True),
        first=True,
    ),
    says(
        r"any licen[cs]e|(?:the )?licen[cs]e (?:does not|doesn't) matter|(?:it is |it's |i am )?not for sale"
        r"|(?:it is |it's )?not for commercial use|non-?commercial(?: use)?(?: is fine)?"
        r"|(?:it is |it's |this is )?(?:just |only )?for (?:me|myself|fun|personal use|private use)"
        r"|i (?:don't|do not|won't|will not) (?:want to )?sell it",
        Step("commercial", None),
    ),
    says(
        r"(?:no|drop the|without|remove (?:the|all)|forget the|clear the|any) filters?|any models?"
        r"|(?:any|every) model is (?:fine|ok|okay)",
        Step("free", "filters"),
    ),
)
