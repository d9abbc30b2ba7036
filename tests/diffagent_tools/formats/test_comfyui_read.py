"""Workflows of every make are read to the settings that they were made with; what hinders is named."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from comfyui_graphs import Settings, Workflow, workflows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diffagent_tools.formats.comfyui.read import is_workflow, read_workflow
from retrieval.errors import InvalidInput
from retrieval.records.api import ApiReading

DETOURS = st.lists(st.sampled_from(["reroute", "set and get", "bypass"]), max_size=20).map(tuple)
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check_settings(reading: ApiReading, made: Settings) -> None:
    api = reading.api
    under = api.base_checkpoint.model if api.base_checkpoint else api.model
    assert under == made.checkpoint
    first = max(made.loras, key=lambda lora: lora[1], default=None)
    if first is not None:
        assert (api.type, api.model, api.lora_weight) == ("LORA", *first)
        others = [lora for lora in made.loras if lora is not first]
        assert [(lora.model, lora.weight) for lora in api.loras] == others
    assert (api.prompt, api.negative_prompt) == (made.prompt, made.negative)
    assert (api.sampling_method, api.sampling_steps, api.cfg_scale) == (made.sampler, made.steps, made.cfg)
    assert (api.width, api.height) == (made.width, made.height)


@quick
@given(workflows())
def test_the_api_form_gives_the_settings_that_it_was_made_with(made: Workflow) -> None:
    check_settings(read_workflow(made.api_form()), made.settings)


@quick
@given(workflows(), st.booleans(), DETOURS)
def test_the_saved_form_gives_them_whatever_lies_on_the_lines(
    made: Workflow, named: bool, detours: tuple[str, ...]
) -> None:
    saved = json.loads(json.dumps(made.saved_form(named, detours)))
    check_settings(read_workflow(saved), made.settings)


@quick
@given(workflows(), st.data())
def test_a_part_of_it_may_be_a_subgraph(made: Workflow, data: st.DataObject) -> None:
    inside = data.draw(st.sets(st.sampled_from(list(made.nodes)), max_size=len(made.nodes)))
    check_settings(read_workflow(made.subgraph_form(inside)), made.settings)


def plain(**changes: dict[str, Any]) -> dict[str, Any]:
    """A workflow of SD 1.5 in API form, with other nodes or with inputs changed: `n3={"cfg": 2}`."""
    nodes: dict[str, Any] = {
        "3": node("KSampler", steps=25, cfg=6.0, sampler_name="dpmpp_2m", scheduler="karras", **WAYS),
        "4": node("CheckpointLoaderSimple", ckpt_name="dream_7.safetensors"),
        "5": node("EmptyLatentImage", width=512, height=768),
        "6": node("CLIPTextEncode", text="a mill", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="blurry", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="x", images=["8", 0]),
    }
    for id_, change in changes.items():
        key = id_.removeprefix("n")
        if "class_type" in change:
            nodes[key] = change
        else:
            nodes[key]["inputs"] |= change
    return nodes


WAYS = {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def test_the_place_of_a_link_counts_also_where_the_two_are_swapped() -> None:
    control = node("ControlNetApplyAdvanced", positive=["6", 0], negative=["7", 0], image=["1", 0])
    swapped = plain(n10=control, n3={"positive": ["10", 1], "negative": ["10", 0]})
    api = read_workflow(swapped).api
    assert (api.prompt, api.negative_prompt) == ("blurry", "a mill")
    unknown = {**control, "class_type": "NobodyKnowsApply"}
    api = read_workflow(plain(n10=unknown, n3={"positive": ["10", 0], "negative": ["10", 1]})).api
    assert (api.prompt, api.negative_prompt) == ("a mill", "blurry")


def test_the_loader_of_efficiency_says_all() -> None:
    loader = node(
        "Efficient Loader",
        **{"ckpt_name": "dream_7.safetensors", "clip_skip": -2, "lora_name": "ink.safetensors"},
        **{"lora_model_strength": 0.6, "positive": "a mill", "negative": "blurry"},
        **{"empty_latent_width": 640, "empty_latent_height": 832},
    )
    links = {"model": ["1", 0], "positive": ["1", 1], "negative": ["1", 2], "latent_image": ["1", 3]}
    sampler = node("KSampler (Efficient)", steps=9, cfg=5, sampler_name="euler", scheduler="normal", **links)
    api = read_workflow({"1": loader, "2": sampler, "9": node("SaveImage", images=["2", 5])}).api
    assert (api.model, api.lora_weight, api.clip_skip) == ("ink", 0.6, 2)
    assert (api.prompt, api.negative_prompt, api.width, api.height) == ("a mill", "blurry", 640, 832)


@pytest.mark.parametrize(
    "loader",
    [
        node("LoraLoader|pysssss", lora_name={"content": "ink.safetensors"}, strength_model=0.6),
        node(
            "Lora Loader (LoraManager)",
            text="<lora:ink:0.6>",
            loras={
                "__value__": [
                    {"name": "ink", "strength": "0.6", "active": True},
                    {"name": "no", "strength": 1, "active": False},
                ]
            },
        ),
        node("LoraTagLoader", text="words <lora:ink:0.6>"),
        node("Lora Loader Stack (rgthree)", lora_01="ink.safetensors", strength_01=0.6, lora_02="None"),
        node("Some LoRA Loader", lora="ink.safetensors", weight=0.6),
    ],
    ids=lambda made: made["class_type"],
)
def test_loaders_of_loras(loader: dict[str, Any]) -> None:
    loader["inputs"]["model"] = ["4", 0]
    api = read_workflow(plain(n10=loader, n3={"model": ["10", 0]})).api
    assert (api.type, api.model, api.lora_weight, api.loras) == ("LORA", "ink", 0.6, ())
    assert api.base_checkpoint is not None
    assert api.base_checkpoint.model == "dream_7"


def test_a_stack_that_hangs_on_another_and_switches_that_are_off() -> None:
    first = node("CR LoRA Stack", switch_1="On", lora_name_1="ink.safetensors", model_weight_1=0.4)
    second = node(
        "CR LoRA Stack",
        **{"switch_1": "Off", "lora_name_1": "no.safetensors", "model_weight_1": 1.0, "switch_2": "On"},
        **{"lora_name_2": "oil.safetensors", "model_weight_2": 0.9, "lora_stack": ["11", 0]},
    )
    applied = node("CR Apply LoRA Stack", model=["4", 0], clip=["4", 1], lora_stack=["12", 0])
    reading = read_workflow(plain(n11=first, n12=second, n10=applied, n3={"model": ["10", 0]}))
    assert (reading.api.model, reading.api.lora_weight) == ("oil", 0.9)
    assert [(lora.model, lora.weight) for lora in reading.api.loras] == [("ink", 0.4)]


def test_flux_has_two_encoders_guiders_and_no_checkpoint() -> None:
    graph = {
        "13": node(
            "SamplerCustomAdvanced",
            **{"guider": ["22", 0], "sampler": ["16", 0], "sigmas": ["17", 0], "latent_image": ["27", 0]},
        ),
        "22": node("BasicGuider", model=["12", 0], conditioning=["6", 0]),
        "16": node("KSamplerSelect", sampler_name="euler"),
        "17": node("BasicScheduler", scheduler="simple", steps=20, denoise=1.0, model=["12", 0]),
        "12": node("UnetLoaderGGUF", unet_name="flux\\mine-Q4_K_S.gguf"),
        "11": node("DualCLIPLoaderGGUF", clip_name1="t5.gguf", clip_name2="l.safetensors", type="flux"),
        "6": node("CLIPTextEncodeFlux", clip_l="mill", t5xxl="a mill", guidance=3.5, clip=["11", 0]),
        "27": node("EmptySD3LatentImage", width=896, height=1152),
    }
    reading = read_workflow(graph)
    api = reading.api
    assert (api.model, api.base_model, api.prompt, api.cfg_scale) == ("mine-Q4_K_S", "Flux.1 D", "a mill", 1)
    assert (api.width, api.height, api.sampling_steps) == (896, 1152, 20)
    assert any("'mill', for another encoder was left out" in guess for guess in reading.guesses)
    assert any("distilled guidance 3.5" in guess for guess in reading.guesses)


def test_texts_that_are_combined_are_joined_and_said() -> None:
    both = node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["11", 0])
    reading = read_workflow(
        plain(n10=both, n11=node("CLIPTextEncode", text="gulls", clip=["4", 1]), n3={"positive": ["10", 0]})
    )
    assert reading.api.prompt == "a mill, gulls"
    assert "2 texts make up the positive prompt in the workflow; they were joined" in reading.guesses


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"n6": {"text": ["10", 0]}, "n10": node("OllamaGenerate", seed=1)}, "'OllamaGenerate' is made when"),
        ({"n6": {"text": ["10", 0]}, "n10": node("Dice", a="x", b="y")}, "'Dice' cannot be told"),
        ({"n3": {"steps": ["10", 0]}, "n10": node("Dice")}, "sampling steps cannot be told.*'Dice'"),
        ({"n3": {"sampler_name": ["10", 0]}, "n10": node("Dice")}, "sampling method cannot be told.*'Dice'"),
        ({"n5": {"width": ["10", 0]}, "n10": node("Dice")}, "size of the picture cannot be told.*'Dice'"),
        ({"n5": node("VAEEncode", pixels=["10", 0]), "n10": node("LoadImage", image="a.png")}, "LoadImage"),
        ({"n3": {"positive": ["10", 0]}, "n10": node("Dice")}, "positive prompt was not read.*'Dice'"),
        (
            {
                "n10": node("ModelMergeSimple", model1=["4", 0], model2=["11", 0], ratio=0.5),
                "n11": node("CheckpointLoaderSimple", ckpt_name="b.ckpt"),
                "n3": {"model": ["10", 0]},
            },
            "'ModelMergeSimple' merges two models; the first is read and not 'b'",
        ),
    ],
    ids=range(8),
)
def test_what_hinders_is_named(changes: dict[str, Any], named: str) -> None:
    reading = read_workflow(plain(**changes))
    assert reading.api.model == "dream_7"
    assert re.search(named, " | ".join(reading.guesses)), reading.guesses
    # a prompt or a model that is not read makes another picture; a number that is not, a default
    lost = any(re.search(named, told) for told in reading.unread)
    assert lost == any(word in named for word in ("made when", "'Dice' cannot be told", "prompt", "merges"))
    assert set(reading.unread) <= set(reading.guesses)
    assert read_workflow(plain()).unread == ()


def test_a_model_that_cannot_be_found_is_refused_with_the_node_that_hinders() -> None:
    with pytest.raises(InvalidInput, match=r"its model comes from the node 'Oracle'"):
        read_workflow(plain(n10=node("Oracle", x=1), n3={"model": ["10", 0]}))


def test_a_number_that_is_calculated() -> None:
    half = node("ComfyMathExpression", expression="max(a, 64) // 2 & -8", **{"values.a": ["11", 0]})
    api = read_workflow(plain(n10=half, n11=node("PrimitiveInt", value=1300), n5={"width": ["10", 0]})).api
    assert api.width == 648
    for evil in ("__import__('os').getcwd()", "9**9**9", "a.b", "(" * 400, "1/0"):
        graph = plain(n10=node("ComfyMathExpression", expression=evil), n5={"width": ["10", 0]})
        assert "width" in read_workflow(graph).missing


def saved(kind: str, values: list[Any], **fields: Any) -> dict[str, Any]:
    return {"id": 20, "type": kind, "mode": 0, "inputs": [], "outputs": [], "widgets_values": values} | fields


def test_group_nodes_with_the_values_of_their_use() -> None:
    inner = [
        saved("KSampler", [1, "fixed", 9, 9, "euler", "normal", 1]),
        saved("CheckpointLoaderSimple", ["old.safetensors"]),
        saved("EmptyLatentImage", [64, 64, 1]),
        saved("CLIPTextEncode", ["old"]),
        saved("CLIPTextEncode", ["old"]),
    ]
    for raw in inner:
        names = {"KSampler": list(WAYS), "CLIPTextEncode": ["clip"]}.get(raw["type"], [])
        raw["inputs"] = [{"name": name, "type": "*", "link": None} for name in names]
        raw["outputs"] = [{"name": name, "links": []} for name in ("A", "B", "C")]
    links = [[1, 0, 0, 0, 4, "MODEL"], [3, 0, 0, 1, 6, "C"], [4, 0, 0, 2, 7, "C"], [2, 0, 0, 3, 5, "L"]]
    links += [[1, 1, 3, 0, 4, "CLIP"], [1, 1, 4, 0, 4, "CLIP"]]
    values = [5, "fixed", 25, 6, "dpmpp_2m", "karras", 1, "dream_7.ckpt", 512, 768, 1, "a mill", "blurry"]
    graph = {
        "nodes": [saved("workflow>t2i", values)],
        "links": [],
        "extra": {"groupNodes": {"t2i": {"nodes": inner, "links": links, "external": []}}},
    }
    api = read_workflow(graph).api
    assert (api.model, api.sampling_steps, api.sampling_method) == ("dream_7", 25, "DPM++ 2M Karras")
    assert (api.prompt, api.negative_prompt, api.width, api.height) == ("a mill", "blurry", 512, 768)


def test_subgraphs_take_the_values_of_their_use_and_may_lie_in_each_other() -> None:
    def definition(id_: str, nodes: list[Any], links: list[Any], **fields: Any) -> dict[str, Any]:
        return {"id": id_, "nodes": nodes, "links": links, "inputs": [], "outputs": []} | fields

    def link(id_: int, source: int, target: int, place: int = 0) -> dict[str, Any]:
        ends = {"origin_id": source, "origin_slot": 0, "target_id": target, "target_slot": place}
        return {"id": id_, "type": "*", **ends}

    text = saved(
        "PrimitiveString", ["old"], id=1, inputs=[{"name": "value", "widget": {"name": "value"}, "link": 1}]
    )
    inner = definition(
        "inner", [text], [link(1, -10, 1), link(2, 1, -20)], inputs=[{"name": "words", "type": "STRING"}]
    )
    use = saved(
        "inner",
        [],
        id=5,
        inputs=[{"name": "words", "type": "STRING", "widget": {"name": "words"}, "link": 7}],
    )
    outer = definition(
        "outer", [use], [link(7, -10, 5), link(8, 5, -20)], inputs=[{"name": "said", "type": "STRING"}]
    )
    outer_use = saved("outer", [], id=30, widgets_values_named={"said": "a mill"})
    encode = saved("CLIPTextEncode", [""], id=6, inputs=[{"name": "text", "type": "STRING", "link": 100}])
    loader = saved("CheckpointLoaderSimple", ["dream_7.ckpt"], id=4)
    ends = [{"name": "model", "link": 101}, {"name": "positive", "link": 102}]
    sampler = saved("KSampler", [1, 25, 6, "euler", "normal", 1], id=3, inputs=ends)
    graph = {
        "nodes": [outer_use, encode, loader, sampler],
        "links": [[100, 30, 0, 6, 0, "*"], [101, 4, 0, 3, 0, "*"], [102, 6, 0, 3, 1, "*"]],
        "definitions": {"subgraphs": [outer, inner]},
    }
    assert read_workflow(graph).api.prompt == "a mill"
    outer["nodes"] += [saved("outer", [], id=10 + i) for i in range(30)]
    outer["nodes"] += [saved("PreviewAny", [], id=60 + i) for i in range(30)]
    with pytest.raises(InvalidInput, match="more than 10,000 nodes"):
        read_workflow(graph)


def test_primitives_muted_nodes_and_nodes_that_reach_everywhere() -> None:
    ports = [{"name": name, "type": name, "link": link} for name, link in (("model", None), ("positive", 2))]
    nodes = [
        saved("KSampler", [1, "randomize", 25, 6, "euler", "normal", 1], id=3, inputs=ports),
        saved("CheckpointLoaderSimple", ["dream_7.ckpt"], id=4),
        saved("Anything Everywhere", [], id=8, inputs=[{"name": "anything", "type": "model", "link": 3}]),
        saved("CLIPTextEncode", ["old"], id=6, inputs=[{"name": "text", "type": "STRING", "link": 4}]),
        saved("PrimitiveNode", ["a mill", "fixed"], id=7),
        saved("LoraLoader", ["no.safetensors", 1, 1], id=9, mode=2),
    ]
    links = [[2, 6, 0, 3, 1, "*"], [3, 4, 0, 8, 0, "model"], [4, 7, 0, 6, 0, "STRING"]]
    api = read_workflow({"nodes": nodes, "links": links}).api
    assert (api.type, api.model, api.prompt) == ("Checkpoint", "dream_7", "a mill")


def test_wrapped_workflows_are_workflows() -> None:
    wrapped = (
        {"prompt": plain()},
        {"workflow": plain()},
        {"extra_data": {"extra_pnginfo": {"workflow": plain()}}},
    )
    for each in wrapped:
        assert is_workflow(each)
        assert read_workflow(each).api.model == "dream_7"
    assert not is_workflow({"prompt": "a mill", "model": "x"})


def template_workflows() -> list[Path]:
    templates = pytest.importorskip("comfyui_workflow_templates_json")
    return sorted((Path(templates.__file__).parent / "templates").glob("*.json"))


def test_comfyuis_own_templates_are_read_or_the_node_that_hinders_is_named() -> None:
    found = [(path.name, *read_template(path)) for path in template_workflows()[::4]]
    assert len(found) > 100
    for name, reading, message, kinds in found:
        told = (
            [guess for guess in reading.guesses if any(repr(kind) in guess for kind in kinds)]
            if reading
            else []
        )
        assert reading or any(kind in message for kind in kinds), name
        for field, word in (
            ("width", "size"),
            ("sampling_method", "sampling method"),
            ("sampling_steps", "steps"),
        ):
            assert not reading or field not in reading.missing or any(word in one for one in told), (
                name,
                field,
            )


def read_template(path: Path) -> tuple[ApiReading | None, str, set[str]]:
    """The reading, or why there is none, and the kinds of nodes that are there."""
    form = json.loads(path.read_text(encoding="utf-8"))
    if not is_workflow(form):
        return None, "index", {"index"}
    kinds = {kind[:60] for kind in kinds_of(form)} | {"none"}
    try:
        return read_workflow(form), "", kinds
    except InvalidInput as error:
        return None, str(error), kinds


def kinds_of(saved_form: dict[str, Any]) -> set[str]:
    inner = (saved_form.get("definitions") or {}).get("subgraphs") or []
    return {str(raw.get("type")) for each in (saved_form, *inner) for raw in each["nodes"]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@quick
@given(workflows(), st.data())
def test_broken_workflows_are_read_or_refused(made: Workflow, data: st.DataObject) -> None:
    forms = [made.api_form(), made.saved_form(), made.subgraph_form(set(list(made.nodes)[::2]))]
    graph = data.draw(st.sampled_from(forms))
    for _ in range(data.draw(st.integers(1, 4))):
        where: Any = graph
        while isinstance(where, dict | list) and where:
            keys = list(where) if isinstance(where, dict) else range(len(where))
            key = data.draw(st.sampled_from(list(keys)))
            if not isinstance(where[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
                where[key] = data.draw(JSON)
                break
            where = where[key]
    with contextlib.suppress(InvalidInput):
        read_workflow(graph)
