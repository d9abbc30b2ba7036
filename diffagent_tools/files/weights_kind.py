"""What a safetensors file is for, by the names and shapes of its weights: a LoRA of SDXL, a VAE, …

    read_weights(Path("detail.safetensors")).kind        # LORA
    read_weights(Path("detail.safetensors")).family      # SDXL 1.0

Nothing is loaded: a file of 30 GB is told as quickly as one of 30 KB. Families of one architecture look alike
in their weights; `family_in_words` tells them apart by what was written of them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import BrokenModelFile
from retrieval.tables.families import family_of

LORA, CHECKPOINT = "LORA", "Checkpoint"
Shape = Callable[[str], Sequence[int]]

_ADAPTER = (
    *("lora_down", "lora_up", "lora_A", "lora_B", "lora.down", "lora.up", "lora_linear_layer"),
    *("hada_w1", "lokr_w1", "oft_blocks"),
)
_DOWN = ("lora_down_weight", "lora_A_weight", "lora_A_default_weight", "lora_down", "hada_w1_b")
_CROSS = re.compile(r"attn2[._](?:processor[._])?to_[kv]\b|attn2_to_[kv]_")
_CROSS_WIDTHS = {768: "SD 1.5", 1024: "SD 2.1", 2048: "SDXL 1.0"}
_FLUX = re.compile(r"double_blocks_\d+_(?:img|txt)_|single_blocks_\d+_|single_transformer_blocks_\d+_")
_FLUX_WIDTHS = {6144: "Flux.2 D", 4096: "Flux.2 Klein 9B"}
_QWEN = re.compile(r"transformer_blocks_\d+_(?:img|txt)_(?:mlp|mod)")
_LAYERS = re.compile(r"layers_\d+_(?:attention|feed_forward|adaLN)")
_LAYER_WIDTHS = {3840: "ZImageTurbo", 2304: "Lumina"}
_VIDEO = re.compile(
    r"blocks_\d+_(?:cross_attn|self_attn)_|img_mlp_fc1|motion_modules|temporal_transformer|scale_shift_table_a"
)
_DEEP = re.compile(r"transformer_blocks_[2-9]_attn")
# the first that is found in the names decides; what no picture is made with by itself comes first
_OTHERS: tuple[tuple[str, str], ...] = (
    ("control_model_", "ControlNet"),
    ("controlnet_", "ControlNet"),
    ("input_hint_block", "ControlNet"),
    ("lllite_", "ControlNet"),
    ("ip_adapter_", "IP-Adapter"),
    ("image_proj_", "IP-Adapter"),
    ("motion_modules", "motion module"),
)
_PARTS: tuple[tuple[str, str], ...] = (
    ("first_stage_model_", "VAE"),
    ("decoder_conv_in_", "VAE"),
    ("decoder_middle_", "VAE"),
    ("encoder_block_0_layer_0_SelfAttention", "text encoder"),
    ("text_model_encoder_layers", "text encoder"),
    ("layers_0_self_attn_q_proj", "text encoder"),
    ("emb_params", "embedding"),
    ("clip_g", "embedding"),
    ("clip_l", "embedding"),
    ("RRDB_trunk", "upscaler"),
    ("upsample", "upscaler"),
    ("conv_first_", "upscaler"),
)
_WORDS: tuple[tuple[str, str], ...] = (
    # what stands behind another word for the same weights comes before it
    (r"pony\W*v?7|auraflow.*pony", "Pony V7"),
    (r"pony", "Pony"),
    (r"illustrious|ilxl|\bil\b|wai\W*ill", "Illustrious"),
    (r"noob|nai\W*xl", "NoobAI"),
    (r"playground", "Playground v2"),
    (r"kolors", "Kolors"),
    (r"flux\W*2.*klein.*4b|klein.*4b", "Flux.2 Klein 4B"),
    (r"flux\W*2.*klein|klein", "Flux.2 Klein 9B"),
    (r"flux\W*2", "Flux.2 D"),
    (r"chroma", "Chroma"),
    (r"kontext", "Flux.1 Kontext"),
    (r"krea", "Flux.1 Krea"),
    (r"schnell", "Flux.1 S"),
    (r"flux", "Flux.1 D"),
    (r"z\W*image.*base", "ZImageBase"),
    (r"z\W*image", "ZImageTurbo"),
    (r"qwen\W*image\W*2(?!\W?5)", "Qwen 2"),
    (r"qwen", "Qwen"),
    (r"lumina", "Lumina"),
    (r"hidream\W*o1", "HiDream-O1"),
    (r"hidream", "HiDream"),
    (r"aura\W*flow", "AuraFlow"),
    (r"pixart.*(?:sigma|\be\b)", "PixArt E"),
    (r"pixart", "PixArt a"),
    (r"cascade|wurstchen", "Stable Cascade"),
    (r"hunyuan\W*dit|hydit", "Hunyuan 1"),
    (r"anima\b|anima[_-]", "Anima"),
    (r"(?:sd|stable\W*diffusion\W*v?)\W*3\W*5.*medium", "SD 3.5 Medium"),
    (r"(?:sd|stable\W*diffusion\W*v?)\W*3\W*5", "SD 3.5"),
    (r"(?:\bsd|stable\W*diffusion\W*v?)\W*3(?!\d)", "SD 3"),
    (r"sd\W*xl|stable\W*diffusion\W*xl|\bxl\b", "SDXL 1.0"),
    (r"(?:\bsd|stable\W*diffusion)\W*v?2", "SD 2.1"),
    (r"(?:\bsd|stable\W*diffusion)\W*v?1", "SD 1.5"),
)
_PATTERNS = tuple((re.compile(pattern), family) for pattern, family in _WORDS)


@dataclass(frozen=True)
class Weights:
    """`kind`: "LORA", "Checkpoint", or what else it is, in words. `family`: None where the weights do not
    tell. `metadata`: what was written into the file."""

    kind: str
    family: str | None
    metadata: Mapping[str, str]


def read_weights(path: Path) -> Weights:
    """What a file is.

    Raises:
        BrokenModelFile: it is cut off, or no safetensors file at all.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            names = list(file.keys())

            def shape(name: str) -> Sequence[int]:
                found: list[int] = file.get_slice(name).get_shape()
                return found

            kind, family = kind_of(names, shape)
            return Weights(kind, family, file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise BrokenModelFile(
            f"{path.name} cannot be read as safetensors: it may not have come whole ({error})"
        ) from error


def kind_of(names: Sequence[str], shape: Shape) -> tuple[str, str | None]:
    """Kind and family of weights of these names.

    Args:
        names: of all weights.
        shape: the shape of one of them.
    """
    joined = "\n".join(names).replace(".", "_")
    written = "\n".join(names)
    if any(sign in written for sign in _ADAPTER):
        return (LORA, None) if _is_video(joined) else (LORA, _lora_family(names, joined, shape))
    for sign, kind in _OTHERS:
        if sign in joined:
            return kind, None
    found = _checkpoint(set(names), joined, shape)
    if found is not None:
        return found
    if _is_video(joined):
        return "video model", None
    return next(((kind, None) for sign, kind in _PARTS if sign in joined), ("unknown", None))


def family_in_words(text: str, within: str | None = None) -> str | None:
    """The family that a trainer's or a file's name says.

    Args:
        text: such as `sdxl_base_v1-0`, `ponyDiffusionV6XL_v6.safetensors`.
        within: the family by the weights; only families of its architecture can be meant. None: any.
    """
    folded = text.casefold().replace("_", " ")
    for pattern, name in _PATTERNS:
        if pattern.search(folded) and (within is None or alike(name, within)):
            return name
    return None


def alike(name: str, other: str) -> bool:
    """Whether two families have the same shapes of weights."""
    return family_of(name).architecture == family_of(other).architecture or {name, other} <= _FLUX_SHAPED


def _is_video(joined: str) -> bool:
    # a name without a number is looked for first: an expression takes long over thousands of names
    return any(sign in joined for sign in _VIDEO_SIGNS) and _VIDEO.search(joined) is not None


_VIDEO_SIGNS = ("cross_attn_", "self_attn_", "img_mlp_fc1", "motion_modules", "temporal_", "table_a")
_FLUX_SHAPED = {"Flux.1 D", "Flux.1 S", "Chroma", "Flux.1 Krea", "Flux.1 Kontext", "Flux.2 Klein 4B"}


def _lora_family(names: Sequence[str], joined: str, shape: Shape) -> str | None:
    if ("double_blocks_" in joined or "single_" in joined) and _FLUX.search(joined):
        return _FLUX_WIDTHS.get(_width(names, shape, _FLUX), "Flux.1 D")
    if ("txt_m" in joined or "img_m" in joined) and _QWEN.search(joined):
        return "Qwen"
    if "joint_blocks_" in joined or "attn_add_" in joined:
        width = _width(names, shape, re.compile(r"joint_blocks_|transformer_blocks_"))
        return {3072: "Qwen", 1536: "SD 3.5 Medium", 2432: "SD 3.5"}.get(width)
    if "layers_" in joined and _LAYERS.search(joined):
        return _LAYER_WIDTHS.get(_width(names, shape, _LAYERS))
    for sign, family in (
        ("double_stream_blocks_", "HiDream"),
        ("joint_transformer_blocks_", "AuraFlow"),
        ("double_layers_", "AuraFlow"),
        ("lora_prior_unet_", "Stable Cascade"),
    ):
        if sign in joined:
            return family
    width = _width(names, shape, _CROSS)
    if width:
        return _CROSS_WIDTHS.get(width)
    if re.search(r"lora_te2_|text_encoder_2_|clip_g_", joined) or _DEEP.search(joined):
        return "SDXL 1.0"
    if "lora_unet_input_blocks_" in joined:
        return "SDXL 1.0"
    if re.search(r"lora_te_|text_encoder_|down_blocks_\d_attentions", joined):
        width = _width(names, shape, re.compile(r"text_model_encoder_layers_\d+_self_attn_q"))
        return _CROSS_WIDTHS.get(width, "SD 1.5")
    return None


def _width(names: Sequence[str], shape: Shape, sign: re.Pattern[str]) -> int:
    """How wide what enters the first layer is whose name has the sign; 0 where there is none.

    Of a block's layers the smallest counts: behind the first layer of an MLP everything is wider.
    """
    widths: list[int] = []
    for name in names:
        folded = name.replace(".", "_")
        if folded.endswith(_DOWN) and sign.search(folded):
            sizes = shape(name)
            if len(sizes) >= 2:
                widths.append(sizes[1])
            if len(widths) == 16:
                break
    return min(widths, default=0)


def _checkpoint(names: set[str], joined: str, shape: Shape) -> tuple[str, str | None] | None:
    """A whole model, or the part of one that paints; None where it is neither."""
    if "conditioner.embedders.1.model.positional_embedding" in names or "conditioner.embedders.1." in joined:
        return _unet(names, shape, "SDXL 1.0")
    if "conditioner_embedders_0_model_transformer_resblocks" in joined:
        return "refiner", None
    if "cond_stage_model_transformer_" in joined:
        return _unet(names, shape, "SD 1.5")
    if "cond_stage_model_model_" in joined:
        return _unet(names, shape, "SD 2.1")
    if "double_stream_modulation" in joined:
        return CHECKPOINT, _FLUX_WIDTHS.get(_first(names, shape, r"img_in\.weight$", 0), "Flux.2 D")
    if re.search(r"double_blocks_\d+_img_attn_|single_transformer_blocks_\d+_", joined):
        return _flux(names, joined, shape)
    if "joint_blocks_" in joined:
        width = _first(names, shape, r"x_embedder\.proj\.weight$", 0)
        dual = "SD 3.5 Medium" if "x_block_attn2" in joined else "SD 3"
        return CHECKPOINT, "SD 3.5" if width == 2432 else dual
    if _QWEN.search(joined):
        return CHECKPOINT, "Qwen"
    if "cap_embedder_" in joined:
        width = _first(names, shape, r"cap_embedder\.1\.weight$", 0)
        return CHECKPOINT, _LAYER_WIDTHS.get(width, "Lumina")
    for sign, family in (
        ("double_stream_blocks_", "HiDream"),
        ("double_layers_", "AuraFlow"),
        ("clip_txt_mapper_", "Stable Cascade"),
        ("llm_adapter_", "Anima"),
        ("mlp_t5_", "Hunyuan 1"),
    ):
        if sign in joined:
            return CHECKPOINT, family
    if "t_block_1_" in joined and "y_embedder_" in joined:
        return CHECKPOINT, "PixArt a" if "csize_embedder_" in joined else "PixArt E"
    return _bare_unet(names, joined, shape)


def _flux(names: set[str], joined: str, shape: Shape) -> tuple[str, str | None]:
    if "distilled_guidance_layer_" in joined:
        return CHECKPOINT, "Chroma"
    if "img_mlp_fc1" in joined:
        return "video model", None
    # Fill, Depth and Canny also take a picture
    if _first(names, shape, r"img_in\.weight$", 1) not in (0, 64):
        return "inpainting checkpoint", None
    return CHECKPOINT, "Flux.1 D" if re.search(r"guidance_in_|guidance_embedder_", joined) else "Flux.1 S"


def _bare_unet(names: set[str], joined: str, shape: Shape) -> tuple[str, str | None] | None:
    """A UNet without text encoders, as ComfyUI keeps in `diffusion_models`."""
    if "input_blocks_" not in joined and "down_blocks_" not in joined:
        return None
    if "encoder_hid_proj_" in joined:
        return _unet(names, shape, "Kolors")
    width = _first(names, shape, r"attn2\.to_k\.weight$", 1)
    return _unet(names, shape, _CROSS_WIDTHS[width]) if width in _CROSS_WIDTHS else None


def _unet(names: set[str], shape: Shape, family: str) -> tuple[str, str | None]:
    """A picture is made of noise of four channels; more channels want another picture."""
    channels = _first(names, shape, r"(?:input_blocks\.0\.0|conv_in)\.weight$", 1)
    return (CHECKPOINT, family) if channels in (0, 4) else ("inpainting checkpoint", None)


def _first(names: set[str], shape: Shape, ending: str, axis: int) -> int:
    """One length of the first weight with this ending; 0 where there is none."""
    pattern = re.compile(ending)
    for name in sorted(names):
        if pattern.search(name) and "first_stage_model" not in name and "vae." not in name:
            sizes = shape(name)
            return sizes[axis] if len(sizes) > axis else 0
    return 0
