"""What DiffAgent refuses to find a model for: sexual content with minors. And whose likeness is asked for.

    refusal("a naked child")                        # the one sentence that is the answer
    refusal("a child on a beach", "nude, nsfw")     # None: what is not wanted is no wish
    asks_for_a_likeness("a photo that looks like Emma Watson")

A wish says things and refuses things, in its words ("without clothes", "not an adult") and in the negative
prompt. Refused clothes are a wish for nudity, a refused adult is a wish for a minor, and what is refused of
nudity or of minors is no wish for them. English, and the Chinese and Japanese words of the screen's lists.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import partial

from retrieval.errors import RequestRefused
from retrieval.records.api import Instruction, T2IApi
from retrieval.tables.screen import names_a_person

REFUSED = "DiffAgent does not help with sexual images of minors."

_SEXUAL = """
    nsfw nude nudes nudity naked nakedness undressed undressing unclothed topless porn porno
    pornographic pornography hentai ecchi erotic erotica eroticism sex sexy sexual sexually sexualised
    sexualized sensual seductive seducing seduction lewd lewds lustful horny kinky fetish bdsm bondage
    shibari orgasm orgy masturbate masturbating masturbation ahegao aroused arousal cum cumming
    cumshot semen creampie blowjob fellatio handjob footjob penis penises testicles vagina vaginal
    vulva pussy labia clitoris genitals genitalia crotch cameltoe breasts boobs boobies titties
    cleavage sideboob underboob areola areolae thong panties panty lingerie underwear upskirt
    pantyshot stripping striptease stripper intercourse rape raped raping molested molesting incest
    futanari onlyfans xxx r18 r34 rule34
    裸 裸体 裸體 全裸 半裸 脱衣 色情 性爱 性愛 性交 做爱 做愛 情色 エロ ヌード
    えっち セックス 下着
"""
_MINOR = """
    child children childlike kid kids kiddo baby babies toddler toddlers infant infants newborn
    newborns teen teens teenage teenager teenagers teenaged preteen preteens tween tweens underage
    underaged minor minors juvenile adolescent adolescents prepubescent pubescent loli lolis lolita
    shota shotas schoolgirl schoolgirls schoolboy schoolboys schoolchild schoolchildren kindergartner
    kindergartener preschooler preschoolers youngster youngsters
    儿童 兒童 小孩 孩子 幼女 萝莉 蘿莉 正太 未成年 小学生 小學生 中学生 中學生
    ロリ ショタ 幼児 子供 子ども 女児 男児
"""
# each says both by itself
_BOTH = """
    lolicon lolicons shotacon shotacons toddlercon jailbait pedo pedophile pedophilia paedophile
    paedophilia pedophilic csam
    ロリコン ショタコン 恋童 戀童 児童ポルノ
"""
# without all of these somebody is naked; of a single garment ("no dress") that is not said
_CLOTHES = "clothes clothing clothed dressed garments attire"
_UNDERWEAR = "underwear panties bra pants anything"
_ADULT = "adult adults grownup grownups"
# young of animals wear nothing
_OF_ANIMALS = "baby babies infant infants newborn newborns juvenile youngster youngsters kid kids"
_NEGATIONS = """
    no not without never avoid avoiding exclude excluding isnt arent dont doesnt wont cant cannot nor
    neither minus remove removing
