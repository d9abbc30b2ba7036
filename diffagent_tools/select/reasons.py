"""Why a model was chosen, and what the catalogue could not give, in words."""

from collections.abc import Iterable

from diffagent_tools.select.selection import Evidence
from retrieval.records.model import ModelRecord
from retrieval.search.ranker import Candidate, Ranking

_PARTS, _POPULAR = 2, 10_000
_NO_MARKS = str.maketrans("“”", "''")


NOT_KNOWN = "no word of the request is known of any model"
NOTHING_FITS = "nothing here is made for that"
_FITS, _NEAR, _UNASKED = 0.45, 0.15, 0.3
"""of 234 requests of our own, four had a first answer whose chance to be right was below; none was right"""


def fits_nothing(ranking: Ranking) -> bool:
    """Whether not even the best answer to a sentence is likely right, nor near to the style that it names."""
    first = next(iter(ranking.best(1)), None)
    return (
        first is not None
        and ranking.sentence > 0.5
        and first.right < _FITS
        and first.scores["facets.fit"] < _NEAR
    )


def is_all_round(candidate: Candidate) -> bool:
    """A popular checkpoint that is made for no one thing or medium."""
    record, scores = candidate.record, candidate.scores
    popular = record.type == "Checkpoint" and (record.stats.downloads or 0) >= _POPULAR
    return popular and not scores["special"] and scores["facets.unasked"] < _UNASKED


def unmet_notes(ranking: Ranking) -> tuple[str, ...]:
    """The note where nothing is made for what was asked."""
    if not ranking.unmet:
        return ()
    return (f"no model here is made for {_quoted(ranking.unmet)}; this one comes closest",)


def reason_for(evidence: Evidence, record: ModelRecord) -> str:
    parts: list[str] = []
    if evidence.name_said:
        parts.append("the request names it")
    if evidence.matched_trigger_words:
        said = evidence.matched_trigger_words[:3]
        parts.append(f"the request says its trigger word{'s' if said[1:] else ''} {_quoted(said)}")
    if evidence.made_for:
        parts.append("it is made for " + _quoted(evidence.made_for[:3]))
    if evidence.matched_terms and len(parts) < _PARTS:
        parts.append("its example pictures were asked for with " + _quoted(evidence.matched_terms[:4]))
    if not parts:
        popular = record.type == "Checkpoint" and (record.stats.downloads or 0) >= _POPULAR
        parts.append(
            "no word of the request points to one model; this is a popular all-round checkpoint"
            if popular
            else "no word of the request points to it, but it is the closest in meaning"
        )
    return "; ".join(parts)


def _quoted(words: Iterable[str]) -> str:
    # marks inside a stranger's word would end the quotation
    return ", ".join(f"“{word.translate(_NO_MARKS)}”" for word in words)
