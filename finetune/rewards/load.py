"""The protocol of the scorers of images, and how to make each by its name.

    reward = make_reward("clip", device="cuda")
    reward.score(["a corgi, pixel art"], [image])       # [N] float32, one score a pair

| name          | paper | source                                                               |
|---------------|-------|----------------------------------------------------------------------|
| clip          | Eq. 2 | CLIPScore, ViT-B/32 (finetune/rewards/clip.py)                         |
| imagereward   | Eq. 3 | ImageReward v1.0 (finetune/rewards/image_reward.py)                          |
| hps-v2.0      | Eq. 4 | HPS v2 (finetune/rewards/hps.py), needs the extra `scorers`                  |
| hps-v2.1      | Eq. 4 | HPS v2.1, likewise                                                   |

The reward `catalogue` (finetune/rewards/catalogue.py) scores calls, not images: no image is rendered for it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from finetune.rewards.pixels import check_pairs
from retrieval.errors import InvalidInput

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

NAMES = ("clip", "imagereward", "hps-v2.0", "hps-v2.1")


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


def make_reward(
    name: str,
    *,
    weights: Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    batch_size: int = 16,
) -> Reward:
    """A scorer by its name.

    Args:
        weights: its checkpoint on this machine; the hub's cache or the hub if None.
        dtype: float32, bfloat16 or float16, of the weights and of what is computed.
        batch_size: how many images at once.

    Raises:
        InvalidInput: there is no scorer of that name.
        MissingModelFile: the weights are not there; the message says how to get them.
    """
    if name == "clip":
        from finetune.rewards.clip import ClipScore

        return ClipScore.load(weights, device=device, dtype=dtype, batch_size=batch_size)
    if name == "imagereward":
        from finetune.rewards.image_reward import ImageReward

        return ImageReward.load(weights, device=device, dtype=dtype, batch_size=batch_size)
    if name in ("hps-v2.0", "hps-v2.1"):
        from finetune.rewards.hps import HpsScore

        return HpsScore.load(
            name.removeprefix("hps-"), weights, device=device, dtype=dtype, batch_size=batch_size
        )
    raise InvalidInput(f"there is no reward {name!r} of images; there are {', '.join(NAMES)}")


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
