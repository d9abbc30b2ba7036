"""How well every model of a catalogue fits a request by its words, field by field.

    scorer = LexicalScorer(catalogue)
    scorer.features(Instruction(prompt="corgi, pixel art"))["terms.cosine"]  # [N], one score a model

The fields are what a record holds: name, trigger words, tags, the creator's words, the words of its sample
prompts and of its sample negative prompts. A new record needs no training to be scored.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from retrieval.kept import packed, unpacked
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.search.terms import all_terms, prompt_terms, squash, words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.kept import Tables

    Scores = NDArray[np.float32]

# words that half of all names carry; they say nothing about which model is meant
_COMMON_NAME_WORDS = frozenset(
    re.split(" ", "lora style model checkpoint ckpt mix merge the of a an sd xl sdxl v1 v2 v3 1 2 5 15 21")
)
_SHORTEST_SUBSTRING = 4
_DESCRIPTION_SHARE = 0.5
_FIELDS = ("name", "trigger", "tags", "description", "terms", "negative", "all")


class _Field:
    """One field of all records as an inverted index: which records hold a term, and its worth there.

    Args:
        name: of the field.
        tables: with those of `_field_tables`.
        count: N, the number of records.
    """

    def __init__(self, name: str, tables: "Tables", count: int) -> None:
        self.vocabulary: dict[str, int] = {
            term: place for place, term in enumerate(unpacked(tables[f"{name}.vocabulary"]))
        }
        self.idf: Scores = tables[f"{name}.idf"]
        self._count = count
        self._start = tables[f"{name}.start"]
        self._rows = tables[f"{name}.rows"]
        self._cosine = tables[f"{name}.cosine"]
        self._coverage = tables[f"{name}.coverage"]
        self._likelihood = tables[f"{name}.likelihood"]

    def scores(self, terms: Iterable[str]) -> "tuple[Scores, Scores, Scores]":
        """Cosine, likelihood and coverage of a request's terms, each [N].

        The likelihood is the mean over the request's terms, so that long and short requests are on one scale;
        the coverage is the idf-weighted share of the model's own terms that the request says.
        """
        import numpy as np

        distinct = set(terms)
        known = [self.vocabulary[term] for term in sorted(distinct) if term in self.vocabulary]
        if not known:
            return (np.zeros(self._count, np.float32),) * 3
        spans = [(self._start[term], self._start[term + 1]) for term in known]
        postings = np.concatenate([np.arange(first, last) for first, last in spans])
        rows = self._rows[postings]
        idf = self.idf[known]
        asked = np.repeat(idf / np.sqrt((idf**2).sum()), [last - first for first, last in spans])

        def summed(values: Any) -> "Scores":
            total: Scores = np.bincount(rows, values, minlength=self._count).astype(np.float32)
            return total

        return (
            summed(self._cosine[postings] * asked),
            summed(self._likelihood[postings]) / np.float32(len(distinct)),
            summed(self._coverage[postings]),
        )


def _field_tables(name: str, documents: Sequence[Mapping[str, float]]) -> "dict[str, NDArray[Any]]":
    """What `_Field` reads, by name: of each term its place, idf and span; of each posting its worth."""
    import numpy as np

    vocabulary: dict[str, int] = {}
    count = len(documents)
    lengths = np.fromiter((len(document) for document in documents), np.int64, count)
    total = int(lengths.sum())
    place = vocabulary.setdefault
    columns = np.fromiter(
        (place(term, len(vocabulary)) for document in documents for term in document), np.int64, total
    )
    weights = np.fromiter((w for document in documents for w in document.values()), np.float32, total)
    rows = np.repeat(np.arange(count), lengths)
    holding = np.bincount(columns, minlength=len(vocabulary))
    # the idf of Okapi BM25, kept positive
    idf = np.log1p((count - holding + 0.5) / (holding + 0.5)).astype(np.float32)
    by_term = np.argsort(columns, kind="stable")
    idf_of = idf[columns]
    share = _per_row(weights, rows, count, power=1)
    background = np.bincount(columns, weights, minlength=len(vocabulary)) + 0.5
    background /= background.sum()
    tables = {
        "vocabulary": packed(list(vocabulary)),
        "idf": idf,
        "start": np.concatenate(([0], np.cumsum(holding))),
        "rows": rows[by_term].astype(np.int32),
        "cosine": _per_row(weights * idf_of, rows, count, power=2)[by_term],
        "coverage": _per_row(idf_of, rows, count, power=1)[by_term],
        # log(1 + p(term | model) / p(term)): a smoothed log-likelihood ratio, 0 for a term the model lacks
        "likelihood": np.log1p(share / background[columns]).astype(np.float32)[by_term],
    }
    return {f"{name}.{key}": values for key, values in tables.items()}


class _Said:
    """Phrases of all records, to be found anywhere in a request, which costs no more where they are many.

    Args:
        name: of the phrases.
        tables: with those of `_said_tables`.
        count: N, the number of records.
    """

    def __init__(self, name: str, tables: "Tables", count: int) -> None:
        self._phrases: dict[str, int] = {
            phrase: place for place, phrase in enumerate(unpacked(tables[f"said.{name}.phrases"]))
        }
        lengths: dict[str, set[int]] = {}
        for phrase in self._phrases:
            lengths.setdefault(phrase[:_SHORTEST_SUBSTRING], set()).add(len(phrase))
        self._lengths = lengths
        self._count = count
        self._start = tables[f"said.{name}.start"]
        self._rows = tables[f"said.{name}.rows"]
        self._of = tables[f"said.{name}.of"]

    def any(self, text: str) -> bool:
        """Whether a squashed text holds one of the phrases."""
        return bool(self._found(text))

    def share(self, text: str) -> "Scores":
        """The share of each record's phrases that a squashed text holds, [N]."""
        import numpy as np

        found = sorted(self._found(text))
        if not found:
            return np.zeros(self._count, np.float32)
        rows = np.concatenate([self._rows[self._start[place] : self._start[place + 1]] for place in found])
        share: Scores = (np.bincount(rows, minlength=self._count) / self._of).astype(np.float32)
        return share

    def _found(self, text: str) -> set[int]:
        return {
            self._phrases[part]
            for first in range(len(text))
            for length in self._lengths.get(text[first : first + _SHORTEST_SUBSTRING], ())
            if (part := text[first : first + length]) in self._phrases
        }


