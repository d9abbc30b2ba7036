"""Scored responses become token ids: what stage 2 (finetune/rrhf/run.py) trains on, and what was left out.

    ranked = build_ranked(read_scored(Path("scored.jsonl")), Catalogue.starter(), tokenizer, ...)
    print(ranked.report())

A line of JSON a prompt, as finetune/candidates/file.py writes it:

    {"id": "17", "instruction": {"prompt": "a corgi, pixel art", "negative prompt": ""},
     "responses": ["{\\"model\\":\\"Pixel Art XL\\", ...}", ...], "scores": [0.71, 0.35, null],
     "reward": "clip", "note": ""}

A score of null says that the response could not be scored: it is left out and counted. NaN says that the
scoring is broken, and is refused.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.llm.prompt import encode_dialogue, encode_name, encode_prompt
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError, InvalidApi, InvalidInstruction
from retrieval.records.api import Instruction, read_api, read_instruction
from retrieval.storage import read_jsonl

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_MAKE = "finetune/candidates/file.py writes such lines"


@dataclass(frozen=True)
class Scored:
    """A line of the file: an instruction, the texts of its responses and their scores."""

    instruction: Instruction
    responses: tuple[str, ...]
    scores: tuple[float | None, ...]
    reward: str = ""
    note: str = ""


@dataclass(frozen=True)
class RankedPrompt:
    """Token ids of a prompt and of its responses, with their scores; at least one response."""

    prompt_ids: tuple[int, ...]
    responses: tuple[tuple[int, ...], ...]
    scores: tuple[float, ...]

    @property
    def packed_length(self) -> int:
        """Tokens that are read when the prompt is read once: each response but its last token."""
        return len(self.prompt_ids) + sum(len(response) - 1 for response in self.responses)


@dataclass(frozen=True)
class Ranked:
    """Prompts in the order of the file, and what was left out.

    Attributes:
        model_ids: of the models that the responses name.
        counts: kept responses and pairs; prompts with a `single` response, which give no pair, and those with
            `no_response`, which are left out; `ties`, pairs of equal scores, which rank nothing; prompts that
            are `all_tied`; responses left out: `unreadable` (no T2I API in them), `unknown` (a model that the
            catalogue lacks), `unscored`, `too_long`, `merged` (the same as another of the prompt).
        rewards: what gave the scores, and the notes that go with it.
    """

    prompts: tuple[RankedPrompt, ...]
    model_ids: tuple[int, ...]
    counts: Mapping[str, int]
    rewards: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA256 of all token ids and scores: runs with the same digest see the same data."""
        content = hashlib.sha256()
        for prompt in self.prompts:
            content.update(f"{prompt.prompt_ids}:{prompt.responses}:{prompt.scores}\n".encode())
        return content.hexdigest()

    def report(self) -> str:
        n = {name: f"{count:,}" for name, count in self.counts.items()}
        return (
            f"{len(self.prompts):,} prompts with {n['responses']} responses of {len(self.model_ids):,} models"
            f", {n['pairs']} pairs to rank; {n['single']} prompts with a single response and {n['all_tied']} "
            f"with all scores equal, which only the cross-entropy learns from; {n['ties']} tied pairs; left "
            f"out: {n['no_response']} prompts without a valid response, and responses: {n['unreadable']} "
            f"unreadable, {n['unknown']} of models that the catalogue lacks, {n['unscored']} without a "
            f"score, {n['too_long']} longer than the context, {n['merged']} the same as another"
        )


_COUNTS = (
    *("responses", "pairs", "single", "all_tied", "ties", "no_response"),
    *("unreadable", "unknown", "unscored", "too_long", "merged"),
)


def read_scored(path: Path) -> list[Scored]:
    """Reads the file of scored responses.

    Raises:
        DataError: no such file, or a line that is broken, or a score that is NaN or infinite; it names the
            line.
    """
    return read_jsonl(path, ("instruction", "responses", "scores"), _scored, hint=_MAKE)


def _scored(row: Mapping[str, Any]) -> Scored:
    responses, scores = row["responses"], row["scores"]
    if not isinstance(responses, list) or not isinstance(scores, list) or len(responses) != len(scores):
        raise TypeError(f"needed are two lists of one length, responses and their scores; {_MAKE}")
    for number, (response, score) in enumerate(zip(responses, scores, strict=True), 1):
        if not isinstance(response, str):
            raise TypeError(f"response {number} is {response!r}, needed is the text of a T2I API")
        if score is None:
            continue
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise ValueError(
                f"the score of response {number} is {score!r}, and nothing can be ranked by it; "
                "score it again, or write null to leave the response out"
            )
    return Scored(
        read_instruction(row["instruction"]),
        tuple(responses),
        tuple(None if score is None else float(score) for score in scores),
        str(row.get("reward", "")),
        str(row.get("note", "")),
    )


