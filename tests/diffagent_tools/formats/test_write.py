"""Exports: what is written is data in every program, and a program's own definitions agree with it."""

import ast
import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calls import LANTERN
from hypothesis import given
from hypothesis import strategies as st

from diffagent_tools.formats.comfyui.nodes import AFTER_SEED, NODES
from diffagent_tools.formats.comfyui.read import read_workflow
from diffagent_tools.formats.read import import_text
from diffagent_tools.formats.write import ExportFormat, export
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi, InvalidInput
from retrieval.records.api import CheckpointRef, LoraRef, T2IApi
from retrieval.records.inert import lines
from retrieval.records.model import ModelRecord
from retrieval.tables.samplers import SAMPLERS

API = LANTERN.model_copy(update={"version": None, "air": None})
TEXT = st.text(st.characters() | st.sampled_from(list("\"'\\\n{}#<>")), max_size=60)


def literals(script: str) -> dict[str, Any]:
    """The constants of a script, read without running it."""
    found = {}
    for node in ast.parse(script).body:
        if not isinstance(node, ast.Assign):
            continue
        name = ast.unparse(node.targets[0])
        if name.isupper() and name != "MODELS":
            found[name] = ast.literal_eval(node.value)
    return found


def shape(script: str) -> str:
    """A script's tree without its texts."""
    tree = ast.parse(script)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


@given(prompt=TEXT, negative=TEXT, name=TEXT.filter(str.strip))
def test_texts_stay_data_in_the_script(prompt: str, negative: str, name: str) -> None:
    changes = {"prompt": prompt, "negative_prompt": negative, "model": name, "sampling_method": name}
    script = export(API.model_copy(update=changes), "diffusers")
    sampler = literals(script)["SCHEDULER"]
    plain = next(
        s.name for s in SAMPLERS if f"import {s.diffusers_class}," in script and s.diffusers_args == sampler
    )
    # weighted words are read by other code than plain ones
    alike = {"sampling_method": plain, "prompt": "(a)" if "encode_for" in script else "a"}
    assert shape(script) == shape(export(API.model_copy(update=alike), "diffusers"))
    found = literals(script)
    well_formed = {text: text.encode("utf-8", "replace").decode() for text in (prompt, negative)}
    assert (found["PROMPT"], found["NEGATIVE_PROMPT"]) == (well_formed[prompt], well_formed[negative])


@given(prompt=TEXT, negative=TEXT)
def test_both_workflows_are_read_back_to_the_same_api(prompt: str, negative: str) -> None:
    clean = {"prompt": prompt, "negative_prompt": negative}
    clean = {key: lines(text.encode("utf-8", "replace").decode()) for key, text in clean.items()}
    api = API.model_copy(update=clean)
    for format in (ExportFormat.comfyui, ExportFormat.comfyui_ui):
        read = read_workflow(json.loads(export(api, format))).api
        assert read.model_copy(update={"air": None, "base_checkpoint": api.base_checkpoint}) == api


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.name)
def test_what_has_no_exact_equivalent_is_said_in_the_export(sampler: Any) -> None:
    api = API.model_copy(update={"sampling_method": sampler.name, "base_model": "SDXL 1.0"})
    script, workflow = export(api, "diffusers"), export(api, "comfyui")
    infotext = export(api, "infotext")
    for text in (script, workflow, infotext):
        assert "clip skip 2 is left out: it does nothing on SDXL 1.0" in text
    assert "CLIP_SKIP" not in script
    assert "CLIPSetLastLayer" not in workflow
    assert not sampler.diffusers_note or sampler.diffusers_note in script
    assert not sampler.comfy_note or sampler.comfy_note in workflow


