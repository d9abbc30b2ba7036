"""Runs targets over made-up inputs, and keeps what broke.

found = targets(Catalogue.starter(), folder)
fuzz("names", found["names"], inputs=1000).broken
"""

import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import doors
import readers
from checks import says_something
from mutation import generator, made
from readers import Target

from diffagent_tools.agents.operations import Operations
from diffagent_tools.select.selector import RetrievalSelector
from retrieval.catalogue import Catalogue
from retrieval.errors import DiffAgentError
from retrieval.search.index import DescriptionIndex

SHOWN = 10


@dataclass
class Outcome:
    """What came of a target's inputs: how many, the errors by kind, the slowest, and what broke."""

    inputs: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    slowest_at: int = 0
    spent: float = 0.0
    broken: list[str] = field(default_factory=list)


def fuzz(
    name: str,
    target: Target,
    *,
    inputs: int,
    seconds: float | None = None,
    seed: int = 1,
    first: int = 0,
    show: bool = False,
    timed: bool = True,
) -> Outcome:
    """Runs the inputs with the numbers from `first` on, as many, or for as long, as is said.

    Args:
        timed: an input that takes longer than the target allows is broken.
    """
    outcome = Outcome()
    for given in target.seeds[:40] if timed else ():
        _put(target, given, Counter())  # what loads at first use is there before anything is measured
    for number in range(first, first + inputs):
        if seconds is not None and outcome.spent >= seconds:
            break
        value = made(generator(seed, name, number), target.seeds)
        if show:
            print(ascii(value)[:4_000])
        fault, spent = _put(target, value, outcome.errors)
        if timed and spent > target.seconds:
            # another thread's work or the collector's may have been in it
            spent = min(spent, _put(target, value, Counter())[1])
        if timed and spent > target.seconds:
            fault = fault or f"{spent:.2f} s of the processor, and {target.seconds} are enough"
        if fault:
            outcome.broken.append(f"{name} --seed {seed} --first {number}: {fault}")
            if len(outcome.broken) <= SHOWN:
                print(outcome.broken[-1], file=sys.stderr, flush=True)
        outcome.inputs += 1
        outcome.spent += spent
        if spent > outcome.slowest:
            outcome.slowest, outcome.slowest_at = spent, number
    return outcome


def _put(target: Target, value: object, errors: Counter[str]) -> tuple[str, float]:
    """What broke, "" where nothing did, and the processor's seconds."""
    began = time.process_time()
    fault = ""
    try:
        target.run(value)
    except DiffAgentError as error:
        errors[type(error).__name__] += 1
        says_something(error)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"
    return fault, time.process_time() - began


def targets(catalogue: Catalogue, folder: Path) -> dict[str, Target]:
    """All readers and doors by name, over a catalogue; files that they need are put into the folder."""
    selector = RetrievalSelector(catalogue)
    index = DescriptionIndex(catalogue, path=folder / "index", ranker=lambda: selector.ranker)
    operations = Operations(catalogue, selector, index)
    return {**readers.targets(operations, folder), **doors.targets(operations, folder)}
