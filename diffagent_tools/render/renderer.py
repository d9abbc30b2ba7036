"""T2IApi -> images, with diffusers. The only file that imports it.

    renderer = Renderer(ModelsFolder(Path("models")), catalogue=Catalogue.starter(), device="cuda")
    renderer.render(api, seeds=[1, 2, 3])          # three PIL images

A checkpoint is one safetensors file, as on Civitai, or a folder in diffusers' layout; SD 1.x or SDXL, and
what has their layout (Pony, Illustrious, NoobAI; SD 2.x as a folder). Nothing is downloaded: the configs that
a single file lacks are in diffagent_tools/render/pipeline_configs.py or, for a checkpoint of other sizes,
in a
folder `NAME.config` beside it. The noise is drawn on the CPU, so that a seed gives the same picture on every
device, but for rounding.
"""

import gc
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from diffagent_tools.extras import require
from diffagent_tools.files.folder import FOLDER_MARK, ModelsFolder
from diffagent_tools.files.weights_header import architecture_of, cross_width, with_prediction
from diffagent_tools.render.pipeline_configs import END, clip_tokenizer, pipeline_config
from diffagent_tools.render.plan import Plan, make_plan
from diffagent_tools.render.prompt_encoding import encode_for
from retrieval.catalogue import Catalogue
from retrieval.errors import BrokenModelFile, InvalidInput, RenderError
from retrieval.quiet import quiet
from retrieval.records.api import T2IApi
from retrieval.tables.samplers import Sampler

if TYPE_CHECKING:
    from PIL.Image import Image

Device = Literal["auto", "cpu", "cuda", "mps", "xpu"]
Dtype = Literal["auto", "float32", "float16", "bfloat16"]
Offload = Literal["none", "model", "sequential"]
MAX_SEED = 2**64 - 1
BLOCKED = "blocked"
"""In an image's `info`: the folder's safety checker made it black."""
_PIPELINES = {"StableDiffusionPipeline": "sd1", "StableDiffusionXLPipeline": "sdxl"}
# transformers takes every weight with this in its name for one of the adapter's: no other has it
_ADAPTER = "diffagent"


