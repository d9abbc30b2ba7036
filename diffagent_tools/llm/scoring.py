"""How likely the model finds each of many given answers, in one pass.

scores = score_answers(model, prompt_ids, [encode_name(tokenizer, name) for name in names])
scores.mean.topk(10)  # the best names by paper Eq. 7
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from diffagent_tools.llm.kv_cache import cache_name

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class AnswerScores(NamedTuple):
    """Log-probabilities of n answers, fp32, on the CPU: `total` [n] summed, `mean` [n] for each token."""

    total: "torch.Tensor"
    mean: "torch.Tensor"


def score_answers(
    model: "PreTrainedModel",
    prompt_ids: Sequence[int],
    answers: Sequence[Sequence[int]],
    *,
    max_nodes: int = 256,
) -> AnswerScores:
    """Log-probabilities of many answers to one prompt.

    Paper Eq. 7: p_i = sum_t log P(y_t | x, y_<t) / |y_i|, here `mean`.

    The prompt is read once. The answers are read as one tree: a token that several answers share in their
    beginnings is one position, which attends to the prompt and to its ancestors only. So the work is one
    forward over the distinct tokens, without padding and without a copy of the prompt's cache for each
    answer; the output layer sees only the positions that some answer goes on from.

    Args:
        model: a causal model with SDPA or eager attention; its mode is left as it is.
        prompt_ids: the prompt, with the part of the answer that is common to all.
        answers: token ids, none empty; equal answers are allowed.
        max_nodes: positions a forward; what is more is read in several, each with logits of this many rows.

    Raises:
        ValueError: an empty prompt or an empty answer.
    """
    import torch
    from transformers import DynamicCache

    if not prompt_ids:
        raise ValueError("the prompt has no tokens; scores need something to continue")
    if not all(answers):
        raise ValueError("an answer has no tokens, so it has no probability")
    total = torch.zeros(len(answers))
    lengths = torch.tensor([len(answer) for answer in answers])
    with torch.no_grad():
        cache = DynamicCache(config=model.config)
        prompt = torch.tensor([list(prompt_ids)], device=model.device)
        kept = {cache_name(model.forward): cache}
        first = model(input_ids=prompt, **kept, use_cache=True, logits_to_keep=1).logits[0]
        # neighbours in this order share the longest beginnings
        order = sorted(range(len(answers)), key=lambda i: tuple(answers[i]))
        for part in _parts([answers[i] for i in order], max_nodes):
            tree = _Tree([answers[order[i]] for i in part])
            logits = torch.cat([first, _read_tree(model, cache, tree, len(prompt_ids))])
            token_scores = _edge_scores(logits, tree)
            for position, path in zip(part, tree.paths, strict=True):
                total[order[position]] = token_scores[path].sum()
    return AnswerScores(total, total / lengths)


class _Tree:
    """Answers as nodes, parents first. Node 0 is the end of the prompt; `inner` are the nodes to read."""

    def __init__(self, answers: Sequence[Sequence[int]]) -> None:
        nodes: dict[tuple[int, int], int] = {}
        self.tokens, self.parents, self.depths = [-1], [-1], [0]
        self.paths: list[list[int]] = []
        for answer in answers:
            path, node = [], 0
            for depth, token in enumerate(answer, start=1):
                parent, node = node, nodes.setdefault((node, token), len(self.tokens))
                if node == len(self.tokens):
                    self.tokens.append(token)
                    self.parents.append(parent)
                    self.depths.append(depth)
                path.append(node)
            self.paths.append(path)
        self.inner = sorted(set(self.parents[1:]) - {0})


def _parts(answers: Sequence[Sequence[int]], max_nodes: int) -> list[list[int]]:
    """Positions of sorted answers, in groups of about `max_nodes` distinct tokens, an answer at least."""
    parts: list[list[int]] = []
    size = max_nodes
    before: Sequence[int] = ()
    for position, answer in enumerate(answers):
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, answer, strict=False)))
        if size + len(answer) - shared > max_nodes:
            parts.append([])
            size, shared = 0, 0
        parts[-1].append(position)
        size += len(answer) - shared
        before = answer
    return parts


def _read_tree(model: Any, cache: Any, tree: _Tree, prompt_length: int) -> "torch.Tensor":
    """Logits [inner nodes, vocabulary] after each inner node; the cache is left as it was."""
    import torch

    count = len(tree.inner)
    place = {node: i for i, node in enumerate(tree.inner)}
    sees = torch.zeros(count, prompt_length + count, dtype=torch.bool)
    sees[:, :prompt_length] = True
    for i, node in enumerate(tree.inner):
        if tree.parents[node]:
            sees[i] = sees[place[tree.parents[node]]]
        sees[i, prompt_length + i] = True
    if not count:
        return torch.empty(0, model.config.vocab_size, device=model.device)
    mask = torch.zeros(sees.shape, dtype=model.dtype).masked_fill(~sees, torch.finfo(model.dtype).min)
    positions = [prompt_length + tree.depths[node] - 1 for node in tree.inner]
    logits = model(
        input_ids=torch.tensor([[tree.tokens[node] for node in tree.inner]], device=model.device),
        attention_mask=mask[None, None].to(model.device),
        position_ids=torch.tensor([positions], device=model.device),
        **{cache_name(model.forward): cache},
        use_cache=True,
    ).logits[0]
    cache.crop(-count)
    read: torch.Tensor = logits
    return read


def _edge_scores(logits: "torch.Tensor", tree: _Tree) -> "torch.Tensor":
    """log P(token | its ancestors) of each node [nodes]; 0 for the prompt's end."""
    import torch

    row = {node: i for i, node in enumerate([0, *tree.inner])}
    logits = logits.float()
    rows = torch.tensor([row[parent] for parent in tree.parents[1:]], device=logits.device)
    tokens = torch.tensor(tree.tokens[1:], device=logits.device)
    scores = logits[rows, tokens] - logits.logsumexp(-1)[rows]
    return torch.cat([torch.zeros(1), scores.cpu()])
