"""Prompts of any length, with weighted words, as CLIP's embeddings: what A1111 and Forge do with a prompt.

    pipeline(**encode_for(pipeline, "a (corgi:1.3)", "blurry", clip_skip=2), ...)

Each chunk of 75 tokens is encoded alone and the chunks are laid end to end. The embedding of a word is
multiplied by its weight; on SD 1.x the mean of the chunk is then put back (A1111's "Original"), on SDXL not
(its "No norm"). diffusers cuts prompts at 77 tokens, and its own clip skip does not know the text encoders of
transformers 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffagent_tools.render.prompt_weights import CHUNK, Chunk, chunks_of, parse_weights
from retrieval.errors import InvalidApi

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

# beside a spread of one; a layer norm without a shift gives means of nothing but rounding
_NO_MEAN = 1e-3


@dataclass(frozen=True)
class TextEncoder:
    """A CLIP text encoder with its tokenizer; `projected` is SDXL's second one, which gives the pooled."""

    model: Any
    tokenizer: "PreTrainedTokenizerBase"
    projected: bool = False


@dataclass(frozen=True)
class Encoding:
    """Embeddings [1, 77 n, width]; the pooled ones [1, width] on SDXL only."""

    prompt: "Tensor"
    negative: "Tensor"
    pooled: "Tensor | None" = None
    negative_pooled: "Tensor | None" = None


def encode_prompts(
    encoders: Sequence[TextEncoder],
    prompt: str,
    negative: str,
    *,
    clip_skip: int | None,
    device: Any,
    zero_empty_negative: bool = False,
) -> Encoding:
    """Both prompts, padded to one number of chunks.

    Args:
        encoders: one (SD 1.x, SD 2.x) or two (SDXL).
        clip_skip: as A1111 counts, 1 the last layer; not for SDXL, which always takes the last but one.
        zero_empty_negative: an empty negative prompt is nothing at all (SDXL).

    Raises:
        InvalidApi: the encoder has fewer layers than are to be skipped.
    """
    import torch

    count = max(len(_chunks(encoder, text)) for encoder in encoders for text in (prompt, negative))
    wanted = [_encode(encoders, text, count, clip_skip, device) for text in (prompt, negative)]
    (positive, pooled), (unwanted, negative_pooled) = wanted
    if zero_empty_negative and not negative.strip():
        unwanted = torch.zeros_like(unwanted)
        negative_pooled = None if negative_pooled is None else torch.zeros_like(negative_pooled)
    return Encoding(positive, unwanted, pooled, negative_pooled)


def encode_for(
    pipeline: Any, prompt: str, negative: str, *, clip_skip: int | None = None
) -> dict[str, "Tensor"]:
    """Both prompts as the arguments of a `StableDiffusionPipeline` or `StableDiffusionXLPipeline`."""
    encoders = [TextEncoder(pipeline.text_encoder, pipeline.tokenizer)]
    second = getattr(pipeline, "text_encoder_2", None)
    if second is not None:
        encoders.append(TextEncoder(second, pipeline.tokenizer_2, projected=True))
    encoding = encode_prompts(
        encoders,
        prompt,
        negative,
        clip_skip=clip_skip,
        device=pipeline._execution_device,
        zero_empty_negative=second is not None and bool(pipeline.config.force_zeros_for_empty_prompt),
    )
    found = {
        "prompt_embeds": encoding.prompt,
        "negative_prompt_embeds": encoding.negative,
        "pooled_prompt_embeds": encoding.pooled,
        "negative_pooled_prompt_embeds": encoding.negative_pooled,
    }
    return {name: value for name, value in found.items() if value is not None}


def _chunks(encoder: TextEncoder, text: str) -> tuple[Chunk, ...]:
    tokenizer: Any = encoder.tokenizer
    return chunks_of(
        parse_weights(text),
        lambda part: list(tokenizer(part, add_special_tokens=False, verbose=False).input_ids),
        tokenizer.convert_tokens_to_ids(",</w>"),
    )


def _encode(
    encoders: Sequence[TextEncoder], text: str, count: int, clip_skip: int | None, device: Any
) -> "tuple[Tensor, Tensor | None]":
    """One prompt: embeddings [1, 77 count, width of all encoders] and the pooled one."""
    import torch

    found, pooled = [], None
    for encoder in encoders:
        chunks = _chunks(encoder, text)
        chunks += (Chunk(),) * (count - len(chunks))
        ids = torch.tensor([_framed(chunk.tokens, encoder.tokenizer) for chunk in chunks], device=device)
        with torch.no_grad():
            output = encoder.model(ids, output_hidden_states=True)
            hidden = _hidden(encoder, output, clip_skip, two=len(encoders) > 1)
        if encoder.projected:
            pooled = output[0][:1]
        weights = torch.ones(hidden.shape[:2], dtype=torch.float32)
        for row, chunk in enumerate(chunks):
            weights[row, 1 : 1 + len(chunk.weights)] = torch.tensor(chunk.weights)
        found.append(_weighted(hidden, weights.to(hidden.device), keep_mean=len(encoders) == 1).flatten(0, 1))
    return torch.cat(found, dim=-1)[None], pooled


def _framed(tokens: Sequence[int], tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Begin, the tokens, end, and padding: 77."""
    padding = [tokenizer.pad_token_id] * (CHUNK - len(tokens))
    return [tokenizer.bos_token_id, *tokens, tokenizer.eos_token_id, *padding]


def _hidden(encoder: TextEncoder, output: Any, clip_skip: int | None, *, two: bool) -> "Tensor":
    layers = output.hidden_states
    if two:
        hidden: Tensor = layers[-2]
        return hidden
    skip = clip_skip or 1
    if skip >= len(layers):
        raise InvalidApi(
            f"the clip skip is {skip}, and the text encoder has {len(layers) - 1} layers; name a smaller one"
        )
    if skip == 1:
        hidden = output.last_hidden_state
        return hidden
    # transformers 5 has taken the inner `text_model` away from CLIPTextModel
    inner = getattr(encoder.model, "text_model", encoder.model)
    hidden = inner.final_layer_norm(layers[-skip])
    return hidden


def _weighted(hidden: "Tensor", weights: "Tensor", *, keep_mean: bool) -> "Tensor":
    """Embeddings [chunks, 77, width] times weights [chunks, 77]."""
    if bool((weights == 1).all()):
        return hidden
    whole = hidden.float()
    weighted = whole * weights[..., None]
    if keep_mean:
        before = whole.mean(dim=(1, 2), keepdim=True)
        after = weighted.mean(dim=(1, 2), keepdim=True)
        steady = (before.abs() > _NO_MEAN) & (after.abs() > _NO_MEAN)
        weighted = weighted * (before / after).where(steady, before.new_ones(()))
    return weighted.to(hidden.dtype)
