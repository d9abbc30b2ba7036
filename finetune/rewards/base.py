"""What every scorer of images offers, and how it scores many of them in batches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from finetune.rewards.pixels import check_pairs
from retrieval.errors import InvalidInput

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


class Reward(Protocol):
    """Scores images for the words they shall show. `version` tells its weights from others."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def score(self, prompts: Sequence[str], images: "Sequence[Image]") -> "torch.Tensor":
        """[N] float32 on the CPU, one score a pair of prompt and image; larger is better.

        Raises:
            InvalidInput: no image, not one prompt an image, or a score that is not a finite number.
        """
        ...


def score_in_batches(
    reward: str,
    score_batch: "BatchScorer",
    prompts: Sequence[str],
    images: "Sequence[Image]",
    batch_size: int,
) -> "torch.Tensor":
    """[N] float32 on the CPU: the batches' scores one after the other, all of them finite.

    Raises:
        InvalidInput: `check_pairs` refuses the pairs, or a score is not finite.
    """
    import torch

    check_pairs(prompts, images)
    if batch_size < 1:
        raise InvalidInput(f"the batch size is {batch_size}, needed is at least 1")
    with torch.inference_mode():
        scores = torch.cat(
            [
                score_batch(prompts[start : start + batch_size], images[start : start + batch_size])
                .float()
                .cpu()
                for start in range(0, len(images), batch_size)
            ]
        )
    bad = (~scores.isfinite()).nonzero().flatten().tolist()
    if bad:
        raise InvalidInput(
            f"{reward} gave no finite number for {len(bad)} of {len(images)} images, such as number "
            f"{bad[0]}, {prompts[bad[0]][:60]!r}; score in float32, and look at that image"
        )
    # a clone, because a tensor of inference mode may not be trained on
    return scores.clone()


class BatchScorer(Protocol):
    """Scores a batch, [n]."""

    def __call__(self, prompts: Sequence[str], images: "Sequence[Image]", /) -> "torch.Tensor": ...
