"""Builds the catalogue that is packaged with this project: facts, and descriptions of our own.

    diffagent dabench starter --models models.jsonl.gz --pairs pairs.jsonl.gz --output starter
    python -m finetune.dabench.starter ...                                                        # the same

Reads models and Instruction-API pairs (finetune/dabench/build.py makes both), drops what is not fit for
everyone, and writes `models.jsonl.gz` and `card.md`. The same input gives the same bytes. Prompts and
creators' descriptions are read for their single words and two-word terms alone; no sentence of them is
written.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from diffagent_tools.exits import run_script
from finetune.dabench.card import starter_card_text
from finetune.dabench.catalogue import by_downloads
from finetune.dabench.starter_screen import PACKAGED, Decisions, Row, screen
from finetune.data.pairs import read_pairs
from finetune.describe.catalogue import complete
from finetune.describe.extract import RecordFacts, describe
from finetune.describe.profiles import TermStats
from retrieval.catalogue import Catalogue
from retrieval.records.air import make_air
from retrieval.records.api import CheckpointRef
from retrieval.records.civitai import commercial_use, votes_of
from retrieval.records.model import (
    ModelRecord,
    VersionRecord,
)
from retrieval.records.samples import (
    TAGS_KEPT,
    TRIGGERS_KEPT,
    SampleSettings,
    clean_words,
    settings_of,
    stats_of,
)
from retrieval.storage import atomic_write, read_jsonl
from retrieval.tables.families import family_of
from retrieval.tables.samplers import find_sampler

FAMILY = "SD 1.5"
_BASE_MODELS: dict[int, tuple[str, ...]] = {
    62437: ("SD 1.5", "Stable Diffusion 1.5", "Stable Diffusion v1.5"),
    101055: ("SDXL 1.0", "SDXL", "Stable Diffusion XL 1.0", "sd_xl_base_1.0"),
    257749: ("Pony Diffusion", "Pony V6", "PonyXL"),
    795765: ("Illustrious XL", "Illustrious-XL-v0.1"),
}
SOURCES = "public_sources.json"
_MODEL_FIELDS = (
    "source",
    "model_id",
    "model",
    "type",
    "description",
    "tags",
    "trigger_words",
    "stats",
    "nsfw",
    "poi",
    "available",
    "creator",
    "versions",
    "allow_commercial_use",
)
_PAIR_FIELDS = (
    "negative_prompt",
    "base_checkpoint",
    "sampling_method",
    "sampling_steps",
    "cfg_scale",
    "width",
    "height",
    "clip_skip",
)


def read_models(path: Path) -> list[Row]:
    """Raises DataError if the file cannot be read, or a line lacks a field; it names the line."""
    return read_jsonl(path, _MODEL_FIELDS, dict, hint="needed is the form that the data's card describes")


def build_records(models: Sequence[Row], pairs: Sequence[Row], texts: Iterable[str]) -> list[ModelRecord]:
    """The records of screened models, by falling number of downloads.

    Args:
        texts: no run of three words of which may stand in a description, nor of a pair's prompt.
    """
    samples: dict[int, list[Row]] = defaultdict(list)
    for pair in pairs:
        samples[pair["model_id"]].append(pair)
    known = {model["model_id"]: model for model in models}
    prompts = {model_id: [row["prompt"] for row in samples[model_id]] for model_id in known}
    negative_prompts = {model_id: [row["negative_prompt"] for row in samples[model_id]] for model_id in known}
    records = complete(
        [_record(model, samples[model_id], known) for model_id, model in known.items()],
        prompts,
        negative_prompts,
        texts={model_id: model["description"] for model_id, model in known.items()},
        quotable=[*(row["prompt"] for row in pairs), *texts],
    )
    return by_downloads(records)


def _record(model: Row, rows: Sequence[Row], known: Mapping[int, Row]) -> ModelRecord:
    is_base = model["model_id"] in _BASE_MODELS
    return ModelRecord(
        model_id=model["model_id"],
        model=model["model"],
        type=model["type"],
        base_model=FAMILY,
        trigger_words=() if is_base else clean_words(model["trigger_words"], TRIGGERS_KEPT),
        tags=clean_words(model["tags"], TAGS_KEPT),
        versions=_versions(model),
        available=model["available"],
        status=None if model["available"] else "not published on 2023-07-04",
        nsfw=model["nsfw"],
        poi=model["poi"],
        creator=model["creator"],
        commercial_use=commercial_use(model["allow_commercial_use"]),
        stats=stats_of(votes_of(model["stats"])),
        settings=settings_of([_sample(row, known) for row in rows]),
        samples=len(rows),
        aliases=_BASE_MODELS.get(model["model_id"], ()),
        source=f"{model['source']} (2023-07-04)",
    )


def _versions(model: Row) -> tuple[VersionRecord, ...]:
    versions = [
        VersionRecord(
            version_id=version["id"],
            version=version["name"],
            base_model=version["base_model"],
            sha256=version["sha256"],
            stats=stats_of(votes_of(version["stats"])),
        )
        for version in model["versions"]
    ]
    # the sort is stable: newest first within the family, other families behind
    return tuple(sorted(versions, key=lambda version: version.base_model != FAMILY))


def _sample(row: Row, known: Mapping[int, Row]) -> SampleSettings:
    """What can be used again: a known sampler, a size of the family, and a base checkpoint that is in the
    catalogue and can still be had."""
    family = family_of(FAMILY)
    sampler = find_sampler(row["sampling_method"])
    width, height = row["width"], row["height"]
    fits = (
        width * height <= family.max_pixels
        and width % family.multiple == 0 == height % family.multiple
        and min(width, height) >= family.min_side
    )
    base = row["base_checkpoint"]
    named = known.get(base["model_id"]) if base else None
    return SampleSettings(
        sampler.name if sampler else None,
        row["sampling_steps"],
        row["cfg_scale"],
        (width, height) if fits else None,
        row["clip_skip"],
        None,
        CheckpointRef(
            model=named["model"],
            model_id=base["model_id"],
            version_id=base["version_id"],
            air=make_air(FAMILY, "Checkpoint", base["model_id"], base["version_id"]),
        )
        if named and named["available"]
        else None,
    )


def public_records(path: Path) -> list[ModelRecord]:
    """The models of public files, as far as those name them; what a file does not say is unknown."""
    records = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        family = row["base_model"]
        facts = RecordFacts(row["model_id"], row["model"], row["type"], family, tuple(row["tags"]))
        version = (
            VersionRecord(
                version_id=row["version_id"],
                version=row["version"] or "",
                base_model=family,
                sha256=(row["sha256"],) if row["sha256"] else (),
                file_names=(row["file_name"],) if row["file_name"] else (),
            )
            if row["version_id"]
            else None
        )
        records.append(
            ModelRecord(
                model_id=facts.model_id,
                model=facts.model,
                type=row["type"],
                base_model=family,
                trigger_words=tuple(row["trigger_words"]),
                description=describe(facts, TermStats.of({})),
                tags=facts.tags,
                versions=(version,) if version else (),
                nsfw=row["nsfw"],
                nsfw_level=row.get("nsfw_level"),
                aliases=_BASE_MODELS.get(facts.model_id, ()),
                source=row["source"],
            )
        )
    return records


def sources_for(output: Path) -> Path:
    """The file of models of public files: the output folder's own, else the packaged one."""
    own = output / SOURCES
    return own if own.exists() else PACKAGED / SOURCES


