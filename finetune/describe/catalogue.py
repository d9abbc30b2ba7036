"""From the facts of models and their sample prompts to whole records: profiles, keywords, descriptions.

    complete(records, {7371: ["a castle in fog"]}, {7371: ["blurry"]}, texts={7371: "<p>Castles!</p>"})
    complete(..., writer=ChatWriter(CachedChat(chat_model, cache=Path("said.sqlite"))))

The one place where catalogues get what is not a fact: the starter and `diffagent dabench build` end here. The
extractive describer (finetune/describe/extract.py) reads every record. A chat model then writes over what it
can say better; where its answer fails the checks, the extractive text stays, and `Description.reason` says
why.
"""

import itertools
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finetune.describe.extract import RecordFacts, describe, runs
from finetune.describe.profiles import (
    TermStats,
    caption_profile,
    description_profiles,
    keywords,
    most_telling,
    most_useful,
    prompt_profiles,
)
from retrieval.records.model import ModelRecord

if TYPE_CHECKING:
    from diffagent_tools.llm.chat_model import CachedChat
    from finetune.describe.chat import Estimate, Prices
    from finetune.describe.chat_prompt import Subject

ORDINARY = 8  # a word that so many models' prompts hold is ordinary language
_KEYWORDS = 24
_DESCRIPTION_TERMS = 80


@dataclass(frozen=True)
class Description:
    """What is said of a model.

    Args:
        source: who wrote it.
        reason: why the chat model's answer was not taken; None if it was, or if none was asked.
    """

    text: str
    source: str = "extractive"
    reason: str | None = None


@dataclass(frozen=True)
class ChatWriter:
    """A chat model that writes descriptions.

    Attributes:
        prices: of the chat model, for the estimate.
        on_estimate: told what the calls will cost, before the first; what it raises stops the run.
        progress: told, in one line each, what takes long.
    """

    chat: "CachedChat"
    prices: "Prices | None" = None
    on_estimate: "Callable[[Estimate], None]" = lambda estimate: None
    progress: Callable[[str], None] = lambda line: None


def complete(
    records: Sequence[ModelRecord],
    prompts: Mapping[int, Sequence[str]],
    negative_prompts: Mapping[int, Sequence[str]],
    *,
    texts: Mapping[int, str],
    captions: Mapping[int, Mapping[str, float]] | None = None,
    quotable: Iterable[str] = (),
    writer: ChatWriter | None = None,
) -> list[ModelRecord]:
    """The records, in their order, with `description`, `terms`, `negative_terms`, `keywords` and
    `description_terms`.

    Args:
        records: facts; what they have of those five is written over.
        prompts: the sample prompts by model id; a model may have none.
        negative_prompts: likewise.
        texts: creators' descriptions by model id, read for single words and two-word terms.
        captions: tags of the pictures that a model was trained on, with the share of pictures, by model id;
            they stand in for sample prompts where there are none.
        quotable: further texts of which no run of three words may stand in a description.
        writer: writes the descriptions; the extractive describer alone if None.
    """
    ids = [record.model_id for record in records]
    profiles = prompt_profiles({model_id: prompts.get(model_id, ()) for model_id in ids})
    for model_id, tags in (captions or {}).items():
        if not prompts.get(model_id):
            profiles[model_id] = caption_profile(tags)
    negatives = prompt_profiles({model_id: negative_prompts.get(model_id, ()) for model_id in ids})
    terms, negative_terms = most_useful(profiles, negatives)
    described = description_profiles({model_id: texts.get(model_id, "") for model_id in ids})
    stats, description_stats = TermStats.of(terms), TermStats.of(described)
    said = describe_all(
        records, prompts, texts, profiles=profiles, described=described, quotable=quotable, writer=writer
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


def describe_all(
    records: Sequence[ModelRecord],
    prompts: Mapping[int, Sequence[str]],
    texts: Mapping[int, str],
    *,
    profiles: Mapping[int, Mapping[str, float]],
    described: Mapping[int, Mapping[str, float]],
    quotable: Iterable[str] = (),
    writer: ChatWriter | None = None,
) -> dict[int, Description]:
    """The description of every record, by model id; arguments as of `complete`.

    Args:
        records: what is used of them: name, type, base model, tags, trigger words.
        texts: as they are (HTML and all); never quoted.
        profiles: `prompt_profiles` of the prompts.
        described: `description_profiles` of the texts.

    Raises:
        ServiceError: the chat model refuses to work, or many records in a row got no answer.
        StorageError: the cache cannot be written.
    """
    stats = TermStats.of(profiles)
    forbidden = Quoted.of(itertools.chain(*prompts.values(), texts.values(), quotable))
    facts = [
        RecordFacts(
            model_id=record.model_id,
            model=record.model,
            type=record.type,
            base_model=record.base_model,
            tags=record.tags,
            trigger_words=record.trigger_words,
            terms=profiles[record.model_id],
            description_terms=described[record.model_id],
        )
        for record in records
    ]
    found = {known.model_id: Description(describe(known, stats, forbidden=forbidden)) for known in facts}
    if writer is None:
        return found
    from finetune.describe.chat_prompt import Subject

    ordinary = frozenset(term for term, models in stats.models.items() if models >= ORDINARY)
    subjects = [
        Subject(
            facts=known,
            prompts=prompts.get(known.model_id, ()),
            creators_text=texts.get(known.model_id, ""),
            draft=found[known.model_id].text,
            keywords=keywords(known.terms, stats, _KEYWORDS),
            ordinary=ordinary,
        )
        for known in facts
    ]
    return found | _written(subjects, writer)


def _written(subjects: "Sequence[Subject]", writer: ChatWriter) -> dict[int, Description]:
    """What the chat model says, or the draft and why that stays."""
    from finetune.describe.chat import ChatDescriber

    describer = ChatDescriber(writer.chat, writer.progress)
    writer.on_estimate(describer.estimate(subjects, writer.prices))
    answers = describer.describe(subjects)
    found = {
        subject.facts.model_id: Description(answer.text, writer.chat.name)
        if answer.fault is None
        else Description(subject.draft, reason=answer.fault)
        for subject, answer in zip(subjects, answers.values(), strict=True)
    }
    for reason, count in reasons(found).most_common():
        writer.progress(f"chat model's answers not taken ({reason}): {count:,}")
    return found


def reasons(descriptions: Mapping[int, Description]) -> Counter[str]:
    """How often which reason left the extractive text in place."""
    return Counter(found.reason for found in descriptions.values() if found.reason is not None)


class Quoted(Container[tuple[str, str, str]]):
    """The runs of three words of many texts, eight bytes each: 100,000 prompts hold millions.

    Kept are 64-bit hashes: a run that was never said is taken for one in 10^12 times, and a wording is
    passed over for nothing.
    """

    def __init__(self, hashes: Any) -> None:
        self._hashes = hashes

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Quoted":
        import numpy as np

        hashes = array("q")
        for text in texts:
            hashes.extend(map(hash, runs(text)))
        return cls(np.unique(np.array(hashes, dtype=np.int64)))

    def __contains__(self, run: object) -> bool:
        place = int(self._hashes.searchsorted(hash(run)))
        return place < len(self._hashes) and int(self._hashes[place]) == hash(run)

    def __len__(self) -> int:
        return len(self._hashes)
