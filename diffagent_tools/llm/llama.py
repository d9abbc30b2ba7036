"""The fine-tuned language model of the selector: it scores names, decodes names, and writes whole answers.

llama = Llama.load(catalogue, adapter=folder)
llama.scores(instruction, names)                 # shortlist mode
llama.decode_names(instruction, records, k=5)    # constrained mode
llama.write(instruction)                         # free mode
llama.write_all(instructions)                    # many at once, as `write` would each
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.llm.prompt import MAX_PROMPT_TOKENS, encode_name, encode_prompt
from retrieval.catalogue import Catalogue
from retrieval.errors import AdapterError, AdapterMismatch
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from diffagent_tools.llm.base import Base
    from diffagent_tools.llm.free_decoding import FreeAnswer
    from diffagent_tools.llm.trie import PrefixTrie

ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
CARD_FILE = "card.json"
_FEWEST_BEAMS = 4


class Llama:
    """A loaded language model with its adapter merged in; safe to share between threads.

    Args:
        max_prompt_tokens: what the adapter was trained with.
    """

    def __init__(self, base: "Base", *, max_prompt_tokens: int = MAX_PROMPT_TOKENS) -> None:
        self.base = base
        self._max_prompt_tokens = max_prompt_tokens
        self._trie: tuple[tuple[int, ...], PrefixTrie, int] | None = None

    @classmethod
    def load(
        cls,
        catalogue: Catalogue,
        *,
        base: str | None = None,
        adapter: Path,
        device: str = "cpu",
        dtype: str = "float32",
        progress: Callable[[str], None] | None = None,
    ) -> "Llama":
        """Loads base and adapter. A folder without an adapter gives the untrained base.

        Raises:
            AdapterMismatch: the adapter was trained for another base model or catalogue.
            AdapterError: the adapter's files cannot be read.
            BaseModelError: the base model cannot be had.
        """
        from diffagent_tools.llm.base import load_base
        from diffagent_tools.llm.bf16 import round_frozen_linears, rounding_pays

        card = read_card(adapter)
        if card:
            check_catalogue(card, catalogue, adapter)
        loaded = load_base(base, device=device, dtype=dtype, progress=progress)
        if card:
            check_base(card, loaded.name, loaded.digest, adapter)
            merge_lora(loaded.model, adapter)
        if rounding_pays(loaded.model):
            loaded.model.requires_grad_(False)
            round_frozen_linears(loaded.model)
        return cls(loaded, max_prompt_tokens=int(card.get("max_prompt_tokens", MAX_PROMPT_TOKENS)))

    def scores(
        self, instruction: Instruction, names: Sequence[str], *, choices: Sequence[str] = ()
    ) -> "dict[str, NDArray[np.float32]]":
        """Log-probabilities of names, each [n]: "llm.total" summed, "llm.mean" for each token (Eq. 7).

        Args:
            choices: what the request lists to choose from (diffagent_tools/llm/prompt.py).
        """
        from diffagent_tools.llm.scoring import score_answers

        tokenizer = self.base.tokenizer
        scored = score_answers(
            self.base.model,
            encode_prompt(instruction, tokenizer, max_prompt_tokens=self._max_prompt_tokens, choices=choices),
            [encode_name(name, tokenizer) for name in names],
        )
        return {"llm.total": scored.total.numpy(), "llm.mean": scored.mean.numpy()}

    def decode_names(
        self, instruction: Instruction, records: Sequence[ModelRecord], k: int
    ) -> list[tuple[int, float]]:
        """Model ids and length-normalised log-probabilities of the `k` likeliest names.

        Beam search, held to the names of `records`. Of records of one name the first stands for all.
        """
        import torch

        from diffagent_tools.llm.trie import TrieLogitsProcessor

        tokenizer = self.base.tokenizer
        trie, longest = self.trie_of(records)
        prompt = self.prompt_ids(instruction)
        processor = TrieLogitsProcessor(trie, prompt_length=len(prompt), eos_token_id=tokenizer.eos_token_id)
        ids = torch.tensor([prompt], device=self.base.model.device)
        beams = min(max(_FEWEST_BEAMS, k), len(trie))
        with torch.no_grad():
            model: Any = self.base.model
            found = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                logits_processor=[processor],
                num_beams=beams,
                num_return_sequences=min(k, beams),
                do_sample=False,
                # names are short and the longest very long: without it every beam goes on to the longest
                early_stopping=True,
                max_new_tokens=longest + 1,
                pad_token_id=tokenizer.eos_token_id,
                return_dict_in_generate=True,
                output_scores=True,
            )
        answers: list[tuple[int, float]] = []
        for row in range(found.sequences.shape[0]):
            places = trie.match(found.sequences[row, len(prompt) :].tolist())
            model_id = records[places[0]].model_id if places else None
            if model_id is not None and model_id not in {known for known, _ in answers}:
                score = float(found.sequences_scores[row]) if beams > 1 else 0.0
                answers.append((model_id, score))
        return answers

    def trie_of(self, records: Sequence[ModelRecord]) -> "tuple[PrefixTrie, int]":
        """The trie of the records' names and the tokens of the longest; the last one asked for is kept."""
        from diffagent_tools.llm.trie import PrefixTrie

        asked = tuple(record.model_id for record in records)
        kept = self._trie
        if kept is None or kept[0] != asked:
            sequences = [encode_name(record.model, self.base.tokenizer) for record in records]
            # one assignment, so that threads see the old trie or the new one whole
            self._trie = kept = asked, PrefixTrie(sequences), max(map(len, sequences))
        return kept[1], kept[2]

    def write(self, instruction: Instruction) -> str:
        """The whole answer, decoded greedily and without constraint: what the model says, true or not.

        It ends where the JSON object closes.
        """
        return next(self.write_all([instruction])).text

    def write_all(self, instructions: Iterable[Instruction], **options: Any) -> "Iterator[FreeAnswer]":
        """The answers to many instructions, in their order, decoded together.

        Args:
            options: of `diffagent_tools.llm.free_decoding.decode_answers`: fewer fields, samples, a constraint.
        """
        from diffagent_tools.llm.free_decoding import decode_answers

        prompts = (self.prompt_ids(instruction) for instruction in instructions)
        return decode_answers(self.base.model, self.base.tokenizer, prompts, **options)

    def prompt_ids(self, instruction: Instruction) -> list[int]:
        """Token ids that an answer goes on from, cut as the adapter was trained."""
        return encode_prompt(instruction, self.base.tokenizer, max_prompt_tokens=self._max_prompt_tokens)


