"""Eq. 7-10 by hand and against the recorded fixture; scored responses as data, the bad ones included."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from small_world import small_catalogue
from tiny import tiny_tokenizer

from diffagent_tools.llm.prompt import encode_dialogue, encode_name, encode_prompt
from finetune.rrhf.data import Ranked, Scored, build_ranked, read_scored
from finetune.rrhf.loss import (
    IGNORED,
    best_response_loss,
    log_probability,
    pairs_in_order,
    ranking_loss,
    rrhf_loss,
    token_log_probabilities,
)
from retrieval.calls.compose import api_for
from retrieval.errors import DataError
from retrieval.records.api import read_instruction

NAN = float("nan")
SHARED = Path(os.environ.get("DIFFAGENT_DATA", Path(__file__).parents[4] / "shared" / "data"))
FIXTURE = SHARED.parent / "reference" / "rrhf_fixture.json"

# three responses of 2, 1 and 3 tokens, as log-probabilities of their tokens
TOKENS = torch.tensor([[-1.0, -2.0, 0.0], [-0.5, 0.0, 0.0], [-1.0, -1.0, -4.0]])
COUNTED = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])


def test_equations_7_to_10_by_hand() -> None:
    p = log_probability(TOKENS, COUNTED)
    assert p.tolist() == [-1.5, -0.5, -2.0]
    scores = torch.tensor([0.2, 0.1, 0.9])
    # worse than the third: p_0 - p_2 = 0.5, p_1 - p_2 = 1.5; worse than the first: p_1 - p_0 = 1
    assert ranking_loss(p, scores).item() == 3.0
    assert best_response_loss(TOKENS, COUNTED, scores).item() == 6.0
    assert best_response_loss(TOKENS, COUNTED, scores, reduction="mean").item() == 2.0
    assert rrhf_loss(ranking_loss(p, scores), torch.tensor(6.0)).item() == 9.0
    assert rrhf_loss(torch.tensor(3.0), torch.tensor(6.0), weight=0.5).item() == 7.5
    assert [int(n) for n in pairs_in_order(p, scores)] == [0, 3]
    # in the right order already: nothing to gain
    assert ranking_loss(p, torch.tensor([0.5, 0.9, 0.1])).item() == 0.0
    assert [int(n) for n in pairs_in_order(p, torch.tensor([0.5, 0.9, 0.1]))] == [3, 3]


def test_what_is_no_token_counts_neither_in_the_sum_nor_in_the_length() -> None:
    noisy = TOKENS.masked_fill(~COUNTED, 7.0)
    assert torch.equal(log_probability(noisy, COUNTED), log_probability(TOKENS, COUNTED))
    assert best_response_loss(noisy, COUNTED, torch.tensor([0.0, 1.0, 0.0])).item() == 0.5


def test_token_log_probabilities_are_gathered_and_leave_the_targets_alone() -> None:
    logits = torch.tensor([[0.0, 0.0, math.log(2)], [0.0, 0.0, 0.0]])
    targets = torch.tensor([[2, 1], [0, IGNORED]])
    rows = torch.tensor([[0, 1], [0, 0]])
    found = token_log_probabilities(logits, rows, targets)
    wanted = torch.tensor([[math.log(1 / 2), math.log(1 / 3)], [math.log(1 / 4), 0.0]])
    assert torch.allclose(found, wanted)
    assert targets.tolist() == [[2, 1], [0, IGNORED]]


def test_a_batch_gives_the_losses_of_its_prompts_alone() -> None:
    """The second prompt has two responses: the third place is no response."""
    tokens = torch.stack([TOKENS, TOKENS])
    counted = torch.stack([COUNTED, COUNTED])
    counted[1, 2] = False
    scores = torch.tensor([[0.2, 0.1, 0.9], [0.7, 0.3, NAN]])
    p = log_probability(tokens, counted)
    assert p.tolist() == [[-1.5, -0.5, -2.0], [-1.5, -0.5, 0.0]]
    assert ranking_loss(p, scores).tolist() == [3.0, 1.0]
    assert best_response_loss(tokens, counted, scores).tolist() == [6.0, 3.0]
    assert [int(n) for n in pairs_in_order(p, scores)] == [0, 4]


def test_ties_rank_nothing_and_the_first_of_the_best_is_taught() -> None:
    p = log_probability(TOKENS, COUNTED)
    assert ranking_loss(p, torch.tensor([0.5, 0.5, 0.5])).item() == 0.0
    assert best_response_loss(TOKENS, COUNTED, torch.tensor([0.1, 0.5, 0.5])).item() == 0.5
    # only pairs with the third, which is worse: p_2 is below both already
    assert ranking_loss(p, torch.tensor([0.5, 0.5, 0.1])).item() == 0.0
    assert ranking_loss(p, torch.tensor([0.1, 0.5, 0.5])).item() == 0.5


def test_a_single_response_has_its_cross_entropy_alone() -> None:
    p = log_probability(TOKENS[:1], COUNTED[:1])
    assert ranking_loss(p, torch.tensor([0.4])).item() == 0.0
    assert best_response_loss(TOKENS[:1], COUNTED[:1], torch.tensor([0.4])).item() == 3.0


def test_the_gradient_raises_the_better_and_lowers_the_worse() -> None:
    p = torch.tensor([-1.0, -2.0, -3.0], requires_grad=True)
    ranking_loss(p, torch.tensor([0.1, 0.2, 0.0])).backward()
    assert p.grad is not None
    assert p.grad.tolist() == [1.0, -1.0, 0.0]


@pytest.fixture(scope="module")
def fixture() -> Any:
    if not FIXTURE.is_file():
        pytest.skip(f"no {FIXTURE.name} beside the shared data")
    return json.loads(FIXTURE.read_text(encoding="utf-8"))


def fixture_tokens(fixture: Any) -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.tensor(fixture["logits"], dtype=torch.float64)
    labels = torch.tensor(fixture["labels"])
    rows = torch.arange(labels.numel()).view(labels.shape)
    return token_log_probabilities(logits.flatten(0, 1), rows, labels), labels != IGNORED


def test_the_equations_agree_with_the_fixture(fixture: Any) -> None:
    tokens, counted = fixture_tokens(fixture)
    p = log_probability(tokens, counted)
    for case in fixture["cases"]:
        scores, wanted = torch.tensor(case["scores"], dtype=torch.float64), case["paper_eq7_9"]
        assert p.tolist() == pytest.approx(wanted["p"], abs=1e-6)
        assert ranking_loss(p, scores).item() == pytest.approx(wanted["rank"], abs=1e-6)
        summed = best_response_loss(tokens, counted, scores)
        assert summed.item() == pytest.approx(wanted["ce_sum"], abs=1e-6)
        mean = best_response_loss(tokens, counted, scores, reduction="mean")
        assert mean.item() == pytest.approx(wanted["ce_mean_per_response_token"], abs=1e-6)


def test_the_release_divides_by_the_padded_length(fixture: Any) -> None:
    """GanjinZero/RRHF, train.py at e1a2b61, sets labels[labels == -100] = 0 in place before it counts them.

    So every response is divided by the padded length, 12 here, and long ones are no longer on a par with
    short ones: the order of the first and the fourth response of the fixture is that of Eq. 7 reversed. Its
    cross-entropy is a mean over the padded length too. Set `labels` in place and these losses give the
    release's values.
    """
    tokens, counted = fixture_tokens(fixture)
    masked_in_place = torch.ones_like(counted)
    released, paper = log_probability(tokens, masked_in_place), log_probability(tokens, counted)
    assert released[0] > released[3]
    assert paper[0] < paper[3]
    for case in fixture["cases"]:
        scores, wanted = torch.tensor(case["scores"], dtype=torch.float64), case["as_released"]
        assert released.tolist() == pytest.approx(wanted["p"], abs=1e-6)
        assert ranking_loss(released, scores).item() == pytest.approx(wanted["rank"], abs=1e-6)
        best = best_response_loss(tokens, masked_in_place, scores, reduction="mean")
        assert best.item() == pytest.approx(wanted["sft"], abs=1e-6)


def test_the_releases_masking_on_literal_values() -> None:
    """As above without the fixture: three places each, whatever the response's length."""
    released = log_probability(TOKENS, torch.ones_like(COUNTED))
    assert released.tolist() == pytest.approx([-1.0, -0.5 / 3, -2.0])


