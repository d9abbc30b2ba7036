"""Targets: each reader of this project with its seeds, and what must hold of what it reads."""

import html
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from checks import Broken, inert, readable, real

from diffagent_tools.agents.operations import Operations
from diffagent_tools.files.fetch import Fetcher
from diffagent_tools.files.folder import ModelsFolder
from diffagent_tools.files.training_metadata import read_training
from diffagent_tools.files.wanted import wanted_of_record
from diffagent_tools.files.weights_header import header
from diffagent_tools.files.weights_kind import read_weights
from diffagent_tools.formats.generation import read_generation
from diffagent_tools.formats.read import import_bytes, import_text
from diffagent_tools.formats.write import export
from diffagent_tools.installed.records import records_of
from diffagent_tools.installed.sidecars import ENDINGS, beside, read_sidecars, told_by_model, told_by_version
from finetune.candidates.file import read_candidates
from finetune.civitai.lists import read_source
from finetune.data.pairs import read_pairs
from finetune.evaluate.graded import read_graded
from finetune.rrhf.data import read_scored
from retrieval.catalogue import Catalogue
from retrieval.catalogue.written import pointer, take_apart
from retrieval.records.api import CheckpointRef, T2IApi, read_apis, read_instruction
from retrieval.records.civitai import images_of, read_image, read_model
from retrieval.records.model import ModelRecord

SEEDS = Path(__file__).parent / "seeds"
CHECK_SECONDS = 0.2
READ_SECONDS = 0.5


@dataclass(frozen=True)
class Target:
    """`run` is given an input made of `seeds`; `seconds` of the processor are what it may take."""

    seeds: Sequence[Any]
    run: Callable[[Any], None]
    seconds: float = READ_SECONDS


def seeds(name: str) -> Any:
    return json.loads((SEEDS / f"{name}.json").read_text(encoding="utf-8"))


def targets(operations: Operations, folder: Path) -> dict[str, Target]:
    """All readers by name.

    Args:
        operations: over the catalogue that names are looked for in.
        folder: where files are put that a reader opens.
    """
    catalogue = operations.catalogue
    record = next(record for record in catalogue if record.default_version)
    wanted = wanted_of_record(record)

    def checked(written: Any) -> None:
        found = operations.examine(written)
        real(found.repair.api, catalogue)
        named = found.verdict.record
        if found.accepted and (named is None or named.model_id not in catalogue):
            raise Broken(f"{found.named[:80]!r} was accepted, and is no model of the catalogue")
        if found.verdict.status == "invented" and catalogue.resolve(found.repair.api.model) is None:
            raise Broken("what was offered in place of an invented name is not found by its own name")
        json.dumps(found.to_wire(), allow_nan=False)

    def infotext(text: str) -> None:
        reading = import_text(text, catalogue)
        if reading is not None:
            readable(reading)

    def answers(text: str) -> None:
        for reading in read_apis(text):
            readable(reading)

    def names(text: str) -> None:
        pointer(text)
        take_apart(text)
        for match in catalogue.find(text):
            if match.record.model_id not in catalogue:
                raise Broken(f"{match.record.model!r} is not in the catalogue")

    def picture(data: bytes) -> None:
        reading = import_bytes(data, catalogue)
        if reading is not None:
            readable(reading)

    def weights(data: Any) -> None:
        path = folder / "fuzzed.safetensors"
        path.write_bytes(data if isinstance(data, bytes) else _file(data))
        header(path)
        read_training(read_weights(path).metadata)

    def models(rows: Any) -> None:
        for held in Catalogue.load(_lines(folder, rows)):
            inert(held.to_wire(), held.page_url)

    def sidecars(told: Any) -> None:
        path = folder / "ink.safetensors"
        names = {f"ink{ending}" for ending in ENDINGS}
        written = _json(told)
        for name in names:
            (folder / name).write_text(written, encoding="utf-8")
        read_sidecars(path, beside("ink", names)).model_dump_json()

    def listed(saved: Any) -> None:
        path = folder / "saved.json"
        path.write_text(_json(saved), encoding="utf-8")
        for held in records_of(read_source(path), catalogue, (), installed=False).records:
            inert(ModelRecord.model_validate_json(held.model_dump_json()).to_wire())

    def fetched(answer: Any) -> None:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, content=_json(answer).encode()))
        remote = Fetcher(ModelsFolder(folder), transport=transport).look_up(wanted)
        inert(remote.name)

    texts, rows = seeds("names"), seeds("rows")
    saved, calls = seeds("civitai"), seeds("answers")
    return {
        "infotext": Target(seeds("infotext"), infotext),
        "comfyui": Target(_workflows(), lambda value: infotext(json.dumps(value))),
        "answers": Target(calls, answers),
        "names": Target(texts, names),
        "instructions": Target(seeds("requests"), read_instruction),
        "pictures": Target(list(_pictures()), picture),
        "weights": Target(_weights(), weights),
        "catalogue": Target([rows["catalogue"]], models),
        "civitai": Target(saved, _civitai),
        "fetched": Target(saved, fetched),
        "lists": Target(saved, listed),
        "sidecars": Target(seeds("sidecars"), sidecars),
        "training": Target(seeds("training"), lambda value: _trained(value)),
        "pairs": Target([rows["pairs"]], lambda value: _read_rows(read_pairs, folder, value)),
        "graded": Target([rows["graded"]], lambda value: _read_rows(read_graded, folder, value)),
        "scored": Target([rows["scored"]], lambda value: _read_rows(read_scored, folder, value)),
        "candidates": Target([rows["candidates"]], lambda value: _read_rows(read_candidates, folder, value)),
        "check": Target([*calls, *texts, *seeds("infotext")], checked, CHECK_SECONDS),
    }


