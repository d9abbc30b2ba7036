"""What an adapter answers to many prompts, freely and held to the catalogue, written down as it comes.

    answers = free_answers(llama, catalogue, cases, Path("answers/sft_coco.jsonl"), {"adapter": digest})

Free answers are greedy and without constraint. They end after the model information (name, type, base model),
which is all that a name is judged by, unless the whole object is asked for. Where the free name leaves the
prefix trie of the catalogue's names, the name is decoded once more, held to the trie; where it does not,
holding it would have changed nothing. The first line of the file says which run it is; a stopped run goes on.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.llm.free_decoding import ANSWER_TOKENS, MODEL_INFO, NAME, ROWS
from finetune.data.cases import Case
from finetune.data.journal import Journal
from retrieval.calls.identify import obtainable
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInstruction
from retrieval.records.api import Instruction, read_instruction

if TYPE_CHECKING:
    from diffagent_tools.llm.llama import Llama

CHUNK = 128
"""prompts between two writes: what a killed run loses at most"""
INFO_TOKENS = 96
_EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """What was said to one case, or why nothing was asked.

    `said`: the free answer; `ended`: see `FreeAnswer`; `held`: the model id of the name that is decoded under
    the constraint; `seconds`: of the machine for this answer, those decoded together sharing them.
    """

    case: str
    said: str | None = None
    ended: str | None = None
    held: int | None = None
    seconds: float = 0.0
    error: str | None = None


def free_answers(
    llama: "Callable[[], Llama]",
    catalogue: Catalogue,
    cases: Sequence[Case],
    path: Path,
    run: Mapping[str, Any],
    *,
    whole: bool = False,
    rows: int = ROWS,
    progress: Callable[[str], None],
) -> list[Answer]:
    """The answers in the order of the cases; those that `path` holds already are not asked again.

    Args:
        llama: gives the language model; called only where something is left to ask.
        run: what tells this run from another: adapter, catalogue, base.
        whole: decode all nine fields of the paper's JSON.
        rows: how many answers are decoded together.

    Raises:
        DataError: the file is of another run, or of other cases.
        StorageError: the file cannot be written.
    """
    another = f"name another --output, or delete {path}"
    journal = Journal(
        path,
        {**run, "whole": whole},
        lambda line: Answer(**line),
        asked=[case.digest for case in cases],
        key=lambda answer: answer.case,
        another=another,
    )
    done = journal.done
    if len(done) == len(cases):
        return done
    decoder = _Decoder(llama(), catalogue, whole=whole, rows=rows)
    progress(f"{path.stem}: {len(done):,} of {len(cases):,} answered before")
    started = told = time.perf_counter()
    first = len(done)
    with journal.appending() as write:
        for start in range(first, len(cases), CHUNK):
            for answer in decoder(cases[start : start + CHUNK]):
                write(asdict(answer))
                done.append(answer)
            now = time.perf_counter()
            if now - told > _EVERY_SECONDS:
                told = now
                rest = (now - started) / (len(done) - first) * (len(cases) - len(done))
                progress(f"{path.stem}: {len(done):,} of {len(cases):,}, {rest / 60:.0f} min left")
    return done


class _Decoder:
    """Answers a chunk of cases."""

    def __init__(self, llama: "Llama", catalogue: Catalogue, *, whole: bool, rows: int) -> None:
        from diffagent_tools.llm.trie import TrieLogitsProcessor

        self._llama = llama
        self._rows = rows
        self._until = None if whole else MODEL_INFO
        self._most = ANSWER_TOKENS if whole else INFO_TOKENS
        self._records = [record for record in catalogue if obtainable(record)]
        self._trie, self._longest = llama.trie_of(self._records)
        end = llama.base.tokenizer.eos_token_id
        self._allowed = TrieLogitsProcessor(self._trie, 0, eos_token_id=end, free_after=True).allowed

    def __call__(self, cases: Sequence[Case]) -> Iterator[Answer]:
        started = time.perf_counter()
        asked: list[Instruction | None] = []
        errors: dict[int, str] = {}
        for place, case in enumerate(cases):
            try:
                asked.append(_instruction(case))
            except InvalidInstruction as error:
                asked.append(None)
                errors[place] = str(error)
        instructions = [instruction for instruction in asked if instruction is not None]
        free = list(
            self._llama.write_all(instructions, rows=self._rows, until=self._until, max_new_tokens=self._most)
        )
        held = [self._named(answer.tokens) for answer in free]
        left = [place for place, model_id in enumerate(held) if model_id is None]
        again = self._llama.write_all(
            [instructions[place] for place in left],
            rows=self._rows,
            until=NAME,
            max_new_tokens=self._longest + 1,
            allowed=self._allowed,
        )
        for place, answer in zip(left, again, strict=True):
            held[place] = self._named(answer.tokens)
        each = (time.perf_counter() - started) / max(len(instructions), 1)
        said = iter(zip(free, held, strict=True))
        for place, case in enumerate(cases):
            if place in errors:
                yield Answer(case.digest, error=errors[place])
                continue
            answer, model_id = next(said)
            yield Answer(case.digest, answer.text, answer.ended, model_id, round(each, 4))

    def _named(self, tokens: Sequence[int]) -> int | None:
        """The model whose name the tokens are; of records of one name the first stands for all."""
        places = self._trie.match(tokens)
        return self._records[places[0]].model_id if places else None


def _instruction(case: Case) -> Instruction:
    return read_instruction({"prompt": case.prompt, "negative prompt": case.negative_prompt})
