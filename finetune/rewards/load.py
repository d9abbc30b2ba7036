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

from pathlib import Path
from typing import Unpack

from finetune.rewards.base import Placed, Reward
from retrieval.errors import InvalidInput

NAMES = ("clip", "imagereward", "hps-v2.0", "hps-v2.1")


def make_reward(
    name: str,
    *,
    weights: Path | None = None,
    **placed: Unpack[Placed],
) -> Reward:
    """A scorer by its name.

    Args:
        weights: its checkpoint on this machine; the hub's cache or the hub if None.
        placed: where and how it computes.

    Raises:
        InvalidInput: there is no scorer of that name.
        MissingModelFile: the weights are not there; the message says how to get them.
    """
    if name == "clip":
        from finetune.rewards.clip import ClipScore

        return ClipScore.load(weights, **placed)
    if name == "imagereward":
        from finetune.rewards.image_reward import ImageReward

        return ImageReward.load(weights, **placed)
    if name in ("hps-v2.0", "hps-v2.1"):
        from finetune.rewards.hps import HpsScore

        return HpsScore.load(name.removeprefix("hps-"), weights, **placed)
    raise InvalidInput(f"there is no reward {name!r} of images; there are {', '.join(NAMES)}")
