"""Pictures and texts of many programs, in every encoding that they use, are read to what made them."""

import contextlib
import io
import json
import re
import struct
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from diffagent_tools.formats.exif import comment, xmp_texts
from diffagent_tools.formats.picture_text import MAX_TEXT_BYTES, texts_of
from diffagent_tools.formats.read import import_bytes, import_text
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.api import ApiReading
from retrieval.records.model import ModelRecord, ModelType, VersionRecord

INK_HASH, DREAM_HASH, OTHER_HASH = "11AA" * 16, "22BB" * 16, "33CC" * 16


def record(id_: int, name: str, kind: ModelType, file: str, digest: str) -> ModelRecord:
    version = VersionRecord(
        version_id=id_ * 10, version="2", base_model="SD 1.5", sha256=(digest,), file_names=(file,)
    )
    return ModelRecord(model_id=id_, model=name, type=kind, base_model="SD 1.5", versions=(version,))


CATALOGUE = Catalogue(
    [
        record(1, "Dream Mill", "Checkpoint", "dreamMill_v2.safetensors", DREAM_HASH),
        record(2, "Other Mill", "Checkpoint", "otherMill.safetensors", OTHER_HASH),
        record(3, "Ink", "LORA", "ink_v2.safetensors", INK_HASH),
    ]
)
HEAD = "Steps: 25, Sampler: Euler a, CFG scale: 6, Seed: 11, Size: 512x768"


def read(text: str) -> ApiReading:
    reading = import_text(text, CATALOGUE)
    assert reading is not None
    return reading


@pytest.mark.parametrize(
    "text",
    [
        f"a mill\nNegative prompt: blurry\n{HEAD}, Wildcard prompt: a __place__ at dusk\nwith gulls, "
        "Model: dreamMill_v2, Clip skip: 2",
        f"a mill\nNegative prompt: blurry\n{HEAD.replace(', ', chr(10))}\nModel: dreamMill_v2\nClip skip: 2",
        "a mill\nNegative prompt: blurry\nModel: dreamMill_v2\nSampler: Euler a\nSize: 512x768\nSteps: 25\n"
        "CFG scale: 6\nClip skip: 2",
        f"a mill\nNegative prompt: blurry\n{HEAD}, Model: dreamMill_v2.safetensors [22BB22BB22], "
        "Clip skip: 2",
        f'a mill\nNegative prompt: blurry\n{HEAD}, Hashes: {{"model": "22bb22bb22"}}, Clip skip: 2',
        f"a mill\nNegative prompt: blurry\n{HEAD}, Model hash: 22bb22bb22, Model: my own name, Clip skip: 2",
        f"a mill\nNegative prompt: blurry\n{HEAD}, Clip skip: 2, "
        'Civitai resources: [{"type":"checkpoint","modelVersionId":10}]',
        "a mill\n-blurry\n" + HEAD.replace("CFG scale", "Guidance Scale") + ", Model: dreamMill_v2.ckpt, "
        "Clip skip: 2",
    ],
    ids=["newline", "a line each", "steps last", "title", "hashes", "renamed", "ids", "Draw Things"],
)
def test_layouts_of_the_infotext(text: str) -> None:
    for form in (text, "\ufeff" + text.replace("\n", "\r\n")):
        api = read(form).api
        assert re.fullmatch(r"Dream Mill|dreamMill_v2(\.\w+)?|22bb22bb22", api.model)
        match = CATALOGUE.resolve(api.model)
        assert match is not None
        assert match.record.model_id == 1
        assert (api.prompt, api.negative_prompt) == ("a mill", "blurry")
        assert (api.sampling_steps, api.sampling_method, api.cfg_scale, api.clip_skip) == (
            25,
            "Euler a",
            6,
            2,
        )
        assert (api.width, api.height, api.base_model) == (512, 768, "SD 1.5")


def test_a_lora_stands_on_its_checkpoint_under_the_name_of_the_catalogue() -> None:
    api = read(f"a mill <lora:ink_v2:0.6>\n{HEAD}, Model: dreamMill_v2").api
    assert (api.type, api.lora_weight) == ("LORA", 0.6)
    assert api.base_checkpoint is not None
    assert (api.base_checkpoint.model, api.base_checkpoint.version_id) == ("Dream Mill", 10)
    assert api.base_checkpoint.air == "urn:air:sd1:checkpoint:civitai:1@10"


