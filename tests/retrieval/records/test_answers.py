"""An answer is read in whatever wrapping it comes, and an object's own `model` decides."""

import json
from typing import Any

import pytest

from retrieval.errors import InvalidApi
from retrieval.records.answers import without_thoughts
from retrieval.records.api import CheckpointRef, read_api, read_apis
from retrieval.records.listed import listed_resources, take_tags
from retrieval.records.loras import LoraRef

CALL = {"model": "M", "steps": 30, "sampler": "Euler a", "width": 640, "height": 512}
TEXT = json.dumps(CALL)
SCRIPT = """
import torch
from diffusers import StableDiffusionPipeline, DPMSolverMultistepScheduler

name = "someone/M"
pipe = StableDiffusionPipeline.from_pretrained(name, torch_dtype=torch.float16)
pipe.vae = AutoencoderKL.from_pretrained("someone/some-vae")
pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, use_karras_sigmas=True)
pipe.load_lora_weights("./loras", weight_name="ink.safetensors", adapter_name="ink")
pipe.set_adapters(["ink"], adapter_weights=[0.4])
image = pipe("a lighthouse", negative_prompt="blurry", num_inference_steps=30, guidance_scale=6.5).images[0]
"""


@pytest.mark.parametrize(
    "text",
    [
        f'<think>Perhaps {{"model": "N"}}, or {{no}}.</think>\n```json\n{TEXT}\n```',
        f'Some thought {{"model": "N"}} </think>{TEXT}',
        json.dumps({"type": "function", "function": {"name": "draw", "arguments": TEXT}}),
        json.dumps({"type": "tool_use", "name": "draw", "input": CALL}),
        json.dumps(
            {
                "object": "chat.completion",
                "model": "gpt",
                "choices": [{"message": {"content": f"Here: {TEXT}"}}],
            }
        ),
        json.dumps(
            {
                "type": "message",
                "role": "assistant",
                "model": "claude",
                "content": [{"type": "tool_use", "name": "draw", "input": CALL}],
            }
        ),
        "model: M\nsteps: 30\nsampler: Euler a\nsize: 640x512\n",
        "So:\n```yaml\nmodel:\n  name: M\nsettings:\n  steps: 30\n  sampler: Euler a\n  size: 640x512\n```\n",
        json.dumps({"params": {"steps": 30, "sampler": "Euler a"}, "model": "M", "size": "640x512"}),
        json.dumps({"override_settings": {"sd_model_checkpoint": "M"}, **CALL, "model": None}),
        json.dumps([{"note": "none"}, {"answer": {"api": CALL}}]),
    ],
)
def test_an_answer_in_any_wrapping(text: str) -> None:
    api = read_api(text).api
    assert (api.model, api.sampling_steps, api.sampling_method) == ("M", 30, "Euler a")
    assert (api.width, api.height) == (640, 512)


@pytest.mark.parametrize("wrapping", ["{}", "Sure:\n```python\n{}\n```\n"])
def test_a_script_for_diffusers(wrapping: str) -> None:
    api = read_api(wrapping.replace("{}", SCRIPT)).api
    assert api.base_checkpoint == CheckpointRef(model="someone/M")
    assert (api.model, api.type, api.lora_weight) == ("ink.safetensors", "LORA", 0.4)
    assert (api.prompt, api.negative_prompt) == ("a lighthouse", "blurry")
    assert (api.sampling_steps, api.cfg_scale) == (30, 6.5)


def test_the_scheduler_of_a_script_is_the_sampler() -> None:
    assert read_api(SCRIPT).api.sampling_method == "DPM++ 2M Karras"


@pytest.mark.parametrize(
    "text",
    [
        "pipe = AutoencoderKL.from_pretrained('someone/vae')",
        "def f(:\n  from_pretrained(",
        "p = XPipeline.from_pretrained(os.environ['M'])",
        "steps: 30\nsampler: Euler a",
        "note: something\nother: nothing",
        json.dumps({"model": None, "checkpoint": "", "lora": "None"}),
        json.dumps({"model": "null"}),
        json.dumps({"prompt": '{"model": "M"}', "steps": 3}),
        json.dumps({"object": "chat.completion", "model": "gpt", "choices": []}),
    ],
)
def test_an_answer_that_names_no_model(text: str) -> None:
    with pytest.raises(InvalidApi):
        read_api(text)


