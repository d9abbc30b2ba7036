"""T2IApi -> a Python script that makes the picture with diffusers.

    python picture.py ~/models        # looks for the files below ~/models, writes picture.png

A file is found by its name, or by the SHA256 that the catalogue knows. Weighted words and long prompts are
encoded as `diffagent render` does where diffagent-tools is installed, and otherwise as diffusers does.

Prompts and names stand in it as Python literals and nowhere else: what they say can never become code.
"""

import json
from typing import Any

from diffagent_tools.formats.plan import (
    ExportFile,
    ExportPlan,
    has_weights,
    may_be_long,
    require_multiples,
    require_seed,
)

_HEAD = '''"""Makes one picture, as chosen by DiffAgent.

    pip install diffusers transformers peft torch
    python {name} FOLDER     # where the model files are; `models` if it is left out
"""
'''
_FIND = '''

def find(name, hashes, source):
    """The file of that name or SHA256, or the folder in diffusers' layout, below the models folder."""
    names = (name, name.removesuffix(".safetensors"))
    paths = sorted(MODELS.rglob("*"))
    for path in paths:
        if path.name in names and (path.is_file() or (path / "model_index.json").is_file()):
            return path
    for path in paths if hashes else ():
        if path.suffix == ".safetensors" and path.is_file():
            print(f"no file is called {name}; taking the SHA256 of {path.name}")
            with path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest().upper() in hashes:
                    return path
    raise SystemExit(f"{name} is not in {MODELS}; fetch it from {source or 'where you have it from'}")


'''
_LOAD = """checkpoint = find(CHECKPOINT, CHECKPOINT_SHA256, CHECKPOINT_SOURCE)
# a single file holds no configuration: diffusers fetches it once
load = @.from_pretrained if checkpoint.is_dir() else @.from_single_file
pipe = load(str(checkpoint))
pipe.scheduler = %.from_config(pipe.scheduler.config, **SCHEDULER)
"""
_LORA = """lora = find(LORA, LORA_SHA256, LORA_SOURCE)
pipe.load_lora_weights(str(lora.parent), weight_name=lora.name, adapter_name="diffagent")
pipe.set_adapters(["diffagent"], [LORA_WEIGHT])
"""
_LORAS = """weights = {}
for number, (name, hashes, source, weight) in enumerate(LORAS):
    lora = find(name, hashes, source)
    adapter = f"diffagent_{number:02}"
    pipe.load_lora_weights(str(lora.parent), weight_name=lora.name, adapter_name=adapter)
    weights[adapter] = weight
pipe.set_adapters(list(weights), list(weights.values()))
"""
_DEVICE = """
cuda = torch.cuda.is_available()
device = "cuda" if cuda else "mps" if torch.backends.mps.is_available() else "cpu"
pipe.to(device, torch.float32 if device == "cpu" else torch.float16)
"""
_PLAIN = """words = {"prompt": PROMPT, "negative_prompt": NEGATIVE_PROMPT or None}
"""
_SKIPPED = '''

def encode(text):
    """The text encoder's layer before the last CLIP_SKIP - 1 ones, for every version of transformers."""
    tokens = pipe.tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    encoder = pipe.text_encoder
    with torch.no_grad():
        layers = encoder(tokens.input_ids.to(device), output_hidden_states=True).hidden_states
    return getattr(encoder, "text_model", encoder).final_layer_norm(layers[-CLIP_SKIP])


words = {"prompt_embeds": encode(PROMPT), "negative_prompt_embeds": encode(NEGATIVE_PROMPT)}
'''
_WHOLE = """
try:
    from diffagent_tools.render.prompt_encoding import encode_for
except ImportError:
    print("diffagent-tools is not installed: words have no weights, and what is behind 77 tokens is cut off")
else:
    words = encode_for(pipe, PROMPT, NEGATIVE_PROMPT, clip_skip=%)

"""
_RUN = """# drawn on the CPU, the noise of a seed is the same on every device
generator = torch.Generator("cpu").manual_seed(SEED)
image = pipe(
    **words,
    width=WIDTH,
    height=HEIGHT,
    num_inference_steps=STEPS,
    guidance_scale=CFG_SCALE,
    generator=generator,
).images[0]
metadata = PngInfo()
metadata.add_text("parameters", INFOTEXT)
image.save("picture.png", pnginfo=metadata)
print("picture.png")
"""


