"""Versions and extractions of one model come as one answer."""

import pytest
from small_adapter import fusion_only

from diffagent_tools.select.selector import RetrievalSelector
from diffagent_tools.select.siblings import core_of, folded, siblings_note
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord


def model(model_id: int, name: str, creator: str | None = "ann", base_model: str = "SD 1.5") -> ModelRecord:
    return ModelRecord.model_validate(
        {
            "model_id": model_id,
            "model": name,
            "type": "LORA",
            "base_model": base_model,
            "creator": creator,
            "tags": ["watercolor", "style"],
            "versions": [{"version_id": model_id * 10, "version": "v1", "base_model": base_model}],
        }
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Soft Wash v1.2", "soft wash V3 [10MB] LoRA extraction", True),
        ("Protowash x3.4 Official Release", "Protowash x5.3 (Photo)", True),
        ("Wash 2.5D", "Wash Ink", False),
        ("Based64", "Based65", False),
    ],
)
def test_the_core_of_a_name(one: str, other: str, same: bool) -> None:
    assert (core_of(one) == core_of(other)) is same


def test_only_siblings_are_folded() -> None:
    records = [
        model(1, "Soft Wash v1"),
        model(2, "Hard Wash"),
        model(3, "Soft Wash v2"),
        model(4, "Soft Wash", creator="bea"),
        model(5, "Soft Wash", base_model="SDXL 1.0"),
        model(6, "Soft Wash", creator=None),
        model(7, "v2 LoRA"),
        model(8, "v3 LoRA"),
    ]
    found = folded(records)
    assert [place for place, _ in found] == [0, 1, 3, 4, 5, 6, 7]
    assert [record.model_id for record in found[0][1]] == [3]
    assert siblings_note(found[0][1]) == "nearly the same: “Soft Wash v2”"
    assert siblings_note(()) == ""


def test_an_answer_names_its_siblings_and_the_next_is_another(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    records = [model(1, "Soft Wash v1"), model(3, "Soft Wash v2"), model(2, "Hard Ink")]
    selector = RetrievalSelector(
        Catalogue(records), adapter=fusion_only(tmp_path_factory.mktemp("adapter") / "a")
    )
    found = selector.select("soft wash, watercolor", k=2)
    assert {each.api.model_id for each in found} & {1, 3}
    assert found[1].api.model_id == 2
    assert any(note.startswith("nearly the same: “Soft Wash") for note in found[0].notes)
