"""How long `diffagent scan` takes over a folder of 10,000 files, the first time and the second.

    python benchmarks/scan.py
    python benchmarks/scan.py --files 1000 --folder /tmp/models

It writes the files first, each with the header of a real kind and a few numbers for weights: as many LoRAs as
fill nine tenths, with captions and 700 names of weights each; every second one has a sidecar. Headers alone
are read, so that the weights of real files would change nothing but the room they take.
"""

import argparse
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAYERS = 232
TAGS = 150


def header_of(width: int, number: int, kind: str) -> bytes:
    """The header of a LoRA as Kohya's scripts write it, or of an SDXL checkpoint."""
    names: dict[str, object] = {}
    at = 0

    def put(name: str, shape: tuple[int, ...], size: int) -> None:
        nonlocal at
        names[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + size]}
        at += size

    if kind == "LORA":
        for layer in range(LAYERS):
            name = f"lora_unet_down_blocks_{layer % 4}_attentions_0_transformer_blocks_{layer}_attn2_to_k"
            put(f"{name}.lora_down.weight", (1, width), 2 * width)
            put(f"{name}.lora_up.weight", (1, 1), 2)
            put(f"{name}.alpha", (), 2)
        tags = {f"tag {(number * 7 + each) % 3000}": TAGS - each for each in range(TAGS)}
        metadata = {
            "ss_base_model_version": "sd_v1",
            "ss_tag_frequency": json.dumps({"10_data": {f"word{number}": TAGS, **tags}}),
        }
    else:
        put("conditioner.embedders.1.model.positional_embedding", (1, 1), 2)
        for layer in range(2500):
            put(f"model.diffusion_model.input_blocks.{layer}.weight", (1, 1), 2)
        metadata = {"modelspec.architecture": "stable-diffusion-xl-v1-base"}
    text = json.dumps({"__metadata__": metadata, **names}).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * at


def write(folder: Path, files: int) -> None:
    """The folder of models."""
    for number in range(files):
        kind = "Checkpoint" if number % 10 == 0 else "LORA"
        place = folder / ("checkpoints" if kind == "Checkpoint" else "loras") / f"{number % 40:02}"
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"model_{number}.safetensors"
        # sparse, so that 10,000 files do not fill the disk
        content = header_of(768, number, kind)
        head = content[: 8 + struct.unpack("<Q", content[:8])[0]]
        with path.open("wb") as out:
            out.write(head)
            out.truncate(len(content))
        if number % 2 and kind == "LORA":
            told = {
                "id": 10_000_000 + number,
                "modelId": 1_000_000 + number,
                "name": "v1",
                "baseModel": "SD 1.5",
                "trainedWords": [f"word{number}"],
                "model": {"name": f"Model {number}", "type": "LORA", "nsfw": False},
            }
            path.with_name(f"model_{number}.civitai.info").write_text(json.dumps(told))


def scan(folder: Path, home: Path) -> tuple[float, float]:
    """Seconds of the command as a whole, and seconds that the processor worked for it."""
    began, before = time.perf_counter(), _worked()
    subprocess.run(
        [sys.executable, "-m", "diffagent_tools", "scan", str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "DIFFAGENT_HOME": str(home)},
    )
    return time.perf_counter() - began, _worked() - before


def _worked() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description="time the scan of a folder of models")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument(
        "--folder", type=Path, help="where the files are written (default: a temporary folder)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made) / "models"
        write(folder, options.files)
        home = Path(made) / "home"
        for which in ("first", "second"):
            seconds, worked = scan(folder, home)
            print(f"{options.files:,} files, the {which} time: {seconds:.1f} s, {worked:.1f} s of processor")


if __name__ == "__main__":
    main()
