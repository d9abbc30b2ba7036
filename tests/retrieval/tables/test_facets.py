"""The vocabulary itself: closed, without strays."""

from collections import Counter

from retrieval.search.terms import words
from retrieval.tables.facets import facets


def test_names_are_unique_and_neighbours_are_facets() -> None:
    names = [facet.name for facet in facets()]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert {near for facet in facets() for near in facet.near} - set(names) == set()
    assert [facet.name for facet in facets() if facet.name in facet.near] == []


def test_every_facet_can_be_asked_for() -> None:
    assert [facet.name for facet in facets() if not facet.said] == []


def test_a_phrase_of_requests_stands_for_one_facet() -> None:
    count = Counter(
        " ".join(words(phrase))
        for facet in facets()
        for phrase in (*facet.said, *facet.shown, *facet.asked, *facet.asked_shown)
    )
    assert [phrase for phrase, times in count.items() if times > 1] == []
