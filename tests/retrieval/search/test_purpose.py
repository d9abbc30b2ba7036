"""What models are made for, by their records, and what requests ask for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.records.model import ModelRecord
from retrieval.search.purpose import Purposes, asked_facets, is_special, strengths


def record(model_id: int, model: str, type: str = "Checkpoint", **more: object) -> ModelRecord:
    return ModelRecord.model_validate(
        {
            "model_id": model_id,
            "model": model,
            "type": type,
            "base_model": "SD 1.5",
            "description": "",
            "versions": [{"version_id": model_id * 10, "version": "v1", "base_model": "SD 1.5"}],
            **more,
        }
    )


PHOTO = record(1, "Real World", tags=["photorealistic", "base model"], stats={"downloads": 90_000})
WASH = record(2, "Soft Wash", "LORA", tags=["watercolor", "style"], trigger_words=["wtrclr"])
ANIME = record(3, "AnimeMixture", tags=["anime"], stats={"downloads": 50_000})
HAT = record(4, "Huge Straw Hat", "LORA", tags=["clothing"])
ALL = record(
    5, "Allrounder", tags=["anime", "photorealistic", "watercolor", "cyberpunk", "comic", "3d", "horror"]
)
PURPOSES = Purposes((PHOTO, WASH, ANIME, HAT, ALL))


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("a lighthouse in a storm, watercolour", {"watercolor", "landscape"}),
        ("chinese ink painting of bamboo", {"ink painting"}),
        ("a robot painting a birdhouse", {"mecha"}),
        ("PIXELART knight", {"pixel art", "fantasy"}),
        ("a glass of water on a table", set()),
        ("a vase made of glass", {"glass"}),
        ("something nice", set()),
        ("a tiger as a grafitti on a wall", {"graffiti", "animal"}),
        ("a pencil scetch", {"sketch"}),
        ("kids building a snowman", {"christmas"}),
        ("a swan of blown glass", {"glass", "animal"}),
        ("printing on the stationary", set()),
        ("the way it would look on a super nintendo", {"pixel art"}),
    ],
)
def test_what_is_asked_for(text: str, asked: set[str]) -> None:
    assert set(asked_facets(text)) == asked


def test_each_phrase_counts_once_and_the_longest_wins() -> None:
    assert asked_facets("a stained glass window")["stained glass"] == "stained glass window"


def test_evidence_adds_up_and_many_tags_are_less_each() -> None:
    named = strengths(record(9, "Watercolor Dreams", tags=["watercolor"]))["watercolor"]
    assert strengths(WASH)["watercolor"] < named < 1
    assert strengths(ALL)["watercolor"] < strengths(WASH)["watercolor"]
    assert strengths(ANIME)["anime"] > 0.8, "words of a name that are written together"
    assert "watercolor" not in strengths(PHOTO)


def test_who_is_made_for_it_leads_and_a_neighbour_does_for_less() -> None:
    fit = PURPOSES.scores(asked_facets("a bridge, watercolor"))["facets.fit"]
    assert int(np.argmax(fit)) == 1
    comic = PURPOSES.scores(asked_facets("a comic"))["facets.fit"]
    assert int(np.argmax(comic)) == 4
    assert PURPOSES.scores({})["facets.fit"].tolist() == [0.0] * 5


def test_a_thing_says_less_than_the_style_that_is_named_beside_it() -> None:
    """ "3d render of a robot": who makes 3D renders leads, not who makes robots."""
    models = Purposes(
        [
            record(1, "Renders", tags=["3d", "style"]),
            record(2, "Robots", tags=["mecha", "style"]),
        ]
    )
    both = models.scores(asked_facets("3d render of a robot"))["facets.fit"]
    assert both[0] > 2 * both[1]
    alone = models.scores(asked_facets("a robot"))["facets.fit"]
    assert alone[1] > alone[0] == 0


def test_who_claims_unrelated_media_is_made_for_none_alone() -> None:
    one, two = (strengths(record(1, "A", tags=tags)) for tags in (["photography"], ["photography", "3d"]))
    assert two["photo"] < one["photo"]
    near = strengths(record(1, "A", tags=["anime", "manga"]))
    assert near["anime"] > two["photo"], "manga is near to anime"


def test_without_a_style_a_lora_is_narrow() -> None:
    plain = PURPOSES.scores(asked_facets("a woman on a bridge"))
    assert plain["narrow"].tolist() == [0, 1, 0, 1, 0]
    assert plain["facets.general"][0] > plain["facets.general"][2]
    styled = PURPOSES.scores(asked_facets("a woman, watercolor"))
    assert not styled["narrow"].any()
    assert not styled["facets.general"].any()


def test_a_lora_that_changes_no_style_is_special() -> None:
    assert is_special(HAT)
    assert not is_special(WASH)
    assert not is_special(PHOTO)


def test_what_is_refused_counts_against_its_models() -> None:
    (anime,) = PURPOSES.against(["anime"])
    assert anime[2] == max(anime) > 0.8
    (straw,) = PURPOSES.against(["straw hat"])
    assert straw.tolist() == pytest.approx([0, 0, 0, 0.7, 0], abs=1e-6)
    assert PURPOSES.against([]).shape == (0, 5)
    assert not PURPOSES.against(["the"]).any()


@given(st.text(max_size=120))
def test_any_request_has_finite_scores(text: str) -> None:
    scores = PURPOSES.scores(asked_facets(text))
    assert all(np.isfinite(values).all() and values.shape == (5,) for values in scores.values())
    assert ((scores["facets.fit"] >= 0) & (scores["facets.fit"] <= 1)).all()


def test_an_empty_catalogue_has_no_scores() -> None:
    assert Purposes(()).scores(asked_facets("anime"))["facets.fit"].shape == (0,)


def test_what_is_made_for_another_medium_steps_back() -> None:
    models = [
        ModelRecord(model_id=1, model="Game Icons", type="Checkpoint", base_model="SD 1.5", tags=("icon",)),
        ModelRecord(model_id=2, model="Tales", type="Checkpoint", base_model="SD 1.5", tags=("fantasy",)),
    ]
    purposes = Purposes(models)
    icons, tales = purposes.scores(asked_facets("a knight"))["facets.unasked"]
    assert icons > 0.5
    assert tales == 0
    assert purposes.scores(asked_facets("an icon of a knight"))["facets.unasked"].tolist() == [0, 0]
