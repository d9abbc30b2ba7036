"""The tests of `diffagent_tools.files.weights_kind`."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from installed_world import CHECKPOINTS, LORAS, OTHERS, Shapes, broken_files, kohya, weights

from diffagent_tools.files.weights_kind import family_in_words, kind_of, read_weights
from retrieval.errors import BrokenModelFile
from retrieval.tables.families import FAMILIES

KNOWN = [
    *((name, shapes, "Checkpoint", family) for name, (shapes, family) in CHECKPOINTS.items()),
    *((name, shapes, "LORA", family) for name, (shapes, family) in LORAS.items()),
    *((name, shapes, kind, None) for name, (shapes, kind) in OTHERS.items()),
]


@pytest.mark.parametrize(("name", "shapes", "kind", "family"), KNOWN, ids=[case[0] for case in KNOWN])
def test_names_and_shapes_tell(
    name: str, shapes: Shapes, kind: str, family: str | None, tmp_path: Path
) -> None:
    found = read_weights(weights(tmp_path / f"{name}.safetensors", shapes))
    assert (found.kind, found.family) == (kind, family)


def test_a_lora_of_a_video_model_is_of_no_family() -> None:
    names = ["diffusion_model.blocks.0.cross_attn.k.lora_A.weight"]
    assert kind_of(names, lambda name: (1, 5120)) == ("LORA", None)


def test_what_enters_a_block_is_its_width_and_not_what_enters_its_mlp() -> None:
    wide = "diffusion_model.layers.0.feed_forward.w2.lora_A.weight"
    names = [wide, "diffusion_model.layers.0.attention.to_q.lora_A.weight"]
    assert kind_of(names, lambda name: (1, 10240 if name == wide else 3840)) == ("LORA", "ZImageTurbo")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    for name, word in broken_files(tmp_path).items():
        if word == "cannot be read":
            with pytest.raises(BrokenModelFile, match="cannot be read"):
                read_weights(tmp_path / name)


def test_metadata_come_along(tmp_path: Path) -> None:
    path = weights(tmp_path / "a.safetensors", kohya(768), {"modelspec.title": "Ink"})
    assert read_weights(path).metadata == {"modelspec.title": "Ink"}


@pytest.mark.parametrize(
    ("words", "within", "family"),
    [
        ("sd_v1", None, "SD 1.5"),
        ("stable-diffusion-v1/lora", None, "SD 1.5"),
        ("stable-diffusion-v2-768-v", None, "SD 2.1"),
        ("sdxl_base_v1-0", None, "SDXL 1.0"),
        ("stable-diffusion-xl-v1-base/lora", None, "SDXL 1.0"),
        ("sdxl_base_v1-0 ponyDiffusionV6XL_v6.safetensors", "SDXL 1.0", "Pony"),
        ("sdxl_base_v1-0 Illustrious-XL-v0.1", "SDXL 1.0", "Illustrious"),
        ("noobaiXLNAIXL_vPred10", "SDXL 1.0", "NoobAI"),
        ("stable-diffusion-3-m", None, "SD 3"),
        ("stable-diffusion-3-5-large", None, "SD 3.5"),
        ("flux1", None, "Flux.1 D"),
        ("flux-1-schnell", None, "Flux.1 S"),
        ("flux2_klein_9b", None, "Flux.2 Klein 9B"),
        ("zimage_turbo", None, "ZImageTurbo"),
        ("qwen_image", None, "Qwen"),
        ("lumina-2", None, "Lumina"),
        ("animagine", None, None),
        ("my style", None, None),
        # of another architecture the word cannot be meant
        ("pony", "SD 1.5", None),
        ("flux", "SDXL 1.0", None),
    ],
)
def test_trainers_words_for_a_family(words: str, within: str | None, family: str | None) -> None:
    assert family_in_words(words, within) == family


@given(st.text(max_size=80))
def test_any_words_are_a_known_family_or_none(words: str) -> None:
    assert family_in_words(words) in {None, *(family.name for family in FAMILIES)}
