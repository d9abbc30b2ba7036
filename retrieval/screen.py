"""What is kept out of catalogues and data: words of nudity, sex, gore, of minors, and names of people.

    is_blocked("text")      -> True if a word of it is on the lists
    is_of_minors("text")    -> True if it is one that speaks of minors

A word screen leaks in both directions; it stands behind Civitai's own flags, not in their place.
"""

import re

_NOT_SAFE = """
    nsfw nude nudes nudity naked topless bottomless undressed undressing unclothed porn porno
    pornographic hentai ecchi erotic erotica erotism sex sexy sexual sexually sensual seductive
    seduction lewd lust lustful horny kinky kink fetish bdsm bondage shibari latex softcore hardcore
    uncensored censored orgasm orgy masturbation masturbating ahegao aroused arousal cum cumshot semen
    creampie blowjob fellatio handjob footjob anal anus asshole butthole penis penises cock cocks dick
    phallus testicles scrotum vagina vaginal vulva pussy labia clitoris crotch groin cameltoe breast
    breasts boob boobs boobies tits titties busty bust cleavage sideboob underboob nipple nipples areola
    areolae ass butt buttocks booty thong panties panty pantyhose lingerie underwear bra braless bikini
    microbikini swimsuit negligee garter stripper striptease hooker prostitute escort slut whore bitch
    milf milfs dilf thicc thighs upskirt pantyshot voyeur playboy onlyfans pinup voluptuous curvy bulge
    jockstrap futa futanari futunari yaoi yuri tentacle succubus rape raped incest loincloth midriff
    navel bathing gore guro gory decapitated dismembered mutilated corpse
"""
_MINORS = """
    child children childlike kid kids kiddo baby babies babyface toddler toddlers infant infants newborn
    teen teens teenage teenager teenagers teenaged preteen tween underage underaged minor minors
    juvenile adolescent loli lolis lolita lolicon shota shotacon schoolgirl schoolgirls schoolboy
    schoolboys kindergarten preschool petite youngster serafuku
"""
_MINOR_WORDS = frozenset(_MINORS.split())
_BLOCKED = frozenset(_NOT_SAFE.split()) | _MINOR_WORDS
# real people whom prompts name most; models of them are dropped by Civitai's own flag
_PEOPLE = re.compile(
    r"\b(?:emma watson|scarlett|taylor swift|margot robbie|brad pitt|tom cruise|keanu reeves|elon musk"
    r"|jennifer lawrence|ana de armas|david tennant|chris evans|marilyn monroe|audrey hepburn"
    r"|laurie|johansson|gadot|robbie|eilish|trump|obama|biden|putin|jolie|portman|cavill|depp)\b"
)
_PHRASES = re.compile(
    r"\b(?:(?:little|young|small|tiny|cute|aged?) (?:girls?|boys?)"
    r"|(?:school|elementary) (?:girls?|boys?|uniform)|see through|spread legs"
    r"|(?:medium|large|big|huge) chest|bare (?:chest|shoulders?|legs|back|skin)"
    r"|no (?:bra|pants)|years? old)\b"
)
_MINOR_PHRASES = re.compile(
    r"\b(?:(?:little|young|small|tiny|aged?) (?:girls?|boys?)|(?:school|elementary) (?:girls?|boys?|uniform)"
    r"|(?:1?\d|one|two|three|four|five|six|seven|eight|nine|ten|\w+teen) years? old|(?:loli|shota)\w*)\b"
)
_ADVERTISED = re.compile(
    r"nsfw|porn|hentai|nud(?:e|ity|ist)|naked|erotic|softcore|milf|busty|lingerie|bikini|panties|penis|vagina"
    r"|nipples?|breasts?|boobs?|fetish|bdsm|ecchi|loli(?:con|ta)?\b|shota",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")


def is_blocked(text: str) -> bool:
    """Whether a word or phrase of the text is on the lists."""
    words = _WORD.findall(text.casefold())
    joined = " ".join(words)
    return any(word in _BLOCKED for word in words) or bool(_PHRASES.search(joined) or _PEOPLE.search(joined))


def is_advertised(text: str) -> bool:
    """Whether the text, a name or a tag, offers what the lists keep out, also inside a longer word."""
    return bool(_ADVERTISED.search(text))


def is_of_minors(text: str) -> bool:
    """Whether a word or phrase of the text speaks of children or of people who may be."""
    words = _WORD.findall(text.casefold())
    return any(word in _MINOR_WORDS for word in words) or bool(_MINOR_PHRASES.search(" ".join(words)))


def names_a_person(text: str) -> bool:
    """Whether one of the real people whom prompts name most is named."""
    return bool(_PEOPLE.search(" ".join(_WORD.findall(text.casefold()))))
