"""Graded requests: sentences for which several models are right, as people ask and as nobody's gallery tells.

    python -m finetune.evaluate.graded --requests everyday.jsonl
    python -m finetune.evaluate.graded --requests everyday.jsonl --mode shortlist --errors

A line is `{"text", "lang", "grades": {model id: 2 | 1}}`: 2 is right, 1 acceptable, all others are wrong.
Told are the shares whose first answer is right or acceptable and nDCG@5 (gain 2^grade - 1), each with a 95%
bootstrap interval, for English and for the other languages, beside baselines on the same requests: models by
downloads, TF-IDF over what the catalogue says of them, the stock all-MiniLM-L6-v2 over their documents, and
the sum of these three, each of unit variance, with a bonus for checkpoints.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.exits import run_script
from diffagent_tools.select.selection import Selector
from diffagent_tools.select.selector import LlamaSelector, RetrievalSelector
from finetune.evaluate.metrics import bootstrap
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.model import ModelRecord, document_text
from retrieval.search.encoders import PackagedEmbedder
from retrieval.storage import read_jsonl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

DEPTH = 5
RIGHT, ACCEPTABLE = 2, 1


@dataclass(frozen=True)
class Graded:
    """A request and the grade of every model that is right (2) or acceptable (1) for it."""

    text: str
    language: str
    grades: Mapping[int, int]


Method = Callable[[str], Sequence[int]]
"""The ids of the best models for a text, best first."""


def read_graded(path: Path) -> list[Graded]:
    """Raises DataError, which names the line, where the file holds anything else."""
    return read_jsonl(path, ("text", "grades"), _graded, hint="see finetune/evaluate/graded.py for the form")


def _graded(row: Mapping[str, Any]) -> Graded:
    if not isinstance(row["grades"], Mapping):
        raise TypeError(f"the grades are {str(row['grades'])[:40]!r}; needed is an object, model id: 1 or 2")
    grades = {int(model_id): int(grade) for model_id, grade in row["grades"].items()}
    if not all(grade in (ACCEPTABLE, RIGHT) for grade in grades.values()):
        raise ValueError("a grade is 1 or 2")
    return Graded(str(row["text"]), str(row.get("lang", "en")), grades)


def ndcg(grades: Sequence[int], ideal: Sequence[int]) -> float:
    """Normalised discounted cumulative gain, in [0, 1]; 0 where nothing could be gained."""
    best = _dcg(sorted(ideal, reverse=True)[: len(grades) or 1])
    return _dcg(grades) / best if best else 0.0


def _dcg(grades: Sequence[int]) -> float:
    return float(sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades)))


def judged(method: Method, request: Graded) -> tuple[list[int], float]:
    """The grades of the first answers, and nDCG at their depth."""
    grades = [request.grades.get(model_id, 0) for model_id in list(method(request.text))[:DEPTH]]
    padded = grades + [0] * (DEPTH - len(grades))
    return grades, ndcg(padded, list(request.grades.values()))


def baselines(records: Sequence[ModelRecord]) -> dict[str, Method]:
    """The baselines of this module over a catalogue, by name."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    embedder = PackagedEmbedder()
    documents = [document_text(record) for record in records]
    profiles = [
        ". ".join((document, " ".join(record.terms), " ".join(record.description_terms)))
        for document, record in zip(documents, records, strict=True)
    ]
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    matrix = vectoriser.fit_transform(profiles)
    dense = embedder.embed(documents)
    downloads = np.asarray([record.stats.downloads or 0 for record in records], dtype=np.float32)
    popular = np.log10(downloads + 10)
    checkpoint = np.asarray([record.type == "Checkpoint" for record in records], dtype=np.float32)

    def words(text: str) -> "Scores":
        found: Scores = np.asarray((matrix @ vectoriser.transform([text]).T).todense()).ravel()
        return found

    def meaning(text: str) -> "Scores":
        found: Scores = dense @ embedder.embed([text])[0]
        return found

    kinds: dict[str, Callable[[str], Scores]] = {
        "by downloads": lambda text: downloads,
        "TF-IDF, word pairs": words,
        "stock MiniLM": meaning,
        "all three, checkpoints first": lambda text: (
            _standard(meaning(text)) + _standard(words(text)) + _standard(popular) + checkpoint
        ),
    }
    return {name: _best(records, score) for name, score in kinds.items()}


def _standard(scores: "Scores") -> "Scores":
    """Zero mean and a variance of one."""
    found: Scores = (scores - scores.mean()) / (scores.std() + 1e-9)
    return found


def _best(records: Sequence[ModelRecord], score: "Callable[[str], Scores]") -> Method:
    import numpy as np

    def method(text: str) -> list[int]:
        return [records[int(place)].model_id for place in np.argsort(-score(text), kind="stable")[:DEPTH]]

    return method


def of_selector(selector: Selector) -> Method:
    """A selector's answers; none for a text that it refuses to answer."""

    def method(text: str) -> list[int]:
        try:
            found = selector.select(text, k=DEPTH)
        except InvalidInput:
            return []
        return [selection.api.model_id for selection in found if selection.api.model_id is not None]

    return method


def report(methods: Mapping[str, Method], requests: Sequence[Graded]) -> list[str]:
    """Lines of a Markdown table, a method a line."""
    lines = ["| method | right | acceptable | nDCG@5 |", "|---|---|---|---|"]
    for name, method in methods.items():
        found = [judged(method, request) for request in requests]
        columns = (
            [float(bool(grades) and grades[0] == RIGHT) for grades, _ in found],
            [float(bool(grades) and grades[0] >= ACCEPTABLE) for grades, _ in found],
            [gain for _, gain in found],
        )
        cells = (bootstrap(column) for column in columns)
        told = " | ".join(f"{each.mean:.3f} ({each.low:.3f}-{each.high:.3f})" for each in cells)
        lines.append(f"| {name} | {told} |")
    return lines


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=Path, required=True, help="graded requests, .jsonl")
    parser.add_argument("--mode", choices=("shortlist", "retrieval"), default="retrieval")
    parser.add_argument("--errors", action="store_true", help="show the requests with a wrong first answer")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    options = make_parser().parse_args(arguments)
    requests = read_graded(options.requests)
    catalogue = Catalogue.starter()
    selector: Selector = (
        RetrievalSelector(catalogue) if options.mode == "retrieval" else LlamaSelector(catalogue)
    )
    ours = of_selector(selector)
    methods = {**baselines(tuple(catalogue)), "DiffAgent": ours}
    for label, english in (("English", True), ("other languages", False)):
        chosen = [request for request in requests if (request.language == "en") == english]
        if chosen:
            print(f"\n{label}: {len(chosen)} requests\n")
            print("\n".join(report(methods, chosen)))
    if options.errors:
        for request in requests:
            grades, _ = judged(ours, request)
            if not grades or grades[0] < ACCEPTABLE:
                print(f"{grades} {request.text}")


if __name__ == "__main__":
    run_script(main)