def _said_tables(name: str, listed: Sequence[Sequence[str]]) -> "dict[str, NDArray[Any]]":
    """What `_Said` reads: of each phrase its records, and of each record how many phrases it has."""
    import numpy as np

    phrases: dict[str, int] = {}
    places = [phrases.setdefault(phrase, len(phrases)) for of_record in listed for phrase in of_record]
    counts = [len(of_record) for of_record in listed]
    rows = np.repeat(np.arange(len(listed), dtype=np.int32), counts)
    tables = {
        "phrases": packed(list(phrases)),
        "start": np.cumsum([0, *np.bincount(np.asarray(places, np.int64), minlength=len(phrases))]),
        "rows": rows[np.argsort(np.asarray(places, np.int64), kind="stable")],
        "of": np.maximum(np.asarray(counts, np.int64), 1),
    }
    return {f"said.{name}.{key}": values for key, values in tables.items()}


class LexicalScorer:
    """Scores all records of a catalogue for a request.

    Args:
        records: in the order of the returned scores.
        tables: what `word_tables` makes of them; the records are not read then.
    """

    def __init__(self, records: Iterable[ModelRecord], tables: "Tables | None" = None) -> None:
        made = tables if tables is not None else word_tables(records)
        self.model_ids: tuple[int, ...] = tuple(made["words.ids"].tolist())
        self._fields = {name: _Field(name, made, len(self.model_ids)) for name in _FIELDS}
        self._names = _Said("names", made, len(self.model_ids))
        self._triggers = _Said("triggers", made, len(self.model_ids))
        self._samples: Scores = made["words.samples"]
        self._unseen: Scores = made["words.unseen"]

    def features(self, instruction: Instruction) -> dict[str, "Scores"]:
        """Named score arrays, each [N] float32, larger is better (but "unseen", which marks records without
        sample prompts). Without a negative prompt the `negative.*` scores are zero."""
        terms = prompt_terms(instruction.prompt)
        negative = prompt_terms(instruction.negative_prompt)
        scores: dict[str, Scores] = {}
        for name, field in self._fields.items():
            cosine, likelihood, coverage = field.scores(negative if name == "negative" else terms)
            scores[f"{name}.cosine"] = cosine
            if name in ("terms", "negative", "all"):
                scores[f"{name}.likelihood"] = likelihood
            if name in ("name", "trigger", "tags"):
                scores[f"{name}.coverage"] = coverage
        said = squash(instruction.prompt)
        scores["name.said"] = self._names.share(said)
        scores["trigger.said"] = self._triggers.share(said)
        scores["samples"] = self._samples
        scores["unseen"] = self._unseen
        return scores

    def nearness(self, text: str) -> "Scores":
        """Cosines of a text's terms and those of each model, [N]; rare terms count more, and a word that no
        model says counts as if one said it."""
        import numpy as np

        field = self._fields["all"]
        terms = set(prompt_terms(text))
        known = [field.vocabulary[term] for term in terms if term in field.vocabulary]
        cosine, _, _ = field.scores(terms)
        of_known = float((field.idf[known] ** 2).sum())
        unknown = sum(" " not in term and term not in field.vocabulary for term in terms)
        of_unknown = unknown * np.log1p((len(self.model_ids) - 0.5) / 1.5) ** 2
        return cosine * np.float32(np.sqrt(of_known / max(of_known + of_unknown, 1e-12)))

    def knows(self, instruction: Instruction) -> bool:
        """Whether any word of the request, or of its negative prompt, is a word of any model."""
        everything, negative = self._fields["all"].vocabulary, self._fields["negative"].vocabulary
        said = squash(instruction.prompt)
        return (
            any(term in everything for term in prompt_terms(instruction.prompt))
            or any(term in negative for term in prompt_terms(instruction.negative_prompt))
            or self._names.any(said)
        )

    def says_nothing_but_words(self, name: str) -> bool:
        """Whether all words of a name are words of sample prompts, as "night" and "marble" are."""
        said = words(name)
        return bool(said) and all(word in self._fields["terms"].vocabulary for word in said)

    def says_name(self, record: ModelRecord, prompt: str) -> bool:
        """Whether a prompt says a record's name, word by word, and not only as everyday words."""
        name = [word for word in words(record.model) if word not in _COMMON_NAME_WORDS]
        said = f" {' '.join(words(prompt))} "
        return bool(name) and f" {' '.join(name)} " in said and not self.says_nothing_but_words(record.model)

    def shared_terms(self, record: ModelRecord, prompt: str, k: int = 4) -> tuple[str, ...]:
        """What the request and the model's sample prompts both say, the most telling first.

        A word that is part of a two-word term already listed is left out.
        """
        field = self._fields["terms"]
        weights = {
            term: record.terms[term] * float(field.idf[field.vocabulary[term]])
            for term in set(prompt_terms(prompt))
            if term in record.terms and term in field.vocabulary
        }
        chosen: list[str] = []
        for term in sorted(weights, key=lambda term: (-weights[term] * len(term.split()), term)):
            if not any(set(term.split()) & set(other.split()) for other in chosen):
                chosen.append(term)
        return tuple(chosen[:k])


