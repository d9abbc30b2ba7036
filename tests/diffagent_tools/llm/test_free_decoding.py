"""Answers that are decoded together are those of `generate`, one by one, token for token."""

from functools import cache
from typing import Any

import pytest
import torch
from tiny import tiny_llama, tiny_tokenizer

from diffagent_tools.llm.free_decoding import MODEL_INFO, NAME, FreeAnswer, ObjectReader, decode_answers
from diffagent_tools.llm.prompt import encode_name
from diffagent_tools.llm.trie import PrefixTrie, TrieLogitsProcessor

TOKENIZER: Any = tiny_tokenizer()
MODELS: list[Any] = [tiny_llama(len(TOKENIZER), seed=seed) for seed in range(3)]
EOS = 2
MOST = 40


def prompts(count: int = 14, longest: int = 90) -> list[list[int]]:
    """Prompts of 1 to `longest` tokens."""
    generator = torch.Generator().manual_seed(count)
    lengths = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(3, len(TOKENIZER), (length,), generator=generator).tolist() for length in lengths]


@cache
def alone(model: Any, prompt: tuple[int, ...]) -> list[int]:
    ids = torch.tensor([prompt])
    found = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=MOST, pad_token_id=EOS
    )
    tokens: list[int] = found[0, len(prompt) :].tolist()
    return tokens


def decode(model: Any, asked: list[list[int]], **options: Any) -> list[FreeAnswer]:
    return list(decode_answers(model, TOKENIZER, asked, **{"max_new_tokens": MOST, **options}))


@pytest.mark.parametrize("rows", [1, 4, 32])
def test_equal_to_generate_token_for_token(rows: int) -> None:
    ended = set()
    for model in MODELS:
        asked = prompts()
        for prompt, answer in zip(asked, decode(model, asked, rows=rows), strict=True):
            expected = alone(model, tuple(prompt))
            assert list(answer.tokens) == expected[: len(answer.tokens)]
            # what generate goes on with after a closed object is not waited for
            assert answer.ended == "closed" or len(answer.tokens) == len(expected)
            ended.add(answer.ended)
    assert len(ended) > 1


def test_a_sample_depends_on_the_seed_and_the_prompt_alone() -> None:
    asked = prompts()

    def drawn(prompts: list[list[int]], **options: Any) -> list[tuple[int, ...]]:
        return [answer.tokens for answer in decode(MODELS[0], prompts, temperature=1.0, **options)]

    together = drawn(asked, seed=3)
    assert drawn(asked[::-1], seed=3, rows=3)[::-1] == together
    assert drawn(asked, seed=4) != together


def test_a_low_temperature_draws_the_likeliest_tokens() -> None:
    asked = prompts(4)
    cold = decode(MODELS[0], asked, temperature=1e-4)
    assert [answer.tokens for answer in cold] == [answer.tokens for answer in decode(MODELS[0], asked)]


def test_prompts_are_taken_as_rows_become_free_and_answers_given_as_they_are_ready() -> None:
    taken = 0

    def asked() -> Any:
        nonlocal taken
        for prompt in prompts(9):
            taken += 1
            yield prompt

    answers = decode_answers(MODELS[0], TOKENIZER, asked(), rows=2, max_new_tokens=5)
    next(answers)
    assert taken <= 4
    assert len(list(answers)) == 8


def test_a_prefix_trie_holds_every_answer() -> None:
    names = ("Dream", "DreamShaper", "Pixel Art XL", 'The "Quoted" One', "墨心 MoXin")
    trie = PrefixTrie(encode_name(name, TOKENIZER) for name in names)
    processor = TrieLogitsProcessor(trie, 0, eos_token_id=EOS, free_after=True)
    drawn = decode(MODELS[0], prompts(30, 9), until=NAME, temperature=5.0, allowed=processor.allowed, rows=8)
    assert {answer.ended for answer in drawn} == {"closed"}
    assert len({trie.match(answer.tokens) for answer in drawn} - {()}) > 2
    assert all(trie.match(answer.tokens) for answer in drawn)


@pytest.mark.parametrize(
    ("text", "name", "info", "whole"),
    [
        (
            'X","type":"LORA","base model":"SD 1.5","width":512} more',
            'X"',
            'X","type":"LORA","base model":"SD 1.5"',
            -5,
        ),
        ('a \\"b\\" {c}, d","type":1,"base model":[2,{"x":"}"}],"e":{}}', 'a \\"b\\" {c}, d"', None, None),
        ('x"}', 'x"', 'x"}', None),
    ],
)
def test_a_reader_of_objects_knows_where_they_end(
    text: str, name: str, info: str | None, whole: int | None
) -> None:
    def read(fields: int | None) -> str:
        reader = ObjectReader(fields)
        return next(text[: i + 1] for i, char in enumerate(text) if reader.feed(char))

    assert read(NAME) == name
    assert read(None) == text[:whole]
    info = info if info is not None else 'a \\"b\\" {c}, d","type":1,"base model":[2,{"x":"}"}]'
    assert read(MODEL_INFO) == info
    assert ObjectReader().feed(text)


def test_what_is_not_complete() -> None:
    assert not ObjectReader().feed('X","type":"LORA"')
    assert not ObjectReader(MODEL_INFO).feed('X","type":"LORA","base model":"SD')
    assert not ObjectReader(NAME).feed('a name with a \\"')


def test_what_cannot_be_decoded() -> None:
    with pytest.raises(ValueError, match="prompt 1 has no tokens"):
        decode(MODELS[0], [[5], []])
    with pytest.raises(ValueError, match="rows is 0"):
        decode(MODELS[0], [[5]], rows=0)
    with pytest.raises(ValueError, match="temperature is -1"):
        decode(MODELS[0], [[5]], temperature=-1)
    assert decode(MODELS[0], []) == []
