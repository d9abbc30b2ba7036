"""The styles that a wish names, and the wish without them: a style said later replaces the one said before.

    >>> without_style("a watercolor painting of a happy corgi, pixel art")
    ('a happy corgi', ('watercolor painting', 'pixel art'))
    >>> is_style("more like an oil painting"), is_style("a paper boat")
    (True, False)

Styles are the media of retrieval/tables/facets.txt. What a thing can be made of ("a paper boat") goes only
where it stands as a style does: alone between commas, before "of", or behind "in" and "as".
"""

import re

from retrieval.search.purpose import asked_facets, is_medium

_MATERIALS = frozenset(
    {
        *(
            "paper",
            "toy",
            "icon",
            "sticker",
            "poster",
            "embroidery",
            "mosaic",
            "stained glass",
            "glass",
            "felt",
            "lego",
        ),
        *("clay", "tarot", "graffiti", "pop art", "3d"),
    }
)
# looks that stand for a whole style
_LOOKS = frozenset({"analog", "2.5d", "synthwave"})
_SPOKEN = {
    "in oil": "oil painting",
    "oil": "oil painting",
    "in oil paint": "oil painting",
    "in ink": "ink painting",
    "ink": "ink painting",
    "in colored pencil": "colored pencil",
    "as a drawing": "pencil drawing",
    "drawing": "pencil drawing",
    "real": "realistic photo",
    "lifelike": "realistic photo",
    "like a photo": "photo",
    "hand-drawn": "hand drawn sketch",
}
_FILLER_WORDS = """
    a an the in of as like with style styled styles art artwork painting drawing picture image photo
    photograph illustration render rendering made it look looks looking more very really make be rather and or
    old some
    kind something version design
"""
_FILLER = frozenset(_FILLER_WORDS.split())
_FORM = (
    r"(?: (?:painting|drawing|picture|image|photograph|photo|illustration|artwork|art|render(?:ing)?"
    r"|style|portrait))*"
)
_MOST = 8


def spoken(text: str) -> str:
    """A style as the tables call it: "in oil" is an oil painting."""
    return _SPOKEN.get(" ".join(text.casefold().split()), text)


def is_style(text: str) -> bool:
    """Whether a text names a style and nothing else."""
    said = text.casefold()
    named = False
    for _ in range(_MOST):
        phrases = _media(said)
        for phrase, material in phrases.items():
            # "a toy" is a thing to draw, "toy style" and "as a toy" are not
            if material and re.match(r"\s*(?:an? |some |the )", said) and not re.search(r"\bstyle\b", said):
                return False
            said = _pattern(phrase).sub(" ", said)
        if not phrases:
            break
        named = True
    return named and all(word in _FILLER for word in re.findall(r"[^\W_]+", said))


def without_style(prompt: str) -> tuple[str, tuple[str, ...]]:
    """The wish without its styles, and these; the wish as it is where nothing else would be left."""
    kept: list[str] = []
    gone: list[str] = []
    for clause in prompt.split(","):
        if is_style(clause):
            gone.append(clause.strip())
            continue
        left = clause
        for _ in range(_MOST):
            shorter, phrase = _once(left)
            if not phrase:
                break
            left = shorter
            gone.append(phrase)
        kept.append(left.strip())
    wish = ", ".join(clause for clause in kept if clause)
    return (wish, tuple(gone)) if wish and gone else (prompt, ())


def _media(text: str) -> dict[str, bool]:
    """The phrases that name a medium, and whether each can be what a thing is made of."""
    return {
        re.sub(r"^anime (?:girl|boy)$", "anime", phrase): name in _MATERIALS
        for name, phrase in asked_facets(text).items()
        if is_medium(name) or name in _LOOKS
    }


def _once(clause: str) -> tuple[str, str]:
    """The clause without one style, and that; "" where there is none."""
    for phrase, material in _media(clause).items():
        said = _pattern(phrase).pattern
        for form, kept in (
            (rf"^\s*(?:an? |the )?{said}{_FORM} (?:of|showing|with) ", ""),
            (rf"\s*\b(?:in|as|like|in the style of)(?: an?| the)? {said}{_FORM}(?=\s*$)", ""),
            (rf"\s*{said} style\b", ""),
            *(() if material else (((rf"\b(?P<article>an? )?{said}{_FORM} "), r"\g<article>"),)),
            *(() if material else ((rf"\s*{said}\s*$", ""),)),
        ):
            found = re.search(form, clause, re.IGNORECASE)
            if found is not None:
                new = found.expand(kept) if kept and found["article"] else ""
                left = f"{clause[: found.start()]}{new}{clause[found.end() :]}".strip()
                if re.search(r"\w", left):
                    return _article(left), phrase
    return clause, ""


def _pattern(phrase: str) -> re.Pattern[str]:
    words = r"[\W_]*".join(re.escape(word) for word in phrase.split())
    return re.compile(rf"(?<![^\W_]){words}(?![^\W_])", re.IGNORECASE)


def _article(text: str) -> str:
    """ "an" before a consonant becomes "a", and the other way round."""
    text = re.sub(r"\ban (?=[bcdfghjklmnpqrstvwxyz])", "a ", text, flags=re.IGNORECASE)
    return re.sub(r"\ba (?=[aeio])", "an ", text, flags=re.IGNORECASE)
