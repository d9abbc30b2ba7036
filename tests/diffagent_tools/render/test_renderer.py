"""Rendering with real, tiny pipelines: files, LoRA, seeds, samplers, prompts, bad input."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calls import checkpoint

from retrieval.errors import BrokenModelFile, InvalidApi, InvalidInput, MissingModelFile, RenderError
from retrieval.records.api import CheckpointRef, LoraRef, T2IApi
from retrieval.tables.samplers import SAMPLERS, Sampler

pytest.importorskip("diffusers", reason="diffusers (the extra 'images') is not installed")

from tiny_pipelines import TinyFiles, save_tiny_pipelines

from diffagent_tools.files.folder import ModelsFolder
from diffagent_tools.render.renderer import BLOCKED, Renderer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
ON_SD = CheckpointRef(model="tiny-sd")
ON_SDXL = CheckpointRef(model="tiny-sdxl")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> TinyFiles:
    return save_tiny_pipelines(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def renderer(files: TinyFiles) -> Renderer:
    return Renderer(ModelsFolder(files.sd_file.parent), device="cpu")


def api(**fields: Any) -> T2IApi:
    """A checkpoint at 64 x 64 in three steps."""
    small = {"model": "tiny-sd", "width": 64, "height": 64, "sampling_steps": 3, "prompt": "a corgi"}
    return checkpoint(**{**small, **fields})


def lora(**fields: Any) -> T2IApi:
    return api(
        **{"model": "tiny-lora", "type": "LORA", "base_checkpoint": ON_SD, "lora_weight": 1.0, **fields}
    )


def sdxl(**fields: Any) -> T2IApi:
    return api(**{"model": "tiny-sdxl", "base_model": "SDXL 1.0", **fields})


def picture(renderer: Renderer, wanted: T2IApi, seed: int = 1) -> np.ndarray[Any, Any]:
    (image,) = renderer.render(wanted, seeds=[seed])
    return np.asarray(image).astype(int)


def difference(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> int:
    return int(abs(one - other).max())


def test_a_picture_has_the_size_that_was_asked_for(renderer: Renderer) -> None:
    (image,) = renderer.render(api(width=72, height=40), seeds=[1])
    assert (image.size, image.mode) == ((72, 40), "RGB")


def test_a_seed_gives_one_picture_and_another_seed_another(renderer: Renderer) -> None:
    first = picture(renderer, api())
    assert difference(first, picture(renderer, api())) == 0
    assert difference(first, picture(renderer, api(), seed=2)) > 20


def test_a_batch_gives_the_pictures_of_its_seeds_alone(files: TinyFiles, renderer: Renderer) -> None:
    batched = Renderer(ModelsFolder(files.sd_file.parent), device="cpu", batch_size=3)
    images = batched.render(api(), seeds=[1, 2, 3, 4])
    assert len(images) == 4
    for seed, image in enumerate(images, start=1):
        # sums over a batch may round otherwise
        assert difference(picture(renderer, api(), seed), np.asarray(image).astype(int)) <= 1


@pytest.mark.parametrize(("file", "folder"), [(api(), "tiny-sd-folder"), (sdxl(), "tiny-sdxl-folder")])
def test_a_single_file_and_a_folder_are_one(renderer: Renderer, file: T2IApi, folder: str) -> None:
    same = file.model_copy(update={"model": folder})
    assert difference(picture(renderer, file), picture(renderer, same)) == 0


@pytest.mark.parametrize(
    ("plain", "with_lora"),
    [(api(), lora()), (sdxl(), lora(model="tiny-lora-xl", base_model="SDXL 1.0", base_checkpoint=ON_SDXL))],
)
def test_a_lora_changes_the_picture_by_its_weight_and_leaves_again(
    renderer: Renderer, plain: T2IApi, with_lora: T2IApi
) -> None:
    before = picture(renderer, plain)
    whole = picture(renderer, with_lora)
    assert difference(before, whole) > 20
    assert difference(before, picture(renderer, with_lora.model_copy(update={"lora_weight": 0.0}))) == 0
    half = picture(renderer, with_lora.model_copy(update={"lora_weight": 0.5}))
    assert 0 < difference(before, half) != difference(before, whole)
    assert difference(before, picture(renderer, plain)) == 0


def test_a_lora_of_diffusers_keys_is_the_one_of_kohyas(
    renderer: Renderer, files: TinyFiles, tmp_path: Path
) -> None:
    from tiny_pipelines import save_lora, tiny_sd

    save_lora(tiny_sd(), files.sd_lora.with_name("tiny-lora-diffusers.safetensors"), kohya=False)
    theirs = picture(renderer, lora(model="tiny-lora-diffusers"))
    assert difference(picture(renderer, lora()), theirs) == 0


def test_further_loras_are_loaded_beside_the_first_and_leave_again(
    renderer: Renderer, files: TinyFiles
) -> None:
    shutil.copy(files.sd_lora, files.sd_lora.with_name("tiny-lora-again.safetensors"))
    before = picture(renderer, api())
    again = LoraRef(model="tiny-lora-again", weight=0.5)
    twice = lora(lora_weight=0.5, loras=(again,))
    # two halves of the same weights are the whole, but for rounding
    assert difference(picture(renderer, twice), picture(renderer, lora())) <= 1
    assert difference(picture(renderer, api(loras=(again,))), picture(renderer, lora(lora_weight=0.5))) == 0
    assert difference(picture(renderer, api()), before) == 0
    with pytest.raises(MissingModelFile, match="the LoRA 'never'"):
        renderer.plan(lora(loras=(LoraRef(model="never"),)))


def test_each_of_three_loras_changes_the_picture(renderer: Renderer, files: TinyFiles) -> None:
    from safetensors.torch import load_file, save_file

    # what the copies change differs, so that none stands for another
    for name, factor in (("tiny-lora-two", -0.7), ("tiny-lora-three", 1.9)):
        weights = {
            key: value * factor if "up" in key else value.flip(0)
            for key, value in load_file(files.sd_lora).items()
        }
        save_file(
            {key: value.contiguous() for key, value in weights.items()},
            files.sd_lora.with_name(f"{name}.safetensors"),
        )
    two, three = LoraRef(model="tiny-lora-two", weight=0.5), LoraRef(model="tiny-lora-three", weight=0.5)
    made = [
        picture(renderer, lora(lora_weight=0.5, loras=loras))
        for loras in ((), (two,), (three,), (two, three))
    ]
    made.append(picture(renderer, api()))
    for place, one in enumerate(made):
        for other in made[place + 1 :]:
            assert difference(one, other) > 0


def test_loading_a_lora_leaves_the_weights_of_the_text_encoder_alone(files: TinyFiles) -> None:
    import torch

    own = Renderer(ModelsFolder(files.sd_file.parent), device="cpu")
    own.render(api(), seeds=[1])
    assert own._loaded is not None
    encoder = own._loaded[1].text_encoder
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    own.render(lora(), seeds=[1])
    after = {
        key.replace(".base_layer", ""): value
        for key, value in encoder.state_dict().items()
        if "lora" not in key
    }
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.name)
def test_every_sampler_makes_the_same_picture_of_the_same_seed(renderer: Renderer, sampler: Sampler) -> None:
    wanted = api(sampling_method=sampler.name)
    first = picture(renderer, wanted)
    assert first.std() > 1
    assert difference(first, picture(renderer, wanted)) == 0


def test_samplers_make_different_pictures(renderer: Renderer) -> None:
    names = ("Euler a", "Euler", "DDIM", "DPM++ 2M Karras", "DPM++ 2M SDE", "LCM", "UniPC")
    pictures = [picture(renderer, api(sampling_method=name)) for name in names]
    for i, one in enumerate(pictures):
        assert all(difference(one, other) > 0 for other in pictures[:i]), names[i]


def test_one_sampler_leaves_no_setting_to_the_next(renderer: Renderer) -> None:
    before = picture(renderer, api(sampling_method="DPM++ 2M"))
    picture(renderer, api(sampling_method="DPM++ 2M SDE Karras"))
    assert difference(before, picture(renderer, api(sampling_method="DPM++ 2M"))) == 0


def test_clip_skip_counts_as_a1111_and_is_nothing_on_sdxl(renderer: Renderer) -> None:
    plain = picture(renderer, api())
    assert difference(plain, picture(renderer, api(clip_skip=1))) == 0
    assert difference(plain, picture(renderer, api(clip_skip=2))) > 0
    assert difference(picture(renderer, sdxl()), picture(renderer, sdxl(clip_skip=2))) == 0
    assert renderer.plan(sdxl(clip_skip=2)).notes == ("clip skip 2 is left out: it does nothing on SDXL 1.0",)


def test_the_plan_adds_missing_trigger_words_and_says_what_is_not_exact(renderer: Renderer) -> None:
    plan = renderer.plan(lora(trigger_words=("pixl",), sampling_method="DPM fast", lora_weight=None))
    assert plan.prompt == "pixl, a corgi"
    assert plan.lora_weight == 0.8
    assert "diffusers has no exact equivalent of DPM fast" in plan.notes[0]
    assert renderer.plan(lora(trigger_words=("corgi",))).prompt == "a corgi"


def test_words_beyond_the_77th_token_and_weights_count(renderer: Renderer) -> None:
    # the tiny tokenizer takes a letter for a token
    long = "a corgi " + "in the grass " * 12
    assert (
        difference(picture(renderer, api(prompt=long)), picture(renderer, api(prompt=long + "at night"))) > 0
    )
    heavy = picture(renderer, api(prompt="a (corgi:1.5)"))
    assert difference(picture(renderer, api()), heavy) > 0
    # a negative prompt of another length
    assert picture(renderer, sdxl(prompt=long, negative_prompt="blurry")).shape == (64, 64, 3)


def test_a_cfg_scale_of_one_reads_no_negative_prompt(renderer: Renderer) -> None:
    plain = picture(renderer, api(cfg_scale=1))
    assert difference(plain, picture(renderer, api(cfg_scale=1, negative_prompt="blurry"))) == 0


def test_the_safety_checker_of_a_folder_is_on_unless_it_is_turned_off(
    files: TinyFiles, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "models" / "strict"
    import shutil

    shutil.copytree(files.sd_folder, folder)
    weights = folder / "safety_checker" / "model.safetensors"
    state = load_file(weights)
    # every picture is near enough to every concept
    state["concept_embeds_weights"] = torch.full_like(state["concept_embeds_weights"], -2.0)
    save_file(state, weights, metadata={"format": "pt"})
    models = ModelsFolder(tmp_path / "models")
    (black,) = Renderer(models, device="cpu").render(api(model="strict"), seeds=[1])
    assert not np.asarray(black).any()
    assert "safety checker" in black.info[BLOCKED]
    (shown,) = Renderer(models, device="cpu", safety_checker=False).render(api(model="strict"), seeds=[1])
    assert np.asarray(shown).any()
    assert BLOCKED not in shown.info


def test_bfloat16_on_the_cpu(files: TinyFiles, renderer: Renderer) -> None:
    models = ModelsFolder(files.sd_file.parent)
    coarse = picture(Renderer(models, device="cpu", dtype="bfloat16"), api())
    assert abs(coarse - picture(renderer, api())).mean() < 30


@pytest.mark.parametrize(
    ("wanted", "error", "told"),
    [
        (api(model="Dream Shaper"), MissingModelFile, "diffagent fetch 'Dream Shaper' --models"),
        (api(model="x", model_id=4384, version_id=128713), MissingModelFile, "diffagent fetch 4384@128713"),
        (lora(model="Pixel"), MissingModelFile, "the LoRA 'Pixel' is not in"),
        (lora(base_checkpoint=None), MissingModelFile, "'v1-5-pruned-emaonly' is not in"),
        (api(model="tiny-lora"), BrokenModelFile, "no checkpoint of SD 1.x or SDXL"),
        (lora(model="tiny-sd"), RenderError, "cannot be used on tiny-sd.safetensors"),
        (lora(model="tiny-lora-xl"), RenderError, "made for another base model: it expects 40 numbers"),
        (api(width=65), InvalidApi, "needed is a multiple of 8"),
        (api(width=4096, height=4096), InvalidApi, "at most 16 times the 512x512 of SD 1.5"),
        (api(sampling_steps=1001), InvalidApi, "at most 1,000"),
        (api(prompt=" "), InvalidApi, "has no prompt"),
        (api(sampling_steps=0), InvalidApi, "sampling steps is 0"),
        (api(sampling_method="Eulr"), InvalidInput, "such as Euler"),
        (api(clip_skip=9), InvalidApi, "the text encoder has 3 layers"),
        (api(cfg_scale=1e30), RenderError, "NaN in float32"),
    ],
)
def test_bad_input_is_named(renderer: Renderer, wanted: T2IApi, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told.replace("(", r"\(")):
        renderer.render(wanted, seeds=[1])


def test_a_lora_that_did_not_fit_leaves_no_trace(renderer: Renderer) -> None:
    before = picture(renderer, api())
    with pytest.raises(RenderError):
        renderer.render(lora(model="tiny-lora-xl"), seeds=[1])
    assert difference(before, picture(renderer, api())) == 0


def test_a_file_that_did_not_come_whole_is_named(files: TinyFiles, tmp_path: Path) -> None:
    (tmp_path / "half.safetensors").write_bytes(files.sd_file.read_bytes()[:5000])
    with pytest.raises(BrokenModelFile, match="delete it and fetch it again"):
        Renderer(ModelsFolder(tmp_path), device="cpu").render(api(model="half"), seeds=[1])


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "flux").mkdir()
    (tmp_path / "flux" / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(BrokenModelFile, match="is a FluxPipeline, and rendered are"):
        Renderer(ModelsFolder(tmp_path), device="cpu").render(api(model="flux"), seeds=[1])


def test_devices_and_options_that_are_not_there(tmp_path: Path) -> None:
    import torch

    models = ModelsFolder(tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(RenderError, match="the device 'cuda' is not there; this machine has"):
            Renderer(models, device="cuda")
    with pytest.raises(RenderError, match="float16 is too slow"):
        Renderer(models, device="cpu", dtype="float16")
    with pytest.raises(RenderError, match="the device is the CPU"):
        Renderer(models, device="cpu", offload="model")
    with pytest.raises(InvalidInput, match="at least 1"):
        Renderer(models, device="cpu", batch_size=0)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(renderer: Renderer, seed: int) -> None:
    with pytest.raises(InvalidInput, match="needed is 0 to"):
        renderer.render(api(), seeds=[seed])


def test_the_command_renders_answers_beside_the_base_model_and_lays_them_side_by_side(
    files: TinyFiles, tmp_path: Path
) -> None:
    from small_world import small_catalogue
    from typer.testing import CliRunner

    from diffagent_tools.cli import command as cli

    models, run, catalogue = tmp_path / "models", tmp_path / "run", tmp_path / "small.jsonl"
    models.mkdir()
    small_catalogue().save(catalogue)
    # the answer is found by name, the family's base model by its version id
    for name in ("tiny-sd", "99437"):
        (models / f"{name}.safetensors").symlink_to(files.sd_file)
        (models / f"{name}.config").symlink_to(files.sd_file.with_suffix(".config"))
    answers = tmp_path / "answers.jsonl"
    lines = ({"id": "corgi", "api": api(prompt="<b>a corgi").to_wire()}, {"id": 2, "error": "too long"})
    answers.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    arguments = ["render", str(answers), "--models", str(models), "--output", str(run), "--baseline"]
    made = CliRunner().invoke(cli.app, [*arguments, "--catalogue", str(catalogue)])
    assert made.exit_code == 0, made.stderr
    assert {path.name for path in run.glob("*.png")} == {"corgi-answer-1.png", "corgi-baseline-1.png"}
    laid = CliRunner().invoke(cli.app, ["gallery", str(run), "--output", str(tmp_path / "sheet")])
    assert laid.exit_code == 0, laid.stderr
    assert "&lt;b&gt;a corgi" in (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert (tmp_path / "sheet.png").is_file()
