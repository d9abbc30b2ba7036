"""Diverse beam search (Vijayakumar et al. 2016, arXiv:1610.02424) for `generate` of transformers 5.

    out = model.generate(
        ids, attention_mask=mask, custom_generate=diverse_beam_search, max_new_tokens=64,
        num_beams=6, num_beam_groups=3, diversity_penalty=1.0, num_return_sequences=6,
    )

The beams are split into groups, and each group is a beam search of its own that is put off the tokens which
the groups before it chose in the same step (Hamming diversity). Groups share one forward a step and one
key-value cache; a prompt is read once, not once for each of its beams. Any number of left-padded prompts,
logits processors (a prefix trie, say) and stopping criteria are allowed.

The penalty decides which tokens a group takes and nothing else: sums and returned scores are the model's
true log-probabilities, as in the paper's Eq. 4, where the penalty of a step is no part of what is summed. A
single group, or one of several without a penalty, is transformers' own beam search, token for token.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffagent_tools.llm.kv_cache import cache_name

if TYPE_CHECKING:
    import torch

_DEAD = -1e9
"""Log-probability of a beam that may not go on, as transformers marks it."""
_ALIVE = -1e8


def diverse_beam_search(
    model: Any,
    input_ids: "torch.Tensor",
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    num_beam_groups: int = 1,
    diversity_penalty: float = 0.0,
    **model_kwargs: Any,
) -> Any:
    """What `generate(custom_generate=diverse_beam_search, ...)` calls.

    Further arguments of `generate` that count: `num_beams` over all groups, `num_return_sequences`,
    `early_stopping`, `length_penalty`, `max_new_tokens`.

    Args:
        input_ids: [prompts * num_beams, length], each prompt repeated for its beams, as `generate` does.
        num_beam_groups: divides `num_beams`; one beam in each group is greedy search in each.
        diversity_penalty: taken from the log-probability of a token for each open beam of an earlier group
            that took the same token in the same step. A token that ends a beam puts nobody off.

    Returns:
        Sequences [prompts * num_return_sequences, length'], padded on the right; with
        `return_dict_in_generate` an output whose `sequences_scores` are the log-probabilities divided by
        tokens ** length_penalty. First comes the best beam of every group, the likeliest first, then the
        second best ones. Where a constraint leaves fewer ways than beams, what is missing is an answer
        without tokens and with a score of -inf.

    Raises:
        ValueError: beams that the groups do not divide, a negative penalty, sampling, or a filled cache.
    """
    import torch

    beams = generation_config.num_beams
    _check(beams, num_beam_groups, diversity_penalty, generation_config, model)
    prompts = input_ids[::beams]
    rules = _Rules.of(generation_config, beams // num_beam_groups, prompts.shape[1])
    groups = [_Group(prompts, rules) for _ in range(num_beam_groups)]
    step = _Reader(model, beams, model_kwargs)
    logits = step.prefill(prompts)
    offsets = torch.arange(len(prompts), device=input_ids.device)[:, None] * beams
    for length in range(prompts.shape[1], rules.max_length):
        running = torch.cat([group.running[:, :, :length] for group in groups], 1).flatten(0, 1)
        log_probs = torch.log_softmax(logits.float(), -1)
        log_probs = logits_processor(running, log_probs).view(len(prompts), beams, -1)
        taken = torch.zeros_like(log_probs[:, 0])  # [prompts, vocabulary]: beams that took each token
        parents = []
        for place, group in enumerate(groups):
            first = place * rules.beams
            own = log_probs[:, first : first + rules.beams]
            parents.append(first + group.advance(own, diversity_penalty * taken, length, stopping_criteria))
            if diversity_penalty:
                group.count(taken, length)
        if not any(group.open.any() for group in groups):
            break
        tokens = torch.cat([group.running[:, :, length] for group in groups], 1).view(-1, 1)
        logits = step.read(tokens, (torch.cat(parents, 1) + offsets).flatten())
    return _answer(groups, generation_config, step.cache)


def _check(beams: int, groups: int, penalty: float, config: Any, model: Any) -> None:
    if groups < 1 or beams % groups:
        raise ValueError(
            f"num_beams is {beams} and num_beam_groups {groups}; the groups must divide the beams"
        )
    if penalty < 0:
        raise ValueError(f"diversity_penalty is {penalty}; a negative one would make groups alike")
    if config.do_sample:
        raise ValueError("diverse beam search does not sample; leave do_sample out")
    if model.config.is_encoder_decoder:
        raise ValueError("diverse beam search is written for decoders; this model has an encoder, too")


@dataclass(frozen=True)
class _Rules:
    """What `generate` was asked for; `beams` of one group, `kept` candidates looked at in each step."""

    beams: int
    kept: int
    prompt_length: int
    max_length: int
    length_penalty: float
    early_stopping: bool | str
    fill: int

    @classmethod
    def of(cls, config: Any, beams: int, prompt_length: int) -> "_Rules":
        ends = config._eos_token_tensor
        # so that enough beams go on when the best candidates all end
        kept = max(2, 1 + (0 if ends is None else len(ends))) * beams
        fill = config._pad_token_tensor
        fill = fill if fill is not None else (0 if ends is None else ends[0])
        return cls(
            beams,
            kept,
            prompt_length,
            config.max_length,
            config.length_penalty,
            config.early_stopping,
            int(fill),
        )


class _Group:
    """The beams of one group, for all prompts: the plain beam search of transformers, row by row alike.

    `running` [prompts, beams, max_length] are open, `finished` are the best that ended; `open` [prompts]
    says for which prompts the search goes on.
    """

    def __init__(self, prompts: "torch.Tensor", rules: _Rules) -> None:
        import torch

        count, length = prompts.shape
        shape, device = (count, rules.beams), prompts.device
        self.rules = rules
        self.running = torch.full((*shape, rules.max_length), rules.fill, device=device)
        self.running[:, :, :length] = prompts[:, None]
        self.running_scores = torch.zeros(shape, device=device)
        self.running_scores[:, 1:] = _DEAD  # all beams begin alike: only one may
        self.finished = self.running.clone()
        self.scores = torch.full(shape, _DEAD, device=device)
        self.lengths = torch.full(shape, length, device=device)
        self.open = torch.ones(count, dtype=torch.bool, device=device)

    def advance(
        self, log_probs: "torch.Tensor", penalty: "torch.Tensor", length: int, stopping_criteria: Any
    ) -> "torch.Tensor":
        """Takes one step from sequences of `length` tokens; returns the beams [prompts, beams] gone on with.

        Args:
            log_probs: [prompts, beams, vocabulary], true ones.
            penalty: [prompts, vocabulary], taken off for the choice alone.
        """
        import torch

        rules, vocabulary = self.rules, log_probs.shape[-1]
        total = log_probs + self.running_scores[:, :, None]
        chosen, flat = (total - penalty[:, None]).flatten(1).topk(rules.kept)
        true = total.flatten(1).gather(1, flat)
        parents, tokens = flat // vocabulary, flat % vocabulary
        sequences = _pick(self.running, parents)
        sequences[:, :, length] = tokens
        ends: Any = stopping_criteria(sequences[:, :, : length + 1].flatten(0, 1), None)
        ends = ends.view(chosen.shape) | (true < _ALIVE)

        self._finish(sequences, true, ends, length + 1)
        going = (chosen + ends * _DEAD).topk(rules.beams).indices
        self.running = _pick(sequences, going)
        self.running_scores = (true + ends * _DEAD).gather(1, going)
        self._close(length + 1)
        return torch.gather(parents, 1, going)

    def count(self, taken: "torch.Tensor", length: int) -> None:
        """Adds to `taken` [prompts, vocabulary] the tokens that the open beams took at `length`."""
        alive = (self.running_scores > _ALIVE) & self.open[:, None]
        taken.scatter_add_(1, self.running[:, :, length], alive.to(taken.dtype))

    def _finish(
        self, sequences: "torch.Tensor", true: "torch.Tensor", ends: "torch.Tensor", length: int
    ) -> None:
        """Keeps the best of those that ended before and those that end now at `length`."""
        import torch

        rules = self.rules
        full = (self.scores > _ALIVE).all(1) & (rules.early_stopping is True)
        # the candidates beyond the first `beams` are there to go on only
        ended = ends & (true > _ALIVE) & (self.open & ~full)[:, None]
        ended[:, rules.beams :] = False
        new = (true / (length - rules.prompt_length) ** rules.length_penalty).masked_fill(~ended, 2 * _DEAD)
        best = torch.cat([self.scores, new], 1).topk(rules.beams)
        self.scores = best.values
        self.finished = _pick(torch.cat([self.finished, sequences], 1), best.indices)
        lengths = torch.cat([self.lengths, torch.full_like(new, length, dtype=self.lengths.dtype)], 1)
        self.lengths = lengths.gather(1, best.indices)

    def _close(self, length: int) -> None:
        """Ends the search for prompts where no open beam can get better than the worst finished one."""
        import torch

        rules = self.rules
        done = self.scores > _ALIVE
        furthest = rules.early_stopping == "never" and rules.length_penalty > 0
        most = (rules.max_length if furthest else length) - rules.prompt_length
        best = self.running_scores.max(1).values
        worst = torch.where(done.all(1), self.scores.min(1).values, torch.tensor(_DEAD))
        self.open = self.open & (best > _ALIVE) & (best / most**rules.length_penalty > worst)
        if rules.early_stopping is True:
            self.open = self.open & ~done.all(1)


class _Reader:
    """The model with its key-value cache: the prompts once, then a token for every beam."""

    def __init__(self, model: Any, beams: int, model_kwargs: dict[str, Any]) -> None:
        from transformers import DynamicCache

        self._model = model
        self._beams = beams
        mask, positions = model_kwargs.get("attention_mask"), model_kwargs.get("position_ids")
        self._mask = None if mask is None else mask[::beams]
        self._positions = None if positions is None else positions[::beams]
        given = model_kwargs.get(cache_name(model.forward))
        self.cache: Any = DynamicCache(config=model.config) if given is None else given
        if self.cache.get_seq_length():
            raise ValueError("diverse beam search reads the whole prompt; leave the cache out")

    def prefill(self, prompts: "torch.Tensor") -> "torch.Tensor":
        """Logits [prompts * beams, vocabulary] after the prompts."""
        logits = self._forward(prompts, self._positions)
        self.cache.batch_repeat_interleave(self._beams)
        if self._mask is not None:
            self._mask = self._mask.repeat_interleave(self._beams, 0)
        if self._positions is not None:
            self._positions = self._positions[:, -1:].repeat_interleave(self._beams, 0)
        return logits.repeat_interleave(self._beams, 0)

    def read(self, tokens: "torch.Tensor", parents: "torch.Tensor") -> "torch.Tensor":
        """Logits [rows, vocabulary] after `tokens` [rows, 1], which go on from the rows `parents`."""
        import torch

        self.cache.reorder_cache(parents)
        if self._mask is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], 1)
        if self._positions is not None:
            self._positions = self._positions + 1
        return self._forward(tokens, self._positions)

    def _forward(self, ids: "torch.Tensor", positions: "torch.Tensor | None") -> "torch.Tensor":
        logits: torch.Tensor = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            **{cache_name(self._model.forward): self.cache},
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        return logits


def _pick(rows: "torch.Tensor", places: "torch.Tensor") -> "torch.Tensor":
    """[prompts, n, length] of `rows` [prompts, m, length] at `places` [prompts, n]."""
    return rows.gather(1, places[:, :, None].expand(-1, -1, rows.shape[2]))


def _answer(groups: list[_Group], config: Any, cache: Any) -> Any:
    import torch
    from transformers.generation.utils import GenerateBeamDecoderOnlyOutput

    # [prompts, beams of a group, groups]: places among the groups' best are shared out before second bests
    scores, order = torch.stack([group.scores for group in groups], 2).sort(
        dim=2, stable=True, descending=True
    )
    order = order * groups[0].rules.beams + torch.arange(groups[0].rules.beams, device=order.device)[:, None]
    chosen = order.flatten(1)[:, : config.num_return_sequences]
    scores = scores.flatten(1)[:, : config.num_return_sequences].flatten()
    lengths = torch.cat([group.lengths for group in groups], 1).gather(1, chosen)
    sequences = _pick(torch.cat([group.finished for group in groups], 1), chosen)
    sequences = sequences.flatten(0, 1)[:, : int(lengths.max())]
    answer: Any = GenerateBeamDecoderOnlyOutput
    if not config.return_dict_in_generate:
        return sequences
    return answer(
        sequences=sequences,
        sequences_scores=scores.masked_fill(scores < _ALIVE, -torch.inf),
        **{cache_name(answer): cache},
    )
