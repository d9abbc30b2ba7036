"""Everything that `examples/sfta/sfta_cpu.sh` needs, small enough to try the whole framework on a processor.

    python examples/sfta/tiny_models.py WORK
    python examples/sfta/tiny_models.py --score ...      # `python -m finetune.rewards`, with the tiny scorers

Writes random networks with the layout of the real ones: a LLaMA (WORK/base), two checkpoints of Stable
Diffusion and a LoRA (WORK/models), CLIP, ImageReward and, where open_clip is installed, HPS v2
(WORK/rewards); and a catalogue of three models with made-up pairs and prompts (WORK/data). Their pictures are
noise and their scores mean nothing: it is the way that is shown, not a result. The networks are those of the
tests, so this needs a clone of the repository.
"""

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))

BASE, CASTLES, FOXES = "v1-5-pruned-emaonly", "Toy Castles", "Toy Foxes"
THINGS = {
    CASTLES: ("a blue castle in fog", "a castle at night", "red castle, pixel art"),
    FOXES: ("a red fox", "a fox in fog", "pixel art of a corgi and a fox"),
}
HPS_NAME = "tiny-H-14"
IDS = {CASTLES: 301, FOXES: 302}


def records() -> list[dict[str, Any]]:
    """The catalogue: the base model, a checkpoint, and a LoRA for it."""
    settings = {"sampling_method": "DDIM", "sampling_steps": 5, "cfg_scale": 5, "width": 64, "height": 64}
    return [
        _record(62437, BASE, "Checkpoint", "The base model."),
        _record(
            301, CASTLES, "Checkpoint", "Castles in fog and at night.", settings={**settings, "samples": 3}
        ),
        _record(
            302,
            FOXES,
            "LORA",
            "Foxes and corgis as pixel art.",
            settings={**settings, "samples": 3, "base_checkpoint": {"model": BASE, "model_id": 62437}},
        ),
    ]


def _record(model_id: int, model: str, kind: str, description: str, **more: Any) -> dict[str, Any]:
    version = {"version_id": model_id * 10, "version": "v1", "base_model": "SD 1.5"}
    return {
        "model_id": model_id,
        "model": model,
        "type": kind,
        "base_model": "SD 1.5",
        "description": description,
        "versions": [version],
        **more,
    }


def pairs(ending: str, each: int) -> list[dict[str, Any]]:
    """Pairs of an instruction and a model; `ending` tells the splits apart."""
    return [
        {"prompt": f"{thing}, {ending}", "negative_prompt": "", "model_id": IDS[model], "model": model}
        for model, things in THINGS.items()
        for thing in things[:each]
    ]


def save_hps(folder: Path) -> None:
    """A checkpoint of HPS v2.1, with the config of its network beside."""
    import open_clip
    import torch
    from tiny_scorers import save_tiny_hps, tiny_open_clip_config

    open_clip.add_model_config(folder / f"{tiny_open_clip_config(folder, HPS_NAME)}.json")
    torch.manual_seed(0)
    save_tiny_hps(folder, open_clip.create_model(HPS_NAME))


def tiny_reward(name: str, *, weights: Path, device: str = "cpu") -> Any:
    """A scorer of a size of its own; the command knows the published sizes alone."""
    from tiny_scorers import TINY

    from finetune.rewards.hps import HpsScore
    from finetune.rewards.image_reward import ImageReward
    from finetune.rewards.load import make_reward

    if name == "imagereward":
        return ImageReward.load(weights, device=device, sizes=TINY)
    if name == "hps-v2.1":
        import open_clip

        open_clip.add_model_config(weights.parent / f"{HPS_NAME}.json")
        return HpsScore.load("v2.1", weights, model=HPS_NAME, device=device)
    return make_reward(name, weights=weights, device=device)


def score(arguments: Sequence[str]) -> None:
    """`python -m finetune.rewards`, with the tiny scorers."""
    import finetune.rewards.render_and_score as command

    vars(command)["make_reward"] = tiny_reward
    command.main(arguments)


def main(work: Path) -> None:
    from tiny import save_tiny_base
    from tiny_pipelines import save_lora, tiny_sd
    from tiny_scorers import save_tiny_clip, save_tiny_image_reward

    save_tiny_base(work / "base")
    tiny_sd(seed=0).save_pretrained(work / "models" / BASE)
    tiny_sd(seed=5).save_pretrained(work / "models" / CASTLES)
    save_lora(tiny_sd(seed=0), work / "models" / f"{FOXES}.safetensors")
    save_tiny_clip(work / "rewards" / "clip")
    save_tiny_image_reward(work / "rewards" / "imagereward")
    if importlib.util.find_spec("open_clip"):
        save_hps(work / "rewards" / "hps")
    data = work / "data"
    data.mkdir(parents=True, exist_ok=True)
    files = {
        "models.jsonl": records(),
        "pairs_train.jsonl": pairs("best quality", 3),
        "pairs_align.jsonl": pairs("masterpiece", 2),
        "pairs_val.jsonl": pairs("a drawing", 1),
    }
    for name, rows in files.items():
        (data / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (data / "captions.txt").write_text("A fox sits in the snow.\nA castle near a lake.\n", encoding="utf-8")
    (data / "PartiPrompts.tsv").write_text("Prompt\tCategory\na red castle\tArts\n", encoding="utf-8")
    print(f"tiny networks, a catalogue of {len(files['models.jsonl'])} models and prompts: {work}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--score"]:
        score(sys.argv[2:])
    else:
        main(Path(sys.argv[1]))
