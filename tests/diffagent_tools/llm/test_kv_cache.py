"""The cache goes to transformers under the name that its version has, so that nothing is deprecated."""

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tiny import tiny_llama, tiny_tokenizer
from transformers import LlamaForCausalLM
from transformers.generation.utils import GenerateBeamDecoderOnlyOutput

from diffagent_tools.llm.free_decoding import decode_answers
from diffagent_tools.llm.kv_cache import cache_name
from diffagent_tools.llm.scoring import score_answers
from finetune.candidates.diverse_beams import diverse_beam_search


def test_the_name_is_that_of_the_argument() -> None:
    def today(input_ids: Any, past_key_values: Any = None) -> None: ...

    def renamed(input_ids: Any, cache: Any = None, **options: Any) -> None: ...

    assert cache_name(today) == "past_key_values"
    assert cache_name(renamed) == "cache"


def test_the_model_and_its_output_have_an_argument_of_that_name() -> None:
    import inspect

    for taker in (LlamaForCausalLM.forward, GenerateBeamDecoderOnlyOutput):
        assert cache_name(taker) in inspect.signature(taker).parameters


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What transformers logs."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, listener = logging.getLogger("transformers"), Listener(logging.WARNING)
    logger.addHandler(listener)
    yield lines
    logger.removeHandler(listener)


def test_scoring_and_decoding_use_nothing_that_is_deprecated(told: list[str]) -> None:
    tokenizer = tiny_tokenizer()
    model: Any = tiny_llama(len(tokenizer))
    prompt = list(range(5, 20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scored = score_answers(model, prompt, [[7, 8], [7, 9, 10]])
        answers = list(decode_answers(model, tokenizer, [prompt, prompt[:7]]))
        found = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            custom_generate=diverse_beam_search,
            num_beams=4,
            num_beam_groups=2,
            diversity_penalty=1.0,
            num_return_sequences=4,
            max_new_tokens=5,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_scores=True,
        )
    assert (len(scored.total), len(answers), len(found.sequences)) == (2, 2, 4)
    assert found[cache_name(GenerateBeamDecoderOnlyOutput)].get_seq_length() > len(prompt)
    assert told == []
