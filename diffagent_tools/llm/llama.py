"""The fine-tuned language model of the selector: it scores names, decodes names, and writes whole answers.

llama = Llama.load(catalogue, adapter=folder)
llama.scores(instruction, names)                 # shortlist mode
llama.decode_names(instruction, records, k=5)    # constrained mode
llama.write(instruction)                         # free mode
llama.write_all(instructions)                    # many at once, as `write` would each
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.llm.adapter import check_base, check_catalogue, merge_lora, read_card
from diffagent_tools.llm.prompt import MAX_PROMPT_TOKENS, encode_name, encode_prompt
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from diffagent_tools.llm.base import Base
    from diffagent_tools.llm.free_decoding import FreeAnswer
    from diffagent_tools.llm.trie import PrefixTrie

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
            options: of `diffagent_tools.llm.free_decoding.decode_answers`: fewer fields, samples, a
            constraint.
        """
        from diffagent_tools.llm.free_decoding import decode_answers

        prompts = (self.prompt_ids(instruction) for instruction in instructions)
        return decode_answers(self.base.model, self.base.tokenizer, prompts, **options)

    def prompt_ids(self, instruction: Instruction) -> list[int]:
        """Token ids that an answer goes on from, cut as the adapter was trained."""
        return encode_prompt(instruction, self.base.tokenizer, max_prompt_tokens=self._max_prompt_tokens)
