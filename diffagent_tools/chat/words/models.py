"""Phrases about the models on the table: another one, not that one, the second, use NAME, undo, start "
"over."""

import re

from diffagent_tools.chat.steps import MODEL, Known, Rules, Step, bare_forms, rule, says
from retrieval.errors import UnknownBaseModel
from retrieval.tables.families import family_of

_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6}
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_SHOW = (
    r"(?:(?:show|give|get|find) me |show |give |try |get |find |suggest |do you have |is there |have you "
    r"got )?"
)
_BAD = (
    r"(?:bad|ugly|boring|wrong|terrible|awful|horrible|not (?:good|great|right|nice|it|what i (?:want|meant"
    r"|need))"
    r"|weird|lame|meh|no good|useless|off|not my (?:taste|style|thing))"
)


def _pick(match: re.Match[str], follows: bool) -> Step | None:
    word = match["place"].lower()
    if word in _NUMBERS:  # "one" alone is a word like any other
        place = _NUMBERS[word] if match["told"] else 0
    else:
        place = _ORDINALS.get(word, -1 if word == "last" else 0) or int(word)
    # "7" alone is no subject; "first" alone is
    return Step("pick", place) if follows and place else None


def _models_for(match: re.Match[str], follows: bool) -> Step:
    try:
        return Step("family", family_of(match["what"]).name)
    except UnknownBaseModel:
        return Step("like" if follows else "add", match["what"])


MODELS: Rules = (
    rule(
        r"(?:what|which|any|do you have (?:any )?|are there (?:any )?) ?(?:good )?(?:models?|loras?"
        r"|checkpoints?)"
        r"(?: do you have| are there| is there| can i use| should i use| would you use| is (?:good|best)| "
        r"are (?:good"
        r"|best))? (?:for|that (?:do|does|make|makes|can do)) (?P<what>.+)",
        _models_for,
    ),
    says(
        rf"{_SHOW}(?:(?:yet |still )?another(?: {MODEL})?|something else|anything else"
        rf"|an? (?:different|other|new) {MODEL}|(?:different|other) {MODEL}|(?:the )?next(?: {MODEL})?"
        rf"|one more|an alternative|(?:a )?different|something different|someone else|other)"
        rf"|(?:can i |let me )see (?:another|a different|others?)(?: one| model)?|(?:have you )?got "
        rf"(?:anything|something) else|what other {MODEL}s?(?: (?:can|could|should) i "
        rf"(?:use|take|try))?"
        r"|try (?:again|something else)|again|once more|more|skip(?: it| this| that)?|pass|next please",
        Step("another"),
    ),
    says(
        rf"{_SHOW}(?:something|anything) (?:completely|totally|entirely|very|really|quite) (?:different|else"
        rf"|new)"
        r"|(?:show (?:me )?|give me |find (?:me )?)?(?:completely|totally|entirely|very) (?:different|other"
        r"|new) (?:ones|models)"
        r"|none of (?:these|those|them)|not (?:any|one) of (?:these|those|them)|(?:show me )?(?:all "
        r")?(?:other|"
        rf"different|new) (?:models|ones|loras|checkpoints|suggestions|options)|i (?:don't|do not) like any "
        rf"of (?:them|"
        r"these|those)",
        Step("another", "all"),
    ),
    says(
        rf"(?:not|never|without|anything but|no more of|drop|skip|reject) (?:that|this|the)(?: {MODEL})?(?: "
        rf"again)?"
        rf"|i (?:don't|do not|didn't) (?:really )?like (?:it|that|this|the)(?: {MODEL})?|wrong {MODEL}|not "
        rf"it|i (?:don't|do not) want (?:it|that|this|the)(?: {MODEL})?"
        rf"|i (?:hate|dislike) (?:it|that|this)(?: {MODEL})?"
        rf"|(?:don't|do not|never) (?:use|show(?: me)?|suggest) (?:it|that|this)(?: {MODEL})?(?: again)?"
        rf"|(?:no,? )?(?:it|this|that)(?: {MODEL})?(?: is|'s| looks) (?:too |so |really |just |very )*{_BAD}"
        rf"|(?:(?:that|this|it)(?:'s| is) )?not (?:what i (?:want|wanted|meant|need|asked for|had in mind)"
        rf"|good|great|really|quite)|doesn't fit|it does "
        rf"not fit"
        r"|(?:that|it) (?:doesn't|does not) (?:fit|match|suit(?: me)?)|wrong|i want another|not my (?:taste"
        r"|style|thing)|meh|yuck|ugh"
        r"|nope,? not (?:this|that)(?: one)?",
        Step("refuse"),
    ),
    rule(
        rf"(?P<told>(?:(?:use|take|pick|choose|i like|i prefer|i want|select|give me|go with|show me|let's "
        rf"(?:take|use)"
        rf"|try) )?(?:the )?(?:number |no\.? ?|# ?|{MODEL} )?)"
        rf"(?P<place>[1-9]|{'|'.join((*_ORDINALS, *_NUMBERS))}|last)(?:st|nd|rd|th)?(?: (?:{MODEL}"
        rf"|alternative))?",
        _pick,
    ),
    says(
        r"undo(?: (?:that|it|this|the last (?:one|step|change)))?|(?:go |take me |one step )?back(?: (?:one"
        r"|a) step)?"
        r"|take (?:that|it) back|revert(?: it| that)?|never ?mind|forget (?:that|the last)(?: one| change)?"
        r"|(?:like |as )?(?:it was )?before|(?:go back to |use |take )?(?:the )?(?:previous|earlier) (?:one"
        r"|model)"
        r"|(?:the one )?(?:i had |we had )?before(?: that)?|that was a mistake|oops|(?:it was|i liked it"
        r"|that was) better before|(?:oops,? )?that was a mistake,? undo",
        Step("undo"),
    ),
    says(
        r"(?:bring|show|give)(?: me)? (?:them|it|those|the (?:others|old ones|first ones|passed(?:-| )over "
        r"ones))"
        r"(?: all)? (?:back|again)|(?:from|back to) the (?:start|top|beginning) of the list|show (?:me )?all"
        r"(?: models)? again|forget what i (?:refused|passed over|skipped)|allow all models again",
        Step("again"),
    ),
    says(r"no|nope|nah|no way", Step("no")),
    says(
        r"yes|yep|yeah|sure|yes please|do it|do that|please do|go ahead|of course|add it|yes,? add it"
        r"|exactly",
        Step("yes"),
    ),
)
_MODEL_OF = r"(?P<kind>(?:model|lora|checkpoint|one called|model called) )?"
_NAMED = re.compile(
    rf"(?:(?P<no>not|no|never|anything but|without|don't use|do not use|don't show|exclude|skip|avoid)"
    rf"|(?P<do>use|take|pick|choose|with|switch to|change to|try|go with|go back to|back to|i want|give me"
    rf"|load|draw it with"
    rf"|make it with|what about|how about)) (?:the )?{_MODEL_OF}(?P<name>.{{2,120}}?)(?P<behind> (?:model"
    rf"|lora|checkpoint))?"
    r"(?: instead| again| this time| now)?",
    re.IGNORECASE,
)
_INSTEAD = re.compile(
    rf"(?:the )?{_MODEL_OF}(?P<name>.{{2,120}}?)(?P<behind> (?:model|lora|checkpoint))? "
    r"(?:instead|again|this time)(?: (?:of|than) (?:it|that|this|that one|this one))?",
    re.IGNORECASE,
)
_START_OVER = re.compile(
    r"(?:please |ok |okay |no |now )*(?:(?:let's )?start (?:over|again|afresh|anew|from scratch)|reset"
    r"|restart"
    r"|begin again|from scratch|clear(?: (?:it|all|everything))?|scrap (?:it|that)"
    r"|forget (?:it|everything|all (?:of )?that)|(?:a |an |some)?(?:completely |entirely |whole )?new "
    r"(?:image|"
    r"picture|request|chat|idea|one|topic|wish))(?: please)?(?:[\s,:.!-]+(?:with |of |and draw |but "
    r")?(?P<rest>.+)"
    r"|[\s.!]*)",
    re.IGNORECASE | re.DOTALL,
)
_FRESH = re.compile(
    r"(?:(?:please|pls|ok|okay|now|next|great|nice|cool|thanks|and now|then|so|well|alright|all "
    r"right)[\s,!.]+)*"
    r"(?:(?:can|could|would) you (?:please |now )*|please )?"
    r"(?:(?:draw|paint|sketch|generate|create|imagine|design)(?: me| us)?|(?:make|show|give|get) (?:me|us)"
    r"|i(?: now)? (?:want|need|would like|'d like)(?: now)?(?: a picture of| an image of)?|now|next) "
    r"(?:now )?(?P<rest>(?:an?|some|two|three|four|five|my|our) \S.*?)(?: instead)?[\s.!?]*",
    re.IGNORECASE | re.DOTALL,
)


