"""Near-duplicates of a model share a cluster, by comparing all pairs and by MinHash alike."""

import random

import pytest

import finetune.data.near_duplicates as near
from finetune.data.folds import clusters as compared
from finetune.data.near_duplicates import clusters


def test_prompts_join_within_a_model_and_equal_ones_across() -> None:
    prompts = [
        "a red fox in deep snow",
        "a red fox in deep snow, sharp",
        "a red fox in deep snow",
        "a castle",
    ]
    assert clusters([7, 7, 8, 8], prompts) == [0, 0, 0, 3]
    assert clusters([7, 8], prompts[:2]) == [0, 1]
    assert clusters([7, 7], ["!!!", "???"]) == [0, 1]
    assert clusters([], []) == []


@pytest.mark.parametrize("most", [0, 1_000])
def test_both_ways_find_what_comparing_everything_finds(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "COMPARED_IN_PAIRS", most)
    lot = random.Random(3)
    words = [f"word{number}" for number in range(60)]
    prompts = [" ".join(lot.sample(words, 12)) for _ in range(60)]
    for prompt in list(prompts):
        said = prompt.split()
        said[lot.randrange(12)] = lot.choice(words)
        prompts.append(" ".join(said))
    models = [place % 2 for place in range(len(prompts))]
    pairs = [{"model_id": model, "prompt": prompt} for model, prompt in zip(models, prompts, strict=True)]
    wanted = compared(pairs)
    first: dict[int, int] = {}
    assert clusters(models, prompts) == [first.setdefault(root, place) for place, root in enumerate(wanted)]