@pytest.mark.parametrize(
    ("settings", "weight"),
    [
        ('Lora hashes: "renamed: 11aa11aa11aa", Lora weights: "renamed: 0.1"', 0.1),
        ("LoRA networks: ink_v2:0.6", 0.6),
        ("Lora_1: ink_v2.safetensors : 0.4", 0.4),
        ('Hashes: {"model": "22bb22bb22", "lora:renamed": "11aa11aa11"}', None),
        (
            'Civitai resources: [{"type":"checkpoint","modelVersionId":10},{"type":"X { Strength = 0.4, Type '
            '= lora }","weight":0.4,"modelVersionId":30}]',
            0.4,
        ),
        ('Civitai resources: [{"modelVersionId":10},{"weight":0.4,"modelVersionId":30}]', 0.4),
    ],
    ids=range(6),
)
def test_loras_that_only_settings_name(settings: str, weight: float | None) -> None:
    api = read(f"a mill\n{HEAD}, Model: dreamMill_v2, {settings}").api
    match = CATALOGUE.resolve(api.model)
    assert match is not None
    assert (api.type, match.record.model, api.lora_weight) == ("LORA", "Ink", weight)
    assert api.base_checkpoint is not None
    assert api.base_checkpoint.model == "Dream Mill"


def test_names_and_hashes_that_disagree_are_said_and_loras_that_do_nothing() -> None:
    reading = read(
        f"a mill\nNegative prompt: blurry <lora:ink:1>\n{HEAD}, Model hash: 33cc33cc33, Model: Dream Mill"
    )
    told = " | ".join(reading.guesses)
    assert "that of 'Dream Mill', and the hash 33cc33cc33 is that of 'Other Mill'" in told
    assert "from the negative prompt; 'ink' was left out" in told
    assert (reading.api.model, reading.api.negative_prompt) == ("Dream Mill", "blurry")


def test_several_loras_get_their_addresses() -> None:
    api = read(f"a mill <lora:unknown:0.9> <lora:ink_v2:0.6>\n{HEAD}, Model: dreamMill_v2").api
    assert api.model == "unknown"
    (ink,) = api.loras
    assert (ink.model, ink.weight, ink.version_id) == ("Ink", 0.6, 30)
    assert ink.air == "urn:air:sd1:lora:civitai:3@30"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("flux1-dev-bnb-nf4-v2", "Flux.1 D"),
        ("flux-2-klein-4b", "Flux.2 Klein 4B"),
        ("sd3.5_large_fp8_scaled", "SD 3.5"),
        ("ponyRealism_v22", "Pony"),
        ("juggernautXL_v9", "SDXL 1.0"),
        ("waiIllustriousSDXL_v150", "Illustrious"),
        ("sd15_mix", "SD 1.5"),
        ("z_image_turbo_bf16", "ZImageTurbo"),
    ],
)
def test_names_tell_the_family_and_sizes_do_not(name: str, family: str) -> None:
    reading = import_text(f"a mill\n{HEAD.replace('512x768', '1024x1536')}, Model: {name}")
    assert reading is not None
    assert reading.api.base_model == family
    assert "guessed" in reading.missing["base_model"]


def test_a_large_picture_of_no_known_family_is_not_said_to_be_of_one() -> None:
    reading = import_text(f"a mill\n{HEAD.replace('512x768', '1024x1536')}, Model: somebodys_merge")
    assert reading is not None
    assert reading.api.base_model == "SD 1.5"
    assert any("the size tells no base model" in guess for guess in reading.guesses)
    forge = import_text(f"a mill\n{HEAD}, Distilled CFG Scale: 3.5, Model: somebodys_merge")
    assert forge is not None
    assert forge.api.base_model == "Flux.1 D"