def template_nodes() -> Iterator[dict[str, Any]]:
    templates = pytest.importorskip("comfyui_workflow_templates_json")
    folder = Path(templates.__file__).parent / "templates"
    names = ("image_sdxl_simple.json", "video_wan_vace_14B_t2v.json", "sdxl_revision_text_prompts.json")
    for name in names:
        saved = json.loads((folder / name).read_text(encoding="utf-8"))
        inner = saved.get("definitions", {}).get("subgraphs", [])
        for graph in (saved, *inner):
            yield from graph["nodes"]


def test_our_nodes_are_those_of_comfyuis_own_templates() -> None:
    seen = set()
    for node in template_nodes():
        kind = NODES.get(node["type"])
        if kind is None:
            continue
        seen.add(node["type"])
        linked = [item for item in node.get("inputs") or [] if not item.get("widget")]
        assert [(item["name"], item["type"]) for item in linked] == list(kind.inputs)
        outputs = [(item["name"], item["type"]) for item in node.get("outputs") or []]
        assert outputs[: len(kind.outputs)] == list(kind.outputs)
        values = node.get("widgets_values")
        assert len(values or []) == len(kind.widgets)
        if node.get("widgets_values_named"):
            assert tuple(node["widgets_values_named"]) == kind.widgets
    assert seen >= {
        "CheckpointLoaderSimple",
        "LoraLoader",
        "CLIPTextEncode",
        "KSampler",
        "VAEDecode",
        "SaveImage",
    }


def test_links_join_outputs_to_inputs_of_one_type() -> None:
    saved = json.loads(export(API, "comfyui-ui"))
    nodes = {node["id"]: node for node in saved["nodes"]}
    for id_, source, output, target, place, type_ in saved["links"]:
        assert nodes[source]["outputs"][output]["type"] == nodes[target]["inputs"][place]["type"] == type_
        assert id_ in nodes[source]["outputs"][output]["links"]
        assert nodes[target]["inputs"][place]["link"] == id_
    assert AFTER_SEED in NODES["KSampler"].widgets


@pytest.mark.parametrize(
    ("changes", "format", "message"),
    [
        ({"width": 513}, "comfyui", "multiple of 8"),
        ({"height": 513}, "diffusers", "multiple of 8"),
        ({"base_model": "Flux.1 D"}, "diffusers", "take the format json"),
        ({"cfg_scale": 101.0}, "comfyui", "ComfyUI takes 0 to 100"),
        ({"version_id": None}, "air", "no AIR"),
    ],
)
def test_what_cannot_be_exported_is_refused(changes: dict[str, Any], format: str, message: str) -> None:
    with pytest.raises(InvalidApi, match=message):
        export(API.model_copy(update=changes), format)


def test_a_format_that_is_not_there_is_said() -> None:
    with pytest.raises(InvalidInput, match="found the format 'png'; needed is one of infotext"):
        export(API, "png")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("diffusers", reason="diffusers (the extra 'images') is not installed")
    from tiny_pipelines import save_tiny_pipelines

    folder = tmp_path_factory.mktemp("models")
    save_tiny_pipelines(folder)
    return folder


LONG = "a river, " * 30 + "(lantern:1.4)"


