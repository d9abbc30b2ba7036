"""Builds the dataset from what was collected: filters, pairs, descriptions, splits (paper section 3.1).

    diffagent dabench build --input raw --output set
    diffagent dabench stats set

    report = build(Path("raw"), Path("set"), read_config())

The input is a raw store (finetune/civitai/store.py), whose models and images are read as the API gave them.
The output holds one folder for each architecture (finetune/dabench/write.py), `catalogue.jsonl` with the
models of all of them, `report.json` with the funnel, and `drops.jsonl.gz` with a line for every record that
was dropped, by which rule. The same input and configuration give the same bytes. A build that was stopped has
left whole files and a report that says it is unfinished; running it again makes it anew.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from diffagent_tools.extras import require
from finetune.civitai.store import StoreReport, read_images, read_models, read_report
from finetune.dabench.card import card_text
from finetune.dabench.catalogue import catalogue_records
from finetune.dabench.checkpoint_hashes import CheckpointHashes, KnownCheckpoint
from finetune.dabench.config import BuildConfig
from finetune.dabench.funnel import Account
from finetune.dabench.model_rules import (
    MODEL_RULES,
    NO_VERSION_LEFT,
    VERSION_RULES,
    Dropped,
    Limits,
    family_or_none,
    first_drop,
)
from finetune.dabench.pairs import KeptVersion, Pair, PairReader
from finetune.dabench.split import split_models, split_pairs
from finetune.dabench.stats import distributions_of
from finetune.dabench.write import Division, set_files, write_set
from finetune.data.near_duplicates import clusters
from finetune.describe.catalogue import ChatWriter
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError, InvalidInput
from retrieval.records.civitai import (
    ApiImage,
    ApiModel,
    ApiVersion,
    images_of,
    newest_date,
    read_image,
    read_model,
)
from retrieval.records.model import ModelRecord
from retrieval.storage import Progress, atomic_write
from retrieval.tables.families import family_of
from retrieval.tables.screen import is_advertised, is_blocked

FORMAT = 1
REPORT = "report.json"
_DROPS, _CATALOGUE = "drops.jsonl.gz", "catalogue.jsonl"
_NO_MODEL = "record is no model with a number and a name"
_TWICE = "model is listed twice"
_NO_VERSION = "version is no object with a number"
_OF_DROPPED = "version is of a dropped model"


@dataclass
class _Collected:
    """The first pass: models without their images' metadata."""

    models: list[ApiModel] = field(default_factory=list)
    as_of: str = ""
    versions: set[int] = field(default_factory=set)


def build(
    raw: Path,
    output: Path,
    config: BuildConfig,
    *,
    show: Progress = lambda line: None,
    writer: ChatWriter | None = None,
) -> dict[str, Any]:
    """Builds the sets and returns the report, which is also `report.json`.

    Args:
        raw: a store of `diffagent dabench collect`.
        show: is told in a line what is going on.
        writer: writes the descriptions; the extractive describer alone if None.

    Raises:
        MissingExtra: what writes the set is not installed.
        InvalidInput: `raw` is no store, or `output` holds something else than a set.
        DataError: no pair is left; the report is written.
        StorageError: the output cannot be written.
    """
    for module in ("pyarrow", "datasketch"):  # before a chat model is paid for descriptions
        require(module)
    stored = read_report(raw)
    parts = list(config.parts)
    architectures = sorted({family_of(name).architecture for name in config.families})
    _start(output, architectures, parts)
    account = Account()
    collected = _read_models(raw, account)
    show(f"{len(collected.models):,} models read")
    limits = Limits(config, collected.as_of)
    kept, known = _filter_models(collected, account, limits)
    packaged = _packaged(collected.models, config) if config.packaged_checkpoints else {}
    known += [one for record in packaged.values() for one in _known_of_record(record)]
    show(f"{account.kept('models'):,} models kept, {len(kept):,} versions")
    reader = PairReader(kept, frozenset(collected.versions), CheckpointHashes(known), limits)
    pairs = _read_pairs(_images(raw, account), reader, account)
    show(f"{account.read_count('images'):,} images read, {len(pairs):,} pairs kept")
    report = _report(config, stored, collected, account)
    records: dict[int, ModelRecord] = {}
    for architecture in architectures:
        chosen = [pair for pair in pairs if pair.kept.family.architecture == architecture]
        if not chosen:
            continue
        own = [one for one in kept.values() if one.family.architecture == architecture]
        divisions, left_out = _divide(chosen, own, config, packaged, report["source"]["name"], writer)
        report["sets"][architecture] = _numbers(chosen, divisions, left_out)
        card = card_text(architecture, divisions, report, left_out=left_out)
        write_set(output / architecture, divisions, card)
        for record in divisions["default"].records:
            records.setdefault(record.model_id, record)
        show(f"{architecture}: {len(chosen):,} pairs of {len({pair.model_id for pair in chosen}):,} models")
    if records:
        Catalogue(records.values(), name=_CATALOGUE).save(output / _CATALOGUE)
    atomic_write(output / _DROPS, account.drops())
    _write_report(output, report | {"finished": True})
    if not pairs:
        raise DataError(
            f"no pair is left of {account.read_count('images'):,} images; `diffagent dabench stats {output}` "
            "says which rules dropped them: loosen the configuration or collect more"
        )
    return report | {"finished": True}


