"""The ranking of sentences: what models are made for, what is refused, names that are everyday words."""

import pytest

from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction
from retrieval.search.ranker import Ranker

CATALOGUE = Catalogue.starter()


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return Ranker.packaged(CATALOGUE)


def test_a_sentence_goes_to_what_is_made_for_its_medium(ranker: Ranker) -> None:
    found = ranker.rank(Instruction(prompt="a lighthouse in a storm, watercolor"), ranker.filter())
    (best,) = found.best(1)
    assert found.sentence > 0.5
    assert best.made_for["watercolor"] == "watercolor"
    assert found.unmet == ()


def test_what_nothing_is_made_for_is_known(ranker: Ranker) -> None:
    found = ranker.rank(Instruction(prompt="a snail, claymation"), ranker.filter())
    assert found.unmet == ("claymation",)


def test_what_is_refused_does_not_lead(ranker: Ranker) -> None:
    request = Instruction(prompt="a knight on a horse")
    anime = ranker.rank(request, ranker.filter(), ["anime", "photo"], is_sentence=True)
    for candidate in anime.best(5):
        assert "anime" not in " ".join((candidate.record.model, *candidate.record.tags)).casefold()


def test_a_prompt_of_an_uploader_is_left_to_the_fusion(ranker: Ranker) -> None:
    prompt = "masterpiece, best quality, (ghibli style:1.2), 1girl, solo, school uniform, <lora:x:0.7>"
    found = ranker.rank(Instruction(prompt=prompt, negative_prompt="lowres, bad hands"), ranker.filter())
    assert found.sentence < 0.1


@pytest.mark.parametrize(
    ("name", "sure", "found"),
    [
        ("DreamShaper", False, True),
        ("rev animated", False, True),
        ("Night", False, False),
        ("smoke", True, False),
        ("no such model", True, False),
        ("", True, False),
    ],
)
def test_names_of_everyday_words_must_be_meant(ranker: Ranker, name: str, sure: bool, found: bool) -> None:
    assert (ranker.named(name, sure) is not None) is found


def test_a_chance_is_shared_out(ranker: Ranker) -> None:
    found = ranker.rank(Instruction(prompt="a red fox in the snow"), ranker.filter(type="Checkpoint"))
    assert found.chances.sum() == pytest.approx(1, abs=1e-3)
    assert (found.chances[:-1] >= found.chances[1:]).all()