class Renderer:
    """Makes pictures; keeps the pipeline of the last checkpoint.

    Args:
        models: where checkpoints and LoRAs lie.
        catalogue: knows the hashes and file names of models; without it files are found by name and id.
        device: auto is the first of cuda, mps and cpu that is there.
        dtype: auto is float32 on the CPU and float16 elsewhere.
        batch_size: how many pictures at once.
        offload: what is not in use lies in the CPU's memory: whole parts ("model", a little slower) or single
            layers ("sequential", much slower). Needs accelerate and a device other than the CPU.
        safety_checker: whether a folder's own safety checker is used; a single file has none.
        progress: is told what is loaded.

    Raises:
        MissingExtra: diffusers is not installed.
        RenderError: the device is not there.
    """

    def __init__(
        self,
        models: ModelsFolder,
        *,
        catalogue: Catalogue | None = None,
        device: Device = "auto",
        dtype: Dtype = "auto",
        batch_size: int = 1,
        offload: Offload = "none",
        safety_checker: bool = True,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        if batch_size < 1:
            raise InvalidInput(f"the batch size is {batch_size}, needed is at least 1")
        require("diffusers")
        self.models = models
        self.catalogue = catalogue
        self.device = _device(device)
        self.dtype = _dtype(dtype, self.device)
        self.batch_size = batch_size
        self.offload = offload
        self.safety_checker = safety_checker
        self._progress = progress or (lambda line: None)
        self._loaded: tuple[Path, Any, dict[str, Any]] | None = None
        self._loras: tuple[Path, ...] = ()
        if offload != "none" and self.device == "cpu":
            raise RenderError("offloading moves parts off a GPU, and the device is the CPU; leave it out")

    def plan(self, api: T2IApi) -> Plan:
        """What `render` will do; loads nothing.

        Raises:
            MissingModelFile: a file is not in the models folder; the message says how to get it.
            InvalidApi: the API may not be written, has no prompt, or a size that is no multiple of 8.
            UnknownSampler: no program offers the sampling method.
        """
        return make_plan(api, self.models, self.catalogue)

    def render(self, api: T2IApi, *, seeds: Sequence[int]) -> "list[Image]":
        """One image a seed.

        Raises:
            MissingModelFile, InvalidApi, UnknownSampler: as `plan`.
            BrokenModelFile: a file is no checkpoint or LoRA, or of an architecture that is not known here.
            RenderError: the LoRA does not fit the checkpoint, memory is short, or the numbers overflowed.
        """
        return self.render_plan(self.plan(api), seeds=seeds)

    def render_plan(self, plan: Plan, *, seeds: Sequence[int]) -> "list[Image]":
        """`render`, for a plan that was made before."""
        for seed in seeds:
            if not 0 <= seed <= MAX_SEED:
                raise InvalidInput(f"the seed is {seed}, needed is 0 to {MAX_SEED}")
        import diffusers
        import torch
        from transformers.utils import logging

        # errors are raised, and the notes are ours
        with quiet(logging, diffusers.utils.logging):
            try:
                pipeline, noise = self._pipeline(plan.checkpoint)
                self._use_loras(pipeline, plan)
                pipeline.scheduler = _scheduler(plan.sampler, noise)
                words = encode_for(pipeline, plan.prompt, plan.negative_prompt, clip_skip=plan.clip_skip)
                images: list[Image] = []
                for start in range(0, len(seeds), self.batch_size):
                    batch = seeds[start : start + self.batch_size]
                    images += self._run(pipeline, plan, words, batch)
            except torch.OutOfMemoryError as error:
                raise RenderError(
                    f"the memory of {self.device} is not enough for {plan.checkpoint.name} at {plan.width}x"
                    f"{plan.height}, {min(self.batch_size, len(seeds))} at once; lower the batch size, or "
                    "offload ('model', or 'sequential' for the least memory)"
                ) from error
        return images

    def close(self) -> None:
        """Gives the memory of the pipeline back."""
        self._loaded, self._loras = None, ()
        gc.collect()
        if self.device == "cuda":
            import torch

            torch.cuda.empty_cache()

    def _pipeline(self, path: Path) -> tuple[Any, dict[str, Any]]:
        """The pipeline of a checkpoint, and the config of its own scheduler."""
        if self._loaded is None or self._loaded[0] != path:
            self.close()
            self._progress(f"loading {path.name} on {self.device}")
            pipeline, noise = _load(path, self.dtype, safety_checker=self.safety_checker)
            pipeline.set_progress_bar_config(disable=True)
            if self.offload == "model":
                pipeline.enable_model_cpu_offload(device=self.device)
            elif self.offload == "sequential":
                pipeline.enable_sequential_cpu_offload(device=self.device)
            else:
                pipeline.to(self.device)
            if self.device != "cpu":
                pipeline.vae.enable_slicing()
            self._loaded = path, pipeline, noise
        return self._loaded[1], self._loaded[2]

    def _use_loras(self, pipeline: Any, plan: Plan) -> None:
        wanted = tuple(path for path, _ in plan.all_loras)
        if self._loras and self._loras != wanted:
            pipeline.unload_lora_weights()
            self._loras = ()
        if not wanted:
            return
        names = [f"{_ADAPTER}_{number:02}" for number in range(len(wanted))]
        if not self._loras:
            try:
                for name, path in zip(names, wanted, strict=True):
                    _load_lora(pipeline, path, plan.checkpoint, name)
            except RenderError:
                # parts of it may be in the pipeline
                self.close()
                raise
            self._loras = wanted
        pipeline.set_adapters(names, [weight for _, weight in plan.all_loras])

    def _run(
        self, pipeline: Any, plan: Plan, words: Mapping[str, Any], seeds: Sequence[int]
    ) -> "list[Image]":
        import numpy as np
        import torch
        from PIL import Image

        output = pipeline(
            **words,
            num_images_per_prompt=len(seeds),
            num_inference_steps=plan.steps,
            guidance_scale=plan.cfg_scale,
            width=plan.width,
            height=plan.height,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type="np",
        )
        if np.isnan(output.images).any():
            raise RenderError(
                f"{plan.checkpoint.name} gave no numbers but NaN in {self.dtype} with {plan.sampler.name}, "
                f"{plan.steps} steps, cfg scale {plan.cfg_scale:g}; use float32, bfloat16, or milder settings"
            )
        images = [Image.fromarray((each * 255).round().astype("uint8")) for each in output.images]
        blocked = getattr(output, "nsfw_content_detected", None) or [False] * len(images)
        for image, is_blocked in zip(images, blocked, strict=True):
            if is_blocked:
                image.info[BLOCKED] = "by the safety checker of the checkpoint's folder"
        return images


def _load(path: Path, dtype: str, *, safety_checker: bool) -> tuple[Any, dict[str, Any]]:
    import torch

    torch_dtype = getattr(torch, dtype)
    try:
        if path.is_dir():
            pipeline = _load_folder(path, torch_dtype, safety_checker=safety_checker)
            noise = dict(pipeline.scheduler.config)
        else:
            pipeline = _load_file(path, torch_dtype)
            noise = with_prediction(path, dict(pipeline.scheduler.config))
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError, TypeError) as error:
        # diffusers has no error of its own for a file whose weights are not those of the config
        if isinstance(error, torch.OutOfMemoryError):
            raise
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise BrokenModelFile(f"{path} cannot be loaded as a pipeline ({told[0][:300]})") from error
    return pipeline, noise


