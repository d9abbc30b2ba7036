"""A real LLaMA, small enough for a test: two layers, a byte-level BPE tokenizer that encodes any text.

    tokenizer = tiny_tokenizer()
    model = tiny_llama(len(tokenizer))
    folder = save_tiny_base(tmp_path / "base")  # what `load_base(str(folder))` reads

Weights are random with a fixed seed, and wide enough apart that no two continuations are equally likely.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

# merges for the words that dialogues are made of; every other text is spelled in bytes
CORPUS = (
    'User: {"prompt": "a corgi, pixel art, masterpiece, best quality", "negative prompt": "blurry, lowres"}',
    'Agent: {"model": "DreamShaper", "type": "Checkpoint", "base model": "SD 1.5", "width": 512}',
    'Agent: {"model": "Pixel Art XL", "type": "LORA", "base model": "SDXL 1.0", "sampling method": "DDIM"}',
    '{"model": "Dream", "type": "LORA", "sampling steps": 20, "cfg scale": 7, "model description": "style"}',
)


def tiny_tokenizer(vocab_size: int = 400) -> "PreTrainedTokenizerFast":
    """A byte-level BPE trained on `CORPUS`: token 0 pads, 1 begins, 2 ends; at most `vocab_size` tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    pad, bos, eos = SPECIAL_TOKENS
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, pad_token=pad, bos_token=bos, eos_token=eos
    )


def tiny_llama(
    vocab_size: int, *, hidden: int = 32, layers: int = 2, heads: int = 4, kv_heads: int = 2, seed: int = 0
) -> "LlamaForCausalLM":
    """A `LlamaForCausalLM` with random weights, in eval mode, fp32, tied embeddings as in SmolLM2."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=4096,
        initializer_range=0.3,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: LlamaForCausalLM = LlamaForCausalLM(config)
    model.train(False)
    return model


def save_tiny_base(folder: Path, *, seed: int = 0) -> Path:
    """Writes the tiny model and tokenizer as a base folder: config, safetensors, tokenizer.json."""
    tokenizer = tiny_tokenizer()
    tiny_llama(len(tokenizer), seed=seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