def read_set_report(output: Path) -> dict[str, Any]:
    """The report of a set.

    Raises:
        InvalidInput: there is none, or its build was not finished.
    """
    report = _parsed(output)
    if report.get("format") != FORMAT or not report.get("finished"):
        raise InvalidInput(f"the build of {output} was not finished; run it again")
    return report


def _parsed(output: Path) -> dict[str, Any]:
    try:
        report = json.loads((output / REPORT).read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{output} holds no set ({error}); build one with `diffagent dabench build --output {output}`"
        ) from error
    if not isinstance(report, dict):
        raise InvalidInput(f"{output / REPORT} is no report of a build; name another folder")
    return report


def _start(output: Path, architectures: Iterable[str], parts: list[str]) -> None:
    """Claims the folder; of an earlier build, nothing that this one would not write again stays."""
    found = [path.name for path in output.iterdir()] if output.is_dir() else []
    if found and REPORT not in found:
        raise InvalidInput(f"{output} is not empty and holds no set; name another --output")
    if REPORT in found:
        earlier = _parsed(output)
        for architecture in earlier.get("architectures", ()):
            for file in set_files(earlier.get("parts", parts)):
                (output / architecture / file).unlink(missing_ok=True)
        (output / _CATALOGUE).unlink(missing_ok=True)
    started = {"format": FORMAT, "finished": False, "architectures": list(architectures), "parts": parts}
    _write_report(output, started)


def _write_report(output: Path, report: Mapping[str, Any]) -> None:
    content = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
    atomic_write(output / REPORT, content.encode("utf-8", "replace"))


def _read_models(raw: Path, account: Account) -> _Collected:
    collected = _Collected()
    problems: Counter[str] = Counter()
    numbers: set[int] = set()
    for found in read_models(raw, problems):
        account.read("models")
        model = read_model(found)
        if model is None:
            account.drop("models", Dropped(_NO_MODEL, "unreadable"), model=None)
            continue
        if model.id in numbers:
            account.drop("models", Dropped(_TWICE, "same number"), model=model.id)
            continue
        numbers.add(model.id)
        collected.models.append(model)
        collected.as_of = max(collected.as_of, newest_date(found))
        listed = found.get("modelVersions")
        lost = len(listed) - len(model.versions) if isinstance(listed, list) else 0
        account.read("versions", len(model.versions) + lost)
        for _ in range(lost):
            account.drop("versions", Dropped(_NO_VERSION, "unreadable"), model=model.id)
        collected.versions.update(version.id for version in model.versions)
    _count_problems(problems, account)
    return collected


def _count_problems(problems: Counter[str], account: Account) -> None:
    for reason, count in sorted(problems.items()):
        account.read("records", count)
        account.drop("records", Dropped(reason, f"{count:,} times"), count)


def _filter_models(
    collected: _Collected, account: Account, limits: Limits
) -> tuple[dict[int, KeptVersion], list[KnownCheckpoint]]:
    """The versions that stay, by id, and every checkpoint's file with why it may not be named."""
    kept: dict[int, KeptVersion] = {}
    known: list[KnownCheckpoint] = []
    for model in collected.models:
        drop = first_drop(model, MODEL_RULES, limits)
        stays: list[KeptVersion] = []
        reasons: Counter[str] = Counter()
        for version in model.versions:
            refused = drop or first_drop(version, VERSION_RULES, limits)
            family = family_or_none(version.base_model)
            if refused is None and family is not None:
                stays.append(KeptVersion(model, version, family))
            elif refused is not None:
                reasons[refused.rule] += 1
                gone = refused if drop is None else Dropped(_OF_DROPPED, drop.rule)
                account.drop("versions", gone, model=model.id, version=version.id)
            if model.type == "Checkpoint":
                known += _known_files(model, version, refused.rule if refused else None)
        if drop is None and not stays:
            why = ", ".join(f"{rule}: {count}" for rule, count in reasons.most_common())
            drop = Dropped(NO_VERSION_LEFT, why)
        if drop is not None:
            account.drop("models", drop, model=model.id)
        kept |= {one.version.id: one for one in stays}
    return kept, known


def _known_files(model: ApiModel, version: ApiVersion, dropped: str | None) -> Iterator[KnownCheckpoint]:
    family = family_or_none(version.base_model)
    for file in version.files:
        hashes = [file.hashes[key] for key in ("SHA256", "AUTOV2", "AUTOV1") if key in file.hashes]
        if hashes:
            yield KnownCheckpoint(
                model_id=model.id,
                version_id=version.id,
                model=model.name,
                family=family.name if family else None,
                architecture=family.architecture if family else None,
                hashes=tuple(dict.fromkeys(hashes)),
                names=(file.name.rpartition(".")[0] or file.name, model.name),
                dropped=dropped,
            )