def _load_folder(path: Path, dtype: Any, *, safety_checker: bool) -> Any:
    import diffusers

    name = json.loads((path / FOLDER_MARK).read_bytes()).get("_class_name")
    if name not in _PIPELINES:
        raise BrokenModelFile(
            f"{path} is a {name}, and rendered are {' and '.join(_PIPELINES)}; name a checkpoint of those"
        )
    without: dict[str, Any] = {}
    if not safety_checker and name == "StableDiffusionPipeline":
        without = {"safety_checker": None, "requires_safety_checker": False}
    pipeline_class = getattr(diffusers, name)
    return pipeline_class.from_pretrained(
        str(path), dtype=dtype, local_files_only=True, use_safetensors=True, **without
    )


def _load_file(path: Path, dtype: Any) -> Any:
    import diffusers

    architecture = architecture_of(path)
    own = path.with_suffix(".config")
    tokenizers: dict[str, Any] = {}
    if not own.is_dir():
        tokenizers["tokenizer"] = clip_tokenizer(END)
        if architecture == "sdxl":
            tokenizers["tokenizer_2"] = clip_tokenizer("!")
    name = next(name for name, known in _PIPELINES.items() if known == architecture)
    with nullcontext(own) if own.is_dir() else pipeline_config(architecture) as config:
        return getattr(diffusers, name).from_single_file(
            str(path), config=str(config), local_files_only=True, dtype=dtype, **tokenizers
        )


def _scheduler(sampler: Sampler, noise: dict[str, Any]) -> Any:
    import diffusers

    scheduler_class = getattr(diffusers, sampler.diffusers_class)
    return scheduler_class.from_config(noise, **sampler.diffusers_args)


def _load_lora(pipeline: Any, path: Path, checkpoint: Path, adapter: str) -> None:
    width, needed = cross_width(path), pipeline.unet.config.cross_attention_dim
    if width not in (None, needed):
        raise RenderError(
            f"{path.name} is made for another base model: it expects {width} numbers for a word of the "
            f"prompt and {checkpoint.name} gives {needed} (SD 1.x has 768, SD 2.x 1024, SDXL 2048); name a "
            "base checkpoint of its family"
        )
    try:
        with warnings.catch_warnings():
            # several are meant
            warnings.filterwarnings("ignore", "Already found a `peft_config` attribute")
            pipeline.load_lora_weights(
                str(path.parent), weight_name=path.name, adapter_name=adapter, local_files_only=True
            )
    except (ValueError, RuntimeError, KeyError, IndexError, AttributeError, TypeError) as error:
        told = " ".join(str(error).split())[:300] or type(error).__name__
        raise RenderError(
            f"{path.name} cannot be used on {checkpoint.name} ({told}); it may be made for another base "
            "model or be of a form that diffusers does not read, such as LoHa"
        ) from error
    if not any(adapter in names for names in pipeline.get_list_adapters().values()):
        raise RenderError(
            f"{path.name} holds no weights for {checkpoint.name}: it is no LoRA, or for another base model"
        )


def _device(device: Device) -> str:
    import torch

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "xpu": torch.xpu.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return next(name for name, is_there in there.items() if is_there)
    if not there.get(device, False):
        known = ", ".join(name for name, is_there in there.items() if is_there)
        raise RenderError(f"the device {device!r} is not there; this machine has {known}")
    return device


def _dtype(dtype: Dtype, device: str) -> str:
    if dtype == "auto":
        return "float32" if device == "cpu" else "float16"
    if dtype == "float16" and device == "cpu":
        raise RenderError("float16 is too slow and too coarse on the CPU; use float32 or bfloat16")
    return dtype
