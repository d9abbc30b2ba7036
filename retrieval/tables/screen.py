"""What is kept out of catalogues and data: words of nudity, sex, gore, of minors, and names of people.

    is_blocked("text")      -> True if a word of it is on the lists
    is_advertised("name")   -> True if a name, tag or trigger word offers them, also in a piece of a word
    is_of_minors("text")    -> True if it is one that speaks of minors
    is_likeness("name")     -> True if it says to look like a real person

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
# stems are looked for anywhere in a word: trigger words are run together ("inpaintfertilization128")
_STEMS = (
    "nsfw|porn|hentai|nud(?:e|ity|ist)|naked|erotic|softcore|milf|busty|lingerie|bikini|panties|penis|vagin"
    "|nipples?|breasts?|boobs?|fetish|bdsm|bondage|ecchi|shota|masturbat|orgasm|ahegao|bukkake|creampie"
    "|cumshot|blowjob|handjob|gangbang|futanari|upskirt|cameltoe|genital|fertili[sz](?!er)|inseminat"
    "|impregnat|sperm(?! ?whale)|ejaculat|mind ?control|hypnosis|giantess|dismember|decapitat"
)
# these are words of their own
_PIECES = (
    r"fert(?:anim)?|vore|r ?34|rule ?34|cum|semen|ovum|zygote|ntr|netorare|femdom|guro|ryona|gore|snuff"
    r"|shrinking wom[ae]n|loli(?:con|ta)?|mesugaki|toddlercon"
)
# inside longer katakana words the same letters are others: yellow, calorie, Florida
_KATAKANA = r"(?<![\u30a0-\u30ff])(?:エロ|ロリ|ショタ)(?![ーダア])"
_YOUNG = "メスガキ|雌小鬼|萝莉|蘿莉|幼女|幼态|幼態|幼体"
_CJK = (
    "裸|色情|性爱|性愛|性交|口交|足交|中出|潮吹|淫|巨乳|爆乳|乳首|痴汉|痴漢|调教|調教|受精|精液|催眠|紧缚|緊縛"
    f"|血腥|猎奇|獵奇|ヌード|おっぱい|アヘ顔|リョナ|{_KATAKANA}|{_YOUNG}"
)
_ADVERTISED = re.compile(rf"{_STEMS}|\b(?:{_PIECES})\b|{_CJK}", re.IGNORECASE)
_LIKENESS = re.compile(
    r"doll ?likeness|korean ?doll|celebrit(?:y|ies)|\bidols?\b|\bactress|deep ?fake|look ?alike"
    "|アイドル|网红|網紅",
    re.IGNORECASE,
)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])|[_\-]")
_MINORS_CJK = re.compile(
    r"(?<![\u30a0-\u30ff])(?:ロリ|ショタ)(?![ーダア])|"
    + f"{_YOUNG}|正太|小学生|小學生|中学生|中學生|童颜|童顔"
)
_WORD = re.compile(r"[^\W_]+")


def is_blocked(text: str) -> bool:
    """Whether a word or phrase of the text is on the lists."""
    words = _WORD.findall(text.casefold())
    joined = " ".join(words)
    return any(word in _BLOCKED for word in words) or bool(_PHRASES.search(joined) or _PEOPLE.search(joined))


def is_advertised(text: str) -> bool:
    """Whether a name, a tag or a trigger word offers what the lists keep out, also inside a word."""
    return bool(_ADVERTISED.search(text) or _ADVERTISED.search(_HUMP.sub(" ", text)))


def is_likeness(text: str) -> bool:
    """Whether a name or tag says that a model looks like a real person."""
    return bool(_LIKENESS.search(_HUMP.sub(" ", text))) or names_a_person(text)


def is_of_minors(text: str) -> bool:
    """Whether a word or phrase of the text speaks of children or of people who may be."""
    words = _WORD.findall(text.casefold())
    return (
        any(word in _MINOR_WORDS for word in words)
        or bool(_MINOR_PHRASES.search(" ".join(words)))
        or bool(_MINORS_CJK.search(text))
    )


def names_a_person(text: str) -> bool:
    """Whether one of the real people whom prompts name most is named."""
    return bool(_PEOPLE.search(" ".join(_WORD.findall(text.casefold()))))
