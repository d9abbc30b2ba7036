"""Samplers: every name resolves, and every diffusers class of the table takes its arguments and denoises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import UnknownSampler
from retrieval.tables.sampler_facts import CIVITAI_NAMES
from retrieval.tables.samplers import SAMPLERS, Sampler, find_sampler, nearest_sampler, require_sampler

SD_15_CONFIG = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "clip_sample": False,
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "prediction_type": "epsilon",
}
IN_THE_WILD = [
    *("DDIM", "DPM adaptive", "DPM fast", "DPM++ 2M", "DPM++ 2M Karras", "DPM++ 2M SDE"),
    *("DPM++ 2M SDE Karras", "DPM++ 2S a", "DPM++ 2S a Karras", "DPM++ SDE", "DPM++ SDE Karras", "DPM2"),
    *("DPM2 Karras", "DPM2 a", "DPM2 a Karras", "Euler", "Euler a", "Heun", "LMS", "LMS Karras", "PLMS"),
    "UniPC",
]
ODD = [
    f"DPM++ 2M {odd}" for odd in ("alt Karras", "Karras Test", "Karras MOD", "Karras Precision", "Karras v2")
]


def test_civitai_has_26_samplers_and_all_are_in_the_table() -> None:
    assert len(CIVITAI_NAMES) == 26
    assert [sampler.name for sampler in SAMPLERS][:26] == list(CIVITAI_NAMES)


@pytest.mark.parametrize("name", IN_THE_WILD)
def test_a_name_in_the_wild_is_its_own_canonical_name(name: str) -> None:
    assert require_sampler(name).name == name


@pytest.mark.parametrize("name", ODD)
def test_an_odd_variant_resolves_to_the_nearest_and_says_so(name: str) -> None:
    sampler = require_sampler(name)
    assert sampler.name == "DPM++ 2M Karras"
    assert not sampler.exact
    assert name in sampler.note
    assert "nearest is DPM++ 2M Karras" in sampler.note


@pytest.mark.parametrize(
    ("name", "schedule", "expected"),
    [
        ("euler_ancestral", None, "Euler a"),
        ("k_euler_a", None, "Euler a"),
        ("EULER A", None, "Euler a"),
        ("k_dpmpp_2m_ka", None, "DPM++ 2M Karras"),
        ("dpmpp_2m_karras", None, "DPM++ 2M Karras"),
        ("DPM++2M-Karras", None, "DPM++ 2M Karras"),
        ("dpmpp_2m", "karras", "DPM++ 2M Karras"),
        ("dpmpp_2m_sde_gpu", "exponential", "DPM++ 2M SDE Exponential"),
        ("DPM++ 2M", "Karras", "DPM++ 2M Karras"),
        ("DPM++ 2M", "Uniform", "DPM++ 2M"),
        ("DPM++ 2M", "Automatic", "DPM++ 2M Karras"),
        ("DPM++ 3M SDE", "Automatic", "DPM++ 3M SDE Exponential"),
        ("DPM++ 2M Karras", "Exponential", "DPM++ 2M Exponential"),
        ("Euler a", "Automatic", "Euler a"),
        ("Euler", "SGM Uniform", "Euler SGM Uniform"),
        ("ddim", "ddim_uniform", "DDIM"),
        ("uni_pc_bh2", "normal", "UniPC"),
        ("DPMSolverMultistepScheduler", None, "DPM++ 2M"),
        ("EulerAncestralDiscreteScheduler", None, "Euler a"),
    ],
)
def test_the_spellings_of_every_program(name: str, schedule: str | None, expected: str) -> None:
    assert require_sampler(name, schedule).name == expected


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.name)
def test_the_old_and_the_new_form_of_a1111_mean_the_same(sampler: Sampler) -> None:
    assert find_sampler(sampler.a1111_name, sampler.schedule_type) == find_sampler(sampler.name) == sampler


@pytest.mark.parametrize("name", ["", "Fancy 9M", "DPM++ 2M Karas", "🦊", "x" * 10_000])
def test_an_unknown_name_is_refused_and_the_nearest_named(name: str) -> None:
    assert find_sampler(name) is None
    with pytest.raises(UnknownSampler) as caught:
        require_sampler(name)
    assert len(caught.value.nearest) == 3
    assert all(find_sampler(nearest) for nearest in caught.value.nearest)


def test_an_unknown_schedule_is_refused() -> None:
    assert find_sampler("DPM++ 2M", "Zigzag") is None
    with pytest.raises(UnknownSampler, match="Zigzag"):
        require_sampler("DPM++ 2M", "Zigzag")


def test_the_nearest_of_a_misspelling() -> None:
    assert nearest_sampler("DPM++ 2M Karas").name == "DPM++ 2M Karras"
    assert nearest_sampler("Euler an").name == "Euler a"


@given(st.text(max_size=200))
def test_any_text_has_a_nearest_sampler(text: str) -> None:
    assert isinstance(nearest_sampler(text), Sampler)


@pytest.mark.parametrize("name", ["DPM adaptive", "DPM fast", "DPM++ 2S a Karras", "PLMS", "Euler a Karras"])
def test_no_exact_equivalent_is_said(name: str) -> None:
    sampler = require_sampler(name)
    assert not sampler.exact
    assert "nearest" in sampler.note


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")  # diffusers' own
@pytest.mark.parametrize(
    "sampler",
    [
        *SAMPLERS,
        require_sampler("Euler", "Beta"),
        require_sampler("LCM", "Karras"),
        require_sampler("Euler", "Simple"),
    ],
    ids=lambda sampler: sampler.name,
)
def test_diffusers_takes_the_arguments_and_denoises(sampler: Sampler) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers (the extra 'images') is not installed")
    torch = pytest.importorskip("torch")
    scheduler_class = getattr(diffusers, sampler.diffusers_class)
    scheduler = scheduler_class.from_config(SD_15_CONFIG, **sampler.diffusers_args)
    for key, value in sampler.diffusers_args.items():
        assert scheduler.config[key] == value, f"{sampler.diffusers_class} does not know {key}"
    scheduler.set_timesteps(6)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn((1, 4, 8, 8), generator=generator) * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        noise = scheduler.scale_model_input(latents, timestep) * 0.5
        latents = scheduler.step(noise, timestep, latents).prev_sample
    assert torch.isfinite(latents).all()
