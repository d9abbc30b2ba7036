"""What is kept out of catalogues and data: words of nudity, sex, gore, and of minors.

    is_blocked("text")  -> True if a word of it is on the lists

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
    schoolboys kindergarten preschool petite youngster pupil
"""
_BLOCKED = frozenset(_NOT_SAFE.split()) | frozenset(_MINORS.split())
_PHRASES = re.compile(
    r"\b(?:(?:little|young|small|tiny|cute|aged?)\s+(?:girls?|boys?)|(?:school|elementary)\s+(?:girls?|boys?|uniform)"
    r"|see\s+through|spread\s+legs|medium\s+chest|large\s+chest|big\s+chest|huge\s+chest|bare\s+(?:chest|shoulders?"
    r"|legs|back|skin)|no\s+bra|no\s+pants|year\s+old|years\s+old)\b"
)
_ADVERTISED = re.compile(
    r"nsfw|porn|hentai|nud(?:e|ity|ist)|naked|erotic|softcore|milf|busty|lingerie|bikini|panties|penis|vagina|nipples?|"
    r"breasts?|boobs?|fetish|bdsm|ecchi|loli(?:con|ta)?\b|shota",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")


def is_blocked(text: str) -> bool:
    """Whether a word or phrase of the text is on the lists."""
    words = _WORD.findall(text.casefold())
    return any(word in _BLOCKED for word in words) or bool(_PHRASES.search(" ".join(words)))


def is_advertised(text: str) -> bool:
    """Whether the text, a name or a tag, offers what the lists keep out, also inside a longer word."""
    return bool(_ADVERTISED.search(text))
