"""The LoRAs beside the first one are checked as it is: they exist, fit, and are loaded once."""

import math
from typing import Any

import pytest

from retrieval.calls.check import check
from retrieval.calls.repair import repair
from retrieval.calls.verdict import judge
from retrieval.catalogue import Catalogue
from retrieval.records.api import LoraRef, T2IApi
from retrieval.records.loras import read_loras
from retrieval.records.model import ModelRecord, VersionRecord


def record(id_: int, name: str, **fields: Any) -> ModelRecord:
    version = VersionRecord(version_id=id_ * 10, version="v1", base_model=fields.get("base_model", "SD 1.5"))
    usual = {"type": "LORA", "base_model": "SD 1.5", "versions": (version,)}
    return ModelRecord(model_id=id_, model=name, **{**usual, **fields})


CATALOGUE = Catalogue(
    [
        record(1, "v1-5-pruned-emaonly", type="Checkpoint"),
        record(2, "Ink Wash"),
        record(3, "Oil"),
        record(4, "Gone", available=False),
        record(5, "Wide", base_model="SDXL 1.0"),
    ],
    name="the test catalogue",
)
INK = LoraRef(model="Ink Wash", weight=0.4, model_id=2, version_id=20, air="urn:air:sd1:lora:civitai:2@20")


def api(*loras: LoraRef, **fields: Any) -> T2IApi:
    usual: dict[str, Any] = {
        **{"model": "Oil", "type": "LORA", "base_model": "SD 1.5", "width": 512, "height": 512},
        **{"sampling_method": "Euler a", "sampling_steps": 20, "cfg_scale": 7.0, "loras": loras},
    }
    return T2IApi(**{**usual, **fields})


def test_what_exists_and_fits_is_valid_also_beside_a_checkpoint() -> None:
    assert judge(api(INK), CATALOGUE).valid
    assert judge(api(LoraRef(model="Ink Wash")), CATALOGUE).valid
    assert judge(api(INK, model="v1-5-pruned-emaonly", type="Checkpoint"), CATALOGUE).valid


@pytest.mark.parametrize(
    ("lora", "said", "after"),
    [
        (LoraRef(model="Unheard Of", weight=0.5), "holds no LoRA called 'Unheard Of'; it is left out", ()),
        (LoraRef(model="v1-5-pruned-emaonly"), "is of the type Checkpoint and no LoRA", ()),
        (LoraRef(model="Gone"), "can no longer be had", ()),
        (LoraRef(model="Wide"), "is for SDXL 1.0 and does not fit SD 1.5", ()),
        (LoraRef(model="oil"), "the LoRA 'oil' is named twice", ()),
        (
            INK.model_copy(update={"weight": 9.0}),
            "is 9, and beyond 2",
            (INK.model_copy(update={"weight": 2.0}),),
        ),
        (
            INK.model_copy(update={"weight": math.nan}),
            "is no number",
            (INK.model_copy(update={"weight": None}),),
        ),
        (INK.model_copy(update={"model_id": 3}), "ids of the LoRA 'Ink Wash' belong to another", (INK,)),
        (INK.model_copy(update={"version_id": 99}), "ids of the LoRA 'Ink Wash' belong to another", (INK,)),
    ],
    ids=range(9),
)
def test_faults_are_named_and_mended(lora: LoraRef, said: str, after: tuple[LoraRef, ...]) -> None:
    verdict = judge(api(lora), CATALOGUE)
    assert verdict.status == "bad parameters"
    assert said in " ".join(verdict.reasons)
    mended = repair(api(lora), CATALOGUE)
    assert mended.api.loras == after
    assert judge(mended.api, CATALOGUE).valid
    assert [change.field for change in mended.changes] == ["loras"]


def test_another_spelling_is_an_alias_and_several_faults_are_mended_at_once() -> None:
    spelled = LoraRef(model="inkWash.safetensors", weight=0.4)
    assert judge(api(spelled), CATALOGUE).status == "alias"
    found = check({**api(spelled, LoraRef(model="Nobody")).to_wire()}, CATALOGUE)
    assert not found.accepted
    wire = found.to_wire()
    assert wire["repair"]["api"]["loras"] == [
        {"model": "Ink Wash", "weight": 0.4, "model id": 2, "version id": 20, "air": INK.air}
    ]
    assert wire["repair"]["changes"][0]["before"][1] == {"model": "Nobody"}


def test_a_substitute_keeps_those_that_fit_it() -> None:
    invented = api(INK, LoraRef(model="Wide"), model="Oill")
    mended = repair(invented, CATALOGUE)
    assert (mended.api.model, mended.api.loras) == ("Oil", (INK,))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ([{"name": "A", "strength": "0.5"}, "B", ["C", 0.3], {"lora": "D", "weight": 1}], "A B C D"),
        ([{"model": {"name": "A"}}, {"modelName": "B", "modelVersionId": 7}], "A B"),
        (["None", "", None, 3, [], {"weight": 1}, {"model": 7}], ""),
        ("A", ""),
        ({"model": "A"}, ""),
    ],
)
def test_lists_of_loras_are_read_however_they_are_written(value: object, read: str) -> None:
    assert " ".join(lora.model for lora in read_loras(value)) == read


def test_weights_and_ids_that_mean_nothing_are_left_out() -> None:
    given = [{"model": "A", "weight": 10**400, "model id": -1, "version id": "12", "air": "x"}]
    assert read_loras(given) == (LoraRef(model="A", version_id=12),)
    assert len(read_loras(["A"] * 1000)) == 50
    wire = api(INK).to_wire()
    assert T2IApi.from_wire(wire) == api(INK)
