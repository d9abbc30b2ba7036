"""What a person's sentence asks for: the wish, what is refused, a named model, a shape, a licence, a family.

    found = understand("use DreamShaper to draw a dragon, 16:9, no people please", names)
    found.wish, found.refused, found.named, found.ratio    # "a dragon", ("people",), 4384, (16, 9)
    understand("write a poem about autumn").nothing          # why no model is proposed

A small grammar over clauses, no language model. What it does not know stays in the wish, so a text loses only
what was understood. Prompts as uploaders write them go through with no more than `<lora:...>` tags read: to
them "no humans" is a tag.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from retrieval.errors import UnknownBaseModel
from retrieval.requests.languages import read_foreign
from retrieval.requests.nothing import ONLY_REFUSED, asks_for_nothing
from retrieval.requests.sizes import Shape, read_size
from retrieval.tables.families import family_of

Names = Callable[[str, bool], int | None]
"""The id of the model that has exactly this name, and None; True: the text says that it is a model's name."""

_LONGEST = 2_000
_I = re.IGNORECASE


@dataclass(frozen=True)
class Understood:
    """What a request says, as far as it was understood.

    `wish` is what the picture shall show; `refused` what it must not be; `named` the id of a model that the
    text asks for; `ratio` is width to height, `size` both in pixels; `nothing` says why there is nothing to
    choose a model for.
    """

    wish: str
    refused: tuple[str, ...] = ()
    named: int | None = None
    lora_weight: float | None = None
    shape: Shape | None = None
    ratio: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    base_model: str | None = None
    type: str | None = None
    commercial_use: bool | None = None
    nothing: str | None = None
    foreign: bool = False
    gist: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """What was taken out of the sentence, a phrase each, for a person."""
        shape = f"{self.size[0]}x{self.size[1]}" if self.size else self.shape
        if self.ratio and not self.size:
            shape = f"{self.ratio[0]}:{self.ratio[1]}"
        said = (
            ("not", ", ".join(self.refused)),
            ("shape", shape),
            ("only", self.base_model),
            ("only", {"LORA": "LoRAs", "Checkpoint": "checkpoints"}.get(self.type or "")),
            ("images", "may be sold" if self.commercial_use else None),
            ("in English", self.gist or ("not understood" if self.foreign else None)),
        )
        return tuple(f"{name}: {value}" for name, value in said if value)


def _nobody(name: str, sure: bool) -> int | None:
    return None


def understand(text: str, names: Names = _nobody, *, sentence: bool = True) -> Understood:
    """Reads a request.

    Args:
        names: knows the catalogue's models by their exact names.
        sentence: False for a prompt as uploaders write them.
    """
    tag = _LORA_TAG.search(text)
    named = names(tag["name"].strip(), True) if tag else None
    if tag is not None and named is not None:
        left = _tidy(text.replace(tag.group(), " "))
        weight = float(tag["weight"]) if tag["weight"] else None
        return Understood(left or text, named=named, lora_weight=weight)
    if len(text) > _LONGEST or not sentence:
        return Understood(text)
    said = " ".join(text.replace("’", "'").split())
    reason = asks_for_nothing(said)
    if reason:
        return Understood(text, nothing=reason)
    named, said = _named(said, names)
    ratio, size, shape, said = read_size(said)
    family, kind, commercial, said = _filtered(said)
    foreign = read_foreign(said)
    if foreign is not None:
        gist = ", ".join(foreign.said)
        wish = _tidy(said) or text
        return Understood(
            wish,
            foreign.refused,
            named,
            None,
            shape,
            ratio,
            size,
            family,
            kind,
            commercial,
            foreign=True,
            gist=gist,
        )
    refused, said = _refused(said)
    wish = _tidy(_polite(said))
    if not wish or not re.search(r"\w", wish):
        if named is None and refused:
            return Understood(text, refused=refused, nothing=ONLY_REFUSED)
        wish = text
    if wish == _tidy(text):  # where nothing was taken out, its marks are left as they tell how it was written
        wish = text
    return Understood(wish, refused, named, None, shape, ratio, size, family, kind, commercial)


