"""A negative prompt of our own: what the request refuses, then what the model's samples most often refuse.

    negative_for(api, record, "a lighthouse in a storm")   # "people, worst quality, low quality, blurry"

It is put together out of a closed vocabulary (vocabulary.py) in an order of its own, by how many sample
pictures of the model say each; nobody's prompt is copied. A model with few samples is drawn to what is usual,
and one without any has that alone. Families that do not read a negative prompt get none of ours.
"""

from collections.abc import Sequence

from diffagent_tools.select.writing.guard import joined
from diffagent_tools.select.writing.vocabulary import Phrase, suitable
from retrieval.calls.identify import table_family
from retrieval.records.api import T2IApi
from retrieval.records.model import ModelRecord
from retrieval.search.terms import words

MOST = 12
OFTEN = 0.25
_VOUCHED = 1
"""samples that count as much as what is usual; with `OFTEN` chosen on pairs that no profile holds"""
_READ_BY = frozenset({"sd1", "sd2", "sdxl"})
_GUIDED = 1.5
"""the cfg scale from which a negative prompt is felt; at 1 no program computes it"""


def negative_for(api: T2IApi, record: ModelRecord, prompt: str) -> str:
    """The negative prompt of a call: that of the request first, as it is, then at most `MOST` phrases.

    Args:
        api: composed for the request, with what it refuses as its negative prompt.
        prompt: the request; what it speaks of is never refused.
    """
    family = table_family(record.base_model)
    if family is None or family.architecture not in _READ_BY or api.cfg_scale < _GUIDED:
        return api.negative_prompt
    said = f"{api.negative_prompt}, {prompt}"
    own = set(words(", ".join((record.model, *record.tags, *record.trigger_words))))
    fit = [
        phrase
        for phrase in suitable(said, "fault", "mark", "body", "style")
        if phrase.kind != "style" or own.isdisjoint(words(phrase.text))
    ]
    samples = record.samples if record.negative_terms else 0
    # where the samples name nothing but embeddings, they do not tell what to say in words
    kept = joined(api.negative_prompt, _often(fit, record, samples) or _often(fit, record, 0))
    return ", ".join(part for part in (api.negative_prompt.strip(" ,"), *kept) if part)


def _often(fit: Sequence[Phrase], record: ModelRecord, samples: int) -> list[str]:
    """The most frequent phrases in the vocabulary's order; the fewer samples, the nearer to the usual."""
    weights = {
        phrase: (samples * phrase.share(record.negative_terms) + _VOUCHED * phrase.usual)
        / (samples + _VOUCHED)
        for phrase in fit
    }
    best = sorted(weights, key=lambda phrase: -weights[phrase])[:MOST]
    return [phrase.text for phrase in fit if phrase in best and weights[phrase] >= OFTEN]