# the data


def text(model_id: int, prompt: str = "a corgi") -> str:
    return api_for(small_catalogue().get(model_id), read_instruction(prompt)).paper_json()


def scored(*pairs: tuple[str, float | None], prompt: str = "a corgi") -> Scored:
    return Scored(read_instruction(prompt), tuple(t for t, _ in pairs), tuple(s for _, s in pairs))


def ranked(*lines: Scored, **options: Any) -> Ranked:
    options = {"max_prompt_tokens": 64, "max_length": 4096, **options}
    return build_ranked(lines, small_catalogue(), tiny_tokenizer(), **options)


def test_responses_have_the_token_ids_of_serving() -> None:
    tokenizer, instruction = tiny_tokenizer(), read_instruction("a corgi")
    built = ranked(scored((text(201), 0.5), (text(203), 0.7)))
    api = api_for(small_catalogue().get(203), instruction)
    whole = encode_dialogue(instruction, api, tokenizer, max_prompt_tokens=64)
    prompt = built.prompts[0]
    assert prompt.prompt_ids == whole.input_ids[: whole.answer_start]
    assert prompt.responses[1] == whole.input_ids[whole.answer_start :]
    assert prompt.responses[1][-1] == tokenizer.eos_token_id
    assert prompt.scores == (0.5, 0.7)
    assert built.model_ids == (201, 203)

    names = ranked(scored((text(201), 0.5), (text(203), 0.7)), name_only=True).prompts[0]
    assert names.prompt_ids == tuple(encode_prompt(instruction, tokenizer))
    assert names.responses[0] == tuple(encode_name("Pixel Art Helper", tokenizer))


