"""Diverse beam search: what it must be equal to, what its scores mean, and what it does with constraints."""

from typing import Any

import pytest
import torch
from tiny import tiny_llama

from diffagent_tools.llm.trie import PrefixTrie, TrieLogitsProcessor
from finetune.candidates.diverse_beams import diverse_beam_search

VOCABULARY = 64
EOS = 2
PAD = 5
"""not 0, which transformers' own beam search takes for none"""
MODELS: list[Any] = [tiny_llama(VOCABULARY, seed=seed) for seed in range(4)]


def prompts(seed: int = 0) -> dict[str, torch.Tensor]:
    """Three prompts of seven tokens, the first two padded on the left."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(6, VOCABULARY, (3, 7), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, :3] = mask[1, :1] = 0
    return {"input_ids": ids.masked_fill(mask == 0, PAD), "attention_mask": mask}


def search(
    model: Any, asked: dict[str, torch.Tensor], beams: int, groups: int | None = 1, **options: Any
) -> Any:
    """Diverse beam search; transformers' own where `groups` is None."""
    ours = {} if groups is None else {"custom_generate": diverse_beam_search, "num_beam_groups": groups}
    given = {"max_new_tokens": 9, "num_return_sequences": beams, "pad_token_id": PAD, **options}
    return model.generate(
        **asked, num_beams=beams, return_dict_in_generate=True, output_scores=True, **ours, **given
    )