def word_tables(records: Iterable[ModelRecord]) -> "dict[str, NDArray[Any]]":
    """All that a `LexicalScorer` knows of its records, as arrays by name."""
    import numpy as np

    listed = list(records)
    names = [_once(prompt_terms(record.model)) for record in listed]
    triggers = [_once(all_terms(record.trigger_words)) for record in listed]
    tags = [_once(all_terms(record.tags)) for record in listed]
    described = [record.description_terms or _once(prompt_terms(record.description)) for record in listed]
    whole = [
        _merge(name, trigger, tag, record.terms, _scaled(words_of, _DESCRIPTION_SHARE))
        for record, name, trigger, tag, words_of in zip(listed, names, triggers, tags, described, strict=True)
    ]
    documents: tuple[Sequence[Mapping[str, float]], ...] = (
        names,
        triggers,
        tags,
        described,
        [record.terms for record in listed],
        [record.negative_terms for record in listed],
        whole,
    )
    said = [
        [
            short
            for words_ in record.trigger_words
            for word in words_.split(",")
            if len(short := squash(word)) >= _SHORTEST_SUBSTRING
        ]
        for record in listed
    ]
    tables: dict[str, NDArray[Any]] = {
        "words.ids": np.asarray([record.model_id for record in listed], np.int64),
        "words.samples": np.log1p(np.asarray([record.samples for record in listed], dtype=np.float32)),
        "words.unseen": np.asarray([not record.terms for record in listed], dtype=np.float32),
    }
    for name, of_field in zip(_FIELDS, documents, strict=True):
        tables |= _field_tables(name, of_field)
    cores = [_name_core(record.model) for record in listed]
    tables |= _said_tables("names", [[core] if core else [] for core in cores])
    tables |= _said_tables("triggers", said)
    return tables


def matched_triggers(record: ModelRecord, prompt: str) -> tuple[str, ...]:
    """The trigger words of a record that a prompt says as words of their own, as the record spells them.

    Scripts that write no spaces are looked for anywhere.
    """
    spoken, run = f" {' '.join(words(prompt))} ", squash(prompt)
    return tuple(
        word
        for word in record.trigger_words
        if (short := squash(word))
        and (f" {' '.join(words(word))} " in spoken or (not short.isascii() and short in run))
    )


def _name_core(name: str) -> str:
    core = "".join(word for word in words(name) if word not in _COMMON_NAME_WORDS)
    return core if len(core) >= _SHORTEST_SUBSTRING else ""


def _once(terms: Iterable[str]) -> dict[str, float]:
    return dict.fromkeys(terms, 1.0)


def _scaled(document: Mapping[str, float], factor: float) -> dict[str, float]:
    return {term: weight * factor for term, weight in document.items()}


def _merge(*documents: Mapping[str, float]) -> Mapping[str, float]:
    total: dict[str, float] = {}
    for document in documents:
        for term, weight in document.items():
            total[term] = total.get(term, 0.0) + weight
    return total


def _per_row(values: Any, rows: Any, count: int, *, power: int) -> Any:
    """Values divided by the length of their row (power 2) or by its sum (power 1)."""
    import numpy as np

    total = np.bincount(rows, np.abs(values) ** power, minlength=count) ** (1 / power)
    return (values / np.maximum(total, 1e-12)[rows]).astype(np.float32)
