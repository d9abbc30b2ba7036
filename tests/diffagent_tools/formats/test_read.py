"""Pictures and workflows are read back to the API that made them; what is no such thing is refused."""

import contextlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from calls import LANTERN
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from diffagent_tools.formats.comfyui.read import read_workflow
from diffagent_tools.formats.picture_text import MAX_TEXT_BYTES, picture_texts_of
from diffagent_tools.formats.plan import export_plan
from diffagent_tools.formats.read import import_file, import_text
from diffagent_tools.formats.write import export, infotext_export
from retrieval.calls.check import check
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord, VersionRecord

API = LANTERN.model_copy(update={"negative_prompt": "blurry,\nlow quality"})
CATALOGUE = Catalogue(
    [
        ModelRecord(
            model_id=4384,
            model="DreamShaper",
            type="Checkpoint",
            base_model="SDXL 1.0",
            versions=(
                VersionRecord(
                    version_id=7,
                    version="8",
                    base_model="SDXL 1.0",
                    sha256=("879DB523C30D3B9017143D56705015E15A2CB5628762C11D086FED9538ABD7FD",),
                    file_names=("dreamshaper_8.safetensors",),
                ),
            ),
        )
    ]
)


def save(path: Path, texts: dict[str, str], **options: Any) -> Path:
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text, **options)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def picture_texts(api: T2IApi, seed: int = 0) -> dict[str, str]:
    """What A1111 (`parameters`) and ComfyUI keep in a PNG that was made with an API."""
    return {
        "parameters": infotext_export(export_plan(api), seed=seed),
        "prompt": export(api, "comfyui", seed=seed),
        "workflow": export(api, "comfyui-ui", seed=seed),
    }