def _civitai(raw: Any) -> None:
    read_generation(raw)
    if not isinstance(raw, dict):
        return
    read_model(raw)
    read_image(raw)
    for image in images_of(raw):
        read_generation(image.meta)
    told_by_model(raw, None)
    told_by_version(raw)


def _trained(metadata: Any) -> None:
    if isinstance(metadata, dict):
        shares = read_training(metadata).tags.values()
        if not all(0 <= share <= 1 for share in shares):
            raise Broken(f"shares of pictures {list(shares)[:8]}")


def _read_rows(reader: Callable[[Path], Sequence[Any]], folder: Path, rows: Any) -> None:
    for row in reader(_lines(folder, rows)):
        repr(row)


def _lines(folder: Path, rows: Any) -> Path:
    """A file with a line for each row; of another value, that value as its line."""
    path = folder / "fuzzed.jsonl"
    listed = rows if isinstance(rows, list) else [rows]
    path.write_text("\n".join(map(_json, listed)), encoding="utf-8")
    return path


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()


@cache
def _workflows() -> list[Any]:
    """A LoRA's call as ComfyUI's API takes it and as its editor saves it."""
    call = T2IApi(
        **{"model": "Ink", "type": "LORA", "base_model": "SD 1.5", "width": 512, "height": 768},
        **{"sampling_method": "DPM++ 2M Karras", "sampling_steps": 30, "cfg_scale": 6.5, "lora_weight": 0.8},
        **{"clip_skip": 2, "negative_prompt": "blurry", "prompt": "a mill"},
        base_checkpoint=CheckpointRef(model="DreamShaper", model_id=4384, version_id=128713),
    )
    return [json.loads(export(call, form)) for form in ("comfyui", "comfyui-ui")]


def _pictures() -> Iterator[bytes]:
    """Small pictures of the three kinds with each seed of an infotext, and with a workflow."""
    for text in (*seeds("infotext"), json.dumps(_workflows()[0])):
        yield png(_chunk(b"tEXt", b"parameters\x00" + text.encode("latin-1", "replace")))
        yield png(_chunk(b"zTXt", b"prompt\x00\x00" + zlib.compress(text.encode())))
        yield png(_chunk(b"iTXt", b"workflow\x00\x01\x00\x00\x00" + zlib.compress(text.encode())))
        exif = _exif(text)
        yield b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\x00\x00" + exif + b"\xff\xd9"
        xmp = b"http://ns.adobe.com/xap/1.0/\x00" + _xmp(text).encode()
        yield b"\xff\xd8\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + b"\xff\xd9"
        body = b"WEBPEXIF" + struct.pack("<I", len(exif)) + exif + b"\x00" * (len(exif) % 2)
        yield b"RIFF" + struct.pack("<I", len(body)) + body


def png(*chunks: bytes) -> bytes:
    size = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", size) + b"".join(chunks) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _exif(text: str) -> bytes:
    """A block whose user comment, in the second directory, is the text."""
    written = b"UNICODE\x00" + text.encode("utf-16-be")
    first = struct.pack(">HHHIII", 1, 0x8769, 4, 1, 26, 0)
    second = struct.pack(">HHHIII", 1, 0x9286, 7, len(written), 44, 0)
    return b"MM\x00\x2a\x00\x00\x00\x08" + first + second + written


def _xmp(text: str) -> str:
    item = f"<rdf:Alt><rdf:li xml:lang='x-default'>{html.escape(text)}</rdf:li></rdf:Alt>"
    return f"<x:xmpmeta><rdf:RDF><exif:UserComment>{item}</exif:UserComment></rdf:RDF></x:xmpmeta>"


def _weights() -> list[Any]:
    """Headers of LoRAs and a checkpoint, one of which says what it was trained on, and files of them."""
    heads = [
        {f"{part}.{end}": _weight for part, end in names} | told
        for names, told in (
            (
                (("lora_unet_down_blocks_0_attn2_to_k", "lora_down.weight"),),
                {"__metadata__": seeds("training")[0]},
            ),
            ((("lora_te_text_model_encoder_layers_0", "lora_up.weight"),), {}),
            ((("cond_stage_model.transformer.text_model.embeddings", "position_embedding.weight"),), {}),
            ((("transformer_blocks.0.attn", "hada_w1_b"), ("double_blocks.0.img_mlp", "lora_A.weight")), {}),
        )
    ]
    return [*heads, *map(_file, heads)]


_weight = {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}


def _file(head: Any) -> bytes:
    """A safetensors file with this header, the weights that stand at the beginning one after the other."""
    count = 0
    if isinstance(head, dict):
        head = dict(head)
        for name, each in head.items():
            if each == _weight:
                head[name] = {**each, "data_offsets": [4 * count, 4 * count + 4]}
                count += 1
    packed = _json(head).encode()
    return struct.pack("<Q", len(packed)) + packed + b"\x00" * 4 * count