"""
# two-word turns that mean the one thing or the other, after folding
_SEXUAL_TURNS = re.compile(
    r"\b(?:see through|spread(?:ing)? legs|bare (?:chest|breasts?|butt|bottom|body)|nip slip"
    r"|(?:wear(?:ing|s)?|with|has) nothing(?: on)?"
    r"|(?:adult|mature|explicit|x rated|18) (?:content|scene|pose)|x rated|birthday suit)\b"
)
_MINOR_TURNS = re.compile(
    r"\b(?:(?:little|young|small|tiny) (?:girls?|boys?|ones?|lad|lass)|(?:school|elementary|primary|middle)"
    r" (?:girls?|boys?|school|schooler|child|student)|junior high|under ?(?:1[0-8]|eighteen|age)|not 18)\b"
)
_AGE = re.compile(
    r"\b(?:aged? |age of )?(\d{1,2}) ?(?:yo|y o|yrs?|years?)\b(?: ?olds?)?|\baged? (\d{1,2})\b"
    r"|(?<![a-z\d])(\d{1,2}) ?(?:歳|岁|歲|才)"
)
_AGE_WORDS = re.compile(
    r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen) (?:years?|yrs?) olds?\b"
)
# the same letters in another sense
_HARMLESS = re.compile(
    r"\b(?:cum laude|naked (?:eye|mole)|pussy (?:cat|willow)s?|puss in boots|sex pistols"
    r"|minor (?:key|scale|chord|details?|changes?|league|arcana|planet)s?|[a-g] minor|ursa minor"
    r"|kid (?:icarus|cudi)|baby (?:blue|pink|grand|shark|yoda))\b"
)
# 1 is read both ways
_LEET = tuple(str.maketrans("0134570@$!", f"o{one}east" + "oasi") for one in "il")
_WORD = re.compile(r"[^\W_]+")
_CLAUSE = re.compile(r"[,.;:!?\n()\[\]{}|]+|\b(?:but|and then|instead|while|although)\b", re.IGNORECASE)
_WEIGHT = re.compile(r":\s*-?\d+(?:\.\d+)?")
_SPELT_OUT = re.compile(r"(?<![^\W_])(?:[^\W\d_][\s.*_-]){3,}[^\W\d_](?![^\W_])")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_TOKEN = re.compile(r"[\w@$!]+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_LIKENESS = re.compile(
    r"\b(?:looks? (?:just |exactly )?like (?:the )?(?:actor|actress|celebrity|singer|politician|president)"
    r"|likeness of|deep ?fakes?|celebrit(?:y|ies)|famous (?:actor|actress|singer|person)|real person)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Said:
    """What is wished for: something sexual, somebody without clothes, a minor, surely a human one."""

    sexual: bool = False
    undressed: bool = False
    minor: bool = False
    human: bool = False

    def __or__(self, other: "_Said") -> "_Said":
        return _Said(*(mine or its for mine, its in zip(astuple(self), astuple(other), strict=True)))


def refusal(prompt: str, negative_prompt: str = "") -> str | None:
    """The sentence that refuses the request; None where nothing of it is refused."""
    said = _Said()
    for reading in _readings(prompt):
        said |= _wished(reading)
    for reading in _readings(negative_prompt):
        # "no children" means there what "children" means
        for clause in _clauses(reading):
            said |= _without(clause, frozenset())
    return REFUSED if (said.sexual and said.minor) or (said.undressed and said.human) else None


def refuse(asked: Instruction | T2IApi) -> None:
    """Raises RequestRefused where `refusal` says so."""
    said = refusal(asked.prompt, asked.negative_prompt)
    if said is not None:
        raise RequestRefused(said)


def asks_for_a_likeness(prompt: str) -> bool:
    """Whether the request is for the likeness of a real person, by name or by saying so."""
    return names_a_person(prompt) or bool(_LIKENESS.search(prompt))


def _readings(text: str) -> Iterator[str]:
    """The text, and what it says where digits stand for letters or the letters stand apart."""
    # invisible characters hide words from a screen and from nobody else
    shown = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    shown = _WEIGHT.sub(" ", _HUMP.sub(" ", shown).casefold()).replace("’", "'").replace("'", "")
    readings = {shown: None}
    for joined in (shown, _SPELT_OUT.sub(_joined, shown)):
        readings.setdefault(joined)
        for table in _LEET:
            readings.setdefault(_TOKEN.sub(partial(_plain, table=table), joined))
    yield from readings


def _plain(token: re.Match[str], table: dict[int, int]) -> str:
    """A word whose digits stand for letters; a number stays one, and marks behind a word are none of it."""
    word = token.group().rstrip("@$!")
    return word.translate(table) if any(c.isalpha() for c in word) else word


def _joined(apart: re.Match[str]) -> str:
    """Letters that stand apart as one word; an article before them is none of them."""
    letters = re.sub(r"[\s.*_-]", "", apart.group())
    return f"{letters} {letters[1:]}"


def _wished(text: str) -> _Said:
    """What a text asks for with its words and with its refusals."""
    said = _Said()
    for words in _clauses(text):
        start = next((place for place, word in enumerate(words) if word in _NEGATION_WORDS), len(words))
        # "not without clothes" refuses nothing
        refused = sum(word in _NEGATION_WORDS for word in words[start : start + 2]) == 1
        said |= _with(words[:start])
        said |= _without(words[start:], _UNDERWEAR_WORDS) if refused else _with(words[start:])
    return said


def _clauses(text: str) -> Iterator[list[str]]:
    for clause in _CLAUSE.split(text):
        yield _WORD.findall(_HARMLESS.sub(" ", " ".join(_WORD.findall(clause))))


def _with(words: list[str]) -> _Said:
    held, joined = set(words), " ".join(words)
    both = bool(held & _BOTH_WORDS) or _written(joined, _BOTH_WORDS)
    young = bool(held & (_MINOR_WORDS - _ANIMAL_WORDS)) or _young(joined) or _written(joined, _MINOR_WORDS)
    return _Said(
        sexual=both
        or bool(held & _SEXUAL_WORDS)
        or bool(_SEXUAL_TURNS.search(joined))
        or _written(joined, _SEXUAL_WORDS),
        minor=both or young or bool(held & _MINOR_WORDS),
        human=young,
    )


def _without(words: list[str], garments: frozenset[str]) -> _Said:
    held = set(words)
    grown = bool(held & _ADULT_WORDS) or "18" in held
    return _Said(undressed=bool(held & (_CLOTHES_WORDS | garments)), minor=grown, human=grown)


def _young(joined: str) -> bool:
    ages = (int(next(filter(None, found))) for found in _AGE.findall(joined))
    return bool(_MINOR_TURNS.search(joined) or _AGE_WORDS.search(joined)) or any(age < 18 for age in ages)


def _written(joined: str, listed: frozenset[str]) -> bool:
    """Whether a word of a script that writes no spaces is in it."""
    return bool(_CJK.search(joined)) and any(word in joined for word in listed if _CJK.search(word))


_SEXUAL_WORDS, _MINOR_WORDS, _BOTH_WORDS = (frozenset(text.split()) for text in (_SEXUAL, _MINOR, _BOTH))
_CLOTHES_WORDS, _UNDERWEAR_WORDS = frozenset(_CLOTHES.split()), frozenset(_UNDERWEAR.split())
_ADULT_WORDS, _ANIMAL_WORDS = frozenset(_ADULT.split()), frozenset(_OF_ANIMALS.split())
_NEGATION_WORDS = frozenset(_NEGATIONS.split())
