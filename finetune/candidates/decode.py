"""What the SFT model answers, up to the model information: a multinomial sample and diverse beams.

decoder = CandidateDecoder(llama, catalogue, groups=5, penalty=1.0)
for said in decoder.decode(instructions)[0]:
    print(said.source, said.text)
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from diffagent_tools.llm.free_decoding import MODEL_INFO, NAME, ObjectReader
from diffagent_tools.llm.prompt import answer_prefix
from retrieval.calls.identify import obtainable
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord

if TYPE_CHECKING:
    import torch

    from diffagent_tools.llm.llama import Llama
    from diffagent_tools.llm.trie import PrefixTrie

INFO_TOKENS = 96
"""enough for the longest names with type and base model"""


@dataclass(frozen=True)
class Said:
    """An answer as it was written, and its model where a trie held the name."""

    text: str
    source: Literal["sampled", "beams"]
    record: ModelRecord | None = None


class CandidateDecoder:
    """Decodes a batch of instructions: one sample each, then the beams, the likeliest first.

    Args:
        groups: diverse beams, one in each group, that is m of section 3.2.2.
        penalty: what a token costs that an earlier group took in the same step.
        temperature: of the sample.
        constrained: holds the names to those of the catalogue that can be had, and decodes the name alone.
    """

    def __init__(
        self,
        llama: "Llama",
        catalogue: Catalogue,
        *,
        groups: int,
        penalty: float = 1.0,
        temperature: float = 1.0,
        seed: int = 0,
        constrained: bool = False,
    ) -> None:
        self._llama = llama
        self._groups = groups
        self._penalty = penalty
        self._temperature = temperature
        self._seed = seed
        self._records = [record for record in catalogue if obtainable(record)] if constrained else []
        self._trie: PrefixTrie | None = None
        self._longest = INFO_TOKENS
        if constrained:
            self._trie, self._longest = llama.trie_of(self._records)

    def decode(self, instructions: Sequence[Instruction]) -> list[list[Said]]:
        """What is said to each instruction."""
        if not instructions:
            return []
        prompts = [self._llama.prompt_ids(instruction) for instruction in instructions]
        pairs = zip(self._sample(instructions), self._search(prompts), strict=True)
        return [[sample, *beams] for sample, beams in pairs]

    def _sample(self, instructions: Sequence[Instruction]) -> list[Said]:
        answers = self._llama.write_all(
            instructions,
            rows=len(instructions),
            max_new_tokens=self._longest,
            until=MODEL_INFO if self._trie is None else NAME,
            temperature=self._temperature,
            seed=self._seed,
            allowed=None if self._trie is None else self._processor(0).allowed,
        )
        return [self._said(answer.tokens, "sampled") for answer in answers]

    def _search(self, prompts: Sequence[Sequence[int]]) -> list[list[Said]]:
        import torch

        from finetune.candidates.diverse_beams import diverse_beam_search

        model: Any = self._llama.base.model
        end = self._llama.base.tokenizer.eos_token_id
        width = max(map(len, prompts))
        ids = torch.tensor([[end] * (width - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        found = model.generate(
            ids.to(model.device),
            attention_mask=mask.to(model.device),
            custom_generate=diverse_beam_search,
            num_beams=self._groups,
            num_beam_groups=self._groups,
            diversity_penalty=self._penalty,
            num_return_sequences=self._groups,
            logits_processor=[] if self._trie is None else [self._processor(width)],
            stopping_criteria=[_Complete(self._llama, width, MODEL_INFO if self._trie is None else NAME)],
            early_stopping=True,
            length_penalty=0.0,
            do_sample=False,
            max_new_tokens=self._longest,
            pad_token_id=end,
            return_dict_in_generate=True,
        )
        rows = found.sequences[:, width:].tolist()
        scores = found.sequences_scores.tolist()
        return [
            [
                self._said(_until(row, end), "beams")
                for row, score in zip(rows[first : first + self._groups], scores[first:], strict=False)
                if score > float("-inf")
            ]
            for first in range(0, len(rows), self._groups)
        ]

    def _processor(self, prompt_length: int) -> Any:
        from diffagent_tools.llm.trie import TrieLogitsProcessor

        assert self._trie is not None
        end = self._llama.base.tokenizer.eos_token_id
        return TrieLogitsProcessor(self._trie, prompt_length, eos_token_id=end, free_after=True)

    def _said(self, tokens: Sequence[int], source: Literal["sampled", "beams"]) -> Said:
        text = answer_prefix() + str(
            self._llama.base.tokenizer.decode(list(tokens), skip_special_tokens=True)
        )
        # of records of one name the first stands for all, as in Llama.decode_names
        places = self._trie.match(tokens) if self._trie is not None else ()
        return Said(text, source, self._records[places[0]] if places else None)


class _Complete:
    """A stopping criterion of transformers: the fields that are asked for are written."""

    def __init__(self, llama: "Llama", prompt_length: int, fields: int) -> None:
        self._tokenizer = llama.base.tokenizer
        self._prompt_length = prompt_length
        # what was read of every beam, so that each token is read once
        self._read: dict[tuple[int, ...], ObjectReader] = {(): ObjectReader(fields)}

    def __call__(self, input_ids: "torch.Tensor", scores: Any, **kwargs: Any) -> "torch.Tensor":
        import torch

        rows = input_ids[:, self._prompt_length :].tolist()
        ends = [self._reader(tuple(row)).complete for row in rows]
        return torch.tensor(ends, device=input_ids.device)

    def _reader(self, tokens: tuple[int, ...]) -> ObjectReader:
        if tokens not in self._read:
            reader = copy.copy(self._reader(tokens[:-1]))
            reader.feed(str(self._tokenizer.decode([tokens[-1]])))
            self._read[tokens] = reader
        return self._read[tokens]


def _until(row: list[int], end: int) -> list[int]:
    """Without the end token and the padding behind it, which is the same token."""
    return row[: row.index(end)] if end in row else row
