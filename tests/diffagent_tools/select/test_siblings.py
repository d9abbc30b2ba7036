"""Versions and extractions of one model come as one answer."""

import pytest
from small_adapter import fusion_only

from diffagent_tools.agents.operations import Operations
from diffagent_tools.select.selection import Selection
from diffagent_tools.select.selector import RetrievalSelector
from diffagent_tools.select.siblings import apart, core_of
from retrieval.calls.compose import api_for
from retrieval.catalogue import Catalogue
from retrieval.records.api import read_instruction
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


RECORDS = [
    model(1, "Soft Wash v1"),
    model(2, "Hard Wash"),
    model(3, "Soft Wash v2"),
    model(4, "Soft Wash", creator="bea"),
    model(5, "Soft Wash", base_model="SDXL 1.0"),
    model(6, "Soft Wash", creator=None),
    model(7, "v2 LoRA"),
    model(8, "v3 LoRA"),
]


def test_only_siblings_are_folded() -> None:
    catalogue = Catalogue(RECORDS)
    found = apart(
        [Selection(api=api_for(record, read_instruction("fog")), score=0, reason="") for record in RECORDS],
        catalogue,
    )
    assert [each.api.model_id for each in found] == [1, 2, 4, 5, 6, 7, 8]
    assert found[0].notes[-1] == "nearly the same: “Soft Wash v2”"
    assert found[1].notes == ()


def test_an_answer_names_its_siblings_and_the_next_is_another(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    catalogue = Catalogue([RECORDS[0], RECORDS[2], model(9, "Hard Ink")])
    selector = RetrievalSelector(catalogue, adapter=fusion_only(tmp_path_factory.mktemp("adapter") / "a"))
    found = Operations(catalogue, selector).choose("soft wash, watercolor", k=2)
    assert {found[0].api.model_id, found[1].api.model_id} > {9}
    assert any("nearly the same: “Soft Wash" in note for each in found for note in each.notes)
    assert len(selector.select("soft wash, watercolor", k=3)) == 3, "a selector gives every model"
