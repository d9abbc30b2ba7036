"""A prompt in the idiom of the chosen model: the request as it is, and what the model's samples say beside.

    additions("a lighthouse in a storm", record)     # ["masterpiece", "dramatic lighting"]
    worded(selection, catalogue).api.prompt

At most `MOST` phrases are added, the most frequent of the model's own profile out of a closed vocabulary of
how pictures are made and lit (vocabulary.py), so that who and what is shown stays the user's choice.
Frequency chooses: on held-out prompts the packaged language model, held to the same phrases, found no more of
what the uploader had added (benchmarks/writing.py).
"""

from collections.abc import Sequence

from diffagent_tools.select.selection import Selection
from diffagent_tools.select.writing.guard import joined
from diffagent_tools.select.writing.vocabulary import Phrase, suitable
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord

MOST = 12


def candidates(request: str, record: ModelRecord) -> list[Phrase]:
    """What may be added: phrases of the model's profile that suit the request, the most frequent first."""
    shares = {
        phrase: share
        for phrase in suitable(request, "quality", "light", "mood", "colour", "photo", "render")
        if (share := phrase.share(record.terms)) > 0
    }
    return sorted(shares, key=lambda phrase: -shares[phrase])


def additions(prompt: str, record: ModelRecord, chosen: Sequence[Phrase] | None = None) -> list[str]:
    """What is added behind a prompt.

    Args:
        prompt: the request, with the trigger word if one is said.
        chosen: some of `candidates`, in order; the most frequent if None.
    """
    said: set[str] = set()
    kept: list[str] = []
    for phrase in candidates(prompt, record) if chosen is None else chosen:
        if not said >= set(phrase.text.split()):  # "detailed" beside "highly detailed" says nothing new
            kept.append(phrase.text)
            said.update(phrase.text.split())
    return joined(prompt, kept)[:MOST]


def worded(selection: Selection, catalogue: Catalogue, chosen: Sequence[Phrase] | None = None) -> Selection:
    """The answer with its prompt in the idiom of its model; a note says what was added."""
    api = selection.api
    if selection.abstained or api.model_id is None or api.model_id not in catalogue:
        return selection
    added = additions(api.prompt, catalogue.get(api.model_id), chosen)
    if not added:
        return selection
    note = f"added to the prompt, as the model's samples say it: {', '.join(added)}"
    update = {"prompt": ", ".join((api.prompt, *added))}
    return selection.model_copy(
        update={"api": api.model_copy(update=update), "notes": (*selection.notes, note)}
    )
