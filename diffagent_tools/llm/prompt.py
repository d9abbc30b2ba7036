"""The one prompt template, for training and for serving.

    User: {"prompt": "a corgi, pixel art", "negative prompt": "blurry"}
    Agent: {"model":"Pixel Art XL","type":"LORA","base model":"SDXL 1.0", ...}

A dialogue of one turn, as in section 3.2 of the paper: the user speaks the instruction's JSON, the agent
the T2I API's nine fields, the model first. What the user says is data: it stands in a JSON string, and
neither a quote nor a "\\nAgent:" nor a tokenizer's special token inside it means anything.

Text becomes token ids in pieces that are tokenised one by one and joined:

    User: ... Agent: {"model":"  |  Pixel Art XL"  |  ,"type":"LORA", ... }  |  end of text
    encode_prompt                |  encode_name    |  the rest               |

So a name has the same ids wherever it stands, in training (`encode_dialogue`), in a trie and in a score.
The closing quote belongs to the name: "Dream" is never the beginning of "DreamShaper".

A request may list models to choose from, each with what it is known for, in any order (`describe_choice`):

    User: {"prompt": "a corgi, pixel art", "models": ["Pixel Art XL: pixel, sprite", "Watercolor: wet paper"]}
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.records.api import Instruction, T2IApi
from retrieval.records.model import ModelRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MAX_PROMPT_TOKENS = 256
_ANCHOR = "\n"
_CHOICE_LENGTH = 90  # characters, about 20 tokens: eight choices are as long as a long prompt


@dataclass(frozen=True)
class Dialogue:
    """Token ids of a whole dialogue; the loss is taken from `answer_start` on."""

    input_ids: tuple[int, ...]
    answer_start: int


def format_prompt(
    instruction: Instruction,
    *,
    max_prompt_tokens: int = MAX_PROMPT_TOKENS,
    tokenizer: "PreTrainedTokenizerFast | None" = None,
    choices: Sequence[str] = (),
) -> str:
    """The text up to and including "Agent: ".

    Args:
        max_prompt_tokens: with a tokenizer, how many tokens of the prompt and the negative prompt together
            are kept. Their ends are cut off: the negative prompt keeps a quarter, and what the prompt leaves.
        tokenizer: counts the tokens; without one nothing is cut.
        choices: models to choose from, as `describe_choice` writes them; they are never cut.
    """
    prompt, negative = _text(instruction.prompt), _text(instruction.negative_prompt)
    if tokenizer is not None:
        prompt, negative = _cut(prompt, negative, max_prompt_tokens, tokenizer)
    request: dict[str, object] = {"prompt": prompt, "negative prompt": negative}
    if choices:
        request["models"] = [_text(choice) for choice in choices]
    return f"User: {json.dumps(request, ensure_ascii=False)}\nAgent: "


def describe_choice(record: ModelRecord) -> str:
    """A model as a choice in a request: its name and what tells it from others, in a few words."""
    known_for = [*record.trigger_words[:2], *record.keywords] or [*record.tags, record.description]
    about = ", ".join(dict.fromkeys(known_for))
    if len(about) > _CHOICE_LENGTH:
        about = about[:_CHOICE_LENGTH].rpartition(" ")[0].rstrip(", ")
    return f"{record.model}: {about}"


def answer_prefix() -> str:
    """What every answer begins with: up to and including the quote before the model's name."""
    return '{"model":"'


def format_name(name: str) -> str:
    """A model's name as it stands in an answer, with its closing quote: `NAME"`."""
    return json.dumps(_text(name), ensure_ascii=False)[1:]


def encode_prompt(
    instruction: Instruction,
    tokenizer: "PreTrainedTokenizerFast",
    *,
    max_prompt_tokens: int = MAX_PROMPT_TOKENS,
    choices: Sequence[str] = (),
) -> list[int]:
    """Token ids of the prompt and `answer_prefix()`, begun as the tokenizer begins a text."""
    text = format_prompt(
        instruction, max_prompt_tokens=max_prompt_tokens, tokenizer=tokenizer, choices=choices
    )
    return _begin(tokenizer) + _encode(text + answer_prefix(), tokenizer)


def encode_name(name: str, tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """Token ids of `NAME"`, to stand after those of `encode_prompt`."""
    return _encode_inner(format_name(name), tokenizer)


def encode_dialogue(
    instruction: Instruction,
    api: T2IApi,
    tokenizer: "PreTrainedTokenizerFast",
    *,
    max_prompt_tokens: int = MAX_PROMPT_TOKENS,
) -> Dialogue:
    """A whole dialogue for training: prompt, name, the API's other fields, end of text.

    Raises:
        InvalidApi: a record that may not be written.
    """
    answer = api.paper_json()
    name = format_name(api.model)
    begin = answer_prefix() + name
    if not answer.startswith(begin):
        raise ValueError(f"T2IApi.paper_json() begins {answer[: len(begin)]!r} and not {begin!r}")
    prompt_ids = encode_prompt(instruction, tokenizer, max_prompt_tokens=max_prompt_tokens)
    rest = _encode_inner(answer[len(begin) :], tokenizer)
    ids = [*prompt_ids, *_encode_inner(name, tokenizer), *rest, tokenizer.eos_token_id]
    return Dialogue(tuple(ids), len(prompt_ids))


def _cut(prompt: str, negative: str, budget: int, tokenizer: "PreTrainedTokenizerFast") -> tuple[str, str]:
    starts, negative_starts = _starts(prompt, tokenizer), _starts(negative, tokenizer)
    for_negative = min(len(negative_starts), max(budget // 4, budget - len(starts)))
    for_prompt = min(len(starts), budget - for_negative)
    # a token may be a part of a character: cut before the character that the first dropped token belongs to
    if for_prompt < len(starts):
        prompt = prompt[: starts[for_prompt]].rstrip()
    if for_negative < len(negative_starts):
        negative = negative[: negative_starts[for_negative]].rstrip()
    return prompt, negative


def _starts(text: str, tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """For each token, the character it starts at."""
    encoded: Any = tokenizer(
        text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, verbose=False
    )
    return [start for start, _ in encoded["offset_mapping"]]


def _encode(text: str, tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    # split_special_tokens: "<|im_end|>" in a request is eleven characters, not the end of the dialogue
    encoded: Any = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
    return list(encoded["input_ids"])


def _encode_inner(text: str, tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """Ids of a piece from the middle of a text: without LLaMA-2's space at the beginning of every text."""
    anchor = _encode(_ANCHOR, tokenizer)
    ids = _encode(_ANCHOR + text, tokenizer)
    if ids[: len(anchor)] == anchor:
        return ids[len(anchor) :]
    return _encode(text, tokenizer)


def _begin(tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    probe: Any = tokenizer("a", add_special_tokens=True)
    first = probe["input_ids"][0]
    return [first] if first == tokenizer.bos_token_id else []


def _text(text: str) -> str:
    """Without half surrogate pairs, which no tokenizer can encode."""
    return text.encode("utf-8", "replace").decode()
