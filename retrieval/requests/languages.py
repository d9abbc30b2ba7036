"""What a request in another language than English asks for, as far as a table of words goes.

    read_foreign("вязаная сова")     # Foreign(said=("felt", "animal"), refused=())
    read_foreign("a red fox in the snow")      # None: English

German, French, Spanish, Italian, Portuguese, Dutch, Polish, Russian, Turkish, Chinese, Japanese, Korean,
Arabic, Hindi, Thai and Vietnamese, by retrieval/tables/glosses.txt. The image models read English, so the
answer's prompt says what was understood in English beside the original.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from retrieval.tables.facets import facets

_FILE = Path(__file__).parent.parent / "tables" / "glosses.txt"
_ENGLISH_WORDS = """
    the of and with in on at for my a an is are to from by his her its their this that under over near
"""
_FOREIGN_WORDS = """
    der das den dem ein eine einen einem einer eines und mit im auf von für fur aus kein keine
    le les un une du de et dans sur avec au aux sans pour chez sous
    el los las una unos y con del para por sobre sin entre en
    il lo gli della dello dei di nel nella sul sulla alla uno senza che
    uma com da dos das sem numa num pelo pela em meu minha
    het een van op bij uit naar zonder voor tijdens boven onder mijn
    w z nad przy bez dla oraz
    bir ve ile icin icinde uzerinde altinda olan gibi
    mot cua va trong tren voi duoi khong cho
    frau madchen junge kleine kleiner kleines grosse grosser rote roter rotes altes ich mochte bitte
    zeichne mir
    femme homme fille garcon vieux vieille je veux dessine
    mujer hombre chica chico viejo vieja rojo roja quiero hazme dibuja
    uomo ragazza ragazzo rosso rossa vecchio vecchia voglio fammi disegna
    na menino menina mulher homem crianca velho velha vermelho vermelha quero pra desenhe
    vrouw meisje jongen oude grote rode ik graag
    kobieta mezczyzna dziewczyna chlopiec stary stara czerwony czerwona chce narysuj prosze
    oturan duran giden bakan kadin adam kiz cocuk kedi kopek eski yeni kucuk buyuk kirmizi mavi yesil
    siyah beyaz bana ciz
"""
_ENGLISH, _FOREIGN = frozenset(_ENGLISH_WORDS.split()), frozenset(_FOREIGN_WORDS.split())
_SHORTEST_STEM = 3
_LETTER = re.compile(r"[^\W\d_]")
_RUN_TOGETHER = re.compile(
    r"[\u0600-\u06ff\u0900-\u097f\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
)
_NOT = (
    r"\b(?:kein|keine|keinen|ohne|nicht|sans|pas de|sin|senza|sem|zonder|geen|bez|без|не|khong co|khong)\b\s*"
    r"|"
    r"不要|没有|不是|无|بدون|بلا|ไม่มี|ไม่เอา|ไม่ใช่"
)
_REFUSED = re.compile(rf"(?:{_NOT})([^,.;，。、;!?]*)")


@dataclass(frozen=True)
class Foreign:
    """What a text of another language asks for and refuses, in English words."""

    said: tuple[str, ...]
    refused: tuple[str, ...]


def read_foreign(text: str) -> Foreign | None:
    """What is understood of a text in another language; None for English."""
    if not is_foreign(text):
        return None
    folded = _folded(text)
    refused: dict[str, None] = {}
    for match in _REFUSED.finditer(folded):
        refused.update(dict.fromkeys(_said(match[1])))
    wanted = _said(_REFUSED.sub(" ", folded))
    return Foreign(tuple(name for name in wanted if name not in refused), tuple(refused))


def is_foreign(text: str) -> bool:
    """Whether a text is in another language than English, by its script and its small words."""
    letters = _LETTER.findall(text)
    if not letters:
        return False
    other = sum(not unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    if other > len(letters) / 3:
        return True
    spoken = re.findall(r"[^\W\d_]+", text.casefold())
    english = sum(word in _ENGLISH for word in spoken)
    foreign = sum(_plain(word) in _FOREIGN for word in spoken)
    marked = sum(not word.isascii() for word in spoken)
    return foreign + marked > english and (foreign > 0 or (marked > 0 and english == 0 and len(spoken) > 1))


def _said(folded: str) -> list[str]:
    """What is named, in the order of the table; of two phrases at one place the longer counts, but a thing
    never hides a style: "chica anime" is a girl and anime."""
    found = list(_places(folded))
    styles = _styles()
    order = {name: place for place, name in enumerate(_names())}
    whole = {
        name
        for first, last, name in found
        if not any(
            begin <= first
            and last <= end
            and end - begin > last - first
            and (other in styles or name not in styles)
            for begin, end, other in found
        )
    }
    return sorted(whole, key=order.__getitem__)


def _places(folded: str) -> Iterator[tuple[int, int, str]]:
    """Where a phrase begins and ends, and what it says: the end is that of the word that it begins."""
    starts = _starts()
    for first, sign in enumerate(folded):
        begins = first == 0 or not _is_word(folded[first - 1])
        for stem, name in starts.get(sign, ()):
            if not folded.startswith(stem, first):
                continue
            last = first + len(stem)
            if not _RUN_TOGETHER.search(stem):
                if not begins:
                    continue
                ends = last
                while ends < len(folded) and _is_word(folded[ends]):
                    ends += 1
                if ends > last and len(stem) <= _SHORTEST_STEM:
                    continue
                last = ends
            yield first, last, name


def _is_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


@functools.cache
def _rows() -> tuple[tuple[str, tuple[str, ...]], ...]:
    styles = _styles()
    rows = []
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, listed = line.partition(":")
            # people say the styles in English, too; "sea" and "car" are other words elsewhere
            said = [name] if name in styles and len(name) > _SHORTEST_STEM else []
            stems = (_folded(stem).strip() for stem in (*said, *listed.split(",")))
            rows.append((name, tuple(dict.fromkeys(filter(None, stems)))))
    return tuple(rows)


@functools.cache
def _styles() -> frozenset[str]:
    return frozenset(facet.name for facet in facets())


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(name for name, _ in _rows())


@functools.cache
def _starts() -> dict[str, list[tuple[str, str]]]:
    """The phrases by their first sign, each with what it says."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, stems in _rows():
        for stem in stems:
            found.setdefault(stem[0], []).append((stem, name))
    return found


def _folded(text: str) -> str:
    """Lower case, marks of Latin and Cyrillic letters left out."""
    if text.isascii():
        return text.casefold()
    return "".join(_plain(char) for char in unicodedata.normalize("NFKC", text).casefold())


@functools.lru_cache(maxsize=10_000)
def _plain(text: str) -> str:
    folded = text.replace("ł", "l").replace("đ", "d").replace("ı", "i").replace("ø", "o").replace("æ", "ae")
    return "".join(char if _RUN_TOGETHER.match(char) else _unmarked(char) for char in folded)


def _unmarked(char: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFD", char) if not unicodedata.combining(part))
