"""How far a name may be misspelled and still mean the same model."""

import pytest

from retrieval.catalogue import Catalogue
from retrieval.catalogue.spelling import Spelling, SpellingIndex

NAMES = SpellingIndex(
    [
        (1, "Moonlit Harbour", ()),
        (2, "Keep", ()),
        (3, ">_<", ()),
        (4, "Castle Dreams 城堡之梦", ("Gothic Nights",)),
    ]
)


@pytest.mark.parametrize(
    ("name", "model_id", "edits"),
    [
        ("moonlit harbour", 1, 0),
        ("Moonlit  Harbour", 1, 0),
        ("Moonlit Harbor", 1, 1),
        ("Moonilt Harbour", 1, 1),  # two neighbours that swapped are one edit
        ("Munlit Harbor", 1, 3),
        ("Munlit Harbr", 1, None),  # four edits
        ("Kep", 2, 1),
        ("Kxxp", 2, 2),  # half of the signs are left
        ("Kxxx", 2, None),
        (">_>", 3, 1),
        ("Castel Dreams", 4, 1),  # the Latin part, one edit away
        ("Castel Dreems", 4, None),
        ("Gothic Nihgts", 4, 1),  # another name of the model
        ("", 1, None),
        ("x" * 10_000, 1, None),
    ],
)
def test_at_most_three_edits_that_leave_half_of_the_name(name: str, model_id: int, edits: int | None) -> None:
    best = NAMES.best(name)
    assert (best and (best.model_id, best.edits)) == (None if edits is None else (model_id, edits))


def test_a_long_name_may_have_more() -> None:
    name = "the very long name of a model of castles and harbours"
    best = SpellingIndex([(1, name, ())]).best(name.replace("o", "0"))
    assert best is not None
    assert best.edits == 5


def test_a_name_as_near_to_many_models_means_none_of_them() -> None:
    def crowd(count: int) -> SpellingIndex:
        return SpellingIndex((number, f"Castle {number}", ()) for number in range(count))

    two_edits = crowd(4).best("Castle xx")
    assert two_edits is not None
    assert (two_edits.model_id, two_edits.edits) == (0, 2)
    assert crowd(5).best("Castle xx") is None
    one_edit = crowd(5).best("Castle x")
    assert one_edit is not None
    assert one_edit.model_id == 0
    few = crowd(5).best("Castle xx", lambda model_id: model_id > 2)
    assert few is not None
    assert few.model_id == 3


def test_the_catalogue_keeps_its_index() -> None:
    catalogue = Catalogue([])
    assert catalogue.spelling is catalogue.spelling
    assert catalogue.spelling.best("Castle") is None


@pytest.mark.parametrize(
    ("similarity", "edits", "part", "accepted"),
    [
        (0.5, 3, False, True),
        (0.5, 4, False, False),
        (0.49, 3, False, False),
        (0.85, 9, False, True),
        (0.849, 4, False, False),
        (0.45, 1, True, True),
        (0.44, 1, True, False),
        (0.9, 2, True, False),
        (0.9, 0, True, True),
    ],
)
def test_from_where_on_a_name_is_a_misspelling(
    similarity: float, edits: int, part: bool, accepted: bool
) -> None:
    assert Spelling(1, similarity, edits, part).accepted is accepted


def test_names_that_are_as_near_go_letter_for_letter_and_then_by_id() -> None:
    same = SpellingIndex([(9, "Castle", ()), (3, "Castle", ()), (5, "castle", ()), (7, "Castles", ())])
    assert [guess.model_id for guess in same.nearest("Castle")] == [3, 9, 5, 7]
    assert [guess.model_id for guess in same.nearest("castle")] == [5, 3, 9, 7]
    assert [guess.model_id for guess in same.nearest(" Castl ")][:3] == [3, 9, 5]


def test_a_part_counts_less_than_a_whole_name_and_short_parts_nothing() -> None:
    names = SpellingIndex([(1, "Harbour v2", ()), (2, "Harbour", ()), (3, "Abcde v2", ())])
    whole, part = names.nearest("harbour")
    assert (whole.model_id, whole.similarity, whole.part) == (2, 1.0, False)
    assert (part.model_id, part.similarity, part.part) == (1, pytest.approx(0.9), True)
    (short, *_) = names.nearest("abcde")
    assert (short.model_id, short.part) == (3, False), "five letters of a part are no evidence"


@pytest.mark.parametrize(
    ("name", "edits", "similarity"), [("harbor", 0, 0.9), ("harbar", 1, 0.75), ("harbo", 1, 0.75)]
)
def test_a_part_of_six_letters_may_have_one_edit(name: str, edits: int, similarity: float) -> None:
    (found,) = SpellingIndex([(1, "Harbor v2", ())]).nearest(name)
    assert (found.model_id, found.edits, found.part, found.accepted) == (1, edits, True, True)
    assert found.similarity == pytest.approx(similarity)


def test_two_edits_are_no_part_and_all_that_are_near_are_found() -> None:
    many = SpellingIndex((number, f"Harbor v{number}", ()) for number in range(1, 9))
    assert not any(guess.part or guess.accepted for guess in many.nearest("hxrbxr"))
    assert [(guess.model_id, guess.part) for guess in many.nearest("harbor")] == [
        (n, True) for n in range(1, 9)
    ]
    assert len(many.nearest("Harbor v0")) == 8
