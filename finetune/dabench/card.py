"""The card of a built set: what it holds, where it is from, whose it is, and the header `datasets` reads."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from finetune.dabench.starter_screen import Dropped
from finetune.dabench.write import CONFIGS, Division
from retrieval.records.model import ModelRecord


def card_text(
    name: str,
    divisions: Mapping[str, Division],
    report: Mapping[str, Any],
    *,
    left_out: int,
) -> str:
    """Markdown with a YAML header.

    Args:
        name: of the architecture.
        report: of the build, as `report.json` holds it.
        left_out: pairs that are in no split of the harder division.
    """
    default = divisions["default"]
    records = default.records
    pairs = [pair for part in default.pairs.values() for pair in part]
    families = sorted({pair.kept.family.name for pair in pairs})
    config = report["config"]
    header = "\n".join(
        f"- config_name: {config_name}\n  data_files:\n"
        # `datasets` cannot read a split without rows
        + "\n".join(
            f"  - split: {part}\n    path: {folder}/{part}.parquet"
            for part, found in divisions[config_name].pairs.items()
            if found
        )
        for config_name, folder in CONFIGS.items()
    )
    return f"""---
pretty_name: DABench for {", ".join(families)}
license: other
license_name: terms-of-the-source
task_categories:
- text-generation
size_categories:
- {_size(len(pairs))}
configs:
{header}
---
# DABench for {", ".join(families) or name}

Instruction-API pairs: what somebody asked an image model for, and the text-to-image API (model and
parameters) that made the image. Built by `diffagent dabench build` after section 3.1 of DiffAgent (CVPR
2024).

{_table(divisions)}

```python
datasets.load_dataset("{name}")                    # by pairs; near-duplicates are in one split only
datasets.load_dataset("{name}", "unseen_models")   # no model of align and val occurs in train
```

`train` is for supervised fine-tuning, `align` for alignment with human preference, `val` for evaluation. In
`unseen_models` {left_out:,} pairs are in no split, because their near-duplicates are in another one.

## A row
`instruction` (prompt, negative prompt) and `response` (model, type, base model, width, height, sampling
method, sampling steps, cfg scale, model description) are the paper's JSON. `facts` are ours: ids, SHA256,
AIR, trigger words, LoRA weight, base checkpoint, clip skip, seed. Descriptions are this project's own words
(finetune/describe/extract.py), not the creators'. `catalogue.jsonl` holds the models; its settings, terms and
descriptions come from `train` alone. In `catalogue_unseen_models.jsonl` a model of that division's `align`
or `val` has only what its own record says.

## Where it is from
{_source(report)}

Downloads, votes, licences and availability are those of that day. A model may have been withdrawn since, or
its licence changed.

## Licence
The prompts were written by Civitai's users and published there; the source states no licence for
them, and this set grants none. Ask before you pass it on. Each model has a licence of its own; commercial
use, as the models' flags say:

{_licences(records)}

## What was left out
{funnel_text(report["funnel"])}

