"""Requests in other languages: told from English, and read by the table of glosses."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import retrieval.tables
from retrieval.requests.languages import is_foreign, read_foreign
from retrieval.requests.understanding import understand
from retrieval.tables.facets import facets


@pytest.mark.parametrize(
    ("text", "facets"),
    [
        ("ein Drache auf einem Berg, Aquarell", {"fantasy", "landscape", "watercolor"}),
        ("un chat en pixel art", {"animal", "pixel art"}),
        ("un castillo al óleo", {"fantasy", "oil painting"}),
        ("disegno a matita di un gatto", {"sketch", "animal"}),
        ("desenho animado de um cachorro", {"cartoon", "animal", "sketch"}),
        ("een foto van een hond", {"photo", "animal"}),
        ("smok nad zamkiem, obraz olejny", {"fantasy", "oil painting"}),
        ("замок в стиле аниме", {"fantasy", "anime"}),
        ("bir ejderha, suluboya", {"fantasy", "watercolor"}),
        ("水墨画的龙", {"ink painting", "fantasy"}),
        ("猫のドット絵", {"animal", "pixel art"}),
        ("고양이 사진", {"animal", "photo"}),
        ("صورة فوتوغرافية لقطة", {"photo", "animal"}),
        ("घोड़े की तस्वीर", {"animal", "photo"}),
        ("ภาพถ่ายแมว", {"photo", "animal"}),
        ("tranh màu nước của một con mèo", {"watercolor", "animal"}),
    ],
)
def test_sixteen_languages(text: str, facets: set[str]) -> None:
    found = read_foreign(text)
    assert found is not None
    assert facets <= set(found.facets)
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
    assert refused not in found.facets
    assert understand(text).refused == found.refused


def test_the_answer_says_what_was_understood_and_what_was_not() -> None:
    found = understand("вязаный слон, 16:9")
    assert found.gist == "felt, animal"
    assert found.ratio == (16, 9)
    assert "in English: felt, animal" in found.words
    unknown = understand("ένα παράθυρο στη βροχή")
    assert unknown.foreign
    assert "in English: not understood" in unknown.words


def test_every_row_is_a_facet() -> None:
    path = Path(retrieval.tables.__file__).parent / "glosses.txt"
    rows = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    names = [row.partition(":")[0] for row in rows]
    assert set(names) <= {facet.name for facet in facets()}
    assert len(set(names)) == len(names)


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    found = read_foreign(text)
    assert found is None or not set(found.facets) & set(found.refused)
