"""The nodes of ComfyUI that a text-to-image workflow is made of: their inputs, widgets and outputs.

    >>> NODES["LoraLoader"].widgets
    ('lora_name', 'strength_model', 'strength_clip')

Facts of ComfyUI's nodes.py, the same in all of its own workflow templates. `inputs` are taken by links,
`widgets` are set by hand, in the order in which a saved workflow lists them.
"""

from dataclasses import dataclass

# behind a seed, a saved workflow has what becomes of it after a run
AFTER_SEED = "control_after_generate"


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