def _packaged(collected: Iterable[ApiModel], config: BuildConfig) -> dict[int, ModelRecord]:
    """Checkpoints of the packaged catalogue that nobody collected, by id."""
    own = {model.id for model in collected}
    return {
        record.model_id: record
        for record in Catalogue.starter()
        if record.type == "Checkpoint" and record.model_id not in own and _may_be_named(record, config)
    }


def _may_be_named(record: ModelRecord, config: BuildConfig) -> bool:
    if record.minor or not record.available:
        return False
    safe = not record.nsfw and not is_advertised(record.model) and not is_blocked(record.model)
    return (config.nsfw or safe) and (config.real_people or not record.poi)


def _known_of_record(record: ModelRecord) -> Iterator[KnownCheckpoint]:
    for version in record.versions:
        family = family_or_none(version.base_model)
        for sha256 in version.sha256:
            yield KnownCheckpoint(
                model_id=record.model_id,
                version_id=version.version_id,
                model=record.model,
                family=family.name if family else None,
                architecture=family.architecture if family else None,
                hashes=(sha256, sha256[:10]),
                names=(record.model, *(name.rpartition(".")[0] for name in version.file_names)),
                dropped=None if version.available else "not available",
            )


def _images(raw: Path, account: Account) -> Iterator[ApiImage]:
    """Images of their own first: those inside a model's object mostly lack their metadata."""
    problems: Counter[str] = Counter()
    for found in read_images(raw, problems):
        yield read_image(found)
    _count_problems(problems, account)
    numbers: set[Any] = set()
    # what cannot be read was counted in the first pass
    for model in read_models(raw, Counter()):
        if model.get("id") not in numbers:
            numbers.add(model.get("id"))
            yield from images_of(model)


def _read_pairs(images: Iterable[ApiImage], reader: PairReader, account: Account) -> list[Pair]:
    pairs: list[Pair] = []
    for image in images:
        account.read("images")
        found = reader.read(image)
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            account.drop("images", found, version=image.version_id, image=image.key)
    return pairs


def _divide(
    pairs: list[Pair],
    kept: list[KeptVersion],
    config: BuildConfig,
    packaged: Mapping[int, ModelRecord],
    source: str,
    writer: ChatWriter | None,
) -> tuple[dict[str, Division], int]:
    """Both divisions of a set, and how many pairs are in no split of the second one."""
    models = [pair.model_id for pair in pairs]
    joined = clusters(models, [pair.instruction.prompt for pair in pairs], similarity=config.near_duplicate)
    by_pairs = split_pairs(joined, [pair.key for pair in pairs], config.parts, seed=config.seed)
    by_models = split_models(models, joined, config.parts, seed=config.seed)

    def part_of(placed: Sequence[str | None]) -> dict[str, list[Pair]]:
        joined = list(zip(pairs, placed, strict=True))
        return {part: [pair for pair, its in joined if its == part] for part in config.parts}

    default, unseen = part_of(by_pairs), part_of(by_models)
    records = catalogue_records(kept, default["train"], packaged=packaged, source=source, writer=writer)
    taught = {pair.model_id for pair in unseen["train"]}
    held_out = {pair.model_id for pair in pairs} - taught
    # a model that must not be known says of itself only what its own record says
    facts = [one for one in kept if one.model.id in held_out]
    alone = catalogue_records(facts, (), packaged={}, source=source)
    others = [record for record in records if record.model_id not in held_out]
    divisions = {"default": Division(default, records), "unseen_models": Division(unseen, [*others, *alone])}
    return divisions, sum(part is None for part in by_models)


def _report(
    config: BuildConfig, stored: StoreReport, collected: _Collected, account: Account
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "finished": False,
        "architectures": sorted({family_of(name).architecture for name in config.families}),
        "parts": list(config.parts),
        "config": asdict(config),
        "as_of": collected.as_of[:10],
        "source": {
            "name": "Civitai's API",
            "query": dict(stored.query),
            "finished": stored.finished,
            "notes": list(stored.notes),
        },
        "distributions": distributions_of(collected.models, Limits(config, collected.as_of)),
        "funnel": account.funnel(),
        "sets": {},
    }


def _numbers(pairs: list[Pair], divisions: Mapping[str, Division], left_out: int) -> dict[str, Any]:
    return {
        "pairs": len(pairs),
        "models": len({pair.model_id for pair in pairs}),
        "versions": len({pair.kept.version.id for pair in pairs}),
        "catalogue": len(divisions["default"].records),
        "splits": {
            name: {
                part: {"pairs": len(found), "models": len({pair.model_id for pair in found})}
                for part, found in division.pairs.items()
            }
            for name, division in divisions.items()
        },
        "in no split of unseen_models": left_out,
    }