def read_named(clause: str, known: Known) -> Step | None:
    """A model that a clause takes or refuses by its name."""
    whole, *_ = bare_forms(clause, keep_case=True)
    match = _NAMED.fullmatch(_unprefaced(whole)) or _INSTEAD.fullmatch(_unprefaced(whole))
    if match is None:
        return None
    refused = "no" in match.groupdict() and bool(match["no"])
    said = bool(match["kind"] or match["behind"])
    # "no people" is a wish unless a model on the table is called so
    name = match["name"].strip(" \"'“”.,!?")
    model_id = known(name, said or not refused) if name else None
    if model_id is not None:
        return Step("refuse" if refused else "take", model_id)
    takes = "do" in match.groupdict() and match["do"] in (
        "use",
        "take",
        "switch to",
        "Use",
        "Take",
        "Switch to",
    )
    return Step("unknown", name) if said and takes and name[:1].isupper() else None


def read_start_over(message: str) -> str | None:
    """What is wanted instead (perhaps nothing, "") of a message that starts over; else None."""
    match = _START_OVER.fullmatch(message)
    return None if match is None else (match["rest"] or "").strip()


def read_fresh(message: str) -> str | None:
    """The picture that a message asks for anew ("now draw a dragon"); None where it refines the last."""
    match = _FRESH.fullmatch(message)
    return None if match is None else match["rest"].strip()


_PREFACE = re.compile(
    r"(?:(?:please|ok|okay|now|but|and|no|yes|so|well|actually|can you|could you|let's|rather|the same but"
    r"|same but"
    r"|the same|same)[\s,]+)*",
    re.IGNORECASE,
)


def _unprefaced(text: str) -> str:
    start = _PREFACE.match(text)
    return text[start.end() :] if start and start.end() < len(text) else text
