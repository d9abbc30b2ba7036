"""What the writer adds beside what uploaders wrote, and whether the language model would add better.

    python benchmarks/writing.py --pairs pairs_val.jsonl.gz --llama 100

The first half of a held-out prompt is the request, for the model that its picture was made with. Recall is
the share of the words and two-word terms of the other half that are among 12 added ones, precision the share
of the added phrases that are in it; negative prompts are measured by term F1 against the uploader's own. The
language model scores the same candidates as a continuation of the request, read as one tree. "The usual one"
is the negative prompt of a model without samples.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from diffagent_tools.exits import run_script
from diffagent_tools.llm.adapter import STARTER_ADAPTER
from diffagent_tools.llm.llama import Llama
from diffagent_tools.llm.scoring import score_answers
from diffagent_tools.select.writing.negative import negative_for
from diffagent_tools.select.writing.prompt import MOST, additions, candidates
from diffagent_tools.select.writing.vocabulary import Phrase
from finetune.data.pairs import known_pairs
from finetune.describe.profiles import is_telling
from retrieval.calls.compose import api_for
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction
from retrieval.records.model import ModelRecord
from retrieval.search.terms import prompt_terms

_CLAUSES, _PROFILE = 6, 60


def telling(text: str) -> set[str]:
    """The terms of a text that a profile would hold."""
    return {term for term in prompt_terms(text) if is_telling(term)}


def by_llama(llama: Llama, request: str, phrases: Sequence[str]) -> list[str]:
    """Phrases by their length-normalised log-probability after the request."""
    tokenizer = llama.base.tokenizer

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    scores = score_answers(llama.base.model, ids(f"{request},"), [ids(f" {each},") for each in phrases])
    order = sorted(zip(scores.mean.tolist(), phrases, strict=True), reverse=True)
    return [phrase for _, phrase in order]


def fresh(phrases: Iterable[str], said: set[str]) -> list[str]:
    """The first 12 that say a word which is new."""
    kept: list[str] = []
    seen = set(said)
    for phrase in phrases:
        if not set(phrase.split()) <= seen and len(kept) < MOST:
            kept.append(phrase)
            seen.update(phrase.split())
    return kept


def profile(record: ModelRecord) -> list[str]:
    """The terms of a record, the most frequent first."""
    return sorted(record.terms, key=lambda term: (-record.terms[term], -len(term.split()), term))


def f1(said: set[str], wanted: set[str]) -> float:
    """The harmonic mean of precision and recall."""
    return 2 * len(said & wanted) / (len(said) + len(wanted)) if said or wanted else 1.0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="pairs that no profile holds")
    parser.add_argument("--llama", type=int, default=0, help="for how many the language model is asked, too")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = make_parser().parse_args(arguments)
    catalogue = Catalogue.starter()
    pairs = known_pairs(options.pairs, catalogue)
    random.Random(0).shuffle(pairs)
    llama = Llama.load(catalogue, adapter=STARTER_ADAPTER) if options.llama else None
    figures: dict[str, list[tuple[float, float]]] = defaultdict(list)
    negatives: dict[str, list[float]] = defaultdict(list)
    nobody = ModelRecord(model_id=1, model="-", type="Checkpoint", base_model="SD 1.5")
    asked = 0
    for pair in pairs:
        record = catalogue.get(pair["model_id"])
        if pair["negative_prompt"].strip():
            wanted = telling(pair["negative_prompt"])
            request = Instruction(prompt=pair["prompt"] or "-")
            for name, model in (("the model's own", record), ("the usual one", nobody)):
                own = negative_for(api_for(record, request), model, "-")
                negatives[name].append(f1(telling(own), wanted))
        clauses = [part.strip() for part in pair["prompt"].replace("\n", ",").split(",") if part.strip()]
        half = len(clauses) // 2
        request_text = ", ".join(clauses[:half])
        said = set(prompt_terms(request_text))
        left = telling(", ".join(clauses[half:])) - said
        if len(clauses) < _CLAUSES or not left or not record.terms:
            continue
        closed: list[Phrase] = candidates(request_text, record)
        choices = {
            "frequency, as shipped": additions(request_text, record),
            "frequency, any term of the profile": fresh(profile(record), said),
        }
        if llama is not None and asked < options.llama:
            asked += 1
            by_mean = by_llama(llama, request_text, profile(record)[:_PROFILE])
            choices["language model, any term"] = fresh(by_mean, said)
            if closed:
                texts = by_llama(llama, request_text, [phrase.text for phrase in closed])
                named = {phrase.text: phrase for phrase in closed}
                choices["language model, as shipped"] = additions(
                    request_text, record, [named[text] for text in texts]
                )
            figures["frequency, as shipped, same pairs"].append(_hit(choices["frequency, as shipped"], left))
        for name, added in choices.items():
            figures[name].append(_hit(added, left))
    for name, rows in figures.items():
        recall, precision = (sum(column) / len(rows) for column in zip(*rows, strict=True))
        print(f"{name:40s} recall {recall:.3f}, precision {precision:.3f}, {len(rows)} prompts")
    for name, scores in negatives.items():
        print(f"negative prompt, {name:23s} F1 {sum(scores) / len(scores):.3f}, {len(scores)} prompts")


def _hit(added: Sequence[str], left: set[str]) -> tuple[float, float]:
    said = {term for phrase in added for term in telling(phrase)}
    right = sum(telling(phrase) <= left for phrase in added)
    return len(said & left) / len(left), right / len(added) if added else 0.0


if __name__ == "__main__":
    run_script(main)
