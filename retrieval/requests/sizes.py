"""The shape and size that a request asks for: by ratio, pixels, a word, or what the picture is for.

read_size("a wide banner of a forest")      # (None, None, "wide", "a banner of a forest")
read_size("a fox, 9:16")[0]                 # (9, 16)
read_size("a wide river")[2]                # None: a word that is part of the subject is no shape
"""

import re
from typing import Literal

Shape = Literal["wide", "tall", "square"]
_I = re.IGNORECASE
_PIXELS = re.compile(
    r"(?:\b(?:in|at|size|resolution|"
    r"of)\s+)?(?<![\w.])(?P<w>\d{3,4})\s?(?:px)?\s?[x×*]\s?(?P<h>\d{3,4})(?:\s?px|\s?pixels)?(?![\w.])",
    _I,
)
_RATIO = re.compile(
    r"(?:--ar\s+|(?:\b(?:in|at|with)\s+)?(?:an?\s+)?(?:\b(?:aspect\s+)?ratio(?:\s+of)?\s*:?\s*)?)?"
    r"(?<![\w:.])(?P<w>\d{1,2})\s?(?::|to|by|x)\s?(?P<h>\d{1,2})(?![\w:.]|\s?(?:am|pm|o'clock))"
    r"(?:\s+(?:aspect\s+)?(?:ratio|format))?",
    _I,
)
_RATIOS = {(16, 9), (9, 16), (16, 10), (10, 16), (3, 2), (2, 3), (4, 3), (3, 4), (1, 1), (21, 9), (9, 21)}
_RATIOS |= {(4, 5), (5, 4), (2, 1), (1, 2), (7, 5), (5, 7), (3, 1), (1, 3), (18, 9), (9, 18), (5, 3), (3, 5)}
_FORM = r"(?:format|orientation|mode|layout|aspect(?: ratio)?|crop)"
_THINGS = (
    "image|picture|photo|photograph|painting|illustration|drawing|poster|banner|wallpaper|canvas|art|artwork|"
    "render|print|shot"
)
_TOLD: tuple[tuple[Shape, re.Pattern[str], bool], ...] = tuple(
    (shape, re.compile(pattern, _I), gone)  # type: ignore[misc]
    for shape, pattern, gone in (
        ("square", rf"\b(?:in |as )?(?:an? )?square {_FORM}\b|\bmake it (?:a )?square\b", True),
        ("wide", rf"\b(?:in |as )?(?:an? )?(?:landscape|horizontal|wide|widescreen) {_FORM}\b", True),
        ("tall", rf"\b(?:in |as )?(?:an? )?(?:portrait|vertical|tall|upright) {_FORM}\b", True),
        ("wide", r"\bmake it (?:wide|widescreen|horizontal)\b|\bwidescreen\b", True),
        ("tall", r"\bmake it (?:tall|vertical|upright)\b", True),
        ("square", rf"\bsquare (?=(?:album|{_THINGS})\b)", True),
        ("wide", rf"\b(?:wide|horizontal|panoramic) (?=(?:{_THINGS})\b)", True),
        ("tall", rf"\b(?:tall|vertical|upright) (?=(?:{_THINGS})\b)", True),
        ("wide", r"\b(?:panorama|panoramic view|(?:website|web|twitter|x|youtube|facebook|linkedin|discord|"
         r"channel|blog|page|shop|etsy) (?:banner|header|cover)|banner|hero image|youtube thumbnail|"
         r"thumbnail|"
         r"desktop (?:wallpaper|background)|ultrawide|letterbox|billboard|cinema ?scope|"
         r"header image)\b", False),
        ("tall", r"\b(?:phone|mobile|iphone|android|lock ?screen) (?:wallpaper|background|screen)\b|"
         r"\b(?:instagram|insta|snapchat|tiktok|whatsapp|ig) (?:story|stories|reel)\b|\bstory background\b|"
         r"\b(?:movie|film|concert|event|gig|travel|wall|propaganda|theatre|theater|festival|"
         r"vintage) poster\b|"
         r"\bposter\b|\b(?:book|novel|magazine|e-?book|comic) covers?\b|\bbookmark\b|\btarot card\b|"
         r"\bplaying card\b|\bflyer\b|\bfull[- ]body portrait\b|\btrading card\b", False),
        ("square", r"\b(?:album cover|album art|profile (?:picture|photo|pic|image)|avatar|pfp|app icon|icon|"
         r"logo|emoji|emote|favicon|instagram post|sticker|seamless pattern|cd cover|vinyl cover|"
         r"tile)\b", False),
    )
)  # fmt: skip


def read_size(
    said: str,
) -> tuple[tuple[int, int] | None, tuple[int, int] | None, Shape | None, str]:
    """Ratio of width to height, size in pixels, shape, and the text without what was read.

    Words of a purpose ("poster", "album cover") stay in the text: they say what to draw, too.
    """
    ratio: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    shape: Shape | None = None
    pixels = _PIXELS.search(said)
    if pixels is not None:
        size = int(pixels["w"]), int(pixels["h"])
        said = f"{said[: pixels.start()]} {said[pixels.end() :]}"
    for match in _RATIO.finditer(said):
        sides = int(match["w"]), int(match["h"])
        told = "ratio" in match.group().lower() or "--ar" in match.group()
        if 0 not in sides and ((sides in _RATIOS and ":" in match.group()) or told):
            ratio = sides
            said = f"{said[: match.start()]} {said[match.end() :]}"
            break
    for name, pattern, gone in _TOLD:
        found = pattern.search(said)
        if found is not None:
            if shape is None and ratio is None and size is None:
                shape = name
            if gone:
                said = f"{said[: found.start()]} {said[found.end() :]}"
    return ratio, size, shape, said