SWARM = {
    "sui_image_params": {
        **{"prompt": "a mill", "negativeprompt": "blurry", "model": "sd15/dreamMill_v2", "steps": 25},
        **{"cfgscale": 6, "width": 512, "height": 768, "sampler": "euler_ancestral", "scheduler": "normal"},
        **{"loras": ["renamed"], "loraweights": ["0.6"]},
    },
    "sui_models": [
        {"name": "renamed.safetensors", "param": "loras", "hash": "0x" + INK_HASH.lower()},
        {"name": "sd15/dreamMill_v2.safetensors", "param": "model", "hash": "0x22bb22bb22"},
    ],
}
INVOKE = {
    **{"positive_prompt": "a mill", "negative_prompt": "blurry", "width": 512, "height": 768, "steps": 25},
    **{"cfg_scale": 6.0, "scheduler": "euler_a", "app_version": "5.4"},
    "model": {"name": "dreamMill_v2", "base": "sd-1"},
    "loras": [{"model": {"name": "ink_v2", "base": "sd-1"}, "weight": 0.6}],
}
OLD_INVOKE = {
    **{"model_weights": "dreamMill_v2", "model": "stable diffusion"},
    "image": {
        **{"prompt": [{"prompt": "a mill [blurry]", "weight": 1}], "steps": 25, "cfg_scale": 6, "width": 512},
        **{"height": 768, "sampler": "k_euler_a"},
    },
}
FOOOCUS = {
    **{"metadata_scheme": "fooocus", "base_model": "dreamMill_v2", "prompt": "a mill", "steps": 25},
    **{"negative_prompt": "blurry", "guidance_scale": 6.0, "resolution": "(512, 768)", "scheduler": "normal"},
    **{"sampler": "euler_ancestral", "loras": [["ink_v2.safetensors", 0.6, "11aa11aa11"]]},
}
DRAW_THINGS = {
    **{"c": "a mill", "uc": "blurry", "model": "dreamMill_v2.ckpt", "sampler": "Euler A", "scale": 6},
    **{"size": "512x768", "steps": 25, "lora": [{"model": "ink_v2.ckpt", "weight": 0.6}]},
}
EASY = {
    **{"use_stable_diffusion_model": "dreamMill_v2", "prompt": "a mill", "negative_prompt": "blurry"},
    **{
        "num_inference_steps": 25,
        "guidance_scale": 6,
        "width": 512,
        "height": 768,
        "sampler_name": "euler_a",
    },
    **{"use_lora_model": "ink_v2", "lora_alpha": 0.6},
}


@pytest.mark.parametrize(
    "value",
    [SWARM, INVOKE, OLD_INVOKE, FOOOCUS, DRAW_THINGS, EASY],
    ids=["Swarm", "Invoke", "old", "F", "D", "E"],
)
def test_other_programs(value: dict[str, Any]) -> None:
    api = read(json.dumps(value)).api
    under = api.base_checkpoint if api.type == "LORA" else api
    assert under is not None
    match = CATALOGUE.resolve(under.model)
    assert match is not None
    assert match.record.model == "Dream Mill"
    assert (api.type, api.lora_weight) == (("Checkpoint", None) if value is OLD_INVOKE else ("LORA", 0.6))
    assert (api.prompt, api.negative_prompt, api.sampling_steps, api.cfg_scale) == ("a mill", "blurry", 25, 6)
    assert (api.width, api.height, api.base_model) == (512, 768, "SD 1.5")


def test_novelai_is_told_by_name() -> None:
    with pytest.raises(InvalidInput, match="NovelAI"):
        import_text(json.dumps({"uc": "", "scale": 5, "sampler": "k_euler", "request_type": "x"}), CATALOGUE)
    for text in ('{"c": 1, "model": "x"}', '{"model": "x", "steps": 3}', "[1]", "{"):
        assert import_text(text, CATALOGUE) is None


TEXTS = [f"a mill, stone\n{HEAD}, Model: dreamMill_v2", f"风车，石头\n{HEAD}, Model: dreamMill_v2"]
MARKS = [b"UNICODE\x00", b"Unicode\x00", b"ASCII\x00\x00\x00", bytes(8), b""]