_PROMPT_LIKE = re.compile(
    r"\b(?:masterpiece|best quality|high ?res|absurdres|8k|4k|uhd|hdr|ultra[- ]detailed|highly detailed|"
    r"trending on|unreal engine|octane|sharp focus|1girl|1boy|solo|intricate)\b",
    _I,
)
_WEIGHTED = re.compile(r"\(\(|\[\[|:\s*\d\.\d|\w_\w|\bBREAK\b|\\\(")
_TAGS, _SHORT_CLAUSE, _MOST_SENTENCE = 5, 3.5, 400


def reads_as_prompt(text: str) -> bool:
    """Whether a text is a prompt as uploaders write them: weights, quality words, or many short tags."""
    if len(text) > _MOST_SENTENCE or _WEIGHTED.search(text):
        return True
    clauses = [clause for clause in text.split(",") if clause.strip()]
    short = len(clauses) > _TAGS and len(text.split()) / len(clauses) < _SHORT_CLAUSE
    return short or len(_PROMPT_LIKE.findall(text)) > 1


# --- a named model ------------------------------------------------------------------------------------------

_LORA_TAG = re.compile(
    r"<(?:lora|lyco):(?P<name>[^:<>]{1,200})(?::(?P<weight>\d(?:\.\d{1,3})?))?(?::[^<>]*)?>", _I
)
_QUOTED = re.compile(r"[\"“„«](?P<name>[^\"“”„«»]{2,80})[\"”“»]")
_USE = re.compile(
    r"\b(?P<how>use|using|with|try|take|load|via|through|on|in|by)\s+(?:the\s+)?(?P<kind>model|"
    r"checkpoint|lora)?\s*"
    r"(?P<rest>\S.*)",
    _I,
)
_PREFIX = re.compile(r"^(?P<name>[^:,]{2,80}?)\s*[:,]\s*(?P<rest>\S.*)$")
_TO_DRAW = re.compile(
    r"^\s*(?:(?:model|checkpoint|lora)\b)?[\s,:;-]*(?:(?:and|to|for|please)\s+)*"
    r"(?:(?:draw|make|create|paint|generate|render|do|get|show|give)(?:\s+me)?\s+)?",
    _I,
)
_SURE = frozenset({"use", "using", "try", "take", "load", "via"})
_MOST_WORDS = 9


def _named(said: str, names: Names) -> tuple[int | None, str]:
    for match in _QUOTED.finditer(said):
        found = names(match["name"].strip(), True)
        if found is not None:
            left = f"{_without_use(said[: match.start()])} {_TO_DRAW.sub('', said[match.end() :])}"
            return found, left.strip()
    for match in re.finditer(r"\b(?:use|using|with|try|take|load|via|through|on|in|by)\b", said, _I):
        use = _USE.match(said, match.start())
        if use is None or re.search(r"\b(?:no|not|don't|never)\s*$", said[: match.start()], _I):
            continue
        rest = use["rest"].split(" ")
        sure = use["how"].lower() in _SURE or bool(use["kind"])
        for length in range(min(_MOST_WORDS, len(rest)), 0, -1):
            name = " ".join(rest[:length]).strip(" ,.;:!?")
            after = " ".join(rest[length:])
            called = bool(re.match(r"(?:model|checkpoint|lora)\b", after, _I))
            found = names(name, sure or called) if name else None
            if found is not None:
                return found, f"{said[: match.start()].strip()} {_TO_DRAW.sub('', after)}".strip()
    prefix = _PREFIX.match(said)
    if prefix is not None:
        found = names(prefix["name"].strip(), ":" in said[: prefix.start("rest")])
        if found is not None:
            return found, prefix["rest"]
    return None, said


def _without_use(before: str) -> str:
    return re.sub(
        r"\b(?:use|using|with|try|take|load|via)\s+(?:the\s+)?(?:model|checkpoint|lora)?\s*$",
        "",
        before,
        flags=_I,
    )


