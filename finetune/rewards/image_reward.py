"""ImageReward (Eq. 3; Xu et al. 2023): what people would say of the image, for the prompt.

    ImageReward.load().score(["a corgi"], [image])    # [1], about -2 to 2

    s(t, x) = MLP(Enc_txt(t, Enc_img(x))), standardised: (s - 0.16717) / 1.03334

The authors' checkpoint is loaded into transformers' own BLIP, whose layers are the same under other names: a
ViT-L/16 for the image, a 12-layer text encoder that attends to it, and five linear layers on the first token.
A prompt is cut after 35 tokens, as the authors do. tests/finetune/rewards/test_image_reward.py compares it
with their code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from torch import nn

from finetune.rewards import weights as published
from finetune.rewards.base import Placed, Scorer
from finetune.rewards.pixels import centre_pixels
from finetune.rewards.weights import Download, HubFile, hub_download

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor
    from transformers import BertTokenizer, BlipTextConfig, BlipVisionConfig

WEIGHTS = HubFile("zai-org/ImageReward", "ImageReward.pt")
TOKENIZER = HubFile("google-bert/bert-base-uncased", "vocab.txt")
MAX_TOKENS = 35
MEAN, STD = 0.16717362830052426, 1.0333394966054072  # of the rewards of the authors' training set

# (of the authors' checkpoint, of transformers); the first that fits is taken
_NAMES = (
    ("blip.visual_encoder.cls_token", "vision.embeddings.class_embedding"),
    ("blip.visual_encoder.pos_embed", "vision.embeddings.position_embedding"),
    ("blip.visual_encoder.patch_embed.proj.", "vision.embeddings.patch_embedding."),
    ("blip.visual_encoder.norm.", "vision.post_layernorm."),
    ("blip.visual_encoder.blocks.", "vision.encoder.layers."),
    ("blip.text_encoder.", "text."),
    ("mlp.layers.", "head."),
)
_IN_BLOCK = (
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
    (".attn.proj.", ".self_attn.projection."),
    (".attn.qkv.", ".self_attn.qkv."),
)
# positions 0, 1, 2 ... are no weights, and the projections belong to BLIP's training
_LEFT_OUT = ("position_ids", "blip.vision_proj.", "blip.text_proj.")


@dataclass(frozen=True)
class Sizes:
    """How large the towers are; the defaults are the published model's."""

    image: int = 224
    patch: int = 16
    vision_width: int = 1024
    vision_layers: int = 24
    vision_heads: int = 16
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    vocabulary: int = 30524

    def vision(self) -> "BlipVisionConfig":
        from transformers import BlipVisionConfig

        return BlipVisionConfig(
            hidden_size=self.vision_width,
            intermediate_size=4 * self.vision_width,
            num_hidden_layers=self.vision_layers,
            num_attention_heads=self.vision_heads,
            image_size=self.image,
            patch_size=self.patch,
            hidden_act="gelu",
            layer_norm_eps=1e-6,
        )

    def text(self) -> "BlipTextConfig":
        from transformers import BlipTextConfig

        return BlipTextConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.text_width,
            encoder_hidden_size=self.vision_width,
            intermediate_size=4 * self.text_width,
            num_hidden_layers=self.text_layers,
            num_attention_heads=self.text_heads,
            max_position_embeddings=512,
            hidden_act="gelu",
            layer_norm_eps=1e-12,
            # of bert-base-uncased; scoring reads none of them
            bos_token_id=None,
            sep_token_id=None,
            # gives the layers their cross-attention; the forward pass says that nothing is decoded
            is_decoder=True,
        )


class ImageRewardModel(nn.Module):
    """The network of Eq. 3: prompt tokens and pixels to a standardised reward."""

    def __init__(self, sizes: Sizes = Sizes()) -> None:
        from transformers import BlipTextModel, BlipVisionModel

        super().__init__()
        self.sizes = sizes
        self.vision = BlipVisionModel(sizes.vision())
        self.text = BlipTextModel(sizes.text(), add_pooling_layer=False)
        # no activations between them, as in the authors' code; dropout has no weights but takes a number each
        self.head = nn.Sequential(
            nn.Linear(sizes.text_width, 1024),
            nn.Dropout(0.2),
            nn.Linear(1024, 128),
            nn.Dropout(0.2),
            nn.Linear(128, 64),
            nn.Dropout(0.1),
            nn.Linear(64, 16),
            nn.Linear(16, 1),
        )

    def forward(self, input_ids: "Tensor", attention_mask: "Tensor", pixels: "Tensor") -> "Tensor":
        """[N], from tokens [N, L], their mask [N, L] and pixels [N, 3, S, S]."""
        seen = self.vision(pixel_values=pixels).last_hidden_state
        read = self.text(
            input_ids=input_ids,
            attention_mask=attention_mask,
            encoder_hidden_states=seen,
            is_decoder=False,
        ).last_hidden_state
        # Eq. 3: s = MLP(Enc_txt(t, Enc_img(x))), of the first token
        reward: Tensor = self.head(read[:, 0]).squeeze(-1)
        return (reward.float() - MEAN) / STD


def renamed_keys(state: Mapping[str, "Tensor"]) -> "dict[str, Tensor]":
    """The authors' names of the weights as those of `ImageRewardModel`; unknown ones keep theirs."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if any(part in name for part in _LEFT_OUT):
            continue
        for theirs, ours in _NAMES:
            if name.startswith(theirs):
                name = ours + name.removeprefix(theirs)
                break
        if name.startswith("vision.encoder.layers."):
            for theirs, ours in _IN_BLOCK:
                name = name.replace(theirs, ours)
        renamed[name] = value
    return renamed


class ImageReward(Scorer):
    """Scores with an `ImageRewardModel`."""

    name = "imagereward"

    def __init__(
        self,
        model: ImageRewardModel,
        tokenizer: "BertTokenizer",
        *,
        version: str = "",
        **placed: Unpack[Placed],
    ) -> None:
        super().__init__(model, version=version, **placed)
        self._tokenizer = tokenizer

    @classmethod
    def load(
        cls,
        weights: Path | None = None,
        *,
        sizes: Sizes = Sizes(),
        download: Download = hub_download,
        **placed: Unpack[Placed],
    ) -> "ImageReward":
        """ImageReward v1.0.

        Args:
            weights: `ImageReward.pt` on this machine; with `vocab.txt` of bert-base-uncased beside it,
                nothing is fetched.

        Raises:
            MissingModelFile, ChecksumError, BrokenModelFile: see `find_weights`.
        """
        from transformers import BertTokenizer

        path = published.find_weights(WEIGHTS, path=weights, download=download)
        words = weights.parent / TOKENIZER.filename if weights else None
        if words is None or not words.is_file():
            words = download(TOKENIZER)
        published.find_beside(words, TOKENIZER)
        model = ImageRewardModel(sizes)
        state = renamed_keys(published.load_state(path))
        version = published.load_into(model, state, path, "ImageReward")
        return cls(model, BertTokenizer(vocab=str(words)), version=version, **placed)

    def _score(self, prompts: Sequence[str], images: "Sequence[Image]") -> "Tensor":
        tokens = self._tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(self._device)
        pixels = centre_pixels(images, self._model.sizes.image).to(self._device, self._dtype)
        scores: Tensor = self._model(tokens["input_ids"], tokens["attention_mask"], pixels)
        return scores
