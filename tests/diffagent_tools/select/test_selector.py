"""Selectors on a real tiny LLaMA and a small catalogue: every mode, filter, batch and refusal."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from small_adapter import fusion_only, plain_fusion, with_lora
from small_world import small_catalogue
from tiny import save_tiny_base

from diffagent_tools.llm.adapter import merge_lora
from diffagent_tools.llm.base import load_base
from diffagent_tools.select.reasons import fits_nothing
from diffagent_tools.select.selector import SHORTLIST, LlamaSelector, RetrievalSelector
from diffagent_tools.select.shortlist import SHORTLIST_FILE
from retrieval.catalogue import Catalogue
from retrieval.errors import (
    AdapterError,
    AdapterMismatch,
    InvalidInput,
    InvalidInstruction,
    UnknownBaseModel,
)
from retrieval.records.api import read_instruction

PIXELS = "a happy corgi, pixel art"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return str(save_tiny_base(tmp_path_factory.mktemp("bases") / "tiny"))


@pytest.fixture
def adapter(tmp_path):
    return fusion_only(tmp_path / "adapter")


@pytest.fixture
def retrieval(adapter) -> RetrievalSelector:
    return RetrievalSelector(small_catalogue(), adapter=adapter)


def llama(base: str, adapter, **options) -> LlamaSelector:
    return LlamaSelector(small_catalogue(), base=base, adapter=adapter, **options)


def test_the_model_whose_words_the_request_says_comes_first_with_its_reasons(retrieval) -> None:
    best, second = retrieval.select(PIXELS, k=2)
    assert best.api.model == "Pixel Art Helper"
    assert best.api.model_id == 201
    assert best.api.sampling_steps == 25  # the catalogue's recommended setting
    assert best.evidence.matched_trigger_words == ("pixel art",)
    assert "pixel art" in best.reason
    assert best.page_url == "https://civitai.com/models/201"
    assert best.score > second.score
    assert 0 <= second.confidence <= best.confidence <= 1
    assert best.api.confidence == best.confidence


def test_an_unavailable_model_is_never_chosen(retrieval) -> None:
    chosen = {s.api.model for s in retrieval.select("Lost Landscapes, mountains and lakes", k=50)}
    assert "Lost Landscapes" not in chosen
    assert len(chosen) == 6


@pytest.mark.parametrize(
    ("filters", "models"),
    [
        ({"base_model": "sdxl"}, {"SD XL", "Watercolor Wash"}),
        ({"type": "lora"}, {"Pixel Art Helper", "Watercolor Wash"}),
        ({"commercial_use": True}, {"v1-5-pruned-emaonly", "Free Pixels"}),
        ({"base_model": "SDXL 1.0", "type": "LORA"}, {"Watercolor Wash"}),
        ({"exclude": [201, "Watercolor Wash"], "type": "LORA"}, set()),
    ],
)
def test_filters_hold(retrieval, filters, models) -> None:
    assert {s.api.model for s in retrieval.select(PIXELS, k=50, **filters)} == models


def with_licences(licences: dict[int, list[str] | None]) -> Catalogue:
    return Catalogue(
        [
            record.model_copy(update={"commercial_use": licences.get(record.model_id, record.commercial_use)})
            for record in small_catalogue()
        ]
    )


def test_a_lora_for_sale_stands_on_a_checkpoint_for_sale(adapter) -> None:
    base, pixels, free = 62437, 201, next(r.model_id for r in small_catalogue() if r.model == "Free Pixels")

    def chosen(licences: dict[int, list[str] | None], **filters: bool):
        selector = RetrievalSelector(with_licences(licences), adapter=adapter)
        return next(s for s in selector.select(PIXELS, k=50, **filters) if s.api.model_id == pixels)

    allowed = chosen({pixels: ["Image"]}, commercial_use=True)
    assert (allowed.api.base_checkpoint.model_id, allowed.notes) == (base, ())
    refused = chosen({pixels: ["Image"], base: []}, commercial_use=True)
    assert refused.api.base_checkpoint.model_id == free
    assert refused.notes == (
        "the licence of the checkpoint 'v1-5-pruned-emaonly' does not allow selling images; "
        "'Free Pixels' does",
    )
    unknown = chosen({pixels: ["Image"], base: None, free: []}, commercial_use=True)
    assert unknown.api.base_checkpoint.model_id == base
    assert "is not known to allow selling images, and" in unknown.notes[0]
    assert chosen({pixels: ["Image"], base: []}).api.base_checkpoint.model_id == base


@pytest.mark.parametrize(
    ("filters", "error"),
    [
        ({"base_model": "SD 9"}, UnknownBaseModel),
        ({"type": "embedding"}, InvalidInput),
        ({"k": 0}, InvalidInput),
        ({"exclude": ["no such model anywhere"]}, InvalidInput),
    ],
)
def test_filters_of_no_known_value_are_refused(retrieval, filters, error) -> None:
    with pytest.raises(error):
        retrieval.select(PIXELS, **filters)


@pytest.mark.parametrize("request_", ["", "  \n ", "x" * 100_000, "\x00\x07"])
def test_unusable_requests_are_refused(retrieval, request_) -> None:
    with pytest.raises(InvalidInstruction):
        retrieval.select(request_)


def test_a_batch_keeps_order_and_ids_and_goes_on_after_an_unusable_request(retrieval) -> None:
    requests = [{"id": "a", "prompt": PIXELS}, {"id": "b", "prompt": " "}, "watercolor wash of a lake"]
    items = list(retrieval.select_batch(requests, k=2))
    assert [item.id for item in items] == ["a", "b", 2]
    assert items[0].to_wire()["api"]["model"] == "Pixel Art Helper"
    assert items[0].to_wire()["ranked"][0]["model id"] == 201
    wire = items[1].to_wire()
    assert wire["ranked"] == []
    assert set(wire) == {"id", "error", "ranked"}
    assert items[2].ranked[0].api.model == "Watercolor Wash"


async def test_aselect_gives_what_select_gives_also_to_many_at_once(retrieval) -> None:
    found = await asyncio.gather(*(retrieval.aselect(PIXELS, k=3) for _ in range(8)))
    assert found == [retrieval.select(PIXELS, k=3)] * 8


def longer_than_the_shortlist() -> Catalogue:
    """The small catalogue and as many pixel art models as the language model is asked about."""
    small = small_catalogue()
    more = (
        small.get(201).model_copy(
            update={"model_id": 900 + i, "model": f"Pixels No {i}", "tags": ("art",) * i, "versions": ()}
        )
        for i in range(SHORTLIST)
    )
    return Catalogue([*small, *more], name="the long one")


def test_shortlist_ranks_only_what_retrieval_proposed(base, adapter) -> None:
    models, k = longer_than_the_shortlist(), SHORTLIST + 3
    chosen = LlamaSelector(models, base=base, adapter=adapter).select(PIXELS, k=k)
    proposed = RetrievalSelector(models, adapter=adapter).select(PIXELS, k=k)
    assert len(chosen) == len(proposed) == k
    names, others = ([s.api.model for s in listed] for listed in (chosen, proposed))
    assert set(names[:SHORTLIST]) == set(others[:SHORTLIST])
    assert names[:SHORTLIST] != others[:SHORTLIST]  # the language model has its say
    assert names[SHORTLIST:] == others[SHORTLIST:]
    assert all(s.evidence.llm_score is not None and s.evidence.llm_score < 0 for s in chosen[:SHORTLIST])
    assert all(s.evidence.llm_score is None for s in chosen[SHORTLIST:])
    scores = [s.score for s in chosen]
    assert scores == sorted(scores, reverse=True)


def test_without_a_trained_adapter_there_is_no_confidence(base, adapter) -> None:
    assert llama(base, adapter).select(PIXELS)[0].confidence is None


def test_a_fitted_shortlist_gives_confidences_that_share_out_what_retrieval_gave(base, adapter) -> None:
    loaded = load_base(base)
    with_lora(adapter, load_base(base).model, base="tiny", base_digest=loaded.digest)
    plain_fusion(("retrieval", "llm.mean"), temperature=1.0).save(adapter / SHORTLIST_FILE)
    models = longer_than_the_shortlist()
    found = RetrievalSelector(models, adapter=adapter).select(PIXELS, k=SHORTLIST)
    chosen = LlamaSelector(models, base=base, adapter=adapter).select(PIXELS, k=SHORTLIST)
    given = sum(s.confidence for s in found)
    assert given < 0.99  # something is left for the models behind them
    assert sum(s.confidence for s in chosen) == pytest.approx(given, abs=1e-5)


def test_constrained_mode_names_only_what_exists_and_passes_the_filters(base, adapter) -> None:
    selector = llama(base, adapter, mode="constrained")
    names = {record.model for record in small_catalogue()}
    chosen = selector.select(PIXELS, k=3)
    assert 1 <= len(chosen) <= 3
    assert {s.api.model for s in chosen} <= names
    only = selector.select(PIXELS, k=5, base_model="SDXL 1.0", type="LORA")
    assert [s.api.model for s in only] == ["Watercolor Wash"]


def test_free_mode_says_what_was_said_and_why_it_is_not_what_is_answered(base, adapter) -> None:
    """The tiny model has random weights, so what it says is nonsense; retrieval's best stands in."""
    selector = llama(base, adapter, mode="free")
    (chosen,) = selector.select(PIXELS)
    (nearest,) = RetrievalSelector(small_catalogue(), adapter=adapter).select(PIXELS)
    assert chosen.evidence.said == selector.llama.write(read_instruction(PIXELS))
    assert chosen.api == nearest.api.model_copy(update={"confidence": None})
    assert chosen.notes != nearest.notes


