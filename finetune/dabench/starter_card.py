"""The card of the packaged catalogue: what it holds, where it is from, what it is not.

Written by `diffagent dabench starter`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval.records.model import ModelRecord

if TYPE_CHECKING:
    from finetune.dabench.starter import Dropped


def card_text(records: Sequence[ModelRecord], dropped: Sequence["Dropped"], digest: str) -> str:
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

`embeddings.safetensors` holds a vector a model: all-MiniLM-L6-v2 of `document_text`
(retrieval/records/model.py).

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
