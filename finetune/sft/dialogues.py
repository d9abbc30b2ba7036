"""Training dialogues: Instruction-API pairs and a catalogue become token ids, and where the response begins.

    pairs = read_pairs(Path("pairs_train.jsonl.gz"))
    built = build_dialogues(pairs, Catalogue.starter(), tokenizer, Mix(stripped=1.0, description=2.0))
    built.rows[0].input_ids, built.rows[0].response_start
    print(built.report())

One pair can be said in several ways, each with a rate of its own:

    pair         the instruction as it is
    stripped     without the trigger words and name words of its model, so that the picture must decide
    no_negative  without the negative prompt
    choice       with a list of models to choose from, the right one among them (finetune/sft/choices.py),
                 as it is or stripped by lot
    description  not from a pair: what the catalogue says of a model -> that model, so that models with few
                 pairs or none are learnt; in turns the description and a draw of the model's terms

and the response in two lengths: `name` ends with the closing quote of the model's name, `full` is the paper's
JSON of nine fields and the end of text.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffagent_tools.llm.prompt import encode_dialogue, encode_name, encode_prompt
from finetune.data.pairs import Pair, parameters_of
from finetune.data.stripping import stripped
from finetune.sft.choices import list_choices
from retrieval.calls.compose import api_for
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError, InvalidInstruction
from retrieval.records.api import Instruction, T2IApi, read_instruction
from retrieval.records.model import ModelRecord

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_TERMS = (4, 12)
_TELLING = 40  # characters; "SD 1.5 checkpoint." fits hundreds of models


@dataclass(frozen=True)
class Mix:
    """What to teach: dialogues for each pair (`description`: for each model), and the response's length.

    Attributes:
        pair, stripped, no_negative, choice, description: 0 leaves the kind out, 0.5 takes every second one
            by lot, 2 gives each twice.
        full_share: share of the responses that are the whole JSON; the others are the name alone.
    """

    pair: float = 1.0
    stripped: float = 1.0
    no_negative: float = 0.0
    choice: float = 0.0
    description: float = 1.0
    full_share: float = 0.0


@dataclass(frozen=True)
class Row:
    """Token ids of a dialogue; the response, and with it the loss, begins at `response_start`."""

    input_ids: tuple[int, ...]
    response_start: int
    kind: str
    model_id: int


@dataclass(frozen=True)
class Dialogues:
    """Rows in the order of the data, and what was left out.

    Attributes:
        kinds: rows by kind, and by the response's length.
        too_long: dialogues left out because prompt and response together exceed the context.
        unknown: pairs left out because the catalogue does not hold their model.
        empty: dialogues left out because nothing is left of their prompt.
    """

    rows: tuple[Row, ...]
    kinds: Mapping[str, int]
    too_long: int
    unknown: int
    empty: int

    @property
    def model_ids(self) -> tuple[int, ...]:
        return tuple(sorted({row.model_id for row in self.rows}))

    @property
    def digest(self) -> str:
        """SHA256 of all token ids: runs with the same digest see the same data."""
        content = hashlib.sha256()
        for row in self.rows:
            content.update(f"{row.response_start}:{row.input_ids}\n".encode())
        return content.hexdigest()

    def report(self) -> str:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.kinds.items()))
        left_out = (
            f"left out: {self.too_long:,} longer than the context, {self.unknown:,} pairs of models that the "
            f"catalogue lacks, {self.empty:,} without a prompt"
        )
        return f"{len(self.rows):,} dialogues of {len(self.model_ids):,} models ({kinds}); {left_out}"


def build_dialogues(
    pairs: Sequence[Pair],
    catalogue: Catalogue,
    tokenizer: "PreTrainedTokenizerFast",
    mix: Mix,
    *,
    max_prompt_tokens: int,
    max_length: int,
    seed: int = 0,
) -> Dialogues:
    """The dialogues of one pass over the data, the same for the same seed.

    Args:
        max_prompt_tokens: kept of the prompt and the negative prompt together (diffagent_tools.llm.prompt).
        max_length: tokens of the context; a longer dialogue is left out whole and counted, because a response
            that is cut off teaches to stop in the middle.

    Raises:
        DataError: nothing is left to train on.
    """
    lot = random.Random(seed)
    rows: list[Row] = []
    kinds: Counter[str] = Counter()
    too_long = empty = 0
    known = [pair for pair in pairs if pair["model_id"] in catalogue]
    listed = list_choices(known, catalogue) if mix.choice else None
    for kind, spoken, record, parameters, place in _spoken(known, catalogue, mix, lot):
        full = kind != "choice" and lot.random() < mix.full_share
        if not spoken["prompt"].strip(" ,.;\n\t"):
            empty += 1
            continue
        try:
            instruction = read_instruction(spoken)
        except InvalidInstruction:  # nothing but control characters, or longer than any prompt may be
            empty += 1
            continue
        if full:
            api = _response(record, instruction, parameters)
            whole = encode_dialogue(instruction, api, tokenizer, max_prompt_tokens=max_prompt_tokens)
            ids, start = whole.input_ids, whole.answer_start
        else:
            choices = listed(place, instruction, lot) if listed and kind == "choice" else ()
            prompt = encode_prompt(
                instruction, tokenizer, max_prompt_tokens=max_prompt_tokens, choices=choices
            )
            ids, start = (*prompt, *encode_name(record.model, tokenizer)), len(prompt)
        if len(ids) > max_length:
            too_long += 1
            continue
        rows.append(Row(ids, start, kind, record.model_id))
        kinds[kind] += 1
        kinds["full response" if full else "name alone"] += 1
    unknown = len(pairs) - len(known)
    if not rows:
        raise DataError(
            f"nothing is left to train on: of {len(pairs):,} pairs {unknown:,} name models that the "
            f"catalogue {catalogue.name!r} lacks, {empty:,} dialogues have no prompt, {too_long:,} longer "
            f"than the {max_length:,} tokens of the context; check the catalogue, raise max_length or lower "
            "max_prompt_tokens"
        )
    return Dialogues(tuple(rows), dict(kinds), too_long, unknown, empty)


_Spoken = tuple[str, dict[str, str], ModelRecord, Mapping[str, Any], int]


def _spoken(pairs: Sequence[Pair], catalogue: Catalogue, mix: Mix, lot: random.Random) -> Iterator[_Spoken]:
    """Kind, instruction, model, parameters and the pair's place (-1 without one) of every dialogue."""
    for place, pair in enumerate(pairs):
        record = catalogue.get(pair["model_id"])
        said = {"prompt": pair["prompt"], "negative_prompt": pair["negative_prompt"]}
        parameters = parameters_of(pair)
        less = stripped(pair["prompt"], record)
        for _ in range(_times(mix.pair, lot)):
            yield "pair", said, record, parameters, place
        for _ in range(_times(mix.stripped, lot)):
            yield "stripped", {**said, "prompt": less}, record, parameters, place
        for _ in range(_times(mix.no_negative, lot)):
            yield "no_negative", {**said, "negative_prompt": ""}, record, parameters, place
        for _ in range(_times(mix.choice, lot) if mix.choice else 0):
            prompt = pair["prompt"] if lot.random() < 0.5 else less
            yield "choice", {**said, "prompt": prompt}, record, parameters, place
    for record in catalogue:
        if not record.available:
            continue
        for turn in range(_times(mix.description, lot)):
            text = record.description if turn % 2 == 0 and len(record.description) >= _TELLING else ""
            yield "description", {"prompt": text or _keywords(record, lot)}, record, {}, -1


def _times(rate: float, lot: random.Random) -> int:
    """How often, so that the mean over many draws is the rate."""
    whole = int(rate)
    return whole + (lot.random() < rate - whole)


def _keywords(record: ModelRecord, lot: random.Random) -> str:
    """Some of the model's terms, the stronger the likelier, in random order, as a prompt would list them."""
    weights = {**dict.fromkeys(record.tags, 0.3), **record.terms}
    # Efraimidis and Spirakis 2006: a weighted draw without replacement
    drawn = sorted(weights, key=lambda term: lot.random() ** (1 / max(weights[term], 1e-3)), reverse=True)
    chosen = drawn[: lot.randint(*_TERMS)]
    lot.shuffle(chosen)
    return ", ".join(chosen)


def _response(record: ModelRecord, instruction: Instruction, parameters: Mapping[str, Any]) -> T2IApi:
    """The response of the paper: the pair's own parameters, and the catalogue's where the pair has none."""
    return api_for(record, instruction).model_copy(update=dict(parameters))
