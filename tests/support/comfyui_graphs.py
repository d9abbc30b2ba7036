"""Workflows of ComfyUI made at random from settings that are known, in three forms.

    made = draw(workflows())
    made.api_form(), made.saved_form(), made.subgraph_form(), made.settings

What a workflow means stays the same whichever nodes say it: a plain sampler or one of parts, LoRAs in a
chain, a stack or one loader, joined texts, links over switches, pipes and ControlNets, a second pass.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from diffagent_tools.formats.comfyui.nodes import AFTER_SEED, widget_names
from retrieval.tables.samplers import SAMPLERS

WORDS = st.text(st.sampled_from("abcdefgh ,.()灯笼"), min_size=1, max_size=30).filter(str.strip)
FILES = st.text(st.sampled_from("abcdefghxyz0123456789_"), min_size=3, max_size=12)
METHODS = [sampler for sampler in SAMPLERS if not sampler.comfy_note]


@dataclass(frozen=True)
class Settings:
    """What a workflow makes a picture with; `loras` are names and weights in the order of their loading."""

    checkpoint: str
    loras: tuple[tuple[str, float], ...]
    prompt: str
    negative: str
    method: str
    schedule: str
    sampler: str
    steps: int
    cfg: float
    width: int
    height: int


@dataclass
class Workflow:
    """Nodes in the API form with the types of their outputs."""

    settings: Settings
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    types: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, kind: str, outputs: str = "", **inputs: Any) -> str:
        """The id of a new node; a link is a tuple of an id and an output."""
        id_ = str(len(self.nodes) + 3)
        self.nodes[id_] = {"class_type": kind, "inputs": inputs}
        self.types[id_] = tuple(outputs.split())
        return id_

    def api_form(self) -> dict[str, Any]:
        """As the server takes it."""
        return {
            id_: {
                "class_type": node["class_type"],
                "inputs": {
                    name: list(value) if isinstance(value, tuple) else value
                    for name, value in node["inputs"].items()
                },
            }
            for id_, node in self.nodes.items()
        }

    def saved_form(self, named: bool = False, detours: tuple[str, ...] = ()) -> dict[str, Any]:
        """As the editor saves it.

        Args:
            named: the widgets' names are in the file.
            detours: what the first links go over: "reroute", "set and get", "bypass" or "primitive".
        """
        nodes, links = self._saved(list(self.nodes), named)
        return _with_detours({"nodes": nodes, "links": links, "version": 0.4}, detours)

    def subgraph_form(self, inside: set[str]) -> dict[str, Any]:
        """As the editor saves it, the nodes of some ids in a subgraph."""
        inside = inside & self.nodes.keys()
        inner, _ = self._saved([id_ for id_ in self.nodes if id_ in inside], named=True)
        outer, _ = self._saved([id_ for id_ in self.nodes if id_ not in inside], named=False)
        use: dict[str, Any] = {"id": 900, "type": "sub", "mode": 0, "inputs": [], "outputs": []}
        definition: dict[str, Any] = {"id": "sub", "nodes": inner, "links": [], "inputs": [], "outputs": []}
        links: list[list[Any]] = []
        places: dict[tuple[str, int], int] = {}
        for target, node in self.nodes.items():
            holder = next(raw for raw in [*inner, *outer] if str(raw["id"]) == target)
            for place, (name, type_) in enumerate(_ports(self, node)):
                source, slot = node["inputs"][name]
                id_ = 1000 + len(links) + len(definition["links"])
                entry = holder["inputs"][place]
                if source in inside and target in inside:
                    _join(definition, entry, id_, source, slot, target, place, type_)
                    continue
                if target in inside:
                    _join(definition, entry, id_, -10, len(use["inputs"]), target, place, type_)
                    definition["inputs"].append({"name": f"in{len(use['inputs'])}", "type": type_})
                    port = {"name": f"in{len(use['inputs'])}", "type": type_, "link": None}
                    use["inputs"].append(port)
                    entry, target_id, place = port, 900, len(use["inputs"]) - 1
                    id_ += 5000
                else:
                    target_id = int(target)
                source_id = int(source)
                if source in inside:
                    if (source, slot) not in places:
                        places[source, slot] = len(use["outputs"])
                        _join(definition, {}, id_ + 9000, source, slot, -20, places[source, slot], type_)
                        definition["outputs"].append({"name": type_, "type": type_})
                        use["outputs"].append({"name": type_, "type": type_})
                    source_id, slot = 900, places[source, slot]
                entry["link"] = id_
                links.append([id_, source_id, slot, target_id, place, type_])
        nodes = [*outer, use] if inside else outer
        return {
            "nodes": nodes,
            "links": links,
            "version": 0.4,
            "definitions": {"subgraphs": [definition]},
        }

    def _saved(self, ids: list[str], named: bool) -> tuple[list[dict[str, Any]], list[list[Any]]]:
        links: list[list[Any]] = []
        nodes = []
        for id_ in ids:
            node = self.nodes[id_]
            inputs: list[dict[str, Any]] = []
            for name, type_ in _ports(self, node):
                source, slot = node["inputs"][name]
                link = None
                if source in ids:
                    link = len(links) + 1
                    links.append([link, int(source), slot, int(id_), len(inputs), type_])
                inputs.append({"name": name, "type": type_, "link": link})
            values: list[Any] = []
            names = widget_names(node["class_type"]) or tuple(
                name for name, value in node["inputs"].items() if not isinstance(value, tuple)
            )
            for name in names:
                value = node["inputs"].get(name, "")
                values.append("" if isinstance(value, tuple) else value)
                if name in ("seed", "noise_seed"):
                    values.append("randomize")
                if named and not isinstance(value, tuple):
                    inputs.append({"name": name, "widget": {"name": name}, "type": "*", "link": None})
            raw: dict[str, Any] = {
                "id": int(id_),
                "type": node["class_type"],
                "mode": 0,
                "inputs": inputs,
                "outputs": [{"name": type_, "type": type_} for type_ in self.types[id_]],
                "widgets_values": values,
            }
            if named:
                raw["widgets_values_named"] = dict(
                    zip((name for name in names), (v for v in values if v != "randomize"), strict=False)
                ) | {AFTER_SEED: "randomize"}
            nodes.append(raw)
        return nodes, links


def _ports(made: Workflow, node: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, made.types[value[0]][value[1]])
        for name, value in node["inputs"].items()
        if isinstance(value, tuple)
    ]


def _join(
    definition: dict[str, Any],
    entry: dict[str, Any],
    id_: int,
    source: Any,
    slot: int,
    target: Any,
    place: int,
    type_: str,
) -> None:
    entry["link"] = id_
    definition["links"].append(
        {
            "id": id_,
            "origin_id": int(source),
            "origin_slot": slot,
            "target_id": int(target),
            "target_slot": place,
            "type": type_,
        }
    )


def _with_detours(saved: dict[str, Any], detours: tuple[str, ...]) -> dict[str, Any]:
    """The same workflow with nodes on the lines that only the editor knows."""
    nodes, links = saved["nodes"], saved["links"]
    for number, detour in enumerate(detours[: len(links)]):
        link = links[number]
        target, place, type_ = link[3:]
        id_, new = 700 + 2 * number, 7000 + number
        entry = next(raw for raw in nodes if raw["id"] == target)["inputs"][place]
        into = {"name": "", "type": type_, "link": link[0]}
        out = {"name": type_, "type": type_}
        link[3:5] = [id_, 0]
        entry["link"] = new
        raw = {"id": id_, "type": "Reroute", "mode": 0, "inputs": [into], "outputs": [out]}
        if detour == "bypass":
            raw |= {"type": "Mystery", "mode": 4, "widgets_values": ["other.safetensors", 1]}
        elif detour == "set and get":
            raw |= {"type": "SetNode", "widgets_values": [f"k{number}"]}
            nodes.append(
                {
                    "id": id_ + 1,
                    "type": "GetNode",
                    "mode": 0,
                    "inputs": [],
                    "outputs": [out],
                    "widgets_values": [f"k{number}"],
                }
            )
        nodes.append(raw)
        links.append([new, id_ + 1 if detour == "set and get" else id_, 0, target, place, type_])
    return saved


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """A workflow and its settings."""
    sampler = draw(st.sampled_from(METHODS))
    names = draw(st.lists(FILES, min_size=1, max_size=4, unique=True))
    # the heaviest LoRA is the model, and no two weigh the same
    weights = draw(st.lists(st.integers(5, 150), min_size=3, max_size=3, unique=True))
    steps = st.integers(1, 90)
    settings = Settings(
        checkpoint=names[0],
        loras=tuple((name, weights[i] / 100) for i, name in enumerate(names[1:])),
        prompt=draw(WORDS),
        negative=draw(WORDS),
        method=sampler.comfy_sampler,
        schedule=sampler.comfy_scheduler,
        sampler=sampler.name,
        steps=draw(steps),
        cfg=draw(st.integers(10, 120)) / 10,
        width=draw(st.integers(32, 200)) * 8,
        height=draw(st.integers(32, 200)) * 8,
    )
    made = Workflow(settings)
    model, clip, vae = _loader(draw, made)
    positive = _conditioning(draw, made, clip, settings.prompt)
    negative = _conditioning(draw, made, clip, settings.negative)
    latent = made.add(
        "EmptyLatentImage", "LATENT", width=settings.width, height=settings.height, batch_size=1
    )
    if draw(st.booleans()):
        net = made.add("ControlNetLoader", "CONTROL_NET", control_net_name="depth.safetensors")
        image = made.add("LoadImage", "IMAGE", image="x.png")
        applied = made.add(
            "ControlNetApplyAdvanced",
            "CONDITIONING CONDITIONING",
            positive=positive,
            negative=negative,
            control_net=(net, 0),
            image=(image, 0),
            strength=0.7,
        )
        positive, negative = (applied, 0), (applied, 1)
    if draw(st.booleans()):
        context = made.add(
            "Context (rgthree)",
            "RGTHREE_CONTEXT MODEL CLIP VAE CONDITIONING CONDITIONING LATENT IMAGE INT",
            model=model,
            positive=positive,
            negative=negative,
            latent=(latent, 0),
        )
        model, positive, negative, start = (context, 1), (context, 4), (context, 5), (context, 6)
    else:
        start = (latent, 0)
    sampled = _sampler(draw, made, model, positive, negative, start)
    if draw(st.booleans()):
        larger = made.add(
            "LatentUpscale", "LATENT", upscale_method="area", width=2048, height=2048, samples=sampled
        )
        second = made.add(
            "KSampler",
            "LATENT",
            seed=2,
            steps=7,
            cfg=2.0,
            sampler_name="lcm",
            scheduler="normal",
            denoise=0.4,
            model=model,
            positive=negative,
            negative=positive,
            latent_image=(larger, 0),
        )
        sampled = (second, 0)
    decoded = made.add("VAEDecode", "IMAGE", samples=sampled, vae=vae)
    made.add("SaveImage", "", filename_prefix="x", images=(decoded, 0))
    # whatever the order of the nodes in the file
    order = draw(st.permutations(list(made.nodes)))
    made.nodes = {id_: made.nodes[id_] for id_ in order}
    return made


Pair = tuple[str, int]


def _loader(draw: st.DrawFn, made: Workflow) -> tuple[Pair, Pair, Pair]:
    settings = made.settings
    file = draw(st.sampled_from(["{}.safetensors", "sd15\\{}.ckpt", "a/b/{}.safetensors"])).format(
        settings.checkpoint
    )
    loader = made.add("CheckpointLoaderSimple", "MODEL CLIP VAE", ckpt_name=file)
    model, clip = (loader, 0), (loader, 1)
    way = draw(st.sampled_from(["chain", "model only", "power", "stack"]))
    loras = settings.loras
    if way in ("chain", "model only"):
        for name, weight in loras:
            given = {"lora_name": f"{name}.safetensors", "strength_model": weight, "model": model}
            if way == "chain":
                given |= {"strength_clip": weight, "clip": clip}
                node = made.add("LoraLoader", "MODEL CLIP", **given)
                clip = (node, 1)
            else:
                node = made.add("LoraLoaderModelOnly", "MODEL", **given)
            model = (node, 0)
    elif way == "power" and loras:
        entries: dict[str, Any] = {
            f"lora_{i}": {"on": True, "lora": f"{name}.safetensors", "strength": weight}
            for i, (name, weight) in enumerate(loras, 1)
        }
        off = {"on": False, "lora": "never.safetensors", "strength": 2}
        node = made.add(
            "Power Lora Loader (rgthree)", "MODEL CLIP", **entries, lora_9=off, model=model, clip=clip
        )
        model, clip = (node, 0), (node, 1)
    elif loras:
        listed: dict[str, Any] = {"input_mode": "simple", "lora_count": len(loras)}
        for i in range(1, 51):
            name, weight = loras[i - 1] if i <= len(loras) else ("never", 2.0)
            listed |= {f"lora_name_{i}": f"{name}.safetensors", f"lora_wt_{i}": weight}
            listed |= {f"model_str_{i}": 1.9, f"clip_str_{i}": 1.9}
        stack = made.add("LoRA Stacker", "LORA_STACK", **listed)
        node = made.add("CR Apply LoRA Stack", "MODEL CLIP", model=model, clip=clip, lora_stack=(stack, 0))
        model, clip = (node, 0), (node, 1)
    if draw(st.booleans()):
        other = made.add("CheckpointLoaderSimple", "MODEL CLIP VAE", ckpt_name="never.safetensors")
        on = draw(st.booleans())
        switch = made.add(
            "ComfySwitchNode",
            "*",
            switch=on,
            **(
                {"on_true": model, "on_false": (other, 0)}
                if on
                else {"on_true": (other, 0), "on_false": model}
            ),
        )
        model = (switch, 0)
    return model, clip, (loader, 2)


def _conditioning(draw: st.DrawFn, made: Workflow, clip: Pair, text: str) -> Pair:
    way = draw(st.sampled_from(["plain", "joined", "filled in", "linked"]))
    given: Any = text
    if way == "joined":
        at = draw(st.integers(0, len(text)))
        first = made.add("PrimitiveStringMultiline", "STRING", value=text[:at])
        given = (
            made.add("StringConcatenate", "STRING", string_a=(first, 0), string_b=text[at:], delimiter=""),
            0,
        )
    elif way == "filled in":
        given = (
            made.add(
                "ImpactWildcardProcessor",
                "STRING",
                wildcard_text="{a|b}",
                populated_text=text,
                mode="populate",
                seed=1,
            ),
            0,
        )
    elif way == "linked":
        given = (made.add("PrimitiveString", "STRING", value=text), 0)
    return made.add("CLIPTextEncode", "CONDITIONING", text=given, clip=clip), 0


def _sampler(
    draw: st.DrawFn, made: Workflow, model: Pair, positive: Pair, negative: Pair, latent: Pair
) -> Pair:
    settings = made.settings
    way = draw(st.sampled_from(["KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"]))
    steps: Any = settings.steps
    if draw(st.booleans()):
        steps = (made.add("PrimitiveInt", "INT", value=steps), 0)
    named: dict[str, Any] = {"sampler_name": settings.method, "scheduler": settings.schedule}
    given: dict[str, Any] = {"model": model, "positive": positive, "negative": negative}
    if way == "KSampler":
        node = made.add(
            way,
            "LATENT",
            seed=1,
            steps=steps,
            cfg=settings.cfg,
            **named,
            denoise=1.0,
            **given,
            latent_image=latent,
        )
        return node, 0
    if way == "KSamplerAdvanced":
        node = made.add(
            way,
            "LATENT",
            add_noise="enable",
            noise_seed=1,
            steps=steps,
            cfg=settings.cfg,
            **named,
            start_at_step=0,
            end_at_step=10000,
            return_with_leftover_noise="disable",
            **given,
            latent_image=latent,
        )
        return node, 0
    method = made.add("KSamplerSelect", "SAMPLER", sampler_name=settings.method)
    sigmas = made.add(
        "BasicScheduler", "SIGMAS", scheduler=settings.schedule, steps=steps, denoise=1.0, model=model
    )
    parts: dict[str, Any] = {"sampler": (method, 0), "sigmas": (sigmas, 0), "latent_image": latent}
    if way == "SamplerCustom":
        node = made.add(
            way, "LATENT LATENT", add_noise=True, noise_seed=1, cfg=settings.cfg, **given, **parts
        )
        return node, 0
    guider = made.add("CFGGuider", "GUIDER", cfg=settings.cfg, **given)
    noise = made.add("RandomNoise", "NOISE", noise_seed=1)
    return (made.add(way, "LATENT LATENT", noise=(noise, 0), guider=(guider, 0), **parts), 1)
