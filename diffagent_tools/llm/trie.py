"""Decoding that can only answer with names that exist: a prefix trie as a constraint.

    trie = PrefixTrie(encode_name(tokenizer, name) for name in names)
    processor = TrieLogitsProcessor(trie, prompt_length=len(prompt_ids), eos_token_id=tokenizer.eos_token_id)
    out = model.generate(torch.tensor([prompt_ids]), logits_processor=[processor], num_beams=5)
    trie.match(out[0, len(prompt_ids):].tolist())  # (17,): the position of the name among `names`

Cost of the constraint, a step: a walk down the trie (one dictionary look-up a token generated so far), a
copy of the allowed scores, and one row of -inf of the size of the vocabulary, which is the part that grows
with the vocabulary, but is small change beside the softmax that made the row.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

DONE = -1
OFF = -2


class PrefixTrie:
    """Token sequences by their common beginnings; names written with their closing quote never begin one
    another.

    Args:
        sequences: token ids; equal ones share a leaf.

    Raises:
        ValueError: no sequences, an empty one, or one that begins another.
    """

    def __init__(self, sequences: Iterable[Sequence[int]]) -> None:
        self._children: list[dict[int, int]] = [{}]
        self._ends: dict[int, tuple[int, ...]] = {}
        count = 0
        for count, sequence in enumerate(sequences, start=1):
            if not sequence:
                raise ValueError(f"sequence {count - 1} is empty; every name needs at least one token")
            node = 0
            for token in sequence:
                children = self._children[node]
                if token not in children:
                    children[token] = len(self._children)
                    self._children.append({})
                node = children[token]
            self._ends[node] = (*self._ends.get(node, ()), count - 1)
        if not count:
            raise ValueError("no sequences; a constraint needs at least one name")
        inner = next((ends[0] for node, ends in self._ends.items() if self._children[node]), None)
        if inner is not None:
            raise ValueError(
                f"sequence {inner} is the beginning of another; give every sequence a closing token"
            )
        self._count = count

    def __len__(self) -> int:
        """The number of sequences, equal ones counted each."""
        return self._count

    def walk(self, tokens: Iterable[int]) -> int:
        """The node that `tokens` lead to; `DONE` beyond the end of a sequence, `OFF` beside the trie."""
        node = 0
        for token in tokens:
            if node in self._ends:
                return DONE
            after = self._children[node].get(token)
            if after is None:
                return OFF
            node = after
        return node

    def next_tokens(self, node: int) -> list[int]:
        """What may follow at a node; nothing at a leaf."""
        return list(self._children[node])

    def match(self, tokens: Iterable[int]) -> tuple[int, ...]:
        """The positions of the sequences that `tokens` spell; what follows a finished one is not looked at.

        Empty for tokens that leave the trie or stop half way. Several positions are equal sequences.
        """
        node = 0
        for token in tokens:
            if node in self._ends:
                break
            after = self._children[node].get(token)
            if after is None:
                return ()
            node = after
        return self._ends.get(node, ())


class TrieLogitsProcessor:
    """Lets `generate` continue a prompt only along a trie; for greedy search, sampling and beams, any batch.

    It has the call of a transformers `LogitsProcessor`, and keeps no state between steps, so beams may be
    reordered. Scores that stay are not renormalised: in a beam search they are the model's own
    log-probabilities. A row that has left the trie may only end; that happens to beams of score -inf alone,
    when there are more beams than ways to go on. Read results with `PrefixTrie.match`, which answers () for
    those.

    Args:
        trie: what may be said.
        prompt_length: tokens of the (left-padded) prompt, the same for each row of the batch.
        eos_token_id: ends the answer.
        free_after: whether the model goes on as it likes after the trie's part, instead of ending.
    """

    def __init__(
        self, trie: PrefixTrie, prompt_length: int, *, eos_token_id: int, free_after: bool = False
    ) -> None:
        self.trie = trie
        self.prompt_length = prompt_length
        self.eos_token_id = eos_token_id
        self.free_after = free_after
        self._kept: dict[tuple[int, Any], torch.Tensor] = {}

    def allowed(self, generated: Iterable[int]) -> list[int] | None:
        """The tokens that may follow `generated`; None for any token."""
        return self._at(self.trie.walk(generated))

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        """`scores` with -inf for what may not follow.

        Args:
            input_ids: [rows, length], prompt and what was generated.
            scores: [rows, vocabulary], logits or log-probabilities.
        """
        import torch

        kept = torch.full_like(scores, -torch.inf)
        for row, generated in enumerate(input_ids[:, self.prompt_length :].tolist()):
            node = self.trie.walk(generated)
            tokens = self._tensor(node, scores.device)
            if tokens is None:
                kept[row] = scores[row]
            else:
                kept[row, tokens] = scores[row, tokens]
        return kept

    def _at(self, node: int) -> list[int] | None:
        tokens = self.trie.next_tokens(node) if node not in (DONE, OFF) else []
        if not tokens and node != OFF and self.free_after:
            return None
        return tokens or [self.eos_token_id]

    def _tensor(self, node: int, device: "torch.device") -> "torch.Tensor | None":
        import torch

        if (node, device) not in self._kept:
            tokens = self._at(node)
            if tokens is None:
                return None
            self._kept[node, device] = torch.tensor(tokens, device=device)
        return self._kept[node, device]
