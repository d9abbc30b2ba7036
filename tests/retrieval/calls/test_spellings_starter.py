"""Every model of the starter is found under the names that programs write for it, and no other is offered."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.calls.repair import repair
from retrieval.calls.verdict import judge
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord

STARTER = Catalogue.starter()
# a name of a version alone (`V3`) or of signs alone has nothing that could stand before an ending
RECORDS = [record for record in STARTER if len(re.findall(r"[^\W\d_]", record.model)) >= 3]
ENDINGS = (
    "_fp16",
    "-pruned",
    "_VAE",
    "-inpainting",
    "_f16.ckpt",
    "-fp16.safetensors",
    ".gguf",
    "_Q4_K_M.gguf",
)
FOLDERS = ("C:\\sd\\models\\Lora\\", "SD15/styles/", "/srv/models/", "someone/")
DIGITS = (8, 10, 12, 64)


def camel(text: str) -> str:
    """As Civitai names files: the words without signs, of at most twenty letters and digits."""
    signs = re.sub(r"[^A-Za-z0-9]", "_", text.strip().replace("'", ""))
    most = 20 + signs.count("_")
    if len(signs) > most:
        cut = signs[:most]
        signs = cut if signs[most] == "_" else cut.rpartition("_")[0] or cut
    first, *others = [word for word in signs.split("_") if word] or [""]
    return first.lower() + "".join(word[:1].upper() + word[1:] for word in others)


@st.composite
def spelled(draw: st.DrawFn) -> tuple[ModelRecord, str]:
    record = draw(st.sampled_from(RECORDS))
    version = draw(st.sampled_from(record.versions))
    name = record.model.strip()
    file = re.sub(r"[\\/:*?<>|]", "_", name)
    forms = [
        name + draw(st.sampled_from(ENDINGS)),
        draw(st.sampled_from(FOLDERS)) + file + ".safetensors",
        f"<{draw(st.sampled_from(('lora', 'lyco')))}:{file}:0.8:0.5>",
        f"civitai: {record.model_id}@{version.version_id}",
        f"{record.model_id}@{version.version_id}",
        f"https://civitai.com/models/{record.model_id}/x?modelVersionId={version.version_id}",
        f"civitai.com/api/download/models/{version.version_id}",
        f"https://huggingface.co/someone/some/resolve/main/{file.replace(' ', '%20')}.safetensors",
    ]
    if len(camel(name)) >= 3:
        own = re.sub(re.escape(name), "", version.version, flags=re.IGNORECASE)
        forms.append(f"{camel(name)}_{camel(own)}".rstrip("_") + ".safetensors")
    for digest in version.sha256:
        forms.append(f"{file}.safetensors [{digest[:10].lower()}]")
        forms += [f"sha256:{digest[:digits].lower()}" for digits in DIGITS if len(digest) >= digits]
    return record, draw(st.sampled_from(forms))


@settings(max_examples=300, deadline=None)
@given(spelled())
def test_every_spelling_comes_back_to_its_model(given_: tuple[ModelRecord, str]) -> None:
    record, written = given_
    assert record.model_id in {match.record.model_id for match in STARTER.find(written)}
    assert judge(written, STARTER).status in ("alias", "valid", "bad parameters", "unavailable")


@pytest.mark.parametrize(
    ("written", "family"),
    [
        ("black-forest-labs/FLUX.1-dev", "Flux.1 D"),
        ("flux1-dev-Q4_K_S.gguf", "Flux.1 D"),
        ("stabilityai/stable-diffusion-3.5-large", "SD 3.5"),
        ("Stable Diffusion 3.5 Medium", "SD 3.5 Medium"),
        ("noobaiXLNAIXL_vPred10Version", "NoobAI"),
        ("qwen_image_bf16.safetensors", "Qwen"),
    ],
)
def test_of_a_family_that_is_not_held_nothing_else_is_offered(written: str, family: str) -> None:
    found = repair(written, STARTER)
    assert found.verdict.status == "invented"
    assert found.abstained
    assert f"none of the family {family}" in found.verdict.reasons[0]
    assert "nearest" not in found.verdict.reasons[0]
    assert f"is of {family}" in found.changes[0].why


@pytest.mark.parametrize(
    "written",
    [
        "pixel-forest-labs/Dreamy-Castle-9000",
        "https://example.org/models/anime-portrait.safetensors",
        "Golden Anime Landscape Ultra Mix",
        "FFFFFFFFFF",
        "civitai:999999999@1",
    ],
)
def test_a_bare_name_that_is_near_none_is_not_replaced_by_what_it_sounds_like(written: str) -> None:
    assert repair(written, STARTER).abstained
    if "Anime" in written:
        asked = Instruction(prompt="pixel art")
        assert not repair(written, STARTER, None, asked).abstained


def test_a_name_and_a_hash_that_disagree_are_told() -> None:
    deliberate, dreamshaper = "9ABA26ABDF", "ED989D673D"
    verdict = judge(f"dreamshaper_7.safetensors [{deliberate}]", STARTER)
    assert verdict.status == "bad parameters"
    assert f"the hash {deliberate} is that of 'Deliberate', not of 'DreamShaper'" in verdict.reasons
    assert judge(f"dreamshaper_7.safetensors [{dreamshaper}]", STARTER).status == "alias"
    unknown = repair(f"Corgi Ultra Dream [{dreamshaper}]", STARTER)
    assert unknown.verdict.status == "invented"
    assert (unknown.api.model, unknown.similarity) == ("DreamShaper", 1.0)
