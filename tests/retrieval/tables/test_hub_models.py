"""Base models are known by the ids and files under which programs load them, and families by their names."""

import pytest

from retrieval.tables.families import FAMILIES, family_of
from retrieval.tables.hub_models import HUB_MODELS, family_named, hub_model


def test_each_row_is_of_a_family_and_no_name_stands_twice() -> None:
    names = [name.casefold() for row in HUB_MODELS for name in (*row.ids, *row.files)]
    assert len(names) == len(set(names))
    for row in HUB_MODELS:
        assert family_of(row.family).name == row.family
        assert all(hub_model(name) == row for name in (*row.ids, *row.files))
        assert not row.is_default or family_of(row.family).default_model_id is not None
        assert all(hub_id.count("/") == 1 for hub_id in row.ids)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("black-forest-labs/FLUX.1-dev", "Flux.1 D"),
        ("flux1-dev-fp8", "Flux.1 D"),
        ("FLUX.1 [schnell]", "Flux.1 S"),
        ("Flux Realism", "Flux.1 D"),
        ("ponyRealism_v22", "Pony"),
        ("waiIllustriousSDXL_v140", "Illustrious"),
        ("noobaiXLNAIXL_vPred10", "NoobAI"),
        ("sd3.5_large_turbo", "SD 3.5"),
        ("Stable Diffusion 3.5 Medium", "SD 3.5 Medium"),
        ("qwen_image_fp8_e4m3fn", "Qwen"),
        ("Juggernaut XL", "SDXL 1.0"),
        ("stabilityai/sdxl-turbo", "SDXL 1.0"),
    ],
)
def test_the_family_that_a_name_says(name: str, family: str) -> None:
    found = family_named(name)
    assert found is not None
    assert found.name == family


@pytest.mark.parametrize("name", ["", "DreamShaper", "Influx", "Ponytail Girls", "x" * 1000, "reflux pixel"])
def test_a_name_that_says_no_family(name: str) -> None:
    assert family_named(name) is None


def test_every_family_says_itself() -> None:
    for family in FAMILIES:
        named = family_named(family.name)
        assert named is not None
        assert named.name == family.name