@pytest.mark.parametrize(
    ("fields", "weight", "others"),
    [
        ({"loras": [{"name": "L", "weight": 0.6}]}, 0.6, ()),
        ({"loras": [["K", 0.2], ["L", 0.6]]}, 0.6, (LoraRef(model="K", weight=0.2),)),
        ({"lora": ["L"]}, None, ()),
        ({"lora": "L:0.6"}, 0.6, ()),
        ({"lora": {"name": "L", "strength": 0.5}}, 0.5, ()),
        (
            {"resources": [{"type": "model", "name": "C"}, {"type": "lora", "name": "L", "weight": 0.7}]},
            0.7,
            (),
        ),
        ({"resources": [{"type": "embed", "name": "E"}, {"type": "LoCon", "name": "L"}]}, None, ()),
        ({"prompt": "a hill <lora:L:0.3:0.4>, mist"}, 0.4, ()),
        ({"lora": None, "loras": ["none", "L"], "lora_weight": 0.9}, None, ()),
    ],
)
def test_loras_beside_a_checkpoint(
    fields: dict[str, Any], weight: float | None, others: tuple[LoraRef, ...]
) -> None:
    api = read_api({"model": "C", **fields}).api
    assert (api.model, api.type, api.lora_weight, api.loras) == ("L", "LORA", weight, others)
    assert api.base_checkpoint is not None
    assert api.base_checkpoint.model == "C"
    assert "<lora" not in api.prompt


def test_civitai_s_networks_have_their_air_as_name() -> None:
    network = {"urn:air:sd1:lora:civitai:20@22": {"type": "Lora", "strength": 0.6}}
    given = {"model": "urn:air:sd1:checkpoint:civitai:10@11", "version id": 11, "additionalNetworks": network}
    api = read_api(given).api
    assert (api.type, api.model_id, api.version_id, api.lora_weight) == ("LORA", 20, 22, 0.6)
    assert api.base_checkpoint == CheckpointRef(model="urn:air:sd1:checkpoint:civitai:10@11", version_id=11)


def test_resources_by_ids_alone_are_addresses() -> None:
    given = {"civitaiResources": [{"type": "checkpoint", "modelVersionId": 11}], "steps": 20}
    assert read_api(given).api.model == "https://civitai.com/api/download/models/11"


def test_civitai_s_own_objects() -> None:
    version = {
        "id": 11,
        "modelId": 10,
        "name": "v2",
        "baseModel": "SDXL 1.0",
        "trainedWords": ["ink"],
        "model": {"name": "M", "type": "LORA"},
    }
    for given in (version, {"id": 10, "name": "M", "type": "LORA", "modelVersions": [version, {"id": 9}]}):
        api = read_api(json.dumps(given)).api
        assert (api.model, api.type, api.model_id) == ("M", "LORA", 10)
        assert (api.version_id, api.version, api.base_model, api.trigger_words) == (
            11,
            "v2",
            "SDXL 1.0",
            ("ink",),
        )


@pytest.mark.parametrize(
    ("given", "version"),
    [
        ({"Model": "M", "Version": "v1.6.0", "seed": 3}, None),
        ({"Model": "M", "Version": "f2.0.1v1.10.1-previous-313", "Model hash": "ab12cd34ef"}, None),
        ({"Model": "M", "Version": "v1.2.2"}, "v1.2.2"),
        ({"model": {"name": "M", "version": "7"}, "seed": 3}, "7"),
        ({"model": "M", "version": ""}, None),
    ],
)
def test_the_version_of_a_web_ui_is_not_the_model_s(given: dict[str, Any], version: str | None) -> None:
    assert read_api(given).api.version == version


def test_a_hash_beside_the_model_is_kept() -> None:
    assert read_api({"Model": "M", "Model hash": "ab12cd34ef"}).digest == "ab12cd34ef"
    assert read_api({"model": "M", "hashes": {"model": "ab12cd34ef", "lora:x": "ff"}}).digest == "ab12cd34ef"
    assert read_api({"model": "M"}).digest == ""


def test_own_names_go_before_others_and_nested_ones() -> None:
    assert read_api({"Model": "N", "model": "M", "checkpoint_name": "N"}).api.model == "M"
    assert read_api({"like": {"model": "N"}, "model": "M", "params": {"model": "N"}}).api.model == "M"
    several = read_apis(json.dumps({"like": {"model": "N"}, "answer": {"deep": {"model": "M"}}}))
    assert [reading.api.model for reading in several] == ["N", "M"]


def test_the_family_that_a_name_says_where_none_is_said() -> None:
    reading = read_api({"model": "SD/flux1-dev-fp8.safetensors", "steps": 20})
    assert (reading.api.base_model, reading.api.width) == ("Flux.1 D", 1024)
    assert "as the model's name says" in reading.missing["base_model"]
    assert read_api({"model": "flux1-dev", "base model": "SD 1.5"}).api.base_model == "SD 1.5"


def test_thoughts_are_no_answer_unless_they_are_all() -> None:
    assert without_thoughts("<think>a</think> b <reasoning>c</reasoning>").strip() == "b"
    assert without_thoughts("<think>a") == "<think>a"


def test_lists_and_tags_of_loras() -> None:
    loras, checkpoints = listed_resources(
        [{"L": 0.5, "K": {"weight": "0.2"}}, [None, 3, {"type": "checkpoint", "name": "C"}]]
    )
    assert [(each["model"], each["weight"]) for each in loras] == [("L", 0.5), ("K", 0.2)]
    assert checkpoints == ["C"]
    assert take_tags("a, <lora:x:0.5>, b <lyco:y:te=0.1:unet=0.7>") == (
        "a, b",
        [{"model": "x", "weight": 0.5}, {"model": "y", "weight": 0.7}],
    )
