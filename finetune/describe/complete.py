"""From the facts of models and their sample prompts to whole records: profiles, keywords, descriptions.

    complete(records, {7371: ["a castle in fog"]}, {7371: ["blurry"]}, texts={7371: "<p>Castles!</p>"})

The one place where catalogues get what is not a fact: the starter and `diffagent dabench build`
both end here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from finetune.describe.catalogue import describe_all
from finetune.describe.profiles import (
    TermStats,
    description_profiles,
    keywords,
    most_telling,
    most_useful,
    prompt_profiles,
)
from retrieval.records.model import ModelRecord

_DESCRIPTION_TERMS = 80


def complete(
    records: Sequence[ModelRecord],
    prompts: Mapping[int, Sequence[str]],
    negative_prompts: Mapping[int, Sequence[str]],
    *,
    texts: Mapping[int, str],
    quotable: Iterable[str] = (),
    **describing: Any,
) -> list[ModelRecord]:
    """The records, in their order, with `description`, `terms`, `negative_terms`, `keywords` and
    `description_terms`.

    Args:
        records: facts; what they have of those five is written over.
        prompts: the sample prompts by model id; a model may have none.
        negative_prompts: likewise.
        texts: creators' descriptions by model id, read for single words and two-word terms.
        quotable: further texts of which no run of three words may stand in a description.
        describing: what else `describe_all` takes: `chat`, `cache`, `workers`, `on_estimate`, `progress`.
    """
    ids = [record.model_id for record in records]
    profiles = prompt_profiles({model_id: prompts.get(model_id, ()) for model_id in ids})
    negatives = prompt_profiles({model_id: negative_prompts.get(model_id, ()) for model_id in ids})
    terms, negative_terms = most_useful(profiles, negatives)
    described = description_profiles({model_id: texts.get(model_id, "") for model_id in ids})
    stats, description_stats = TermStats.of(terms), TermStats.of(described)
    said = describe_all(
        records,
        prompts,
        texts=texts,
        quotable=quotable,
        profiles=profiles,
        described=described,
        **describing,
    )
    return [
        record.model_copy(
            update={
                "description": said[record.model_id].text,
                "terms": terms[record.model_id],
                "negative_terms": negative_terms[record.model_id],
                "keywords": keywords(terms[record.model_id], stats),
                "description_terms": most_telling(
                    described[record.model_id], description_stats, _DESCRIPTION_TERMS
                ),
            }
        )
        for record in records
    ]
