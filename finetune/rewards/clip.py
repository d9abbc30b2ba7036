"""CLIP Score (Eq. 2; Hessel et al. 2021): how near the image is to the prompt in CLIP's joint space.

    ClipScore.load().score(["a corgi"], [image])      # [1], in [0, 2.5]

    s(t, x) = w max(cos(Enc_txt(t), Enc_img(x)), 0),   w = 2.5

The paper says ViT-B; CLIPScore's own model is ViT-B/32. Its code puts "A photo depicts " before a caption,
which Eq. 2 does not have, and neither has this. A prompt is cut after CLIP's 77 tokens. Table 2 prints the
score times 100.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import torch

from finetune.rewards import weights as published
from finetune.rewards.base import Placed, Scorer
from finetune.rewards.pixels import centre_pixels
from finetune.rewards.weights import Download, HubFile, hub_download

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor
    from transformers import CLIPModel, PreTrainedTokenizerFast

WEIGHT = 2.5
REPO = "openai/clip-vit-base-patch32"
REVISION = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
WEIGHTS = HubFile(
    REPO, "pytorch_model.bin", REVISION, "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f"
)
CONFIG = HubFile(REPO, "config.json", REVISION)
END = "<|endoftext|>"
TOKENIZER = HubFile(REPO, "tokenizer.json", REVISION)


def clip_score(text: "Tensor", image: "Tensor") -> "Tensor":
    """Eq. 2.

    Args:
        text: [N, D], the prompts' embeddings, of any length.
        image: [N, D], the images'.

    Returns:
        [N], in [0, 2.5].
    """
    # Eq. 2: s = w * max(cos(Enc_txt(t), Enc_img(x)), 0)
    return WEIGHT * torch.nn.functional.cosine_similarity(text, image, dim=-1).clamp(min=0)


class ClipScore(Scorer):
    """Scores with a CLIP of transformers and its tokenizer."""

    name = "clip"

    def __init__(
        self,
        model: "CLIPModel",
        tokenizer: "PreTrainedTokenizerFast",
        *,
        version: str = "",
        **placed: Unpack[Placed],
    ) -> None:
        super().__init__(model, version=version, **placed)
        self._tokenizer = tokenizer
        self._side = int(self._model.config.vision_config.image_size)

    @classmethod
    def load(
        cls,
        weights: Path | None = None,
        *,
        download: Download = hub_download,
        **placed: Unpack[Placed],
    ) -> "ClipScore":
        """The model of CLIPScore, openai/clip-vit-base-patch32.

        Args:
            weights: another checkpoint of transformers' CLIP: a file, with `config.json` and `tokenizer.json`
                beside it.

        Raises:
            MissingModelFile, ChecksumError, BrokenModelFile: see `find_weights`.
        """
        from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

        config_file = weights.parent / CONFIG.filename if weights else download(CONFIG)
        tokenizer_file = weights.parent / TOKENIZER.filename if weights else download(TOKENIZER)
        # another checkpoint than the published one has another SHA256
        known = HubFile(REPO, WEIGHTS.filename, REVISION) if weights else WEIGHTS
        path = published.find_weights(known, path=weights, download=download)
        for needed, file in ((config_file, CONFIG), (tokenizer_file, TOKENIZER)):
            published.find_beside(needed, file)
        model = CLIPModel(CLIPConfig.from_json_file(str(config_file)))
        tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_file=str(tokenizer_file), pad_token=END
        )
        # older checkpoints hold the positions 0, 1, 2 ... as weights
        state = {k: value for k, value in published.load_state(path).items() if "position_ids" not in k}
        version = published.load_into(model, state, path, "CLIP")
        return cls(model, tokenizer, version=version, **placed)

    def _score(self, prompts: Sequence[str], images: "Sequence[Image]") -> "Tensor":
        config = self._model.config.text_config
        tokens = self._tokenizer(
            list(prompts),
            padding=True,
            truncation=True,
            max_length=config.max_position_embeddings,
            return_tensors="pt",
        ).to(self._device)
        pixels = centre_pixels(images, self._side).to(self._device, self._dtype)
        text = self._model.get_text_features(**tokens).pooler_output
        image = self._model.get_image_features(pixel_values=pixels).pooler_output
        return clip_score(text.float(), image.float())