@pytest.mark.parametrize("key", ["parameters", "prompt", "workflow"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_picture_tells_what_made_it(key: str, packed: bool, tmp_path: Path) -> None:
    path = save(tmp_path / "p.png", {key: picture_texts(API)[key]}, zip=packed)
    read = import_file(path).api
    assert read.base_checkpoint is not None
    assert read.model_copy(update={"base_checkpoint": API.base_checkpoint}) == API
    assert (read.base_checkpoint.model, read.base_checkpoint.version_id) == ("DreamShaper", 128713)


def test_text_beyond_latin_survives(tmp_path: Path) -> None:
    api = API.model_copy(update={"prompt": "灯笼 🏮", "model": "麦橘"})
    assert import_file(save(tmp_path / "p.png", picture_texts(api))).api.model == "麦橘"


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_exif_of_jpeg_and_webp(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"p.{ending}"
    exif = Image.Exif()
    comment = b"UNICODE\x00" + export(API, "infotext").encode("utf-16-be")
    exif.get_ifd(0x8769)[0x9286] = comment
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    assert import_file(path).api.prompt == API.prompt
    exif = Image.Exif()
    exif[0x010F] = "prompt:" + picture_texts(API)["prompt"]
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    assert import_file(path).api.model == API.model


def test_hash_and_file_name_become_the_models_name_and_family(tmp_path: Path) -> None:
    text = "a cat\nSteps: 20, Sampler: Euler a, Size: 512x512, Model hash: 879db523c3, Model: renamed"
    path = save(tmp_path / "p.png", {"parameters": text})
    reading = import_file(path, CATALOGUE)
    assert (reading.api.model, reading.api.version_id, reading.api.base_model) == (
        "DreamShaper",
        7,
        "SDXL 1.0",
    )
    assert reading.guesses == (
        "cfg scale is missing; the default 7 was taken",
        "the model hash 879db523c3 is that of 'DreamShaper'",
        "the base model is that of 'DreamShaper' in the catalogue",
    )
    assert check(reading, CATALOGUE).verdict.status in ("valid", "alias")
    named = save(tmp_path / "q.png", {"parameters": text.replace("renamed", "dreamshaper_8")})
    assert check(import_file(named, CATALOGUE), CATALOGUE).repair.api.model == "DreamShaper"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


BOMB = png(chunk(b"zTXt", b"parameters\x00\x00" + zlib.compress(bytes(200_000_000), 9)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(), "holds no text of the program"),
        (png()[:-14], "the file is cut off"),
        (png(chunk(b"tEXt", b"parameters\x00a\nSteps: 1"))[:60], "the file is cut off"),
        (BOMB, "more than 8 MB"),
        (png(chunk(b"iTXt", b"x\x00\x01\x00\x00\x00" + zlib.compress(bytes(20_000_000)))), "more than 8 MB"),
        (b"GIF89a", "no PNG, JPEG, WebP or AVIF"),
        (b"", "no PNG, JPEG, WebP or AVIF"),
        (b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00II*\x00\xff\xff\xff\xff", "holds no text"),
        (b"RIFF\x10\x00\x00\x00WEBPEXIF\x08\x00\x00\x00II*\x00\x08\x00\x00\x00", "holds no text"),
        (png(chunk(b"tEXt", b"Comment\x00{}")), "holds the texts 'Comment'"),
        (png(chunk(b"tEXt", b"parameters\x00a\nSteps: 1, Sampler: x, Size: 1x1")), "names no model"),
        (png(chunk(b"tEXt", b'prompt\x00{"1": {"class_type": "Mystery"}}')), "its nodes are Mystery"),
    ],
    ids=range(12),
)
def test_a_bad_picture_is_refused_in_a_sentence(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        import_file(path)


def test_a_cut_off_picture_with_its_text_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "p.png", picture_texts(API))
    path.write_bytes(path.read_bytes()[:-20])
    assert import_file(path).api.model == API.model


def test_a_file_of_100_mb_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    with path.open("wb") as stream:
        stream.truncate(100_000_000)
    with pytest.raises(InvalidInput, match="has 100 MB and at most 64 MB are read"):
        import_file(path)
    with pytest.raises(InvalidInput, match=r"cannot read .* \(No such file"):
        import_file(tmp_path / "none.png")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    for data in (png(chunk(b"tEXt", content), chunk(b"iTXt", content)), b"\xff\xd8" + content):
        path = Path("p.png")
        stream = _Bytes(path, data)
        with contextlib.suppress(InvalidInput):
            texts = picture_texts_of(stream)
            assert all(isinstance(each, str) and len(each) <= MAX_TEXT_BYTES for each in texts.values())


class _Bytes(type(Path())):  # type: ignore[misc]
    """A path whose content is in memory."""

    def __new__(cls, path: Path, data: bytes) -> "_Bytes":
        made = super().__new__(cls, path)
        made.data = data
        return made

    def stat(self, **options: Any) -> Any:
        return type("Stat", (), {"st_size": len(self.data)})

    def read_bytes(self) -> bytes:
        return self.data


def graph() -> dict[str, Any]:
    return json.loads(picture_texts(API)["prompt"])


def test_an_unknown_node_on_the_way_is_passed_through_and_named() -> None:
    nodes = graph()
    nodes["50"] = {"class_type": "FreeU_V2", "inputs": {"model": ["10", 0], "b1": 1.1}}
    nodes["3"]["inputs"]["model"] = ["50", 0]
    nodes["51"] = {"class_type": "PrimitiveString", "inputs": {"value": "from afar"}}
    nodes["6"]["inputs"]["text"] = ["51", 0]
    reading = read_workflow(nodes)
    assert (reading.api.model, reading.api.prompt) == (API.model, "from afar")
    assert "the node 'FreeU_V2' is not known and was passed through" in reading.guesses


def test_a_workflow_whose_file_was_changed_by_hand_forgets_what_was_kept() -> None:
    nodes = graph()
    nodes["10"]["inputs"]["lora_name"] = "styles\\other_lora.safetensors"
    reading = read_workflow(nodes)
    assert (reading.api.model, reading.api.version_id) == ("other_lora", None)


def test_circles_and_broken_nodes_end() -> None:
    nodes = graph()
    nodes["10"]["inputs"]["model"] = ["10", 0]
    nodes["6"]["inputs"]["clip"] = ["6", 0]
    nodes["5"]["inputs"] = {"samples": ["5", 0]}
    assert read_workflow(nodes).api.model == API.model
    for broken in (
        {"1": {"class_type": "KSampler", "inputs": []}},
        {"nodes": [None, {"id": 1}], "links": [[]]},
    ):
        with pytest.raises(InvalidInput, match="no sampler that is known here"):
            read_workflow(broken)


def test_texts_that_are_neither_are_left_alone() -> None:
    for text in ("DreamShaper", '{"model": "X"}', "", "Steps: 3", "a, b: c, d: e, f: g"):
        assert import_text(text) is None


@pytest.mark.parametrize("keys", [("parameters",), ("prompt", "workflow")])
def test_sd_parsers_reads_our_pictures_to_the_same_values(keys: tuple[str, ...], tmp_path: Path) -> None:
    from sd_parsers import ParserManager

    # on a LoRA's loader it takes the link `model` for the name, so that names are compared without one
    api = API.model_copy(update={"model": "DreamShaper", "type": "Checkpoint", "base_checkpoint": None})
    texts = picture_texts(api, seed=5)
    found = ParserManager().parse(save(tmp_path / "p.png", {key: texts[key] for key in keys}))
    assert found is not None
    (sampler,) = found.samplers
    own = {key: str(value) for key, value in sampler.parameters.items()}
    assert (own["steps"], own["cfg_scale"], own["seed"]) == ("30", "6.5", "5")
    assert (sampler.name, own["scheduler"]) in (("DPM++ 2M", "Karras"), ("dpmpp_2m", "karras"))
    assert sampler.model is not None
    assert str(sampler.model.name).removesuffix(".safetensors") == "DreamShaper"
    assert sampler.prompts[0].value == api.prompt
    assert sampler.negative_prompts[0].value == api.negative_prompt
