"""Candidates for RRHF (paper section 3.2.2): n valid responses of the SFT model to each align prompt.

    python -m finetune.candidates --pairs pairs_align.jsonl.gz --adapter adapter --output candidates.jsonl
    python -m finetune.candidates --pairs pairs_align.jsonl.gz --output c.jsonl --constrained --limit 9

For each prompt one response is drawn by multinomial sampling and m others are found by diverse beam search.
Of each the model information alone is kept: model, type, base model. It is checked against the catalogue, the
complete response is rebuilt from the catalogue, equal ones are merged, and the default API is added. As only
the model information is kept, nothing beyond it is decoded.

One JSON line a prompt, as finetune/candidates/file.py shows it. A pair whose prompt cannot be asked is passed
over. A run that was stopped goes on.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent_tools.exits import tell
from diffagent_tools.llm.adapter import STARTER_ADAPTER, adapter_digest
from finetune.candidates.file import Candidate, CandidateLine, read_candidates, read_line
from finetune.data.cases import Case
from finetune.data.journal import Journal
from finetune.data.pairs import WHERE, Pair, read_pairs
from retrieval.calls.base_checkpoint import family_default
from retrieval.calls.compose import api_for, default_api
from retrieval.calls.verdict import judge
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidApi, InvalidInstruction
from retrieval.records.api import Instruction, read_api, read_instruction
from retrieval.records.model import ModelRecord
from retrieval.tables.families import DEFAULT_FAMILY

if TYPE_CHECKING:
    from finetune.candidates.decode import Said


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m finetune.candidates", description="Candidate responses for RRHF.", epilog=WHERE
    )
    parser.add_argument("--pairs", type=Path, required=True, help="prompts to align on, .jsonl or .jsonl.gz")
    parser.add_argument(
        "--adapter", type=Path, default=STARTER_ADAPTER, help="the SFT adapter (default: the packaged one)"
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON lines, one a prompt")
    parser.add_argument("--base", help="a folder or hub id of a LLaMA instead of the embedded one")
    parser.add_argument("--catalogue", type=Path, help="a catalogue instead of the packaged one")
    parser.add_argument("--groups", type=int, default=5, help="m, beam groups of one beam each (default: 5)")
    parser.add_argument(
        "--penalty", type=float, default=1.0, help="diversity penalty between the groups (default: 1)"
    )
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="of the multinomial sample (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the multinomial sample")
    parser.add_argument("--limit", type=int, help="the first N prompts only")
    parser.add_argument("--batch-size", type=int, default=16, help="prompts decoded together (default: 16)")
    parser.add_argument(
        "--constrained", action="store_true", help="hold the names to the catalogue with a prefix trie"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    from diffagent_tools.llm.llama import Llama
    from finetune.candidates.decode import CandidateDecoder

    parser = make_parser()
    options = parser.parse_args(arguments)
    for name in ("groups", "batch_size", "limit"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be 1 or more")
    if options.penalty < 0 or options.temperature <= 0:
        parser.error("--penalty must be 0 or more, and --temperature more than 0")
    catalogue = Catalogue.load(options.catalogue) if options.catalogue else Catalogue.starter()
    asked = askable(read_pairs(options.pairs)[: options.limit])
    run = {
        "adapter": f"{options.adapter.name}, {adapter_digest(options.adapter)}",
        "base": options.base,
        "catalogue": catalogue.digest,
        **{name: getattr(options, name) for name in _SETTINGS},
    }
    journal = Journal(
        options.output,
        run,
        read_line,
        asked=list(asked),
        key=lambda line: line.id,
        batch=options.batch_size,
        another=f"name another --output, or delete {options.output}",
    )
    if len(journal.done) < len(asked):
        llama = Llama.load(
            catalogue,
            base=options.base,
            adapter=options.adapter,
            device=options.device,
            dtype=options.dtype,
            progress=tell,
        )
        decoder = CandidateDecoder(
            llama,
            catalogue,
            groups=options.groups,
            penalty=options.penalty,
            temperature=options.temperature,
            seed=options.seed,
            constrained=options.constrained,
        )
        write_candidates(asked, journal, decoder.decode, catalogue, options.batch_size)
    print(report(read_candidates(options.output)))
    return 0


_SETTINGS = ("groups", "penalty", "temperature", "seed", "batch_size", "constrained")

Decode = Callable[[Sequence[Instruction]], "Sequence[Sequence[Said]]"]
"""What the model wrote for each instruction: the sample first, then the beams."""


def askable(pairs: Sequence[Pair]) -> dict[str, Instruction]:
    """Instructions by their pair's id, without those that cannot be asked: empty, or too long."""
    asked = {}
    for pair in pairs:
        with suppress(InvalidInstruction):
            said = {"prompt": pair["prompt"], "negative prompt": pair["negative_prompt"]}
            asked[pair_id(pair)] = read_instruction(said)
    return asked