@pytest.mark.parametrize(
    ("model", "family", "checkpoint", "prompt"),
    [
        ("tiny-lora", "SD 1.5", "tiny-sd-folder", 'a "fox"'),
        ("tiny-lora", "SD 1.5", "tiny-sd-folder", LONG),
        ("tiny-lora-xl", "SDXL 1.0", "tiny-sdxl-folder", LONG),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_script_makes_the_picture_that_the_renderer_makes(
    model: str,
    family: str,
    checkpoint: str,
    prompt: str,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from PIL import Image

    from diffagent_tools.files.folder import ModelsFolder
    from diffagent_tools.formats.read import import_file
    from diffagent_tools.render.renderer import Renderer
    from retrieval.storage import sha256_of

    more = (LoraRef(model=model, weight=0.2),) if prompt != LONG else ()
    api = T2IApi(
        **{"model": "Lantern", "type": "LORA", "base_model": family, "width": 64, "height": 64},
        **{"sampling_method": "Euler a", "sampling_steps": 3, "cfg_scale": 6.0, "clip_skip": 2},
        **{"prompt": prompt, "negative_prompt": "fog", "lora_weight": 0.7, "model_id": 12},
        base_checkpoint=CheckpointRef(model=checkpoint),
        loras=more,
    )
    # the catalogue knows no file name, as of most models; the file is found by what is in it
    digest = sha256_of(models / f"{model}.safetensors").upper()
    version = {"version_id": 34, "version": "v1", "base_model": family, "sha256": [digest]}
    record = {"model_id": 12, "model": "Lantern", "type": "LORA", "base_model": family, "description": ""}
    catalogue = Catalogue([ModelRecord.model_validate({**record, "versions": [version]})])
    script = export(api, "diffusers", catalogue=catalogue, seed=3)
    (tmp_path / "picture.py").write_text(script, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["picture.py", str(models)])
    runpy.run_path("picture.py")
    (expected,) = Renderer(ModelsFolder(models), catalogue=catalogue, device="cpu").render(api, seeds=[3])
    with Image.open("picture.png") as made:
        assert made.tobytes() == expected.tobytes()
    assert import_file(Path("picture.png")).api.model == "Lantern"


FURTHER = (
    LoraRef(model="Ink: wash", weight=0.4, model_id=5, version_id=6, air="urn:air:sd1:lora:civitai:5@6"),
    LoraRef(model="Oil", weight=1.5),
)


@pytest.mark.parametrize("format", ["infotext", "infotext-old", "comfyui", "comfyui-ui"])
def test_further_loras_are_carried_there_and_back(format: str) -> None:
    api = API.model_copy(update={"loras": FURTHER, "lora_weight": 1.6})
    reading = import_text(export(api, format))
    assert reading is not None
    assert (reading.api.model, reading.api.lora_weight) == (api.model, 1.6)
    read = [(lora.model.replace("_", ":"), lora.weight, lora.version_id) for lora in reading.api.loras]
    assert read == [("Ink: wash", 0.4, 6), ("Oil", 1.5, None)]
    assert reading.api.prompt == api.prompt


def test_further_loras_in_the_script_and_the_addresses() -> None:
    api = API.model_copy(update={"loras": FURTHER, "air": "urn:air:sd1:lora:civitai:12@34"})
    found = literals(export(api, "diffusers"))["LORAS"]
    assert [(name, weight) for name, _, _, weight in found] == [
        ("Lantern Festival.safetensors", 0.8),
        ("Ink_ wash.safetensors", 0.4),
        ("Oil.safetensors", 1.5),
    ]
    assert "urn:air:sd1:lora:civitai:5@6" in export(api, "air").splitlines()
    wrong = api.model_copy(update={"loras": (LoraRef(model="Oil", weight=101),)})
    with pytest.raises(InvalidApi, match="lora weight is 101"):
        export(wrong, "comfyui")


def test_the_file_to_save_is_named_where_its_name_is_not_known() -> None:
    said = "save the file of https://civitai.com/api/download/models/34 as 'Lantern Festival.safetensors'"
    infotext = export(API, "infotext")
    assert said in infotext
    assert "<lora:Lantern Festival:0.8>" in infotext
    assert said in json.loads(export(API, "comfyui"))["3"]["_meta"]["title"]
    assert said in export(API, "diffusers")
    assert read_workflow(json.loads(export(API, "comfyui"))).api.model == "Lantern Festival"


def test_an_export_leaves_out_what_the_family_lacks_and_says_so() -> None:
    api = API.model_copy(
        update={"base_model": "Flux.1 D", "clip_skip": 2, "negative_prompt": "fog", "width": 1024}
    )
    text = export(api, "infotext")
    assert "Negative prompt" not in text
    assert "Clip skip" not in text
    assert "the negative prompt is left out: it does nothing on Flux.1 D" in text
    assert "clip skip 2 is left out: it does nothing on Flux.1 D" in text