def diffusers_script(plan: ExportPlan, infotext: str, *, seed: int = 0) -> str:
    """The script, which takes the models folder as its argument and writes `picture.png`.

    Args:
        infotext: kept in the picture, so that A1111 and `diffagent check picture.png` read it.

    Raises:
        InvalidApi: the architecture has no one-file checkpoint, or the size is no multiple of 8.
    """
    pipeline = plan.pipeline
    api = plan.api
    require_multiples(api)
    values: dict[str, Any] = {
        "CHECKPOINT": plan.checkpoint.file,
        "CHECKPOINT_SHA256": _hashes(plan.checkpoint),
        "CHECKPOINT_SOURCE": plan.checkpoint.url,
        "SCHEDULER": dict(plan.sampler.diffusers_args),
        "PROMPT": api.prompt,
        "NEGATIVE_PROMPT": api.negative_prompt,
        "WIDTH": api.width,
        "HEIGHT": api.height,
        "STEPS": api.sampling_steps,
        "CFG_SCALE": api.cfg_scale,
        "SEED": require_seed(seed),
    }
    if plan.loras:
        first = [(plan.lora, api.lora_weight)] if plan.lora is not None else []
        values["LORAS"] = [
            (file.file, _hashes(file), file.url, weight) for file, weight in [*first, *plan.loras]
        ]
    elif plan.lora is not None:
        values |= {"LORA": plan.lora.file, "LORA_SHA256": _hashes(plan.lora)}
        values |= {"LORA_SOURCE": plan.lora.url, "LORA_WEIGHT": api.lora_weight}
    if plan.clip_skip is not None:
        values["CLIP_SKIP"] = plan.clip_skip
    values["INFOTEXT"] = infotext
    notes = "".join(f"# NOTE: {_comment(note)}\n" for note in diffusers_notes(plan))
    imports = sorted({plan.sampler.diffusers_class, pipeline})
    return "".join(
        (
            _HEAD.format(name="picture.py"),
            f"{notes}import hashlib\nimport sys\nfrom pathlib import Path\n\nimport torch\n",
            f"from diffusers import {', '.join(imports)}\nfrom PIL.PngImagePlugin import PngInfo\n\n",
            'MODELS = Path(sys.argv[1] if len(sys.argv) > 1 else "models")\n',
            *(f"{name} = {value!r}\n" for name, value in values.items()),
            _FIND,
            _LOAD.replace("@", pipeline).replace("%", plan.sampler.diffusers_class),
            _LORAS if plan.loras else _LORA if plan.lora is not None else "",
            _DEVICE,
            _PLAIN if plan.clip_skip is None else _SKIPPED,
            _WHOLE.replace("%", str(plan.clip_skip and "CLIP_SKIP")) if _needs_more(plan) else "",
            _RUN,
        )
    )


def diffusers_notes(plan: ExportPlan) -> tuple[str, ...]:
    """What diffusers does not do exactly as was asked."""
    # a file of another name is found by its SHA256
    files = (file for file in plan.files if not file.wanted.sha256)
    notes = [*plan.notes, *(file.note for file in files if file.note)]
    if plan.sampler.diffusers_note:
        notes.append(plan.sampler.diffusers_note)
    if _needs_more(plan):
        notes.append(
            "with diffagent-tools installed, weights such as (word:1.2) count and a prompt may have more "
            "than 77 tokens; diffusers alone reads them as letters and cuts the rest off"
        )
    return tuple(notes)


def _needs_more(plan: ExportPlan) -> bool:
    """Whether the prompts say what diffusers alone does not read."""
    prompts = (plan.api.prompt, plan.api.negative_prompt)
    return has_weights(*prompts) or may_be_long(*prompts)


def _hashes(file: ExportFile) -> tuple[str, ...]:
    return tuple(digest.upper() for digest in file.wanted.sha256)


def _comment(text: str) -> str:
    """One line, whatever the text holds."""
    return json.dumps(" ".join(text.split()), ensure_ascii=True)[1:-1]
