"""How far a name may be misspelled and still mean the same model."""

import pytest

from retrieval.catalogue import Catalogue
from retrieval.catalogue.spelling import SpellingIndex

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