@dataclass(frozen=True)
class _Encoding:
    """How prompts and responses become token ids; the fields are `build_ranked`'s arguments."""

    catalogue: Catalogue
    tokenizer: "PreTrainedTokenizerFast"
    max_prompt_tokens: int
    max_length: int
    name_only: bool

    def prompt(self, instruction: Instruction) -> tuple[int, ...]:
        return tuple(encode_prompt(instruction, self.tokenizer, max_prompt_tokens=self.max_prompt_tokens))

    def response(
        self, instruction: Instruction, prompt: tuple[int, ...], text: str
    ) -> tuple[tuple[int, ...], int] | str:
        """Token ids and the model's id; or the count that it falls under."""
        try:
            api = read_api(text).api
            if self.name_only:
                ids = tuple(encode_name(api.model, self.tokenizer))
            else:
                most = self.max_prompt_tokens
                whole = encode_dialogue(instruction, api, self.tokenizer, max_prompt_tokens=most)
                ids = whole.input_ids[len(prompt) :]
        except (InvalidApi, InvalidInstruction):
            return "unreadable"
        known = self.catalogue.find(api.model)
        if not known:
            return "unknown"
        return (ids, known[0].record.model_id) if len(prompt) + len(ids) <= self.max_length else "too_long"


def build_ranked(
    scored: Sequence[Scored],
    catalogue: Catalogue,
    tokenizer: "PreTrainedTokenizerFast",
    *,
    max_prompt_tokens: int,
    max_length: int,
    name_only: bool = False,
) -> Ranked:
    """Token ids as serving will see them (diffagent_tools/llm/prompt.py).

    The prompt ends with the beginning that all responses share, `{"model":"`; a response is what follows, to
    the end of text.

    Args:
        max_length: of a prompt with one response; a longer response is left out and counted.
        name_only: a response ends with the closing quote of the model's name. Responses that are the same
            then, as well as any that were before, become one with the mean of their scores.

    Raises:
        DataError: nothing is left to train on.
    """
    encoding = _Encoding(catalogue, tokenizer, max_prompt_tokens, max_length, name_only)
    prompts: list[RankedPrompt] = []
    model_ids: set[int] = set()
    counts: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
    for line in scored:
        prompt = encoding.prompt(line.instruction)
        found: dict[tuple[int, ...], list[float]] = {}
        for text, score in zip(line.responses, line.scores, strict=True):
            if score is None:
                counts["unscored"] += 1
                continue
            read = encoding.response(line.instruction, prompt, text)
            if isinstance(read, str):
                counts[read] += 1
                continue
            ids, model_id = read
            counts["merged"] += ids in found
            found.setdefault(ids, []).append(score)
            model_ids.add(model_id)
        if not found:
            counts["no_response"] += 1
            continue
        scores = tuple(math.fsum(each) / len(each) for each in found.values())
        prompts.append(RankedPrompt(prompt, tuple(found), scores))
        counts.update(_ranks(scores))
    if not prompts:
        raise DataError(
            f"nothing is left to train on: none of {len(scored):,} prompts has a valid response "
            f"({counts['unreadable']:,} unreadable, {counts['unknown']:,} of models that the catalogue "
            f"{catalogue.name!r} lacks, {counts['unscored']:,} without a score, {counts['too_long']:,} "
            f"longer than the {max_length:,} tokens of the context); check the catalogue, and that the "
            "responses were scored"
        )
    rewards = {f"{line.reward} ({line.note})" if line.note else line.reward for line in scored} - {""}
    return Ranked(tuple(prompts), tuple(sorted(model_ids)), dict(counts), tuple(sorted(rewards)))


def _ranks(scores: Sequence[float]) -> dict[str, int]:
    """What a prompt's scores give."""
    every = len(scores) * (len(scores) - 1) // 2
    ties = sum(count * (count - 1) // 2 for count in Counter(scores).values())
    return {
        "responses": len(scores),
        "pairs": every - ties,
        "ties": ties,
        "single": int(len(scores) == 1),
        "all_tied": int(len(scores) > 1 and ties == every),
    }
