"""Profiles: which words and two-word terms a model's prompts hold, and which of them tell it from others.

profiles = prompt_profiles({7371: ["a castle in fog", "a castle at dawn"], 4384: ["a fox"]})
keywords(profiles[7371], TermStats.of(profiles))
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from finetune.describe.lexicon import STOP_WORDS
from retrieval.search.terms import prompt_terms
from retrieval.tables.screen import is_advertised, is_blocked

_COMMON_PAIR = 3  # a two-word term is common language once this many models' texts hold it
_PAIRS_KEPT = 100
_NEGATIVE_KEPT = 100
_MEASURE = re.compile(r"\d+(?:k|mm|x|p|px|fps|st|nd|rd|th|hd|bit)")


@dataclass(frozen=True)
class TermStats:
    """How common each term is: `total` the sum of its shares, `models` the number of models that have it."""

    models: Mapping[str, int]
    total: Mapping[str, float]
    average: float
    """mean sum of shares of a model, the A of the class-based TF-IDF"""
    count: int

    @classmethod
    def of(cls, profiles: Mapping[int, Mapping[str, float]]) -> "TermStats":
        models: Counter[str] = Counter()
        total: dict[str, float] = {}
        for profile in profiles.values():
            for term, share in profile.items():
                models[term] += 1
                total[term] = total.get(term, 0.0) + share
        average = sum(total.values()) / len(profiles) if profiles else 0.0
        return cls(models, total, average, len(profiles))

    def weight(self, term: str, share: float) -> float:
        """Class-based TF-IDF: tf(t, c) log(1 + A / f(t)), classes are models (Grootendorst 2022, Eq. 2)."""
        return share * math.log(1 + self.average / max(self.total.get(term, 0.0), share, 1e-9))


def term_profile(prompts: Iterable[str], *, common: Collection[str] = ()) -> dict[str, float]:
    """Words and two-word terms with the share of prompts that hold them.

    A two-word term is kept if two different prompts hold it or it is `common` language: the pairs of a single
    prompt, laid end to end, would be the prompt itself.

    Args:
        prompts: of one model; equal ones count as one.
        common: two-word terms that many models' prompts hold.
    """
    distinct = sorted(set(prompts))
    counts = Counter(term for prompt in distinct for term in set(prompt_terms(prompt)))
    return {
        term: round(count / len(distinct), 3)
        for term, count in sorted(counts.items())
        if is_telling(term)
        and (" " not in term or count > 1 or term in common)
        and not is_blocked(term)
        and not is_advertised(term)
    }


def caption_profile(tags: Mapping[str, float]) -> dict[str, float]:
    """Words and two-word terms of captions' tags with the share of pictures that hold them.

    Args:
        tags: each with its share; of two tags with one word the more frequent counts.
    """
    shares: dict[str, float] = {}
    for tag, share in tags.items():
        for term in set(prompt_terms(tag)):
            shares[term] = max(shares.get(term, 0.0), min(share, 1.0))
    return {
        term: round(share, 3)
        for term, share in sorted(shares.items())
        if is_telling(term) and not is_blocked(term) and not is_advertised(term)
    }


def keywords(profile: Mapping[str, float], stats: TermStats, count: int = 32) -> tuple[str, ...]:
    """The terms that tell a model from others, the most telling first; each holds a word the earlier lack."""
    chosen: list[str] = []
    said: set[str] = set()
    for term in sorted(profile, key=lambda term: (-stats.weight(term, profile[term]), term)):
        if not said >= set(term.split()):
            chosen.append(term)
            said.update(term.split())
    return tuple(chosen[:count])


def is_telling(term: str) -> bool:
    """Whether a term may stand in a profile: no stop words, no numbers, no single letters, no measures.

    Of scripts that write without spaces only pairs of characters are taken, never pairs of pairs: laid end to
    end those would be the sentence.
    """
    parts = term.split()
    if len(parts) > 1 and not term.isascii():
        return False
    return all(
        1 < len(part) <= 24
        and part not in STOP_WORDS
        and not part.isdecimal()
        and not _MEASURE.fullmatch(part)
        for part in parts
    )


def prompt_profiles(prompts: Mapping[int, Sequence[str]]) -> dict[int, dict[str, float]]:
    holding = Counter(
        term
        for texts in prompts.values()
        for term in {t for text in texts for t in prompt_terms(text) if " " in t}
    )
    common = {term for term, models in holding.items() if models >= _COMMON_PAIR}
    return {model_id: term_profile(texts, common=common) for model_id, texts in prompts.items()}


def profiles_of(
    prompts: Mapping[int, Sequence[str]], negative_prompts: Mapping[int, Sequence[str]]
) -> tuple[dict[int, dict[str, float]], dict[int, dict[str, float]]]:
    """The `terms` and `negative_terms` of models, by id, out of all their sample prompts."""
    return most_useful(prompt_profiles(prompts), prompt_profiles(negative_prompts))


def most_useful(
    profiles: Mapping[int, Mapping[str, float]], negatives: Mapping[int, Mapping[str, float]]
) -> tuple[dict[int, dict[str, float]], dict[int, dict[str, float]]]:
    """What a record keeps of its `prompt_profiles`: the most telling pairs, the most frequent negatives."""
    stats = TermStats.of(profiles)
    return (
        {model_id: with_best_pairs(profile, stats, _PAIRS_KEPT) for model_id, profile in profiles.items()},
        {model_id: most_frequent(profile, _NEGATIVE_KEPT) for model_id, profile in negatives.items()},
    )


def description_profiles(texts: Mapping[int, str]) -> dict[int, dict[str, float]]:
    """Words of creators' descriptions, weighted by how often the text has them (1 is the most).

    A word only one creator uses is kept if it is Latin (a name); pairs must be common language.
    """
    counts = {
        model_id: Counter(filter(is_telling, prompt_terms(_without_links(text))))
        for model_id, text in texts.items()
    }
    holding = Counter(term for found in counts.values() for term in found)
    profiles = {}
    for model_id, found in counts.items():
        kept = {
            term: count
            for term, count in found.items()
            if (holding[term] >= _COMMON_PAIR or (" " not in term and term.isascii()))
            and not is_blocked(term)
            and not is_advertised(term)
        }
        most = max(kept.values(), default=1)
        profiles[model_id] = {term: round(math.sqrt(count / most), 3) for term, count in sorted(kept.items())}
    return profiles


def _without_links(text: str) -> str:
    return " ".join(
        word for word in text.split() if "://" not in word and "www." not in word and "@" not in word
    )


def with_best_pairs(profile: Mapping[str, float], stats: TermStats, pairs: int) -> dict[str, float]:
    """All single words and the `pairs` most telling two-word terms."""
    double = sorted((t for t in profile if " " in t), key=lambda t: (-stats.weight(t, profile[t]), t))[:pairs]
    return {term: profile[term] for term in sorted([*(t for t in profile if " " not in t), *double])}


def most_frequent(profile: Mapping[str, float], count: int) -> dict[str, float]:
    return dict(sorted(sorted(profile.items(), key=lambda item: (-item[1], item[0]))[:count]))


def most_telling(profile: Mapping[str, float], stats: TermStats, count: int) -> dict[str, float]:
    best = sorted(profile, key=lambda term: (-stats.weight(term, profile[term]), term))[:count]
    return {term: profile[term] for term in sorted(best)}
