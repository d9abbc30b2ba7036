"""The constraint lets out exactly the names of the catalogue, whatever they are spelled with."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_llama, tiny_tokenizer

from diffagent_tools.llm.prompt import answer_prefix, encode_name, encode_prompt
from diffagent_tools.llm.trie import DONE, OFF, PrefixTrie, TrieLogitsProcessor
from retrieval.records.api import read_instruction

NAMES = (
    "Dream",
    "DreamShaper",
    "DreamShaper XL",
    'The "Quoted" One',
    "back\\slash",
    "墨心 MoXin",
    "Дракон",
    "🐉 Dragon 🐲",
    ">_<",
    "...",
    "a\nb",
    "café",
    "cafe\u0301",
)
TOKENIZER = tiny_tokenizer()
MODEL: Any = tiny_llama(len(TOKENIZER))  # transformers' types of `generate` fit no model
EOS = 2


def names_trie(names: tuple[str, ...] = NAMES) -> PrefixTrie:
    return PrefixTrie(encode_name(name, TOKENIZER) for name in names)


def everything(processor: TrieLogitsProcessor) -> list[list[int]]:
    """Every token sequence that the constraint can emit, walked step by step until the end token."""
    finished: list[list[int]] = []
    open_: list[list[int]] = [[]]
    while open_:
        generated = open_.pop()
        allowed = processor.allowed(generated)
        assert allowed is not None
        for token in allowed:
            if token == EOS:
                finished.append(generated)
            else:
                open_.append([*generated, token])
    return finished


def name_of(ids: list[int]) -> str:
    """The model's name in an answer that goes on with these tokens."""
    return str(json.loads(f"{answer_prefix()}{TOKENIZER.decode(ids)}}}")["model"])


def test_what_can_be_emitted_is_the_catalogue() -> None:
    emitted = everything(TrieLogitsProcessor(names_trie(), 0, eos_token_id=EOS))
    assert len(emitted) == len(NAMES)
    assert {name_of(ids) for ids in emitted} == set(NAMES)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=12, unique=True))
def test_what_can_be_emitted_is_any_catalogue(names: list[str]) -> None:
    trie = names_trie(tuple(names))
    emitted = everything(TrieLogitsProcessor(trie, 0, eos_token_id=EOS))
    assert sorted(names[trie.match(ids)[0]] for ids in emitted) == sorted(names)
    assert {name_of(ids) for ids in emitted} == set(names)


def test_equal_names_share_a_leaf() -> None:
    trie = names_trie(("Dream", "Other", "Dream"))
    assert len(trie) == 3
    assert trie.match(encode_name("Dream", TOKENIZER)) == (0, 2)


def test_match_needs_the_whole_name() -> None:
    trie = names_trie()
    whole = encode_name("DreamShaper", TOKENIZER)
    assert trie.match(whole[:-1]) == ()
    assert trie.match([EOS]) == ()
    assert trie.match([*whole, 9, 9]) == (1,)
    assert trie.walk([*whole, 9]) == DONE
    assert trie.walk([*whole[:-1], EOS]) == OFF


@pytest.mark.parametrize(
    ("given_sequences", "message"),
    [([], "at least one name"), ([[3], []], "sequence 1 is empty"), ([[3, 4], [3]], "beginning of another")],
)
def test_what_no_trie_can_be_made_of(given_sequences: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrefixTrie(given_sequences)


def test_the_processor_keeps_allowed_scores_and_no_others() -> None:
    trie = PrefixTrie([[3, 4], [3, 5], [6]])
    processor = TrieLogitsProcessor(trie, 2, eos_token_id=EOS)
    scores = torch.arange(10.0).repeat(4, 1)
    # at the root, after 3, at a leaf, off the trie
    kept = processor(torch.tensor([[1, 1], [1, 1], [1, 1], [1, 1]]), scores)
    assert [row.isfinite().nonzero().flatten().tolist() for row in kept] == [[3, 6]] * 4
    kept = processor(torch.tensor([[1, 1, 3], [0, 1, 6], [1, 1, 9], [1, 1, 3]]), scores)
    assert [row.isfinite().nonzero().flatten().tolist() for row in kept] == [[4, 5], [EOS], [EOS], [4, 5]]
    assert kept[0, 5] == 5.0


def test_after_the_name_the_model_may_go_on() -> None:
    trie = PrefixTrie([[3, 4]])
    free = TrieLogitsProcessor(trie, 1, eos_token_id=EOS, free_after=True)
    scores = torch.arange(10.0)[None]
    assert free.allowed([3]) == [4]
    assert torch.equal(free(torch.tensor([[1, 3, 4]]), scores), scores)
    assert torch.equal(free(torch.tensor([[1, 3, 4, 7]]), scores), scores)


REQUESTS = ("a corgi, pixel art", "dragon", "a very long request for a quiet lake at dawn in the mountains")


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Left-padded prompts [3, length] and their attention mask."""
    rows = [encode_prompt(read_instruction(request), TOKENIZER) for request in REQUESTS]
    length = max(map(len, rows))
    ids = torch.tensor([[0] * (length - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


@pytest.mark.parametrize("options", [{}, {"num_beams": 4, "num_return_sequences": 4}, {"do_sample": True}])
def test_generate_gives_names_only(options: dict[str, Any]) -> None:
    trie = names_trie()
    ids, mask = batch()
    processor = TrieLogitsProcessor(trie, ids.shape[1], eos_token_id=EOS)
    torch.manual_seed(0)
    out = MODEL.generate(ids, attention_mask=mask, logits_processor=[processor], max_new_tokens=40, **options)
    found = [trie.match(row[ids.shape[1] :].tolist()) for row in out]
    assert len(found) == len(REQUESTS) * options.get("num_return_sequences", 1)
    assert all(len(match) == 1 for match in found)
    if "num_beams" in options:  # beams of one request are different names
        assert all(len(set(found[i : i + 4])) == 4 for i in range(0, len(found), 4))


def test_more_beams_than_names() -> None:
    trie = names_trie(NAMES[:2])
    ids, mask = batch()
    processor = TrieLogitsProcessor(trie, ids.shape[1], eos_token_id=EOS)
    out = MODEL.generate(
        ids[:1],
        attention_mask=mask[:1],
        logits_processor=[processor],
        max_new_tokens=20,
        num_beams=5,
        num_return_sequences=2,
    )
    assert {trie.match(row[ids.shape[1] :].tolist()) for row in out} == {(0,), (1,)}


def test_the_rest_of_the_answer_is_free() -> None:
    trie = names_trie()
    ids, mask = batch()
    processor = TrieLogitsProcessor(trie, ids.shape[1], eos_token_id=EOS, free_after=True)
    out = MODEL.generate(ids, attention_mask=mask, logits_processor=[processor], max_new_tokens=60)
    for row in out[:, ids.shape[1] :].tolist():
        (position,) = trie.match(row)
        name = encode_name(NAMES[position], TOKENIZER)
        assert len([token for token in row if token != 0]) > len(name)
