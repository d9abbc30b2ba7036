"""The shortlist's weights: what they say of the language model, which is loaded only where it counts."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from small_adapter import fusion_only, plain_fusion, with_lora
from small_world import small_catalogue
from tiny import save_tiny_base

from diffagent_tools.llm.adapter import STARTER_ADAPTER
from diffagent_tools.llm.base import load_base
from diffagent_tools.select.selector import LlamaSelector, RetrievalSelector
from diffagent_tools.select.shortlist import LLM_SCORES, SHORTLIST_FILE, load_weights, needs_llm, weigh
from retrieval.catalogue import Catalogue
from retrieval.search.fusion import Fusion
from retrieval.search.ranker import Candidate

SUBJECTS = (
    *("a red fox in the snow", "a lighthouse in a storm", "a happy corgi", "an old sailor", "a dragon"),
    *("a cup of coffee", "a castle on a hill", "a robot in the rain", "a bowl of ramen", "a quiet forest"),
    *("a spaceship", "a knight", "a city at night", "a steam train", "a bookshop", "a mountain lake"),
    *("a black cat", "a witch", "a racing car", "a bouquet of roses"),
)
STYLES = (
    *("pixel art", "watercolor", "oil painting", "ink sketch", "3d render", "anime", "photo, 85mm"),
    *("low poly", "comic book", "masterpiece, best quality"),
)
REQUESTS = [f"{subject}, {style}" for subject, style in product(SUBJECTS, STYLES)]


def candidates(count: int) -> list[Candidate]:
    """The first models of the small catalogue, each one logit behind the one before."""
    records = list(small_catalogue())[:count]
    return [
        Candidate(record=record, logit=-float(place), chance=0.5 / (place + 1), right=0.9, scores={})
        for place, record in enumerate(records)
    ]


def test_reads_tells_a_weight_of_nought_from_one_that_counts() -> None:
    linear = plain_fusion(("retrieval", "llm.mean"))
    assert linear.reads("llm.mean")
    assert not linear.reads("llm.total")
    silent = Fusion(**{**vars(linear), "linear": np.array([1, 0, 0, 0], np.float32)})
    assert silent.reads("retrieval")
    assert not silent.reads(*LLM_SCORES)


def test_reads_counts_the_hidden_layer_where_its_output_is_used() -> None:
    linear = plain_fusion(("retrieval", "llm.mean"))
    hidden = np.array([[0], [0], [0], [0.2]], np.float32)
    nought = np.zeros(4, np.float32)
    used = Fusion(**{**vars(linear), "linear": nought, "hidden": hidden, "out": np.ones(1, np.float32)})
    assert used.reads("llm.mean")
    assert not used.reads("retrieval")
    unused = Fusion(**{**vars(used), "out": np.zeros(1, np.float32)})
    assert not unused.reads("llm.mean")


def test_the_packaged_weights_do_not_let_the_language_model_change_anything() -> None:
    weights = load_weights(STARTER_ADAPTER)
    assert weights is not None
    assert not needs_llm(weights)
    few = candidates(5)
    without = weigh(few, weights)
    lot = np.random.default_rng(0)
    for _ in range(50):
        llm = {name: lot.normal(-5, 10, len(few)).astype(np.float32) for name in LLM_SCORES}
        asked = weigh(few, weights, llm)
        assert [(each.place, each.score, each.chance) for each in asked] == [
            (each.place, each.score, each.chance) for each in without
        ]
        assert [each.llm_score for each in asked] == [float(llm["llm.mean"][each.place]) for each in asked]
    assert all(each.llm_score is None for each in without)


def test_weights_that_count_need_the_language_model_and_so_do_none(tmp_path: Path) -> None:
    assert needs_llm(None)
    assert needs_llm(plain_fusion(("retrieval", "llm.mean")))
    assert not needs_llm(plain_fusion(("retrieval",)))
    assert load_weights(fusion_only(tmp_path)) is None  # no trained adapter


def test_scores_that_count_turn_the_order_round() -> None:
    few = candidates(2)
    llm = {"llm.total": np.array([-9, -1], np.float32), "llm.mean": np.array([-9, -1], np.float32)}
    assert [each.place for each in weigh(few, plain_fusion(("retrieval", "llm.mean")), llm)] == [1, 0]
    assert [each.place for each in weigh(few, None, llm)] == [1, 0]


@pytest.fixture(scope="module")
def starter() -> Catalogue:
    return Catalogue.starter()


def test_the_default_agrees_with_retrieval_on_200_requests_and_loads_no_language_model(
    starter: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("DIFFAGENT_HOME", str(home))
    said: list[str] = []
    default = LlamaSelector(starter, progress=said.append)
    retrieval = RetrievalSelector(starter)
    assert len(set(REQUESTS)) == 200
    for request in REQUESTS:
        chosen = [selection.api.model_id for selection in default.select(request, k=10)]
        assert chosen == [selection.api.model_id for selection in retrieval.select(request, k=10)], request
    assert not default.asks_llama
    assert said == []  # nothing was fetched
    assert not (home / "base").exists()


def test_a_base_that_is_named_is_asked(tmp_path: Path) -> None:
    """Somebody who names a language model is told where it does not fit the adapter."""
    base = str(save_tiny_base(tmp_path / "tiny"))
    adapter = fusion_only(tmp_path / "adapter")
    with_lora(adapter, load_base(base).model, base="tiny", base_digest=load_base(base).digest)
    plain_fusion(("retrieval",), temperature=1.0).save(adapter / SHORTLIST_FILE)
    quiet = LlamaSelector(small_catalogue(), adapter=adapter)
    assert quiet.select("pixel art")[0].evidence.llm_score is None
    asked = LlamaSelector(small_catalogue(), adapter=adapter, base=base)
    best = asked.select("pixel art")[0]
    assert best.evidence.llm_score is not None
    assert best.api == quiet.select("pixel art")[0].api


def test_a_mode_that_decodes_asks_it() -> None:
    assert LlamaSelector(small_catalogue(), mode="constrained").asks_llama
    assert LlamaSelector(small_catalogue(), mode="free").asks_llama
