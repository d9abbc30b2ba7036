"""Samplers: every name resolves, and every diffusers class of the table takes its arguments and denoises."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import UnknownSampler
from retrieval.tables.sampler_facts import ALGORITHMS, CIVITAI_NAMES, SCHEDULES, Schedule
from retrieval.tables.sampler_neighbours import NEIGHBOUR_SCHEDULES, NEIGHBOURS
from retrieval.tables.samplers import (
    SAMPLERS,
    Sampler,
    find_sampler,
    nearest_sampler,
    rarity_note,
    require_sampler,
)

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
COMFYUI = [
    "euler",
    "euler_cfg_pp",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "heun",
    "heunpp2",
    "exp_heun_2_x0",
    "exp_heun_2_x0_sde",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_sde_gpu",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "ddpm",
    "lcm",
    "ipndm",
    "ipndm_v",
    "deis",
    "cfgpp_ud10_ab",
    "res_multistep",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
]
COMFYUI_SCHEDULES = [
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
]
INVOKEAI = [
    "ddim",
    "ddpm",
    "deis",
    "deis_k",
    "lms",
    "lms_k",
    "pndm",
    "heun",
    "heun_k",
    "euler",
    "euler_k",
    "euler_a",
    "kdpm_2",
    "kdpm_2_k",
    "kdpm_2_a",
    "kdpm_2_a_k",
    "dpmpp_2s",
    "dpmpp_2s_k",
    "dpmpp_2m",
    "dpmpp_2m_k",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_k",
    "dpmpp_3m",
    "dpmpp_3m_k",
    "dpmpp_sde",
    "dpmpp_sde_k",
    "er_sde",
    "unipc",
    "unipc_k",
    "lcm",
    "tcd",
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


@pytest.mark.parametrize("name", COMFYUI)
def test_a_sampler_of_comfyui_keeps_its_own_name_with_each_schedule(name: str) -> None:
    for schedule in COMFYUI_SCHEDULES:
        sampler = require_sampler(name, schedule)
        assert sampler.comfy_sampler == name.removesuffix("_gpu").removesuffix("_bh2")
        # the normal schedule of these two is another one
        assert sampler.comfy_scheduler == schedule or (name in ("lcm", "ddim") and schedule == "normal")
        assert find_sampler(sampler.name) == sampler


@pytest.mark.parametrize("name", INVOKEAI)
def test_a_sampler_of_invokeai_is_known_with_karras_at_its_end(name: str) -> None:
    assert (" Karras" in require_sampler(name).name) == name.endswith("_k")


@pytest.mark.parametrize(
    ("name", "schedule", "said"),
    [
        (
            "res_multistep",
            "simple",
            "exact equivalent of Res Multistep; the nearest is DPM++ 2M",
        ),
        ("Euler a CFG++", None, "the nearest is Euler a"),
        ("dpmpp_2m", "linear_quadratic", "the schedule Linear Quadratic; the nearest is Simple"),
        ("exp_heun_2_x0", None, "A1111 has no exact equivalent of EXP Heun 2 x0; the nearest is Heun"),
        ("[Forge] Flux Realistic (Slow)", None, "the nearest is Euler"),
        ("tcd", None, "ComfyUI has no exact equivalent of TCD; the nearest is LCM"),
        ("Euler", "Beta57", "the nearest is Beta"),
    ],
)
def test_what_only_some_programs_have_is_known_and_its_nearest_told(
    name: str, schedule: str | None, said: str
) -> None:
    assert said in rarity_note(require_sampler(name, schedule))


@pytest.mark.parametrize("name", [*CIVITAI_NAMES, "DPM++ 2M SGM Uniform", "Euler Beta"])
def test_of_what_all_programs_have_nothing_is_told(name: str) -> None:
    assert rarity_note(require_sampler(name)) == ""


def test_every_row_says_where_its_name_was_read() -> None:
    for row in (*ALGORITHMS, *NEIGHBOURS, *SCHEDULES, *NEIGHBOUR_SCHEDULES):
        assert re.search(r"20\d\d", row.source)
        assert find_sampler("Euler", row.name) if isinstance(row, Schedule) else find_sampler(row.name)


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
        *(require_sampler(algorithm.name) for algorithm in NEIGHBOURS),
        *(require_sampler("Euler", schedule.name) for schedule in NEIGHBOUR_SCHEDULES),
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
