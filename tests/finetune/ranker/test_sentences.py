"""Made requests: the same for a seed, and they say the facets that they are said to ask for."""

from finetune.ranker.sentences import sentences
from retrieval.tables.facets import facets

CAPTIONS = ("A man riding a wave on top of a surfboard.", "Two cats on a sofa", "The old bridge at night")


def test_a_seed_makes_the_same_requests() -> None:
    assert sentences(CAPTIONS, 50, seed=3) == sentences(CAPTIONS, 50, seed=3)
    assert sentences(CAPTIONS, 50, seed=3) != sentences(CAPTIONS, 50, seed=4)


def test_they_name_their_facets_or_none() -> None:
    said = {facet.name: facet.said for facet in facets()}
    made = sentences(CAPTIONS, 400, seed=0)
    plain = [each for each in made if not each.facets]
    assert 0.15 < len(plain) / len(made) < 0.35
    unmarked = [
        each.text
        for each in made
        for name in each.facets
        if not any(phrase in each.text for phrase in said[name])
    ]
    # a few are misspelt on purpose
    assert len(unmarked) < 0.1 * len(made)


def test_captions_are_cut_to_what_they_show() -> None:
    texts = [each.text for each in sentences(CAPTIONS[:1], 200, seed=1)]
    assert any("surfboard" in text for text in texts)
    assert any("man" in text and "riding" not in text for text in texts)