@pytest.mark.parametrize(
    ("said", "model", "note"),
    [
        ('{"model":"Watercolor Wash","type":"LORA","base model":"SDXL 1.0"}', "Watercolor Wash", None),
        ('{"model":"watercolor-wash","type":"LORA","base model":"SDXL 1.0"}', "Watercolor Wash", "model: "),
        ('{"model":"Fre Pixels","type":"Checkpoint","base model":"SD 1.5"}', "Free Pixels", "model: "),
        ('{"model":"Free Pixels","type":"Check', "Free Pixels", None),
        ('{"model":"Zzyx Quorvath"}', "Free Pixels", "model: "),
        ("I would rather not", "Pixel Art Helper", "the model's answer: "),
    ],
)
def test_free_mode_takes_a_name_that_exists(adapter, monkeypatch, said, model, note) -> None:
    selector = LlamaSelector(small_catalogue(), adapter=adapter, mode="free")
    monkeypatch.setattr(LlamaSelector, "llama", SimpleNamespace(write=lambda instruction: said))
    (chosen,) = selector.select(PIXELS)
    assert (chosen.api.model, chosen.evidence.said) == (model, said)
    assert note in " ".join(chosen.notes) if note else chosen.notes == ()


@pytest.mark.parametrize(
    ("card", "named"),
    [
        ({"base": "LLaMA-2-7B", "base_digest": "0123456789ab"}, r"LLaMA-2-7B.*'tiny'"),
        ({"catalogue": "theirs", "model_ids": [1, 2, 3]}, r"'theirs'.*'the small one'"),
    ],
)
def test_an_adapter_of_another_base_or_catalogue_is_refused_and_both_are_named(
    base, adapter, card, named
) -> None:
    loaded = load_base(base)
    with_lora(adapter, loaded.model, **{"base_digest": loaded.digest, **card})
    with pytest.raises(AdapterMismatch, match=named):
        llama(base, adapter).select(PIXELS)


