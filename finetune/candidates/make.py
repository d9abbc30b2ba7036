"""Candidates for RRHF (paper section 3.2.2): n valid responses of the SFT model to each align prompt.

    python -m finetune.candidates --pairs pairs_align.jsonl.gz --adapter adapter --output candidates.jsonl
    python -m finetune.candidates --pairs pairs_align.jsonl.gz --output c.jsonl --constrained --limit 9

For each prompt one response is drawn by multinomial sampling and m others are found by diverse beam search.
Of each the model information alone is kept: model, type, base model. It is checked against the catalogue, the
complete response is rebuilt from the catalogue, equal ones are merged, and the default API is added. As only
the model information is kept, nothing beyond it is decoded.

One JSON line a prompt; `dropped` says what the model wrote that is no candidate, and why:

    {"id": "...", "instruction": {"prompt": "...", "negative prompt": "..."}, "dropped": {"invented": 1},
     "responses": [{"api": {...}, "text": "{...}", "source": "sampled", "log_probability": -4.1}, ...]}

`text` is what RRHF trains on, `source` "sampled", "beams" or "default", `log_probability` the SFT model's of
the model information as it wrote it (with --constrained: of the name). A run that was stopped goes on.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from diffagent_tools.exits import tell
from diffagent_tools.llm.adapter import STARTER_ADAPTER
from finetune.data.answer_files import appending
from finetune.data.cases import Case
from finetune.data.pairs import WHERE, Pair, read_pairs
from retrieval.calls.base_checkpoint import family_default
from retrieval.calls.compose import api_for, default_api
from retrieval.calls.verdict import judge
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError, InvalidApi, InvalidInstruction, StorageError
from retrieval.records.api import Instruction, T2IApi, read_api, read_instruction
from retrieval.records.model import ModelRecord
from retrieval.tables.families import DEFAULT_FAMILY

if TYPE_CHECKING:
    from finetune.candidates.decode import Said

Source = Literal["sampled", "beams", "default"]


@dataclass(frozen=True)
class Candidate:
    """A complete response, where it came from, and how likely the SFT model found its model information."""

    api: T2IApi
    source: Source
    log_probability: float | None

    def to_wire(self) -> dict[str, Any]:
        return {
            "api": self.api.to_wire(),
            "text": self.api.paper_json(),
            "source": self.source,
            "log_probability": None if self.log_probability is None else round(self.log_probability, 4),
        }


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
    pairs = read_pairs(options.pairs)[: options.limit]
    run = {
        "adapter": _adapter_digest(options.adapter),
        "base": options.base,
        "catalogue": catalogue.digest,
        **{name: getattr(options, name) for name in _SETTINGS},
    }
    done = _resume(options.output, run, pairs, options.batch_size)
    if done < len(pairs):
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
        write_candidates(pairs, options.output, decoder.decode, catalogue, options.batch_size, done=done)
    print(report(options.output))
    return 0


_SETTINGS = ("groups", "penalty", "temperature", "seed", "batch_size", "constrained")

Decode = Callable[[Sequence[Instruction]], "Sequence[Sequence[Said]]"]
"""What the model wrote for each instruction: the sample first, then the beams."""


def write_candidates(
    pairs: Sequence[Pair],
    output: Path,
    decode: Decode,
    catalogue: Catalogue,
    batch_size: int,
    *,
    done: int = 0,
    progress: Callable[[str], None] = tell,
) -> None:
    """Appends a line for each pair after the first `done` ones, a batch at a time.

    Raises:
        StorageError: the output cannot be written.
    """
    with appending(output) as stream:
        for start in range(done, len(pairs), batch_size):
            batch = pairs[start : start + batch_size]
            for line in lines_of(batch, decode, catalogue):
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            stream.flush()
            progress(f"candidates: {start + len(batch):,} of {len(pairs):,} prompts")


def lines_of(pairs: Sequence[Pair], decode: Decode, catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    """The lines of a batch. A pair without a prompt has a line without responses."""
    asked = [_instruction(pair) for pair in pairs]
    said = iter(decode([instruction for instruction in asked if instruction is not None]))
    for pair, instruction in zip(pairs, asked, strict=True):
        if instruction is None:
            spoken = {"prompt": pair["prompt"], "negative prompt": pair["negative_prompt"]}
            dropped: Mapping[str, int] = {"prompt empty or too long": 1}
            responses: list[Candidate] = []
        else:
            spoken = instruction.to_wire()
            responses, dropped = candidates_of(next(said), instruction, catalogue)
        yield {
            "id": pair_id(pair),
            "instruction": spoken,
            "responses": [response.to_wire() for response in responses],
            "dropped": dict(dropped),
        }


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
        candidate = Candidate(api_for(record, instruction), answer.source, answer.log_probability)
        if found.setdefault(candidate.api.paper_json(), candidate) is not candidate:
            dropped["duplicate"] += 1
    families = Counter(candidate.api.base_model for candidate in found.values()).most_common(1)
    base = family_default(catalogue, families[0][0] if families else DEFAULT_FAMILY)
    default = default_api(base, instruction)
    if found.setdefault(default.paper_json(), Candidate(default, "default", None)).source != "default":
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


def _instruction(pair: Pair) -> Instruction | None:
    try:
        return read_instruction({"prompt": pair["prompt"], "negative prompt": pair["negative_prompt"]})
    except InvalidInstruction:
        return None


def _resume(output: Path, run: Mapping[str, Any], pairs: Sequence[Pair], batch_size: int) -> int:
    """How many prompts are done: whole batches only, because what lies in a batch is decoded together.

    Beside the output, `NAME.run.json` says how it was made.

    Raises:
        DataError: the output was made with other settings, or from other pairs.
        StorageError: it cannot be written.
    """
    said = output.with_name(f"{output.name}.run.json")
    wanted = json.dumps(run, indent=1, sort_keys=True) + "\n"
    another = f"name another --output, or delete {output}"
    try:
        content = output.read_bytes() if output.exists() else b""
        before = said.read_text(encoding="utf-8") if said.exists() else None
        if content and before != wanted:
            raise DataError(f"{output} was made with other settings ({said.name} says which); {another}")
        output.parent.mkdir(parents=True, exist_ok=True)
        said.write_text(wanted, encoding="utf-8")
        lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)[: len(pairs)]
        if len(lines) < len(pairs):
            lines = lines[: len(lines) // batch_size * batch_size]
        for number, (line, pair) in enumerate(zip(lines, pairs, strict=False), start=1):
            if _id_of(line) != pair_id(pair):
                raise DataError(f"{output}, line {number} is not of pair {number} of the pairs; {another}")
        whole = b"".join(lines)
        if len(whole) < len(content) and len(lines) < len(pairs):
            output.write_bytes(whole)
    except OSError as error:
        raise StorageError(f"cannot write {output} ({error.strerror}); name another --output") from error
    return len(lines)


def _id_of(line: bytes) -> object:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value.get("id") if isinstance(value, dict) else None


def _adapter_digest(folder: Path) -> str:
    """Its name and its files' content, so that candidates of an older training are not taken for its own."""
    import hashlib

    content = hashlib.sha256()
    for path in sorted(folder.glob("adapter_*")):
        content.update(path.read_bytes())
    return f"{folder.name}, {content.hexdigest()[:12]}"


def report(output: Path) -> str:
    """What a file of candidates holds, in a few lines."""
    prompts = names = 0
    counts, sources, dropped = Counter[int](), Counter[str](), Counter[str]()
    models: set[str] = set()
    with output.open(encoding="utf-8") as stream:
        for line in stream:
            value = json.loads(line)
            prompts += 1
            counts[len(value["responses"])] += 1
            names += len(value["responses"])
            sources.update(response["source"] for response in value["responses"])
            dropped.update(value["dropped"])
            models.update(response["api"]["model"] for response in value["responses"])
    few = sum(count for size, count in counts.items() if size < 2)
    return "\n".join(
        (
            f"{prompts:,} prompts, {names:,} responses ({names / max(prompts, 1):.2f} a prompt), "
            f"{len(models):,} models; {few:,} prompts with fewer than two responses",
            "source: " + _listed(sources),
            "dropped: " + _listed(dropped),
        )
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common()) or "nothing"
