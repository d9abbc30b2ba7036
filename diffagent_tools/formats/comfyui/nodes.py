"""The nodes of ComfyUI: what a written workflow is made of, and the order of widgets and outputs of others.

    >>> NODES["LoraLoader"].widgets
    ('lora_name', 'strength_model', 'strength_clip')
    >>> widget_names("KSamplerSelect"), output_names("Efficient Loader")[1]
    (('sampler_name',), 'positive')

Facts of ComfyUI's own nodes, the same in all of its own workflow templates, and of the extensions that are
met most. A saved workflow lists the values of widgets without their names, and a link tells the place of an
output without its name; for nodes that are not here, newer workflows bring the names along.
"""

import functools
from dataclasses import dataclass

# behind a seed, a saved workflow has what becomes of it after a run
AFTER_SEED = "control_after_generate"
CONTROLS = ("fixed", "increment", "decrement", "randomize")
"""The values of that widget; readers leave them out, as some programs that save workflows do."""


@dataclass(frozen=True)
class NodeKind:
    """One class of nodes; names with their types."""

    inputs: tuple[tuple[str, str], ...]
    widgets: tuple[str, ...]
    outputs: tuple[tuple[str, str], ...]


NODES = {
    "CheckpointLoaderSimple": NodeKind(
        (), ("ckpt_name",), (("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE"))
    ),
    "LoraLoader": NodeKind(
        (("model", "MODEL"), ("clip", "CLIP")),
        ("lora_name", "strength_model", "strength_clip"),
        (("MODEL", "MODEL"), ("CLIP", "CLIP")),
    ),
    "CLIPSetLastLayer": NodeKind((("clip", "CLIP"),), ("stop_at_clip_layer",), (("CLIP", "CLIP"),)),
    "CLIPTextEncode": NodeKind((("clip", "CLIP"),), ("text",), (("CONDITIONING", "CONDITIONING"),)),
    "EmptyLatentImage": NodeKind((), ("width", "height", "batch_size"), (("LATENT", "LATENT"),)),
    "KSampler": NodeKind(
        (
            ("model", "MODEL"),
            ("positive", "CONDITIONING"),
            ("negative", "CONDITIONING"),
            ("latent_image", "LATENT"),
        ),
        ("seed", AFTER_SEED, "steps", "cfg", "sampler_name", "scheduler", "denoise"),
        (("LATENT", "LATENT"),),
    ),
    "VAEDecode": NodeKind((("samples", "LATENT"), ("vae", "VAE")), (), (("IMAGE", "IMAGE"),)),
    "SaveImage": NodeKind((("images", "IMAGE"),), ("filename_prefix",), ()),
}

