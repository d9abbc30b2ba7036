"""The order of training examples: batches of similar lengths, in an order that seed and epoch settle."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

_POOL = 50  # batches that are sorted together: enough for next to no padding, few enough to stay random


class LengthGroupedBatches(Sampler[int]):
    """Indices in which each run of `batch` has similar lengths, and runs come in random order.

    The order is a function of seed and epoch alone, so a resumed run continues it. Transformers' own sampler
    goes from long to short over and over, and draws from the global generator.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int, epoch: Callable[[], int]) -> None:
        self._lengths = lengths
        self._batch = batch
        self._seed = seed
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(1_000_003 * self._seed + self._epoch())
        order: list[int] = torch.randperm(len(self), generator=generator).tolist()
        pool = self._batch * _POOL
        batches: list[list[int]] = []
        for start in range(0, len(order), pool):
            near = sorted(order[start : start + pool], key=lambda i: self._lengths[i])
            batches += [near[i : i + self._batch] for i in range(0, len(near), self._batch)]
        # a batch that is not full stays last, or it would shift all that follow
        short = [batches.pop()] if len(batches[-1]) < self._batch else []
        shuffled = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        return (index for batch in (*shuffled, *short) for index in batch)


def of_trainer(trainer: Any, lengths: Sequence[int]) -> LengthGroupedBatches:
    """The order for a trainer of transformers: what makes one step of the optimizer is of similar length."""
    args = trainer.args
    together = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    seed = args.data_seed if args.data_seed is not None else args.seed
    return LengthGroupedBatches(lengths, together, seed, lambda: int(trainer.state.epoch or 0))