# --- licence, family, kind of model -------------------------------------------------------------------------

_SELL = re.compile(
    r"[,;.]?\s*\b(?:(?:and|but|which|that|it must be|must be|only)\s+)*(?:(?:i|we) (?:can|may|want to|"
    r"will|am going to|"
    r"must be able to) (?:sell|use commercially|monetise|monetize)(?: (?:it|them|the (?:images?|pictures?|"
    r"prints?)))?(?: commercially)?|for commercial (?:use|purposes|projects?)|"
    r"(?:free |ok |okay |licen[cs]ed |cleared )?(?:for|with) (?:commercial use|a commercial licen[cs]e)|"
    r"commercial use(?: (?:ok|okay|allowed|only))?|to sell on (?:etsy|amazon|redbubble|merch)|"
    r"commercially usable|sellable)\b",
    _I,
)
_FAMILY = re.compile(
    r"(?:\b(?:use|using|with|on|in|for|only|an?|any|some)\s+)*\b(?P<name>sd\s?xl(?:\s?1\.0)?|sd\s?1\.5|"
    r"sd15|sd\s?2\.1|sd\s?2\.0|sd\s?3(?:\.5)?|"
    r"stable diffusion (?:xl|1\.5|2\.1|3)|flux(?:\.1)?(?: dev| d| schnell| s)?(?= (?:model|lora|"
    r"checkpoint)s?\b)|"
    r"pony(?= (?:model|lora|checkpoint|diffusion)s?\b)|illustrious(?= (?:model|lora|checkpoint|xl)s?\b))"
    r"(?P<after>\s+(?:models?|loras?|checkpoints?|only))*\b",
    _I,
)
_KIND = re.compile(
    r"\b(?:(?:only|find me|give me|i need|i want|use|show me|recommend|need|want|with)\s+)+(?:an?\s+|"
    r"some\s+)?"
    r"(?P<kind>loras?|checkpoints?)(?:\s+(?:only|models?))?(?:\s+(?:for|of|that (?:makes|draws|does)))?\b|"
    r"\b(?P<alone>loras?|checkpoints?) only\b",
    _I,
)


def _filtered(said: str) -> tuple[str | None, str | None, bool | None, str]:
    commercial = None
    sold = _SELL.search(said)
    if sold is not None:
        commercial = True
        said = f"{said[: sold.start()]} {said[sold.end() :]}"
    family = None
    match = _FAMILY.search(said)
    if match is not None:
        try:
            family = family_of(" ".join(match["name"].split())).name
        except UnknownBaseModel:
            family = None
        else:
            said = f"{said[: match.start()]} {said[match.end() :]}"
    kind = None
    found = _KIND.search(said)
    if found is not None:
        kind = "LORA" if (found["kind"] or found["alone"]).lower().startswith("lora") else "Checkpoint"
        said = f"{said[: found.start()]} {said[found.end() :]}"
    return family, kind, commercial, said


# --- what is refused ----------------------------------------------------------------------------------------

_REFUSAL = re.compile(
    r"(?:^|[,;.(—–-]|\s)\s*(?:(?:but|and|please|with)\s+)*"
    r"(?:(?:i|we) (?:really )?(?:don't|do not|dont|didn't|wouldn't) (?:want|like|need)(?: to see|"
    r" it to (?:be|look))?|"
    r"(?:it )?(?:should|must|shall) ?(?:not|n't)(?: be| look| have| show| contain)?|shouldn't (?:be|"
    r"look|have)|"
    r"(?:please )?(?:avoid|exclude|excluding|skip|omit|leave out|minus)|"
    r"(?:please )?(?:don't|do not|dont|never) (?:make it|use|do|draw|add|include|show|give me|"
    r"want)(?: look)?|"
    r"without|nothing|no|not|none of(?: that| those| your)?|neither|anything but|never|rather than|"
    r"instead of|"
    r"isn't|not in|free of)"
    r"\s+(?:(?:any|a|an|the|in|like|of|that|this|as|look(?:s|ing)? like|style|to be|more|it|be)\s+)*"
    r"(?P<what>[^,;.()!?—–]+?)"
    r"(?=\s*(?:[,;.()!?—–]|\s-\s|$|\b(?:but|please|though|and (?:no|not|without)|or any)\b))",
    _I,
)
_TAIL = re.compile(
    r"\s+(?:look|style|styles|vibes?|feel|feeling|stuff|thing|things|please|at all|whatsoever|thanks|"
    r"effects?|"
    r"art style|model|models|in it|in the (?:picture|image|background))$",
    _I,
)
# "no one", "not far away", "never-ending": words, no refusals
_NO_REFUSAL = re.compile(
    r"(?:one|longer|matter|problem|doubt|far|only|just|yet|sure|ending|more than|less than)\b", _I
)
_MOST_REFUSED = 6