def test_a_model_added_after_training_can_be_chosen(base, adapter) -> None:
    old = small_catalogue()
    digest = load_base(base).digest
    with_lora(
        adapter, load_base(base).model, base_digest=digest, catalogue=old.name, model_ids=list(old.model_ids)
    )
    new = old.get(201).model_copy(
        update={
            "model_id": 999,
            "model": "Stained Glass",
            "trigger_words": ("stained glass",),
            "versions": (),
        }
    )
    selector = LlamaSelector(Catalogue([*old, new], name="grown"), base=base, adapter=adapter)
    answers = selector.select("a stained glass window", k=len(old))
    assert {answer.api.model_id: answer.evidence.llm_score for answer in answers}[999] < 0


def test_adapter_weights_without_a_card_are_refused(base, adapter) -> None:
    with_lora(adapter, load_base(base).model)
    (adapter / "card.json").unlink()
    with pytest.raises(AdapterError, match=r"card\.json"):
        llama(base, adapter).select(PIXELS)


def test_a_folder_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(AdapterError, match="there is no folder"):
        RetrievalSelector(small_catalogue(), adapter=tmp_path / "nowhere").select(PIXELS)


def test_an_adapter_without_weights_for_retrieval_takes_the_packaged_ones(tmp_path) -> None:
    (own,) = RetrievalSelector(small_catalogue(), adapter=tmp_path).select(PIXELS)
    (packaged,) = RetrievalSelector(small_catalogue()).select(PIXELS)
    assert own == packaged


