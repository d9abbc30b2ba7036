"""The model that stands for a family: its base model, else one that can be had and may be offered."""

import pytest

from retrieval.calls.base_checkpoint import default_record, family_default, mixed_families
from retrieval.catalogue import Catalogue
from retrieval.errors import UnknownBaseModel, UnknownModel
from retrieval.records.api import CheckpointRef, T2IApi
from retrieval.records.model import ModelRecord
from retrieval.tables.families import family_of


def checkpoint(model_id: int, downloads: int = 0, **more: object) -> ModelRecord:
    fields = {"type": "Checkpoint", "base_model": "SD 1.5", "stats": {"downloads": downloads}, **more}
    return ModelRecord.model_validate({"model_id": model_id, "model": f"Model {model_id}", **fields})


CALL = T2IApi(
    model="Ink",
    type="LORA",
    base_model="SDXL 1.0",
    width=1024,
    height=1024,
    sampling_method="Euler a",
    sampling_steps=20,
    cfg_scale=7.0,
)
BASE = checkpoint(62437)
SMALL, LARGE = checkpoint(5, downloads=1), checkpoint(6, downloads=2)


def test_the_base_model_stands_for_its_family_however_few_load_it() -> None:
    assert family_default(Catalogue([LARGE, BASE]), "SD 1.5") == BASE


def test_else_the_most_downloaded_that_may_be_offered() -> None:
    adult = checkpoint(7, downloads=99, nsfw=True)
    gone = checkpoint(8, downloads=99, available=False)
    lora = checkpoint(9, downloads=99, type="LORA")
    others = [adult, gone, lora, BASE.model_copy(update={"available": False})]
    assert family_default(Catalogue([*others, SMALL, LARGE]), "SD 1.5") == LARGE
    with pytest.raises(UnknownModel, match=r"holds no SD 1\.5 checkpoint"):
        family_default(Catalogue(others), "SD 1.5")
    with pytest.raises(UnknownBaseModel):
        family_default(Catalogue([SMALL]), "SD 9")


def test_a_fallback_is_found_wherever_there_is_a_checkpoint() -> None:
    sdxl = family_of("SDXL 1.0")
    assert default_record(Catalogue([SMALL, LARGE]), sdxl) == LARGE
    own = checkpoint(10, base_model="My Family")
    assert default_record(Catalogue([own]), sdxl) == own
    with pytest.raises(UnknownModel, match="no checkpoint to fall back on"):
        default_record(Catalogue([checkpoint(11, type="LORA")]), None)


@pytest.mark.parametrize(
    ("base_model", "below", "said"),
    [
        ("Illustrious", CheckpointRef(model="Plain", model_id=12), "'Plain' is SDXL 1.0"),
        # the default model of a family is known where the catalogue does not hold it
        ("Pony", CheckpointRef(model="SD XL", model_id=101055), "made for Pony"),
        ("Illustrious", CheckpointRef(model="Drawn", model_id=13), ""),
        ("SDXL 1.0", CheckpointRef(model="Plain", model_id=12), ""),
        ("SD 1.5", CheckpointRef(model="Plain", model_id=12), ""),  # does not fit at all, which judge says
        ("Illustrious", CheckpointRef(model="Nobody knows"), ""),
        ("My Family", CheckpointRef(model="Plain", model_id=12), ""),
        ("Illustrious", None, ""),
    ],
)
def test_a_lora_on_a_checkpoint_of_a_sister_family_is_said(
    base_model: str, below: CheckpointRef | None, said: str
) -> None:
    catalogue = Catalogue(
        [
            checkpoint(12, model="Plain", base_model="SDXL 1.0"),
            checkpoint(13, model="Drawn", base_model="Illustrious"),
        ]
    )
    api = CALL.model_copy(update={"base_model": base_model, "base_checkpoint": below})
    told = mixed_families(api, catalogue)
    assert said in told
    assert bool(told) == bool(said)