def log_probability(model: Any, prompt: list[int], answer: list[int]) -> float:
    """Summed over the answer's tokens, from one forward without a cache."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
    return sum(float(logits[len(prompt) + i - 1, token]) for i, token in enumerate(answer))


def answer_of(row: torch.Tensor) -> list[int]:
    """Tokens after the prompt of seven, with the end token, without the padding."""
    tokens: list[int] = row[7:].tolist()
    return tokens[: tokens.index(EOS) + 1] if EOS in tokens else tokens


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("length_penalty", [1.0, 0.0, 2.0])
@pytest.mark.parametrize("beams", [2, 4])
def test_one_group_is_plain_beam_search(beams: int, length_penalty: float, early_stopping: Any) -> None:
    options = {"length_penalty": length_penalty, "early_stopping": early_stopping}
    for seed, model in enumerate(MODELS):
        plain = search(model, prompts(seed), beams, None, **options)
        ours = search(model, prompts(seed), beams, **options)
        assert torch.equal(ours.sequences, plain.sequences)
        torch.testing.assert_close(ours.sequences_scores, plain.sequences_scores, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("beams", [1, 3])
def test_groups_without_a_penalty_are_independent_beam_searches(beams: int) -> None:
    for seed, model in enumerate(MODELS):
        one = search(model, prompts(seed), beams, 1 if beams > 1 else None)
        groups = search(model, prompts(seed), 4 * beams, 4)
        # first the best beam of each group, then the second best ones
        rows = groups.sequences.view(3, beams, 4, -1)
        for group in range(4):
            assert torch.equal(rows[:, :, group], one.sequences.view(3, beams, -1))
        if beams > 1:
            torch.testing.assert_close(
                groups.sequences_scores.view(3, beams, 4),
                one.sequences_scores.view(3, beams, 1).expand(-1, -1, 4),
                atol=1e-5,
                rtol=1e-5,
            )


@pytest.mark.parametrize(("groups", "penalty"), [(1, 0.0), (2, 0.5), (6, 1.0), (3, 50.0)])
def test_scores_are_the_true_log_probabilities(groups: int, penalty: float) -> None:
    for seed, model in enumerate(MODELS[:2]):
        asked = prompts(seed)
        found = search(model, asked, 6, groups, diversity_penalty=penalty, length_penalty=0.0)
        for row, score in enumerate(found.sequences_scores.tolist()):
            prompt = asked["input_ids"][row // 6][asked["attention_mask"][row // 6] == 1].tolist()
            expected = log_probability(model, prompt, answer_of(found.sequences[row]))
            assert score == pytest.approx(expected, abs=1e-3)


def test_the_length_penalty_divides_by_the_number_of_tokens() -> None:
    asked = prompts()
    found = search(MODELS[0], asked, 4, 2, diversity_penalty=1.0, length_penalty=1.0)
    prompt = asked["input_ids"][2].tolist()
    answer = answer_of(found.sequences[8])
    expected = log_probability(MODELS[0], prompt, answer) / len(answer)
    assert float(found.sequences_scores[8]) == pytest.approx(expected, abs=1e-4)


def test_a_large_penalty_gives_every_group_tokens_of_its_own() -> None:
    found = search(MODELS[0], prompts(), 5, 5, diversity_penalty=1000.0, min_new_tokens=9)
    rows = found.sequences.view(3, 5, -1)[:, :, 7:]
    for prompt in range(3):
        for step in range(rows.shape[2] - 1):  # the last token ends its beam, and puts no other off
            assert len(set(rows[prompt, :, step].tolist())) == 5


def test_the_first_group_is_not_penalised() -> None:
    for seed, model in enumerate(MODELS):
        alone = search(model, prompts(seed), 2)
        found = search(model, prompts(seed), 6, 3, diversity_penalty=2.0)
        for prompt in range(3):
            answers = [answer_of(row) for row in found.sequences[6 * prompt : 6 * prompt + 6]]
            assert answer_of(alone.sequences[2 * prompt]) in answers


def test_more_penalty_more_different_answers() -> None:
    def distinct(penalty: float) -> int:
        found = search(MODELS[1], prompts(), 8, 4, diversity_penalty=penalty)
        return len({tuple(row) for row in found.sequences.tolist()})

    assert distinct(0.0) == 6  # two a prompt
    assert distinct(0.0) < distinct(0.5) <= distinct(5.0)


def test_a_batch_gives_what_each_prompt_gives_alone() -> None:
    asked = prompts(3)
    together = search(MODELS[2], asked, 6, 3, diversity_penalty=1.0)
    for row in range(3):
        real = asked["attention_mask"][row] == 1
        one = {name: value[row : row + 1, real] for name, value in asked.items()}
        alone = search(MODELS[2], one, 6, 3, diversity_penalty=1.0)
        for place in range(6):
            tokens = alone.sequences[place, int(real.sum()) :].tolist()
            ended = tokens[: tokens.index(EOS) + 1] if EOS in tokens else tokens
            assert answer_of(together.sequences[6 * row + place]) == ended
        torch.testing.assert_close(
            together.sequences_scores[6 * row : 6 * row + 6], alone.sequences_scores, atol=1e-4, rtol=1e-4
        )


def names(count: int, *, seed: int = 0) -> list[tuple[int, ...]]:
    """Names of two to four tokens, with a closing token each, which shares beginnings."""
    generator = torch.Generator().manual_seed(seed)
    found: set[tuple[int, ...]] = set()
    while len(found) < count:
        length = int(torch.randint(1, 4, (1,), generator=generator))
        found.add((*torch.randint(8, 14, (length,), generator=generator).tolist(), 6))
    return sorted(found)


def in_trie(model: Any, trie: PrefixTrie, beams: int, groups: int | None, **options: Any) -> Any:
    processor = TrieLogitsProcessor(trie, prompt_length=7, eos_token_id=EOS)
    return search(
        model, prompts(), beams, groups, logits_processor=[processor], early_stopping=True, **options
    )


@pytest.mark.parametrize(("groups", "penalty"), [(1, 0.0), (3, 1.0), (6, 3.0)])
def test_a_prefix_trie_holds_every_group(groups: int, penalty: float) -> None:
    trie = PrefixTrie(names(40))
    for model in MODELS:
        found = in_trie(model, trie, 6, groups, diversity_penalty=penalty)
        assert torch.isfinite(found.sequences_scores).all()
        for row in found.sequences:
            assert trie.match(row[7:].tolist())


def test_one_group_in_a_prefix_trie_is_plain_beam_search() -> None:
    # names enough that every beam can go on: transformers gives places to beams that cannot
    trie = PrefixTrie((first, second, 6) for first in range(8, 20) for second in range(20, 32))
    for model in MODELS:
        plain, ours = in_trie(model, trie, 6, None), in_trie(model, trie, 6, 1)
        assert torch.equal(ours.sequences, plain.sequences)
        torch.testing.assert_close(ours.sequences_scores, plain.sequences_scores, atol=1e-5, rtol=1e-5)


def test_a_penalty_finds_more_names_than_none() -> None:
    trie = PrefixTrie(names(40))

    def distinct(penalty: float) -> int:
        found = in_trie(MODELS[0], trie, 6, 6, diversity_penalty=penalty)
        return len({trie.match(row[7:].tolist()) for row in found.sequences[:6]})

    assert distinct(0.0) == 1
    assert distinct(3.0) > 3


def test_what_a_constraint_cannot_give_is_empty() -> None:
    trie = PrefixTrie([(9, 6), (10, 6)])
    found = in_trie(MODELS[0], trie, 4, 1)
    for prompt in range(3):
        rows = found.sequences[4 * prompt : 4 * prompt + 4]
        scores = found.sequences_scores[4 * prompt : 4 * prompt + 4]
        assert {trie.match(row[7:].tolist()) for row in rows[:2]} == {(0,), (1,)}
        assert torch.isfinite(scores[:2]).all()
        assert (scores[2:] == -torch.inf).all()
        assert (rows[2:, 7:] == PAD).all()


def test_a_stopping_criterion_ends_a_beam_where_it_stands() -> None:
    def after_three(input_ids: torch.Tensor, scores: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), input_ids.shape[1] >= 10)

    asked = prompts()
    found = search(
        MODELS[0], asked, 4, 2, diversity_penalty=1.0, length_penalty=0.0, stopping_criteria=[after_three]
    )
    assert found.sequences.shape[1] == 10
    prompt = asked["input_ids"][2].tolist()
    expected = log_probability(MODELS[0], prompt, answer_of(found.sequences[8]))
    assert float(found.sequences_scores[8]) == pytest.approx(expected, abs=1e-4)


def test_one_answer_each_of_the_best_groups() -> None:
    everything = search(MODELS[0], prompts(), 6, 3, diversity_penalty=1.0)
    best = search(MODELS[0], prompts(), 6, 3, diversity_penalty=1.0, num_return_sequences=3)
    expected = everything.sequences.view(3, 6, -1)[:, :3].flatten(0, 1)
    assert torch.equal(best.sequences, expected[:, : best.sequences.shape[1]])
    scores = best.sequences_scores.view(3, 3)
    assert (scores[:, :-1] >= scores[:, 1:]).all()


def test_plain_tokens_where_no_scores_are_asked_for() -> None:
    found = MODELS[0].generate(
        **prompts(), custom_generate=diverse_beam_search, num_beams=4, num_beam_groups=2, max_new_tokens=3
    )
    assert found.shape == (3, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beam_groups": 4}, "num_beams is 6 and num_beam_groups 4"),
        ({"num_beam_groups": 0}, "num_beam_groups 0"),
        ({"num_beam_groups": 2, "diversity_penalty": -1.0}, "diversity_penalty is -1.0"),
        ({"num_beam_groups": 2, "do_sample": True}, "does not sample"),
    ],
)
def test_what_cannot_be_searched(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODELS[0].generate(
            **prompts(), custom_generate=diverse_beam_search, num_beams=6, max_new_tokens=3, **options
        )
