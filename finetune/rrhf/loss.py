"""RRHF's losses as pure functions of log-probabilities and scores (paper Eq. 7-10)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


IGNORED = -100


def token_log_probabilities(
    logits: "torch.Tensor", rows: "torch.Tensor", targets: "torch.Tensor"
) -> "torch.Tensor":
    """log P(r_t | t, r_<t) of every token of every response, the summands of Eq. 7 and 9.

    Args:
        logits: [rows, vocabulary].
        rows: the row of the logits that predicts the token, any shape.
        targets: token ids, `IGNORED` where there is no token, of the same shape; left as they are.

    Returns:
        Nats, of that shape; 0 where there is no token.
    """
    absent = targets == IGNORED
    rows, wanted = rows.masked_fill(absent, 0), targets.masked_fill(absent, 0)
    return (logits[rows, wanted] - logits.logsumexp(-1)[rows]).masked_fill(absent, 0.0)


def log_probability(tokens: "torch.Tensor", counted: "torch.Tensor") -> "torch.Tensor":
    """Eq. 7, p_i = sum_t log P(r_it | t, r_i<t) / |r_i|, by the response's own length.

    Args:
        tokens: log-probabilities of the tokens, [..., responses, tokens].
        counted: whether there is a token, of that shape.

    Returns:
        [..., responses]; 0 for a response without tokens.
    """
    return tokens.where(counted, 0.0).sum(-1) / counted.sum(-1).clamp(min=1)


def ranking_loss(p: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
    """Eq. 8, L_rank = sum over s_i < s_j of max(0, p_i - p_j). Equal scores give no pair.

    Args:
        p: Eq. 7, [..., responses].
        scores: of that shape; NaN where there is no response.
    """
    gaps = p[..., :, None] - p[..., None, :]  # [i, j]
    return gaps.clamp(min=0).where(_worse(scores), 0.0).sum((-2, -1))


def pairs_in_order(p: "torch.Tensor", scores: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """How many pairs with s_i < s_j have p_i < p_j, and how many there are, over everything; scalars."""
    worse = _worse(scores)
    return (worse & (p[..., :, None] < p[..., None, :])).sum(), worse.sum()


def best_response_loss(
    tokens: "torch.Tensor", counted: "torch.Tensor", scores: "torch.Tensor", *, reduction: str = "sum"
) -> "torch.Tensor":
    """Eq. 9, L_ce = -sum_t log P(r_i't | t, r_i'<t) with i' = argmax_i s_i, of several the first.

    Args:
        tokens, counted: as for `log_probability`.
        scores: [..., responses]; NaN where there is no response.
        reduction: "sum" as in the paper, or "mean" over the response's tokens.
    """
    best = scores == scores.nan_to_num(nan=float("-inf")).amax(-1, keepdim=True)
    first = best & (best.cumsum(-1) == 1)
    values = tokens.where(counted, 0.0).sum(-1) if reduction == "sum" else log_probability(tokens, counted)
    return -values.where(first, 0.0).sum(-1)


def rrhf_loss(ranking: "torch.Tensor", best: "torch.Tensor", weight: float = 1.0) -> "torch.Tensor":
    """Eq. 10, L = L_rank + L_ce; `weight` is a factor of L_rank, 1 in the paper."""
    return weight * ranking + best


def _worse(scores: "torch.Tensor") -> "torch.Tensor":
    """s_i < s_j at [..., i, j]; never where one of them is NaN."""
    return scores[..., :, None] < scores[..., None, :]
