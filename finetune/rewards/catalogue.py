"""The reward `catalogue`: how well a model fits a prompt by what the community's record says. No image is
rendered, and every place that reports this reward says so.

    python -m finetune.rewards.catalogue --candidates candidates.jsonl --output scored.jsonl

s(t, r) = relevance(t, r) * rating(r), both in [0, 1]:

    relevance = 1/2 (d / max d + v / max v)
        d  cosine of the embeddings of the prompt and of the reconstructed description, not below 0
        v  cosine of the prompt's words and two-word terms and of the model's sample vocabulary, weighted by
           rarity (retrieval/search/lexical.py, "terms.cosine")
        max  over all models of the catalogue: the two cosines have different heights
    rating = (C m + n q) / (C + n) / 5
        q, n  the model's mean rating, of 5, and how many rated it
        m, C  mean rating and median count of the catalogue's rated models

A model without sample prompts has no v; it gets the mean share of those that have, so that it is neither
rewarded nor punished for what nobody knows.
"""

import argparse
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent_tools.exits import run_script
from finetune.candidates.file import CandidateLine, read_candidates, write_scored
from retrieval.calls.identify import pointed_at
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError, InvalidInput
from retrieval.records.api import Instruction, T2IApi
from retrieval.records.model import ModelRecord
from retrieval.search.encoders import Embedder, PackagedEmbedder
from retrieval.search.lexical import LexicalScorer

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

NAME = "catalogue"
NOTE = "no image was rendered"
HIGHEST_RATING = 5.0


def shrunk_ratings(records: Sequence[ModelRecord]) -> list[float]:
    """The rating of each record in [0, 1], drawn towards the mean the fewer people rated it.

    (C m + n q) / (C + n) / 5; a record that nobody rated gets m / 5, and where none is rated all get 1.
    """
    counts = [(record.stats.rating_count or 0, record.stats.rating or 0.0) for record in records]
    rated = [(count, rating) for count, rating in counts if count > 0]
    if not rated:
        return [1.0] * len(counts)
    mean = statistics.fmean(rating for _, rating in rated)
    weight = statistics.median(count for count, _ in rated)
    # a rating of 0 by nobody is no rating: such a record has the mean alone
    return [
        (weight * mean + count * rating) / (weight + count) / HIGHEST_RATING
        if count > 0
        else mean / HIGHEST_RATING
        for count, rating in counts
    ]


class CatalogueReward:
    """Scores calls by the catalogue's records; see the head of the file.

    Args:
        embedder: of prompts and descriptions; the packaged one if none is given.
    """

    name = NAME
    note = NOTE

    def __init__(self, catalogue: Catalogue, embedder: Embedder | None = None) -> None:
        import numpy as np

        records = list(catalogue)
        self._catalogue = catalogue
        self._embedder = embedder or PackagedEmbedder()
        self._row = {record.model_id: row for row, record in enumerate(records)}
        self._lexical = LexicalScorer(records)
        self._described = self._embedder.embed([_description(record) for record in records])
        self._known = np.asarray([bool(record.terms) for record in records])
        self._rating = np.asarray(shrunk_ratings(records), dtype=np.float32)

    def relevance(self, prompt: str) -> "Scores":
        """[N] float32 in [0, 1]: of every model of the catalogue, in its order."""
        import numpy as np

        described = np.maximum(self._described @ self._embedder.embed([prompt])[0], 0)
        vocabulary = self._lexical.features(Instruction(prompt=prompt))["terms.cosine"]
        share = vocabulary / (vocabulary.max(initial=0) or 1)
        if self._known.any():
            share = np.where(self._known, share, share[self._known].mean())
        relevance: Scores = (described / (described.max(initial=0) or 1) + share) / 2
        return relevance

    def score(self, prompts: Sequence[str], apis: Sequence[T2IApi]) -> "torch.Tensor":
        """[N] float32 in [0, 1], one a pair of prompt and call.

        Raises:
            InvalidInput: not as many prompts as calls, or a call names no model of the catalogue.
        """
        import torch

        if len(prompts) != len(apis):
            raise InvalidInput(f"{len(prompts)} prompts and {len(apis)} calls; give one call a prompt")
        places = [self._place(api) for api in apis]
        of_prompt: dict[str, list[int]] = {}
        for row, prompt in enumerate(prompts):
            of_prompt.setdefault(prompt, []).append(row)
        scores = torch.zeros(len(prompts), dtype=torch.float32)
        for prompt, rows in of_prompt.items():
            relevance = self.relevance(prompt) * self._rating
            for row in rows:
                scores[row] = float(relevance[places[row]])
        return scores

    def _place(self, api: T2IApi) -> int:
        match = pointed_at(api, self._catalogue) or self._catalogue.resolve(
            api.model, type=api.type, base_model=api.base_model
        )
        if match is None:
            raise InvalidInput(
                f"{api.model!r} ({api.type}, {api.base_model}) is no model of the catalogue "
                f"{self._catalogue.name}; score with the catalogue that the candidates were made with"
            )
        return self._row[match.record.model_id]


def _description(record: ModelRecord) -> str:
    """The reconstructed description with the terms that tell the model from others."""
    return f"{record.description} {', '.join(record.keywords)}".strip()


def score_lines(
    reward: CatalogueReward, lines: Iterable[CandidateLine]
) -> list[tuple[CandidateLine, list[float]]]:
    """The candidates of each line with their scores; lines without a candidate are left out.

    Raises:
        DataError: no line has a candidate.
    """
    kept = [line for line in lines if line.candidates]
    if not kept:
        raise DataError("no prompt has a candidate, so there is nothing to score; make candidates anew")
    prompts = [line.instruction.prompt for line in kept for _ in line.candidates]
    apis = [candidate.api for line in kept for candidate in line.candidates]
    scores = iter(reward.score(prompts, apis).tolist())
    return [(line, [next(scores) for _ in line.candidates]) for line in kept]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads candidates, writes what finetune/rrhf/run.py trains on."""
    parser = argparse.ArgumentParser(
        prog="python -m finetune.rewards.catalogue", description=f"Score candidates by their records; {NOTE}."
    )
    parser.add_argument("--candidates", type=Path, required=True, help="JSONL of finetune/candidates/make.py")
    parser.add_argument("--output", type=Path, required=True, help="JSONL for finetune/rrhf/run.py")
    parser.add_argument(
        "--catalogue", type=Path, help="a .jsonl or .jsonl.gz; the packaged starter if left out"
    )
    options = parser.parse_args(arguments)
    lines = read_candidates(options.candidates)
    catalogue = Catalogue.load(options.catalogue) if options.catalogue else Catalogue.starter()
    scored = score_lines(CatalogueReward(catalogue), lines)
    write_scored(options.output, scored, reward=NAME, note=NOTE)
    count = sum(len(scores) for _, scores in scored)
    ties = sum(len(set(scores)) < len(scores) for _, scores in scored)
    print(
        f"{count:,} responses to {len(scored):,} prompts scored by their records ({NOTE}); "
        f"{len(lines) - len(scored):,} prompts without a candidate left out, {ties:,} with a tie: "
        f"{options.output}"
    )


if __name__ == "__main__":
    run_script(main)
