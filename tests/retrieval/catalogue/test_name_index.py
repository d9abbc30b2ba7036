"""Where a catalogue looks names up: each key leads to its record, and to the version that it says."""

from retrieval.catalogue.name_index import NameIndex, Names

HASH = "4199bcdd147e11328d5f3560301d5a7ab4ac7eeefbf49dc3eb663cb3e772b9ac"


def index() -> NameIndex:
    rev: Names = {
        "model": "ReV Animated v1",
        "aliases": ["Rev"],
        "versions": [
            {
                "version_id": 11,
                "version": "v1.2",
                "sha256": [HASH],
                "file_names": ["revAnimated_v12.safetensors"],
            },
            {"version_id": 12, "version": "v2"},
        ],
    }
    return NameIndex(
        [
            rev,
            {"model": ">_<", "versions": [{"version_id": 21, "version": "v1"}]},
            {"model": "rev", "versions": [{"version_id": 11, "version": "v9"}]},
        ]
    )


def test_names_and_aliases_lead_to_all_that_have_them_in_their_order() -> None:
    assert index().aliases == {
        "revanimatedv1": [(0, None)],
        "rev": [(0, None), (2, None)],
        "revanimatedv1v12": [(0, 11)],
        "revanimatedv1v2": [(0, 12)],
        ">_<": [(1, None)],
        "revv9": [(2, 11)],
    }


def test_the_first_record_of_a_version_holds_it() -> None:
    assert index().versions == {11: 0, 12: 0, 21: 1}


def test_files_are_found_without_their_ending_and_hashes_by_ten_digits() -> None:
    assert index().files == {"revanimatedv12": [(0, 11)]}
    assert index().hashes == {"4199BCDD14": [(0, 11, HASH.upper())]}


def test_parts_of_names_come_from_models_and_aliases_and_are_read_once() -> None:
    made = index()
    assert made.loose == {"revanimated": [(0, None)]}
    assert made.loose is made.loose
    two = NameIndex([{"model": "Ink v1"}, {"model": "Tusche", "aliases": ["ink v2"]}])
    assert two.loose == {"ink": [(0, None), (1, None)]}


def test_nothing_has_no_keys() -> None:
    empty = NameIndex([])
    assert (empty.aliases, empty.files, empty.hashes, empty.versions, empty.loose) == ({}, {}, {}, {}, {})