def _refused(said: str) -> tuple[tuple[str, ...], str]:
    refused: list[str] = []
    place = 0
    while match := _REFUSAL.search(said, place):
        what = match["what"].strip()
        if _NO_REFUSAL.match(what) or len(what.split()) > _MOST_REFUSED:
            place = match.end()
            continue
        for part in re.split(r"\s+(?:(?:or|nor)\s+(?:no |not |any )?|and (?:no|not) )", what):
            while (shorter := _TAIL.sub("", part)) != part:
                part = shorter
            if re.search(r"\w", part):
                refused.append(part.strip(" -'\""))
        joint = "," if said[match.start() : match.start() + 1] in ",;" else " "
        said = f"{said[: match.start()]}{joint} {said[match.end() :]}"
        place = match.start()
    return tuple(dict.fromkeys(refused)), said


# --- politeness ---------------------------------------------------------------------------------------------

_BEFORE = re.compile(
    r"^(?:\s*(?:hi|hello|hey|ok|okay|so|well|please|pls|kindly|also|now|just|there)[\s,!.]+)*"
    r"(?:(?:can|could|would|will) (?:you|u)(?: please| kindly| maybe)?\s+|please\s+|pls\s+|"
    r"(?:i|we)(?:'d| would)? (?:really )?(?:want|need|like|love|wish)(?: you to| to (?:have|see|get|"
    r"make))?\s+|"
    r"i(?:'m| am) (?:looking for|trying to (?:make|get|draw)|after)\s+|looking for\s+|let's (?:make|"
    r"have|see)\s+|"
    r"how about\s+|what about\s+|give me\s+|show me\s+|help me (?:to )?)*"
    r"(?:(?:make|draw|create|generate|produce|design|render|paint|show|give|do|get|imagine|sketch|"
    r"illustrate|build)"
    r"(?:\s+(?:me|us|for me|for us))?\s+(?=\S))?"
    r"(?:(?:an?|the|some|one)?\s*(?:nice |good |cool |beautiful |new |quick )?(?:picture|image|pic|visual)s?"
    r"\s+(?:of|showing|with|where|that shows|depicting)\s+)?",
    _I,
)
_AFTER = re.compile(
    r"(?:[\s,.!]+(?:please|pls|thanks|thank you|thx|for me|if you can|if possible|asap|cheers|ok|"
    r"okay))+[\s.!?]*$|"
    r"\?+$",
    _I,
)


def _polite(said: str) -> str:
    left = _AFTER.sub("", said.strip())
    return _BEFORE.sub("", left, count=1) or left


def _tidy(said: str) -> str:
    """Without doubled spaces and commas, and words that lost what they belonged to."""
    said = re.sub(r"\s+", " ", said)
    said = re.sub(r"(?:\s*[,;]\s*)+", ", ", said)
    said = re.sub(r"\s+([.!?])", r"\1", said)
    said = re.sub(r"(?:\(\s*\)|\s-\s*(?=,|$)|\s—\s*(?=,|$))", " ", said)
    said = re.sub(r"[\s,]+(?:and|but|with|in|at|please|or)?[\s,.;:-]*$", "", said, flags=_I)
    return re.sub(r"^[\s,.;:-]+", "", said).strip()