A word screen leaks in both directions: some that pass should not have, and many that were dropped were
harmless. Thresholds: {", ".join(f"{key} {_shown(value)}" for key, value in config.items())}.
"""


def funnel_text(funnel: Iterable[Mapping[str, Any]]) -> str:
    """A table for each level: how many came in, how many each rule dropped, how many stay."""
    parts = []
    for level in funnel:
        rows = "\n".join(f"| {rule} | -{count:,} |" for rule, count in level["dropped"].items())
        parts.append(
            f"| {level['level']} | {level['read']:,} |\n|---|---:|\n"
            + (f"{rows}\n" if rows else "")
            + f"| **kept** | **{level['kept']:,}** |"
        )
    return "\n\n".join(parts)


def _table(divisions: Mapping[str, Division]) -> str:
    rows = ["| division | split | pairs | models |", "|---|---|---:|---:|"]
    for config, division in divisions.items():
        for part, pairs in division.pairs.items():
            rows.append(f"| {config} | {part} | {len(pairs):,} | {len({p.model_id for p in pairs}):,} |")
    return "\n".join(rows)


def _source(report: Mapping[str, Any]) -> str:
    source = report["source"]
    query = ", ".join(f"{key} {_shown(value)}" for key, value in source["query"].items()) or "no query"
    lines = [f"{source['name']}, as of {report['as_of'] or 'an unknown day'}. Collected by: {query}."]
    if not source["finished"]:
        lines.append("The collection had not come to its end.")
    return " ".join([*lines, *source["notes"]])


def _licences(records: Sequence[ModelRecord]) -> str:
    uses = Counter(
        "unknown" if record.commercial_use is None else ", ".join(record.commercial_use) or "none allowed"
        for record in records
    )
    rows = "\n".join(f"| {use} | {count:,} |" for use, count in sorted(uses.items()))
    return f"| commercial use | models |\n|---|---:|\n{rows}"


def _shown(value: object) -> str:
    return "/".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _size(count: int) -> str:
    for most, said in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if count < most:
            return said
    return "100K<n<1M" if count < 1_000_000 else "1M<n<10M"


def starter_card_text(records: Sequence[ModelRecord], dropped: Sequence[Dropped], digest: str) -> str:
    """Markdown; counts are taken from the records."""
    kinds = Counter((record.base_model, record.type) for record in records)
    table = "\n".join(f"| {family} | {kind} | {count} |" for (family, kind), count in sorted(kinds.items()))
    screened = "\n".join(
        f"| [{each.model_id}](https://civitai.com/models/{each.model_id}) | {each.reason} | {each.why} |"
        for each in sorted(dropped, key=lambda each: each.model_id)
    )
    licence = Counter(
        "unknown" if r.commercial_use is None else ", ".join(r.commercial_use) or "none" for r in records
    )
    uses = "\n".join(f"  - {use}: {count}" for use, count in licence.most_common())
    sources = Counter(record.source for record in records)
    origins = "\n".join(f"- {source}: {count}" for source, count in sources.most_common())
    with_settings = sum(record.settings is not None for record in records)
    unavailable = sum(not record.available for record in records)
    return f"""# The starter catalogue

{len(records):,} image models that a request can be matched with before any catalogue of one's own is built.
Digest `{digest}`.

| base model | type | models |
|---|---|---|
{table}

## What a record holds
Facts: names, ids, types, base models, versions with SHA256, trigger words, tags, the creator's user name,
counts, licence flags. Recommended settings: the mode of sampler, steps, cfg scale, size, clip skip and, for a
LoRA, of its base checkpoint over the model's sample images ({with_settings:,} models have some). Profiles:
single words and two-word terms of sample prompts, of sample negative prompts and of the creator's text, with
weights. Descriptions: written by this project's describer (finetune/describe/extract.py) from those terms,
the tags and its own word lists. No prompt and no sentence of a creator is in here.

Which LoRAs were used in one picture stands in `together.json`: pairs of ids with the number of public
pictures that name both (finetune/civitai/together.py), counts only, of models that are here.

## Where the facts are from
{origins}

The models that are no SD 1.5 ones are kept by hand in `public_sources.json`, each with the public file that
it was read in; where that file has no rating, the row says who rated it.

## Limits
- Availability, counts and licence flags of the SD 1.5 models are those of July 2023 ({unavailable}
  unavailable then). A model may have been withdrawn or its licence changed since: refresh before relying on
  either.
- Those rows carry only what the named public files say: no sample prompts, no counts, no licence. They can
  be named, checked and exported; choosing among them is a matter of their names, tags and descriptions.
- Official base models are here for SD 1.5, SDXL 1.0, Pony and Illustrious. Of the other families no public
  file was found that gives both Civitai's ids and a SHA256; of SDXL 1.0 the SHA256 is missing.
- Commercial use, as Civitai's flags said:
{uses}
- Whether credit is required and derivatives are allowed is unknown for all of them, as are NSFW levels: the
  snapshot has one NSFW flag a model, and it is false for all models here that come from it.
- Most prompts of 2023 are in English, and many are of anime. A subject that few uploaders showed is matched
  badly.

## Left out
A word screen leaks, and so does a flag: every model was read once more (name, tags, trigger words, versions,
the creator's text). These {len(dropped)} of the snapshot are not here; what reading decided stands in
`screened.json`, the rest is found by rules (retrieval/tables/screen.py). A general checkpoint that can
make such pictures, too, is not left out for it; its words of that kind are.

| Civitai id | reason | what says so |
|---|---|---|
{screened}
"""