def test_what_is_left_out_is_counted_and_told() -> None:
    api = api_for(small_catalogue().get(201), read_instruction("a corgi"))
    invented = api.model_copy(update={"model": "Nobody Made This"}).paper_json()
    long = api.model_copy(update={"model_description": "very long " * 400}).paper_json()
    built = ranked(
        scored((text(201), 0.5), (text(203), 0.5), (text(202), 0.5)),  # all tied
        scored((text(201), 0.5), (text(203), 0.5), (text(202), 0.9)),  # a tie
        scored((text(201), 0.4), (text(201), 0.6)),  # the same twice: one, with the mean
        scored((text(201), 0.5), ("no call at all", 0.1), (invented, 0.2), (text(202), None), (long, 0.3)),
        scored((invented, 0.2)),
        scored(),
        max_length=2000,
    )
    assert built.counts == {
        **{"responses": 8, "pairs": 2, "single": 2, "all_tied": 1, "ties": 4, "no_response": 2},
        **{"unreadable": 1, "unknown": 2, "unscored": 1, "too_long": 1, "merged": 1},
    }
    assert len(built.prompts) == 4
    assert built.prompts[2].scores == (0.5,)
    report = built.report()
    assert report.startswith(
        "4 prompts with 8 responses of 3 models, 2 pairs to rank; 2 prompts with a single"
    )
    assert "2 prompts without a valid response" in report
    assert "1 with all scores equal, which only the cross-entropy learns from; 4 tied pairs" in report


def test_without_any_valid_response_there_is_nothing_to_train_on() -> None:
    with pytest.raises(
        DataError, match=r"none of 2 prompts has a valid response \(1 unreadable, 0 of models"
    ):
        ranked(scored(("nothing", 0.5)), scored())


def test_the_digest_is_that_of_tokens_and_scores() -> None:
    one, other = scored((text(201), 0.5)), scored((text(201), 0.6))
    assert ranked(one).digest == ranked(one).digest != ranked(other).digest


def line(**changes: Any) -> str:
    row = {"instruction": {"prompt": "a corgi"}, "responses": [text(201), text(203)], "scores": [0.1, 0.2]}
    return json.dumps({**row, **changes})


def test_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scored.jsonl"
    note = "no image was rendered"
    path.write_text(line(reward="catalogue", note=note) + "\n\n" + line(scores=[1, None]) + "\n", "utf-8")
    first, second = read_scored(path)
    assert first.scores == (0.1, 0.2)
    assert second.scores == (1.0, None)
    assert first.responses == (text(201), text(203))
    assert ranked(first, second).rewards == ("catalogue (no image was rendered)",)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            line(scores=[0.1, NAN]),
            r"line 2 of .*: the score of response 2 is nan, and nothing can be ranked by it",
        ),
        (line(scores=[math.inf, 0.1]), r"the score of response 1 is inf, .* write null to leave"),
        (line(scores=["0.1", 0.2]), r"the score of response 1 is '0.1'"),
        (line(scores=[0.1]), r"line 2 of .*: needed are two lists of one length"),
        (line(responses=[1, "x"]), r"response 1 is 1, needed is the text"),
        (line(instruction={"prompt": " "}), r"line 2 of .*: .*mend or delete the line"),
        ('{"responses": []}', r"line 2 of .* has no instruction, scores; fill it in"),
        ("[]", r"line 2 of .* is no JSON object"),
        ("{", r"line 2 of .*mend or delete the line"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, broken: str, message: str) -> None:
    path = tmp_path / "scored.jsonl"
    path.write_text(line() + "\n" + broken + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_scored(path)


def test_a_file_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*scored\.jsonl"):
        read_scored(tmp_path / "scored.jsonl")
    (tmp_path / "scored.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no line"):
        read_scored(tmp_path / "scored.jsonl")
