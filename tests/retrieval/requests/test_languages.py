"""Requests in other languages: told from English, and read by the table of glosses."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import retrieval.tables
from retrieval.requests.languages import is_foreign, read_foreign
from retrieval.requests.understanding import understand
from retrieval.search.purpose import asked_facets
from retrieval.tables.facets import facets


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ein Drache auf einem Berg, Aquarell", {"dragon", "watercolor"}),
        ("un chat en pixel art", {"animal", "pixel art"}),
        ("un castillo al óleo", {"castle", "oil painting"}),
        ("disegno a matita di un gatto", {"sketch", "cat"}),
        ("desenho animado de um cachorro", {"cartoon", "dog"}),
        ("een foto van een hond", {"photo", "dog"}),
        ("smok nad zamkiem, obraz olejny", {"dragon", "castle", "oil painting"}),
        ("замок в стиле аниме", {"castle", "anime"}),
        ("bir ejderha, suluboya", {"dragon", "watercolor"}),
        ("水墨画的龙", {"ink painting"}),
        ("猫のドット絵", {"cat", "pixel art"}),
        ("고양이 사진", {"cat", "photo"}),
        ("صورة فوتوغرافية لقطة", {"photo", "animal"}),
        ("घोड़े की फोटो", {"horse", "photo"}),
        ("ภาพถ่ายแมว", {"photo", "cat"}),
        ("tranh màu nước của một con mèo", {"watercolor", "cat"}),
    ],
)
def test_sixteen_languages(text: str, said: set[str]) -> None:
    found = read_foreign(text)
    assert found is not None
    assert said <= set(found.said)
    assert not found.refused


@pytest.mark.parametrize(
    "text",
    [
        "a red fox in the snow",
        "aquarelle painting of a cat",
        "cafe scene, deja vu",
        "masterpiece, 1girl",
        "",
        "1234",
    ],
)
def test_english_is_not_foreign(text: str) -> None:
    assert not is_foreign(text)
    assert read_foreign(text) is None


def test_marks_may_be_left_out() -> None:
    assert read_foreign("Olgemalde eines Schlosses mit einem Turm") == read_foreign(
        "Ölgemälde eines Schlosses mit einem Turm"
    )


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("ein Schloss, kein Anime", "anime"),
        ("un château sans pixel art", "pixel art"),
        ("一个城堡，不要动漫", "anime"),
        ("замок без аниме", "anime"),
    ],
)
def test_refusals(text: str, refused: str) -> None:
    found = read_foreign(text)
    assert found is not None
    assert refused in found.refused
    assert refused not in found.said
    assert understand(text).refused == found.refused


def test_the_answer_says_what_was_understood_and_what_was_not() -> None:
    found = understand("вязаный слон, 16:9")
    assert found.gist == "felt, elephant"
    assert found.ratio == (16, 9)
    assert "in English: felt, elephant" in found.words
    unknown = understand("ένα παράθυρο στη βροχή")
    assert unknown.foreign
    assert "in English: not understood" in unknown.words


def test_every_row_is_plain_english_and_stands_once() -> None:
    path = Path(retrieval.tables.__file__).parent / "glosses.txt"
    rows = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    names = [row.partition(":")[0] for row in rows]
    styles = [facet.name for facet in facets() if facet.kind != "genre"]
    assert [name for name in names if not re.fullmatch(r"[a-z0-9 .-]+", name)] == []
    assert [name for name, times in Counter(names).items() if times > 1] == []
    assert {name for name in styles if name in asked_facets(name)} <= {*names, "tribal"}


def test_an_english_word_is_another_word_elsewhere() -> None:
    found = read_foreign("el gato que quiere ser astronauta, car en la red")
    assert found is not None
    assert not {"sea", "car", "red"} & set(found.said)


def test_of_two_phrases_at_one_place_the_longer_counts() -> None:
    found = read_foreign("desenho animado de um cachorro")
    assert found is not None
    assert "sketch" not in found.said, "a cartoon is a drawing that moves"


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    found = read_foreign(text)
    assert found is None or not set(found.said) & set(found.refused)
