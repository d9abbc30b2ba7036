"""The model that stands for a family: its base model, else one that can be had and may be offered."""

import pytest

from retrieval.calls.base_checkpoint import default_record, family_default
from retrieval.catalogue import Catalogue
from retrieval.errors import UnknownBaseModel, UnknownModel
from retrieval.records.model import ModelRecord
from retrieval.tables.families import family_of


def checkpoint(model_id: int, downloads: int = 0, **more: object) -> ModelRecord:
    fields = {"type": "Checkpoint", "base_model": "SD 1.5", "stats": {"downloads": downloads}, **more}
    return ModelRecord.model_validate({"model_id": model_id, "model": f"Model {model_id}", **fields})


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
