"""What every scorer of images offers, and how it scores many of them in batches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

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


class Placed(TypedDict, total=False):
    """Where and how a network computes: `dtype` of weights and sums (float32, bfloat16, float16), and how
    many images at once."""

    device: str
    dtype: str
    batch_size: int


class Scorer:
    """A network that scores batches; `version` tells its weights from others. A `Reward`."""

    name: str

    def __init__(
        self,
        model: Any,
        *,
        version: str = "",
        device: str = "cpu",
        dtype: str = "float32",
        batch_size: int = 16,
    ) -> None:
        import torch

        self.version = version
        self.batch_size = batch_size
        self._device = device
        self._dtype = getattr(torch, dtype)
        self._model = model.to(device=device, dtype=self._dtype).train(False)

    def score(self, prompts: Sequence[str], images: "Sequence[Image]") -> "torch.Tensor":
        """[N] float32 on the CPU: the batches' scores one after the other, all of them finite.

        Raises:
            InvalidInput: `check_pairs` refuses the pairs, or a score is not finite.
        """
        import torch

        check_pairs(prompts, images)
        size = self.batch_size
        if size < 1:
            raise InvalidInput(f"the batch size is {size}, needed is at least 1")
        with torch.inference_mode():
            scores = torch.cat(
                [
                    self._score(prompts[start : start + size], images[start : start + size]).float().cpu()
                    for start in range(0, len(images), size)
                ]
            )
        bad = (~scores.isfinite()).nonzero().flatten().tolist()
        if bad:
            raise InvalidInput(
                f"{self.name} gave no finite number for {len(bad)} of {len(images)} images, such as number "
                f"{bad[0]}, {prompts[bad[0]][:60]!r}; score in float32, and look at that image"
            )
        # a clone, because a tensor of inference mode may not be trained on
        return scores.clone()

    def _score(self, prompts: Sequence[str], images: "Sequence[Image]") -> "torch.Tensor":
        """[n], of one batch."""
        raise NotImplementedError