def write_candidates(
    asked: Mapping[str, Instruction],
    journal: Journal[CandidateLine],
    decode: Decode,
    catalogue: Catalogue,
    batch_size: int,
    *,
    progress: Callable[[str], None] = tell,
) -> None:
    """Appends a line for each instruction after those that are done, a batch at a time.

    Raises:
        StorageError: the output cannot be written.
    """
    listed = list(asked.items())
    with journal.appending() as write:
        for start in range(len(journal.done), len(listed), batch_size):
            batch = listed[start : start + batch_size]
            said = decode([instruction for _, instruction in batch])
            for (name, instruction), answers in zip(batch, said, strict=True):
                found, dropped = candidates_of(answers, instruction, catalogue)
                write(CandidateLine(name, instruction, tuple(found), dropped).to_wire())
            progress(f"candidates: {start + len(batch):,} of {len(listed):,} prompts")


def candidates_of(
    said: "Sequence[Said]", instruction: Instruction, catalogue: Catalogue
) -> tuple[list[Candidate], Counter[str]]:
    """The list R of section 3.2.2 for one prompt, and how many answers were dropped for each reason.

    Of equal responses the first stays. The default API is that of the family most candidates are of.
    """
    dropped: Counter[str] = Counter()
    found: dict[str, Candidate] = {}
    for answer in said:
        record, why = (answer.record, "") if answer.record is not None else model_of(answer.text, catalogue)
        if record is None:
            dropped[why] += 1
            continue
        candidate = Candidate(api_for(record, instruction), answer.source)
        if found.setdefault(candidate.text, candidate) is not candidate:
            dropped["duplicate"] += 1
    families = Counter(candidate.api.base_model for candidate in found.values()).most_common(1)
    base = family_default(catalogue, families[0][0] if families else DEFAULT_FAMILY)
    default = default_api(base, instruction)
    if found.setdefault(default.paper_json(), Candidate(default, "default")).source != "default":
        dropped["duplicate"] += 1
    return list(found.values()), dropped


def model_of(text: str, catalogue: Catalogue) -> tuple[ModelRecord | None, str]:
    """The model that an answer's model information names, or None and why it is not valid.

    Another spelling of a real name is valid, and is written as the catalogue has it.
    """
    try:
        reading = read_api(text)
    except InvalidApi:
        return None, "unparsable"
    if {"type", "base_model"} & reading.missing.keys():
        return None, "unparsable"
    verdict = judge(reading.api, catalogue)
    kinds = {problem.kind for problem in verdict.problems}
    for kind in ("invented", "unavailable", "wrong type", "wrong family"):
        if kind in kinds:
            return None, kind
    return verdict.record, ""


def pair_id(pair: Pair) -> str:
    """Its own id, else a digest of the prompts and the model."""
    own = pair.get("id")
    return (
        str(own)
        if own is not None
        else Case(pair["prompt"], pair["negative_prompt"], pair["model_id"]).digest
    )


def report(lines: Sequence[CandidateLine]) -> str:
    """What candidates there are, in a few lines."""
    dropped = Counter[str]()
    for line in lines:
        dropped.update(line.dropped)
    found = [candidate for line in lines for candidate in line.candidates]
    models = {candidate.api.model for candidate in found}
    few = sum(len(line.candidates) < 2 for line in lines)
    return "\n".join(
        (
            f"{len(lines):,} prompts, {len(found):,} responses ({len(found) / len(lines):.2f} a prompt), "
            f"{len(models):,} models; {few:,} prompts with fewer than two responses",
            "source: " + _listed(Counter(candidate.source for candidate in found)),
            "dropped: " + _listed(dropped),
        )
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common()) or "nothing"