def read_card(adapter: Path) -> Mapping[str, Any]:
    """The card of a trained adapter; empty where the folder holds none.

    Raises:
        AdapterError: adapter weights without a readable card.
    """
    if not (adapter / ADAPTER_FILE).is_file():
        return {}
    try:
        card: Any = json.loads((adapter / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(
            f"the adapter {adapter} has no readable {CARD_FILE} ({error}), so nobody can say which base "
            "model it fits; train it with finetune/sft/run.py, which writes one"
        ) from error
    if not isinstance(card, dict):
        raise AdapterError(f"{adapter / CARD_FILE} is not a JSON object; finetune/sft/run.py writes one")
    return card


def check_base(card: Mapping[str, Any], name: str, digest: str, adapter: Path) -> None:
    """Raises AdapterMismatch, naming both, where the adapter was trained on another base model."""
    if card.get("base_digest") != digest:
        raise AdapterMismatch(
            f"the adapter {adapter.name} was trained on {card.get('base')!r} ({card.get('base_digest')}), "
            f"and the base model is {name!r} ({digest}); pass the base it was trained on, or train one for "
            "this base"
        )


def check_catalogue(card: Mapping[str, Any], catalogue: Catalogue, adapter: Path) -> None:
    """Raises AdapterMismatch where most of the models that the adapter was trained to name are not there.

    Models that were added since training are welcome: they are found by retrieval and scored like the others.
    """
    learnt = card.get("model_ids") or ()
    if learnt and sum(model_id in catalogue for model_id in learnt) < len(learnt) / 2:
        raise AdapterMismatch(
            f"the adapter {adapter.name} was trained for the catalogue {card.get('catalogue')!r}, and most "
            f"of its models are not in {catalogue.name!r}; train an adapter for this catalogue (python -m "
            "finetune.sft), or choose without a language model (--mode retrieval)"
        )


def merge_lora(model: Any, adapter: Path) -> int:
    """Adds a LoRA adapter to the weights in place, W + (alpha / r) B A; returns how many layers it changed.

    The files are peft's. Merging here saves importing peft, which takes longer than an answer; that both give
    the same weights is tested.

    Raises:
        AdapterError: the files cannot be read, or hold something else than plain LoRA.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        config = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        with safe_open(adapter / ADAPTER_FILE, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (OSError, ValueError, SafetensorError) as error:
        raise AdapterError(
            f"cannot read the adapter {adapter} ({error}); it is peft's save_pretrained that writes one"
        ) from error
    if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("bias", "none") != "none":
        raise AdapterError(
            f"the adapter {adapter} is not a plain LoRA; only plain LoRA adapters can be merged"
        )
    scale = config["lora_alpha"] / (config["r"] ** (0.5 if config.get("use_rslora") else 1.0))
    modules = dict(model.named_modules())
    merged = 0
    with torch.no_grad():
        for name, down in tensors.items():
            if not name.endswith(".lora_A.weight"):
                continue
            path = name.removesuffix(".lora_A.weight")
            up = tensors.get(f"{path}.lora_B.weight")
            target = modules.get(path.removeprefix("base_model.model."))
            if up is None or target is None:
                raise AdapterError(
                    f"the adapter {adapter} has weights for {path}, which the base model lacks"
                )
            weight = target.weight
            weight += (scale * (up.float() @ down.float())).to(weight)
            merged += 1
    if 2 * merged != len(tensors):
        raise AdapterError(
            f"the adapter {adapter} holds {len(tensors) - 2 * merged} tensors that are not LoRA's"
        )
    return merged
