"""Families: every base model that Civitai writes has one, and unknown ones are refused with a hint."""

import pytest

from retrieval.errors import UnknownBaseModel
from retrieval.tables.families import FAMILIES, Family, family_of
from retrieval.tables.family_sampling import sampling_of
from retrieval.tables.samplers import find_sampler


@pytest.mark.parametrize(
    ("base_model", "family"),
    [
        ("SD 1.4", "SD 1.5"),
        ("SD 1.5", "SD 1.5"),
        ("SD 1.5 LCM", "SD 1.5"),
        ("SD 1.5 Hyper", "SD 1.5"),
        ("sd1.5", "SD 1.5"),
        ("Stable Diffusion v1-5", "SD 1.5"),
        ("SD 2.0 768", "SD 2.1"),
        ("SD 2.1 Unclip", "SD 2.1"),
        ("SDXL 0.9", "SDXL 1.0"),
        ("SDXL 1.0 LCM", "SDXL 1.0"),
        ("SDXL Lightning", "SDXL 1.0"),
        ("SD XL", "SDXL 1.0"),
        ("sdxl", "SDXL 1.0"),
        ("Pony", "Pony"),
        ("Illustrious", "Illustrious"),
        ("NoobAI", "NoobAI"),
        ("SD 3.5 Large Turbo", "SD 3.5"),
        ("SD 3.5 Medium", "SD 3.5 Medium"),
        ("Flux.1 D", "Flux.1 D"),
        ("Flux.1 S", "Flux.1 S"),
        ("Flux.2 Klein 9B-base", "Flux.2 Klein 9B"),
        ("Qwen", "Qwen"),
        ("ZImageTurbo", "ZImageTurbo"),
        ("Z-Image", "ZImageBase"),
        ("Qwen-Image", "Qwen"),
        ("Chroma1-HD", "Chroma"),
        ("Krea 2", "Krea 2"),
        ("Boogu", "Boogu"),
        ("Mage Flow", "MageFlow"),
    ],
)
def test_a_base_model_has_its_family(base_model: str, family: str) -> None:
    assert family_of(base_model).name == family


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_is_found_by_each_of_its_names_and_by_no_other(family: Family) -> None:
    assert {family_of(name).name for name in (family.name, *family.aliases)} == {family.name}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_default_size_obeys_the_limits_of_the_family(family: Family) -> None:
    width, height = family.default_size
    assert family.min_side <= width <= family.max_side
    assert width % family.multiple == height % family.multiple == 0
    assert width * height <= family.max_pixels


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_usual_settings_obey_the_limits_of_the_family(family: Family) -> None:
    for name in (family.name, *family.aliases):
        usual = sampling_of(name, family.sampling)
        least, most = usual.cfg_range
        assert least <= usual.cfg <= most
        assert 1 <= usual.steps <= usual.most_steps <= 60
        assert usual.sampler == usual.samplers[0]
        for sampler in usual.samplers:
            found = find_sampler(sampler)
            assert found is not None
            assert found.name == sampler


def test_a_distilled_base_model_has_settings_of_its_own() -> None:
    usual = family_of("SDXL 1.0").sampling
    assert sampling_of("sdxl-lightning", usual).steps == 8
    assert sampling_of("SDXL 1.0", usual) is usual
    assert not family_of("ZImageTurbo").sampling.has_negative_prompt
    assert family_of("ZImageBase").sampling.has_negative_prompt


def test_children_of_sdxl_share_its_architecture_and_not_its_name() -> None:
    sdxl = [family for family in FAMILIES if family.architecture == "sdxl"]
    assert [family.name for family in sdxl] == ["SDXL 1.0", "Pony", "Illustrious", "NoobAI"]
    assert not any(family.has_clip_skip for family in sdxl)
    assert family_of("SD 1.5").has_clip_skip


@pytest.mark.parametrize("base_model", ["", "Other", "Wan Video 14B t2v", "🦊", "x" * 100_000])
def test_an_unknown_base_model_is_refused_and_the_known_ones_are_named(base_model: str) -> None:
    with pytest.raises(UnknownBaseModel) as caught:
        family_of(base_model)
    assert caught.value.value == base_model
    assert caught.value.known[0] == "SD 1.5"
    assert "SDXL 1.0" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_close_spelling_is_suggested() -> None:
    with pytest.raises(UnknownBaseModel, match=r"did you mean 'Illustrious'"):
        family_of("Ilustrious")
