"""A selector's answers to many requests, written down one line each, so that a stopped run goes on.

    predictions = predict(selector, cases, Path("predictions_raw.jsonl"), {"mode": "shortlist"}, k=10)

The first line of the file says which run it is; a file of another run is refused and not overwritten. No
prompt is written, only its digest.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from diffagent_tools.select.selection import BatchItem, Selector
from finetune.data.cases import Case
from finetune.data.journal import Journal
from retrieval.records.api import T2IApi

WARM_UP = "a lighthouse in a storm"
_EVERY_SECONDS = 10.0
_NOT_WRITTEN = ("prompt", "negative prompt", "model description")


@dataclass(frozen=True)
class Prediction:
    """The answer to one case, or why there is none.

    `ranked`: model id, name and score, best first; `api`: the wire form of the first, without its texts;
    `said`: what the language model wrote itself (free mode); `seconds`: from asking to the answer.
    """

    case: str
    seconds: float
    ranked: tuple[tuple[int | None, str, float], ...] = ()
    api: Mapping[str, Any] | None = None
    confidence: float | None = None
    abstained: bool = False
    said: str | None = None
    error: str | None = None

    @property
    def ids(self) -> list[int | None]:
        return [model_id for model_id, _, _ in self.ranked]

    def call(self) -> T2IApi | None:
        """The first API, read back.

        Raises:
            InvalidApi: the file holds another spelling than this module writes.
        """
        return T2IApi.from_wire(self.api) if self.api is not None else None


def predict(
    selector: Selector,
    cases: Sequence[Case],
    path: Path,
    run: Mapping[str, Any],
    *,
    k: int,
    progress: Callable[[str], None] | None = None,
) -> list[Prediction]:
    """The answers in the order of the cases; those that `path` holds already are not asked again.

    Args:
        run: what tells this run from another: mode, catalogue, adapter ...
        progress: told how far it is, now and then.

    Raises:
        DataError: the file is of another run, or of other cases.
        StorageError: the file cannot be written.
    """
    another = f"write to another folder with --output, or delete {path.parent}"
    asked = [case.digest for case in cases]
    journal = Journal(
        path, {**run, "k": k}, _read, asked=asked, key=lambda answer: answer.case, another=another
    )
    done = journal.done
    left = cases[len(done) :]
    if not left:
        return done
    tell = progress or (lambda line: None)
    tell(f"{path.stem}: {len(done):,} of {len(cases):,} answered before")
    # what is loaded at the first request is not the latency of a request
    for _ in selector.select_batch([{"prompt": WARM_UP}], k=k):
        pass
    requests = ({"prompt": case.prompt, "negative_prompt": case.negative_prompt} for case in left)
    started = told = last = time.perf_counter()
    with journal.appending() as write:
        for case, item in zip(left, selector.select_batch(requests, k=k), strict=True):
            now = time.perf_counter()
            prediction = prediction_of(case, item, now - last)
            write(asdict(prediction))
            done.append(prediction)
            # writing is not the selector's time
            last = time.perf_counter()
            if last - told > _EVERY_SECONDS:
                told = last
                rest = (last - started) / (len(done) - len(cases) + len(left)) * (len(cases) - len(done))
                tell(f"{path.stem}: {len(done):,} of {len(cases):,}, {rest / 60:.0f} min left")
    return done


def prediction_of(case: Case, item: BatchItem, seconds: float) -> Prediction:
    """What is written down of one item of a batch."""
    if item.error is not None or not item.ranked:
        return Prediction(case.digest, seconds, error=item.error or "no model fits")
    first = item.ranked[0]
    return Prediction(
        case=case.digest,
        seconds=seconds,
        ranked=tuple((s.api.model_id, s.api.model, float(s.score)) for s in item.ranked),
        api={key: value for key, value in first.api.to_wire().items() if key not in _NOT_WRITTEN},
        confidence=first.confidence,
        abstained=first.abstained,
        said=first.evidence.said,
    )


def _read(line: Mapping[str, Any]) -> Prediction:
    ranked = tuple((model_id, name, score) for model_id, name, score in line["ranked"])
    return Prediction(**{**line, "ranked": ranked})