# without AFTER_SEED; `a b` are two widgets, and a name with spaces stands in quotes of its own below
_WIDGETS = {
    # samplers, guiders and schedules
    "KSampler": "seed steps cfg sampler_name scheduler denoise",
    "KSamplerAdvanced": "add_noise noise_seed steps cfg sampler_name scheduler start_at_step end_at_step "
    "return_with_leftover_noise",
    "SamplerCustom": "add_noise noise_seed cfg",
    "KSampler (Efficient)": "seed steps cfg sampler_name scheduler denoise preview_method vae_decode",
    "KSampler Adv. (Efficient)": "add_noise noise_seed steps cfg sampler_name scheduler start_at_step "
    "end_at_step return_with_leftover_noise preview_method vae_decode",
    "KSamplerSelect": "sampler_name",
    "CFGGuider": "cfg",
    "DualCFGGuider": "cfg_conds cfg_cond2_negative style",
    "DualModelGuider": "cfg",
    "PerpNegGuider": "cfg neg_scale",
    "BasicScheduler": "scheduler steps denoise",
    "Flux2Scheduler": "steps width height",
    "KarrasScheduler": "steps sigma_max sigma_min rho",
    "ExponentialScheduler": "steps sigma_max sigma_min",
    "PolyexponentialScheduler": "steps sigma_max sigma_min rho",
    "BetaSamplingScheduler": "steps alpha beta",
    "VPScheduler": "steps beta_d beta_min eps_s",
    "LaplaceScheduler": "steps sigma_max sigma_min mu beta",
    "SDTurboScheduler": "steps denoise",
    "AlignYourStepsScheduler": "model_type steps denoise",
    "OptimalStepsScheduler": "model_type steps denoise",
    "GITSScheduler": "coeff steps denoise",
    "LTXVScheduler": "steps max_shift base_shift stretch terminal",
    "ManualSigmas": "sigmas",
    # models
    "CheckpointLoaderSimple": "ckpt_name",
    "CheckpointLoader": "config_name ckpt_name",
    "CheckpointLoader|pysssss": "ckpt_name",
    "CheckpointLoaderNF4": "ckpt_name",
    "Checkpoint Selector": "ckpt_name",
    "ImageOnlyCheckpointLoader": "ckpt_name",
    "unCLIPCheckpointLoader": "ckpt_name",
    "UNETLoader": "unet_name weight_dtype",
    "UnetLoaderGGUF": "unet_name",
    "UnetLoaderGGUFAdvanced": "unet_name dequant_dtype patch_dtype patch_on_device",
    "CLIPLoader": "clip_name type device",
    "CLIPLoaderGGUF": "clip_name type",
    "DualCLIPLoader": "clip_name1 clip_name2 type device",
    "DualCLIPLoaderGGUF": "clip_name1 clip_name2 type",
    "TripleCLIPLoader": "clip_name1 clip_name2 clip_name3",
    "QuadrupleCLIPLoader": "clip_name1 clip_name2 clip_name3 clip_name4",
    "CLIPSetLastLayer": "stop_at_clip_layer",
    "Efficient Loader": "ckpt_name vae_name clip_skip lora_name lora_model_strength lora_clip_strength "
    "positive negative token_normalization weight_interpretation empty_latent_width empty_latent_height "
    "batch_size",
    "Eff. Loader SDXL": "base_ckpt_name base_clip_skip refiner_ckpt_name refiner_clip_skip positive_ascore "
    "negative_ascore vae_name positive negative token_normalization weight_interpretation "
    "empty_latent_width empty_latent_height batch_size",
    # LoRAs
    "LoraLoader": "lora_name strength_model strength_clip",
    "LoraLoaderModelOnly": "lora_name strength_model",
    "LoraLoader|pysssss": "lora_name strength_model strength_clip",
    "LoraTagLoader": "text",
    "LoRA Stacker": "input_mode lora_count "
    + " ".join(f"lora_name_{i} lora_wt_{i} model_str_{i} clip_str_{i}" for i in range(1, 51)),
    "CR LoRA Stack": " ".join(
        f"switch_{i} lora_name_{i} model_weight_{i} clip_weight_{i}" for i in (1, 2, 3)
    ),
    "easy loraStack": "toggle mode num_loras "
    + " ".join(
        f"lora_{i}_name lora_{i}_strength lora_{i}_model_strength lora_{i}_clip_strength"
        for i in range(1, 11)
    ),
    "Lora Loader Stack (rgthree)": " ".join(f"lora_{i:02} strength_{i:02}" for i in (1, 2, 3, 4)),
    # texts
    "CLIPTextEncode": "text",
    "CLIPTextEncodeFlux": "clip_l t5xxl guidance",
    "CLIPTextEncodeSD3": "clip_l clip_g t5xxl empty_padding",
    "CLIPTextEncodeSDXL": "width height crop_w crop_h target_width target_height text_g text_l",
    "CLIPTextEncodeSDXLRefiner": "ascore width height text",
    "CLIPTextEncodeHiDream": "clip_l clip_g t5xxl llama",
    "CLIPTextEncodeHunyuanDiT": "bert mt5xl",
    "CLIPTextEncodeLumina2": "system_prompt user_prompt",
    "CLIPTextEncodePixArtAlpha": "width height text",
    "TextEncodeQwenImageEdit": "prompt",
    "TextEncodeQwenImageEditPlus": "prompt",
    "BNK_CLIPTextEncodeAdvanced": "text token_normalization weight_interpretation",
    "PrimitiveString": "value",
    "PrimitiveStringMultiline": "value",
    "StringConcatenate": "string_a string_b delimiter",
    "StringReplace": "string find replace",
    "StringTrim": "string mode",
    "StringFormat": "f_string",
    "CaseConverter": "string mode",
    "RegexReplace": "string regex_pattern replace case_insensitive multiline dotall count",
    "ImpactWildcardProcessor": "wildcard_text populated_text mode seed",
    "ImpactWildcardEncode": "wildcard_text populated_text mode",
    "StringFunction|pysssss": "action tidy_tags text_a text_b text_c result",
    "CR Prompt Text": "prompt",
    "CR Text Concatenate": "text1 text2 separator",
    "String Literal": "string",
    "Text Multiline": "text",
    # sizes and numbers
    "EmptyLatentImage": "width height batch_size",
    "EmptySD3LatentImage": "width height batch_size",
    "EmptyFlux2LatentImage": "width height batch_size",
    "EmptyHunyuanImageLatent": "width height batch_size",
    "EmptyChromaRadianceLatentImage": "width height batch_size",
    "EmptyHunyuanLatentVideo": "width height length batch_size",
    "EmptyLatentImagePresets": "dimensions invert batch_size",
    "SDXLEmptyLatentSizePicker+": "resolution batch_size width_override height_override",
    "LatentUpscale": "upscale_method width height crop",
    "ImageScale": "upscale_method width height crop",
    "ResolutionSelector": "aspect_ratio megapixels multiple",
    "FluxGuidance": "guidance",
    "PrimitiveInt": "value",
    "PrimitiveFloat": "value",
    "PrimitiveBoolean": "value",
    "Seed (rgthree)": "seed",
    # others
    "ComfySwitchNode": "switch",
    "ComfyMathExpression": "expression",
    "ModelSamplingAuraFlow": "shift",
    "ModelSamplingSD3": "shift",
    "ModelSamplingFlux": "max_shift base_shift width height",
    "ModelSamplingDiscrete": "sampling zsnr",
    "CFGNorm": "strength",
    "DifferentialDiffusion": "strength",
    "RescaleCFG": "multiplier",
    "ImpactSwitch": "select sel_mode",
    "SaveImage": "filename_prefix",
}
_CONTEXT = "context model clip vae positive negative latent image seed"
_BIG = (
    f"{_CONTEXT} steps step_refiner cfg ckpt_name sampler_name scheduler clip_width clip_height text_pos_g "
    "text_pos_l text_neg_g text_neg_l mask control_net"
)
_OUTPUTS = {
    "CheckpointLoaderSimple": "model clip vae",
    "Efficient Loader": "model positive negative latent vae clip",
    "KSampler (Efficient)": "model positive negative latent vae image",
    "KSampler Adv. (Efficient)": "model positive negative latent vae image",
    "LoraLoader": "model clip",
    "ControlNetApplyAdvanced": "positive negative",
    "ControlNetApplySD3": "positive negative",
    "ControlNetInpaintingAliMamaApply": "positive negative",
    "ACN_AdvancedControlNetApply": "positive negative model",
    "ACN_AdvancedControlNetApply_v2": "positive negative",
    "InpaintModelConditioning": "positive negative latent",
    "InstructPixToPixConditioning": "positive negative latent",
    "Context (rgthree)": _CONTEXT,
    "Context Switch (rgthree)": _CONTEXT,
    "Context Merge (rgthree)": _CONTEXT,
    "Context Big (rgthree)": _BIG,
    "Context Switch Big (rgthree)": _BIG,
    "Context Merge Big (rgthree)": _BIG,
    "ToBasicPipe": "pipe",
    "FromBasicPipe": "model clip vae positive negative",
    "FromBasicPipe_v2": "pipe model clip vae positive negative",
    "EditBasicPipe": "pipe",
    "easy fullLoader": "pipe model vae clip positive negative latent",
    "easy comfyLoader": "pipe model vae",
    "easy a1Loader": "pipe model vae",
    "easy pipeIn": "pipe",
    "easy pipeOut": "pipe model positive negative latent vae clip image seed",
    "SplitSigmas": "sigmas sigmas",
}


@functools.cache
def widget_names(kind: str) -> tuple[str, ...]:
    """The widgets of a class in the order of a saved workflow, without the one behind a seed; none if it is
    not known."""
    return tuple(_WIDGETS.get(kind, "").split())


@functools.cache
def output_names(kind: str) -> tuple[str, ...]:
    """The outputs of a class in their order, by what they carry; none if it is not known."""
    return tuple(_OUTPUTS.get(kind, "").split())


def is_known(kind: str) -> bool:
    """Whether the class is one of those whose widgets or outputs are listed here."""
    return kind in _WIDGETS or kind in _OUTPUTS
