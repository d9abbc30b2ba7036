"""Calls of many threads that are computed together."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from diffagent_tools.llm.adapter import STARTER_ADAPTER, ranker_folder
from retrieval.records.api import Instruction
from retrieval.search.dense import FOLDER
from retrieval.search.encoders import LazyEncoder
from retrieval.together import Together


class Doubling:
    """Doubles numbers, the first batch not before `go`; a batch with a 13 fails."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.begun.set()
        assert self.go.wait(20)
        if 13 in numbers:
            raise ValueError("thirteen")
        return [2 * number for number in numbers]


def test_what_comes_meanwhile_is_the_next_batch_and_each_gets_its_own() -> None:
    doubling = Doubling()
    double: Together[int, int] = Together(doubling, most=4)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(double, 0)
        assert doubling.begun.wait(20)
        others = [pool.submit(double, number) for number in range(1, 10)]
        while len(double._waiting) < 9:
            pass
        doubling.go.set()
        assert [each.result(20) for each in (first, *others)] == [2 * number for number in range(10)]
    assert [len(batch) for batch in doubling.batches] == [1, 4, 4, 1]
    assert sorted(number for batch in doubling.batches for number in batch) == list(range(10))


def test_a_fault_is_that_of_its_batch_alone() -> None:
    doubling = Doubling()
    double: Together[int, int] = Together(doubling, most=2)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(double, 1)
        assert doubling.begun.wait(20)
        asked = []
        for number in (13, 14, 15):
            asked.append(pool.submit(double, number))
            while len(double._waiting) < len(asked):
                pass
        doubling.go.set()
        assert first.result(20) == 2
        for each in asked[:2]:
            with pytest.raises(ValueError, match="thirteen"):
                each.result(20)
        assert asked[2].result(20) == 30
    assert double(4) == 8


def test_requests_of_many_threads_are_encoded_to_the_same_bits() -> None:
    encoder = LazyEncoder(ranker_folder(STARTER_ADAPTER) / FOLDER)
    wishes = ("a cat in fog", "a ship in the rain, watercolor, dark", "a castle")
    prompts = [wish * long for wish in wishes for long in (1, 2, 3, 4, 5)]
    ids = [encoder.request_ids(Instruction(prompt=prompt)) for prompt in prompts]
    alone = [encoder.embed([each])[0] for each in ids]
    with ThreadPoolExecutor(len(ids)) as pool:
        together = list(pool.map(lambda each: encoder.embed([each])[0], ids))
    np.testing.assert_array_equal(together, alone)
    assert encoder.embed([]).shape == (0, encoder.width)
