"""Civitai's objects of 2023 and of today become the same records."""

import pytest
from dabench_world import file_of, image_of, model_of, version_of

from retrieval.records.civitai import (
    BLOCKED,
    commercial_use,
    hash_text,
    images_of,
    level_of,
    newest_date,
    read_image,
    read_model,
    votes_of,
    whole,
)
from retrieval.records.model import Stats
from retrieval.records.samples import stats_of


@pytest.mark.parametrize(
    ("given", "level"),
    [
        (None, None),
        ("None", 1),
        ("Soft", 2),
        ("Mature", 4),
        ("X", 8),
        ("XXX", 16),
        ("Blocked", BLOCKED),
        ("something new", BLOCKED),
        (True, 8),
        (False, 1),
        (0, 0),
        (31, 31),
        (-1, BLOCKED),
        (2**63, BLOCKED),
    ],
)
def test_levels_are_read_as_number_word_and_flag(given: object, level: int | None) -> None:
    assert level_of(given) == level


@pytest.mark.parametrize(
    ("given", "uses"),
    [
        ("None", ()),
        ("Rent", ("Image", "Rent")),
        ("Sell", ("Image", "Rent", "Sell")),
        ("{Image,RentCivit}", ("Image", "RentCivit")),
        ("{}", ()),
        (["Sell"], ("Sell",)),
        (["None"], ()),
        ([], ()),
        (["Something"], None),
        ([["Sell"], {}], None),
        ("Something", None),
        (None, None),
    ],
)
def test_licences_are_read_as_word_list_and_set(given: object, uses: tuple[str, ...] | None) -> None:
    assert commercial_use(given) == uses


def test_hashes_lose_their_prefix_and_case() -> None:
    assert hash_text("0x6ce0161689") == hash_text(" 6CE0161689 ") == "6CE0161689"
    assert hash_text("not a hash") is None
    assert hash_text(12) is None


def test_whole_numbers_are_those_that_a_record_holds() -> None:
    assert [whole(value) for value in (" 12 ", 12.0, -12, 2**63 - 1)] == [12, 12, -12, 2**63 - 1]
    for odd in (True, 1.5, "1.5", 2**63, -(2**63), 1e30, "9" * 19, "9" * 5_000, None, [1]):
        assert whole(odd) is None


def test_ratings_of_2023_and_thumbs_of_today_are_votes() -> None:
    old = read_model(model_of(1, "Old", "LORA", []))
    thumbs = {"downloadCount": 5, "thumbsUpCount": 30, "thumbsDownCount": 10, "ratingCount": 0, "rating": 0}
    new = read_model(model_of(2, "New", "LORA", [], stats=thumbs))
    none = read_model(model_of(3, "None", "LORA", [], stats=None))
    assert old is not None
    assert new is not None
    assert none is not None
    assert (old.votes.count, old.votes.approval) == (8, 0.9)
    assert (new.votes.count, new.votes.approval) == (40, 0.75)
    assert (none.votes.count, none.votes.approval) == (0, None)


@pytest.mark.parametrize("odd", [-1, 2**63, 10**30, float("nan"), float("inf"), "many", [5], {}, True])
def test_what_counts_nothing_is_no_vote(odd: object) -> None:
    names = ("downloadCount", "favoriteCount", "commentCount", "ratingCount", "rating", "thumbsUpCount")
    assert stats_of(votes_of(dict.fromkeys(names, odd))) == Stats()


def test_a_versions_level_is_that_of_its_images_where_the_api_gives_none() -> None:
    images = [image_of(1), image_of(2, nsfw="Mature")]
    model = read_model(
        model_of(1, "M", "LORA", [version_of(1, "a", images), version_of(2, "b", images, nsfwLevel=1)])
    )
    assert model is not None
    assert [version.level for version in model.versions] == [5, 1]


def test_what_is_missing_or_of_another_type_is_none() -> None:
    model = read_model(
        {"id": "7", "name": "Bare", "tags": [{"name": "sea"}, 3], "modelVersions": [{"id": 1}, "x"]}
    )
    assert model is not None
    assert (model.id, model.type, model.nsfw, model.commercial_use) == (7, None, None, None)
    assert model.tags == ("sea",)
    assert len(model.versions) == 1
    assert model.versions[0].files == ()
    unreadable = ({"id": 1, "name": "\u202e \x1b"}, {"id": 2**63, "name": "x"})
    for broken in (None, [], {"id": 1}, {"name": "x"}, {"id": True, "name": "x"}, *unreadable):
        assert read_model(broken) is None


def test_a_pickle_is_clean_only_if_its_imports_were_scanned() -> None:
    pickle = {"metadata": {"format": "PickleTensor"}, "pickleScanResult": "Pending"}
    model = read_model(
        model_of(
            1,
            "M",
            "LORA",
            [
                version_of(
                    1,
                    "a",
                    files=[file_of("a"), file_of("b", **pickle), file_of("c", virusScanResult="Danger")],
                )
            ],
        )
    )
    assert model is not None
    assert [file.is_clean for file in model.versions[0].files] == [True, False, False]
    assert [file.is_safetensors for file in model.versions[0].files] == [True, False, True]


def test_images_know_their_version_wherever_they_lie() -> None:
    raw = model_of(5, "M", "LORA", [version_of(51, "a", [image_of(1), "no image"])])
    inside = list(images_of(raw))
    assert (inside[0].key, inside[0].model_id, inside[0].version_id) == (1, 5, 51)
    assert inside[1].meta is None
    asked = {"id": 2, "modelVersionIds": [9, 8], "collectedFor": {"modelId": 5, "modelVersionId": 51}}
    assert read_image(asked).version_id == 51
    assert read_image({"id": 2, "modelVersionIds": [9]}).version_id == 9
    assert read_image({"id": 2, "modelVersionIds": [9, 8]}).version_id is None
    levels = {"nsfwLevel": "Soft", "browsingLevel": 4, "nsfw": False}
    assert read_image({"id": 3, **levels}).level == 4
    assert read_image({"url": "https://example.org/a.png", "meta": None}).key == "https://example.org/a.png"


def test_the_day_of_collection_is_the_newest_date() -> None:
    scanned = version_of(1, "a", files=[file_of("a", scannedAt="2023-06-02T00:00:00.000Z")])
    assert newest_date(model_of(1, "M", "LORA", [scanned])) == "2023-06-02T00:00:00.000Z"
    assert newest_date({"id": 1}) == ""
