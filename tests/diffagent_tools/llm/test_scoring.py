"""Scores of answers read as a tree equal those of answers read one by one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_llama

from diffagent_tools.llm.scoring import score_answers

MODEL = tiny_llama(64)


def one_by_one(prompt: list[int], answers: list[list[int]]) -> torch.Tensor:
    """Summed log-probabilities [n], a forward over prompt and answer each, no cache."""
    totals = []
    for answer in answers:
        with torch.no_grad():
            logits = MODEL(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        totals.append(sum(float(logits[len(prompt) + i - 1, token]) for i, token in enumerate(answer)))
    return torch.tensor(totals)


def check(prompt: list[int], answers: list[list[int]], **options: int) -> None:
    scores = score_answers(MODEL, prompt, answers, **options)
    expected = one_by_one(prompt, answers)
    torch.testing.assert_close(scores.total, expected, atol=1e-4, rtol=1e-5)
    lengths = torch.tensor([float(len(answer)) for answer in answers])
    torch.testing.assert_close(scores.mean, expected / lengths, atol=1e-4, rtol=1e-5)


tokens = st.integers(0, 63)
# few different tokens, so that answers share beginnings and repeat
answer_lists = st.lists(st.lists(st.integers(5, 8), min_size=1, max_size=6), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(tokens, min_size=1, max_size=12), answer_lists, st.sampled_from([1, 3, 8, 256]))
def test_equal_to_one_by_one(prompt: list[int], answers: list[list[int]], max_nodes: int) -> None:
    check(prompt, answers, max_nodes=max_nodes)


def test_many_answers_in_several_reads() -> None:
    generator = torch.Generator().manual_seed(0)
    answers = [
        torch.randint(3, 64, (int(length),), generator=generator).tolist()
        for length in torch.randint(1, 9, (60,), generator=generator)
    ]
    check(list(range(3, 40)), answers, max_nodes=16)
    check(list(range(3, 40)), answers)


def test_answers_of_one_token_need_no_second_read() -> None:
    check([5, 6, 7], [[9], [10], [9]])


def test_all_answers_of_a_step_share_the_probability() -> None:
    scores = score_answers(MODEL, [5, 6], [[token] for token in range(64)])
    assert scores.total.exp().sum() == pytest.approx(1, abs=1e-5)


def test_no_answers() -> None:
    assert score_answers(MODEL, [5], []).total.shape == (0,)


def test_nothing_to_score() -> None:
    with pytest.raises(ValueError, match="the prompt has no tokens"):
        score_answers(MODEL, [], [[5]])
    with pytest.raises(ValueError, match="an answer has no tokens"):
        score_answers(MODEL, [5], [[5], []])