def test_an_unknown_mode_lists_the_known_ones(base, adapter) -> None:
    with pytest.raises(InvalidInput, match="shortlist, constrained, free"):
        llama(base, adapter, mode="telepathy")


def test_merging_gives_what_peft_gives(base, adapter) -> None:
    import torch
    from peft import PeftModel

    with_lora(adapter, load_base(base).model, base="tiny")
    ids = torch.tensor([[1, 7, 30, 12]])
    merged = load_base(base).model
    with torch.no_grad():
        plain = merged(input_ids=ids).logits
        assert merge_lora(merged, adapter) == 2 * merged.config.num_hidden_layers
        expected = PeftModel.from_pretrained(load_base(base).model, adapter)(input_ids=ids).logits
        found = merged(input_ids=ids).logits
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, plain, atol=1e-3)


@pytest.mark.parametrize("change", [{"peft_type": "IA3"}, {"use_dora": True}, {"bias": "all"}])
def test_anything_but_plain_lora_is_refused(base, adapter, change) -> None:
    with_lora(adapter, load_base(base).model)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(AdapterError, match="plain LoRA"):
        merge_lora(load_base(base).model, adapter)


def test_ten_threads_at_once_get_ten_right_answers_from_one_loaded_model(base, adapter) -> None:
    lines: list[str] = []
    selector = llama(base, adapter, progress=lines.append)
    asked = [PIXELS, "watercolor of a lake"] * 5
    alone = [llama(base, adapter).select(prompt)[0].api.model for prompt in asked[:2]] * 5
    with ThreadPoolExecutor(10) as pool:
        together = [s[0].api.model for s in pool.map(selector.select, asked)]
    assert together == alone
    assert selector.llama is selector.llama


def test_a_request_whose_words_nobody_knows_gets_the_base_model_and_says_so(retrieval) -> None:
    (chosen,) = retrieval.select("qzxv wvutsr", k=5)
    assert chosen.abstained
    assert chosen.api.model_id == 62437
    assert (chosen.api.sampling_method, chosen.api.sampling_steps, chosen.api.cfg_scale) == ("Euler a", 20, 7)
    assert chosen.confidence is None
    assert "base model" in chosen.reason
    assert retrieval.select("qzxv wvutsr", base_model="SDXL 1.0")[0].api.model_id == 101055
    assert retrieval.select("qzxv wvutsr", base_model="SDXL 1.0", commercial_use=True) == []
    assert retrieval.select("qzxv wvutsr", exclude=[62437]) == []


def test_a_catalogue_without_models_has_no_answer() -> None:
    empty = Catalogue([], name="empty")
    assert RetrievalSelector(empty).select(PIXELS) == []
    assert LlamaSelector(empty).select(PIXELS, k=3) == []


def test_where_nothing_fits_a_popular_all_rounder_is_said_to_be_one() -> None:
    starter = Catalogue.starter()
    (chosen,) = RetrievalSelector(starter).select("xqzzv blorp fnarg, 16:9")
    assert chosen.abstained
    assert chosen.confidence is None
    record = starter.get(chosen.api.model_id or 0)
    assert record.type == "Checkpoint"
    assert (record.stats.downloads or 0) >= 10_000
    assert chosen.reason.endswith("this is a good all-rounder")
    assert chosen.api.width > chosen.api.height, "the shape is kept"


@pytest.mark.parametrize(
    ("chance", "sentence", "fit", "nothing"),
    [(0.2, 0.9, 0.0, True), (0.2, 0.1, 0.0, False), (0.2, 0.9, 0.4, False), (0.9, 0.9, 0.0, False)],
)
def test_nothing_fits_a_sentence_whose_best_answer_is_likely_wrong(
    chance: float, sentence: float, fit: float, nothing: bool
) -> None:
    candidate = SimpleNamespace(right=chance, scores={"facets.fit": fit})
    ranking = SimpleNamespace(sentence=sentence, best=lambda k: [candidate])
    assert fits_nothing(ranking) is nothing  # type: ignore[arg-type]