def build(
    models: Path,
    pairs: Path,
    sources: Path,
    output: Path,
) -> Catalogue:
    """Writes the two files below `output` and returns the catalogue.

    Raises:
        DataError: a file cannot be read, or one of its rows lacks a field.
        StorageError: `output` cannot be written.
    """
    known, rows = read_models(models), read_pairs(pairs, _PAIR_FIELDS)
    screened = screen(known, Decisions.packaged())
    texts = [model["description"] for model in known]
    records = [*build_records(screened.kept, rows, texts), *public_records(sources)]
    catalogue = Catalogue(records, name="the starter catalogue")
    catalogue.save(output / "models.jsonl.gz")
    atomic_write(output / "card.md", starter_card_text(records, screened.dropped, catalogue.digest).encode())
    for path in output.iterdir():
        path.chmod(0o644)  # packaged files are for every user to read
    return catalogue


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="build the packaged catalogue")
    parser.add_argument("--models", type=Path, required=True, help="models, .jsonl.gz")
    parser.add_argument("--pairs", type=Path, required=True, help="training pairs, .jsonl.gz")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--sources",
        type=Path,
        help="models of public files (default: the output folder's, else the packaged one)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = make_parser().parse_args(arguments)
    sources = options.sources or sources_for(options.output)
    catalogue = build(options.models, options.pairs, sources, options.output)
    size = sum(path.stat().st_size for path in options.output.iterdir())
    print(
        f"{len(catalogue):,} models, {size / 1e6:.2f} MB in {options.output}, digest {catalogue.digest[:12]}"
    )


if __name__ == "__main__":
    run_script(main)