@pytest.mark.parametrize("text", TEXTS, ids=["latin", "chinese"])
@pytest.mark.parametrize("mark", MARKS, ids=["UNICODE", "Unicode", "ASCII", "zero", "none"])
@pytest.mark.parametrize("code", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_comment_is_read_in_every_encoding_whatever_its_mark_says(
    text: str, mark: bytes, code: str, bom: str
) -> None:
    assert comment(mark + (bom + text).encode(code)) == text


def exif(text: str, order: str = "II", code: str = "utf-16-le") -> bytes:
    """An EXIF block with a UserComment."""
    sign = "<" if order == "II" else ">"
    value = b"UNICODE\x00" + text.encode(code)
    head = order.encode() + struct.pack(f"{sign}HI", 42, 8)
    first = struct.pack(f"{sign}HHHIII", 1, 0x8769, 4, 1, 26, 0)
    second = struct.pack(f"{sign}HHHIII", 1, 0x9286, 7, len(value), 44, 0)
    return head + first + second + value


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_exif_in_every_form_of_picture_also_over_a_pipe(form: str, order: str) -> None:
    stream = io.BytesIO()
    try:
        Image.new("RGB", (16, 16)).save(stream, form, exif=b"Exif\x00\x00" + exif(TEXTS[1], order))
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {form}")
    reading = import_bytes(stream.getvalue(), CATALOGUE)
    assert reading is not None
    assert reading.api.prompt == "风车，石头"
    assert import_bytes(b"DreamShaper", CATALOGUE) is None


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    made = b"\x89PNG\r\n\x1a\n"
    for kind, body in (*chunks, (b"IEND", b"")):
        made += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return made


@pytest.mark.parametrize("unit", ["<rdf:li>", "<exif:UserComment><rdf:li>", "<rdf:li ", "</rdf:li>"])
def test_xmp_of_any_shape_is_read_in_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        begin = time.process_time()
        xmp_texts("<exif:UserComment>" + (unit * size)[:size])
        return time.process_time() - begin

    # ten times the text may take ten times as long; a quadratic reader would take a hundred times as long
    assert seconds(200_000) < 0.5 + 40 * seconds(20_000)


def test_draw_things_writes_xmp() -> None:
    xmp = (
        "<x:xmpmeta><rdf:Description><dc:description><rdf:Alt><rdf:li xml:lang='x-default'>not this</rdf:li>"
        "</rdf:Alt></dc:description><exif:UserComment><rdf:Alt><rdf:li>{}</rdf:li></rdf:Alt></exif:UserComment>"
    ).format(json.dumps(DRAW_THINGS).replace("&", "&amp;").replace('"', "&quot;"))
    body = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + xmp.encode()
    reading = import_bytes(png((b"iTXt", body)), CATALOGUE)
    assert reading is not None
    assert reading.api.prompt == "a mill"


@given(st.binary(max_size=300), st.sampled_from(["II", "MM"]), st.integers(0, 400))
def test_no_bytes_break_the_readers_of_blocks(content: bytes, order: str, at: int) -> None:
    block = exif(TEXTS[0], order)
    broken = block[:at] + content[:20] + block[at:]
    box = struct.pack(">I4s4s", 12, b"ftyp", b"avif") + content
    meta = struct.pack(">I4s", 8 + len(content), b"meta") + content
    for data in (
        png((b"eXIf", broken)),
        b"RIFF\x00\x00\x00\x00WEBPEXIF\xff\xff\x00\x00" + broken,
        box,
        box + meta,
    ):
        with contextlib.suppress(InvalidInput):
            texts = texts_of(data, "p")
            assert all(len(each) <= MAX_TEXT_BYTES for each in texts.values())


JSON = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([SWARM, INVOKE, OLD_INVOKE, FOOOCUS, DRAW_THINGS, EASY]), st.data())
def test_broken_settings_are_read_or_refused(value: dict[str, Any], data: st.DataObject) -> None:
    broken = json.loads(json.dumps(value))
    where = broken
    while isinstance(where, dict):
        key = data.draw(st.sampled_from(sorted(where)))
        if not isinstance(where[key], dict) or data.draw(st.booleans()):
            where[key] = data.draw(JSON)
            break
        where = where[key]
    with contextlib.suppress(InvalidInput):
        import_text(json.dumps(broken), CATALOGUE)


@given(st.text(st.sampled_from('ab,:\n "[]{}<>-SteplorMdh0123'), max_size=60), st.integers(0, 100))
def test_any_text_in_an_infotext_is_read_or_refused(noise: str, at: int) -> None:
    text = TEXTS[0] + ', Lora hashes: "ink: 11aa11aa11", Hashes: {"model": "22bb"}'
    with contextlib.suppress(InvalidInput):
        import_text(text[:at] + noise + text[at:], CATALOGUE)
