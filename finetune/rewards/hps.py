"""HPS v2 (Eq. 4; Wu et al. 2023): a CLIP ViT-H/14 that was fine-tuned on people's choices.

    HpsScore.load("v2.1").score(["a corgi"], [image])     # [1], about 20 to 35

    s(t, x) = Enc_txt(t) . Enc_img(x) / tau

Table 2 prints the cosine times 100, and so does `score`; the learned temperature of Eq. 4, one number for
all images, would rank them the same. Needs open_clip: `pip install 'diffagent-tools[scorers]'`.

The image is not cut: its longer side is resized and bars are put round it, as the authors' package does.
open_clip's own preprocessing cuts out the middle and gives other scores.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import torch

from diffagent_tools.extras import require
from finetune.rewards import weights as published
from finetune.rewards.base import Placed, Scorer
from finetune.rewards.pixels import letterbox_pixels
from finetune.rewards.weights import Download, HubFile, hub_download
from retrieval.errors import InvalidInput, RenderError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

MODEL = "ViT-H-14"
WEIGHTS = {
    "v2.0": HubFile("xswu/HPSv2", "HPS_v2_compressed.pt"),
    "v2.1": HubFile("xswu/HPSv2", "HPS_v2.1_compressed.pt"),
}
TABLE_SCALE = 100.0


def hps_score(text: "Tensor", image: "Tensor", scale: "float | Tensor" = TABLE_SCALE) -> "Tensor":
    """Eq. 4 with 1 / tau = `scale`.

    Args:
        text: [N, D], the prompts' embeddings, of any length.
        image: [N, D], the images'.

    Returns:
        [N], in [-scale, scale].
    """
    # Eq. 4: s = Enc_txt(t) . Enc_img(x) / tau, of unit vectors
    return scale * torch.nn.functional.cosine_similarity(text, image, dim=-1)


class HpsScore(Scorer):
    """Scores with a CLIP of open_clip.

    Args:
        model: an `open_clip.CLIP`.
        tokenize: prompts to tokens [N, L].
        version: v2.0 or v2.1, and what tells its weights from others.
    """

    def __init__(
        self,
        model: Any,
        tokenize: "Callable[[list[str]], Tensor]",
        *,
        name: str = "hps-v2.1",
        version: str = "",
        **placed: Unpack[Placed],
    ) -> None:
        super().__init__(model, version=version, **placed)
        self.name = name
        self._tokenize = tokenize
        side = model.visual.image_size
        self._side = int(side[0] if isinstance(side, tuple) else side)

    @classmethod
    def load(
        cls,
        version: str = "v2.1",
        weights: Path | None = None,
        *,
        model: str = MODEL,
        download: Download = hub_download,
        **placed: Unpack[Placed],
    ) -> "HpsScore":
        """HPS v2.0 or v2.1.

        Args:
            weights: the checkpoint on this machine, HPS_v2_compressed.pt or HPS_v2.1_compressed.pt.
            model: open_clip's name of the architecture.

        Raises:
            InvalidInput: there is no such version.
            MissingExtra: open_clip is not installed.
            RenderError: its torchvision does not fit torch.
            MissingModelFile, ChecksumError, BrokenModelFile: see `find_weights`.
        """
        if version not in WEIGHTS:
            raise InvalidInput(f"there is no HPS {version!r}; there are {' and '.join(WEIGHTS)}")
        open_clip = _open_clip()
        path = published.find_weights(WEIGHTS[version], path=weights, download=download)
        network = open_clip.create_model(model, pretrained=None)
        read = published.load_into(network, published.load_state(path), path, f"HPS {version} ({model})")
        return cls(network, open_clip.get_tokenizer(model), name=f"hps-{version}", version=read, **placed)

    def _score(self, prompts: Sequence[str], images: "Sequence[Image]") -> "Tensor":
        pixels = letterbox_pixels(images, self._side).to(self._device, self._dtype)
        image = self._model.encode_image(pixels)
        text = self._model.encode_text(self._tokenize(list(prompts)).to(self._device))
        return hps_score(text.float(), image.float())


def _open_clip() -> Any:
    try:
        return require("open_clip")
    except RuntimeError as error:
        # of a torchvision that does not fit torch
        raise RenderError(
            f"open_clip cannot be imported ({error}); it needs a torchvision that fits torch: "
            "`pip install 'diffagent-tools[scorers]'` in an environment of its own"
        ) from error
