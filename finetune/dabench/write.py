"""Writes a built set: Parquet for `datasets`, pairs for the trainers, the catalogue, the card.

    SET/sd1/README.md                                    the card; `datasets.load_dataset` reads its header
    SET/sd1/data/{train,align,val}.parquet               split 8:1:1
    SET/sd1/unseen_models/{train,align,val}.parquet      no model is in two of them
    SET/sd1/pairs_{train,align,val}.jsonl.gz             for `finetune.sft` and `diffagent evaluate --pairs`
    SET/sd1/catalogue.jsonl, catalogue_unseen_models.jsonl

One folder for each architecture. Rows hold the paper's JSON (section 3.1) in `instruction` and `response`,
and what is ours in `facts`. The same pairs give the same bytes.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.dabench.catalogue import reference
from finetune.dabench.pairs import Pair
from retrieval.catalogue import Catalogue
from retrieval.records.air import make_air
from retrieval.records.model import ModelRecord
from retrieval.storage import atomic_write

if TYPE_CHECKING:
    import pyarrow as pa

CONFIGS = {"default": "data", "unseen_models": "unseen_models"}
CATALOGUES = {"default": "catalogue.jsonl", "unseen_models": "catalogue_unseen_models.jsonl"}
_ROWS_AT_A_TIME = 5_000


@dataclass(frozen=True)
class Division:
    """One way of splitting: pairs by the name of the split, and the catalogue of its training pairs."""

    pairs: Mapping[str, Sequence[Pair]]
    records: Sequence[ModelRecord]


def set_files(parts: Iterable[str]) -> list[str]:
    """What a set consists of, below its folder."""
    named = list(parts)
    tables = [f"{folder}/{part}.parquet" for folder in CONFIGS.values() for part in named]
    lines = [f"pairs_{part}.jsonl.gz" for part in named]
    return ["README.md", *CATALOGUES.values(), *tables, *lines]


def write_set(folder: Path, divisions: Mapping[str, Division], card: str) -> None:
    """Writes everything; each file is whole or not there.

    Args:
        divisions: by the name of the configuration.
        card: Markdown with its YAML header.

    Raises:
        StorageError: the folder cannot be written.
    """
    for config, division in divisions.items():
        catalogue = Catalogue(division.records, name=CATALOGUES[config])
        catalogue.save(folder / CATALOGUES[config])
        said = {record.model_id: record.description for record in division.records}
        for part, pairs in division.pairs.items():
            _write_table(folder / CONFIGS[config] / f"{part}.parquet", pairs, said)
    for part, pairs in divisions["default"].pairs.items():
        lines = (pair_line(pair, part) for pair in pairs)
        atomic_write(folder / f"pairs_{part}.jsonl.gz", gzip_lines(lines))
    atomic_write(folder / "README.md", card.encode())


def gzip_lines(objects: Iterable[Mapping[str, Any]]) -> bytes:
    """JSON lines, compressed, without the time of day."""
    held = BytesIO()
    with gzip.GzipFile(fileobj=held, mode="wb", compresslevel=6, mtime=0) as stream:
        for found in objects:
            stream.write(json.dumps(found, ensure_ascii=False).encode("utf-8") + b"\n")
    return held.getvalue()


def pair_line(pair: Pair, part: str) -> dict[str, Any]:
    """What `finetune.data.pairs` reads."""
    version, base = pair.kept.version, pair.base
    return {
        "prompt": pair.instruction.prompt,
        "negative_prompt": pair.instruction.negative_prompt,
        "model_id": pair.model_id,
        "version_id": version.id,
        "model": pair.kept.model.name,
        "version": version.name,
        "type": pair.kept.type,
        "base_model": pair.kept.family.name,
        "base_checkpoint": {"model_id": base.model_id, "version_id": base.version_id, "model": base.model}
        if base
        else None,
        "sampling_method": pair.sampling_method,
        "sampling_steps": pair.sampling_steps,
        "cfg_scale": pair.cfg_scale,
        "width": pair.width,
        "height": pair.height,
        "clip_skip": pair.clip_skip,
        "lora_weight": pair.lora_weight,
        "seed": pair.seed,
        "split": part,
    }


def row(pair: Pair, description: str) -> dict[str, Any]:
    """A row of the Parquet files: the paper's two objects, and our facts apart from them."""
    kept, base = pair.kept, pair.base
    return {
        "id": pair.key,
        "instruction": pair.instruction.to_wire(),
        "response": {
            "model": kept.model.name,
            "type": kept.type,
            "base model": kept.family.name,
            "width": pair.width,
            "height": pair.height,
            "sampling method": pair.sampling_method,
            "sampling steps": pair.sampling_steps,
            "cfg scale": pair.cfg_scale,
            "model description": description,
        },
        "facts": {
            "model id": kept.model.id,
            "version id": kept.version.id,
            "version": kept.version.name,
            "air": make_air(kept.family.name, kept.type, kept.model.id, kept.version.id),
            "sha256": list(kept.sha256),
            "trigger words": list(kept.version.trained_words),
            "lora weight": pair.lora_weight,
            "base checkpoint": reference(base).model_dump(by_alias=True) if base else None,
            "clip skip": pair.clip_skip,
            "seed": pair.seed,
        },
    }


def schema() -> "pa.Schema":
    """Of the Parquet files; the same for a split without rows."""
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    base = pa.struct([("model", text), ("model id", whole), ("version id", whole), ("air", text)])
    response = [
        *(("model", text), ("type", text), ("base model", text), ("width", whole), ("height", whole)),
        *(("sampling method", text), ("sampling steps", whole), ("cfg scale", real)),
        ("model description", text),
    ]
    facts = [
        *(("model id", whole), ("version id", whole), ("version", text), ("air", text)),
        *(("sha256", pa.list_(text)), ("trigger words", pa.list_(text)), ("lora weight", real)),
        *(("base checkpoint", base), ("clip skip", whole), ("seed", whole)),
    ]
    return pa.schema(
        [
            ("id", text),
            ("instruction", pa.struct([("prompt", text), ("negative prompt", text)])),
            ("response", pa.struct(response)),
            ("facts", pa.struct(facts)),
        ]
    )


def _write_table(path: Path, pairs: Sequence[Pair], said: Mapping[int, str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, schema(), compression="zstd") as writer:
            for rows in _batches(row(pair, said.get(pair.model_id, "")) for pair in pairs):
                writer.write_table(pa.Table.from_pylist(rows, schema=schema()))

    atomic_write(path, write)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, _ROWS_AT_A_TIME)):
        yield batch
