"""Holds a tenth of the models out of training entirely: can a model be chosen that was added afterwards?

    python -m finetune.dabench.unseen --models models.jsonl.gz --pairs pairs_train.jsonl.gz \\
        --output runs/unseen
    python -m finetune.ranker.encoder --pairs runs/unseen/pairs_seen.jsonl --epochs 2 \\
        --catalogue runs/unseen/catalogue.jsonl --output runs/unseen/adapter
    cp retrieval/search/starter/{lexical,retrieval}.safetensors runs/unseen/adapter
    diffagent evaluate --pairs runs/unseen/pairs_unseen.jsonl --train runs/unseen/pairs_seen.jsonl \\
        --catalogue runs/unseen/catalogue.jsonl --adapter runs/unseen/adapter --mode retrieval --prompts both

The catalogue keeps every model. Of those held out it has what their pages say (name, tags, trigger words,
terms of the creator's text), and a description made of that alone; no term of a sample prompt.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from diffagent_tools.exits import run_script
from finetune.dabench.starter import build_records, public_records, read_models, sources_for
from finetune.dabench.starter_screen import Row, screen
from finetune.data.pairs import Pair, read_pairs
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError, InvalidInput
from retrieval.storage import atomic_write

SHARE = 0.1


def is_held_out(model_id: int, share: float = SHARE) -> bool:
    """By a hash of the id, so that a model that is added moves no other."""
    return int(hashlib.sha256(str(model_id).encode()).hexdigest(), 16) % 10_000 < share * 10_000


def hold_out(
    models: Sequence[Row], pairs: Sequence[Pair], output: Path, *, share: float = SHARE
) -> tuple[int, int]:
    """Writes `catalogue.jsonl`, `pairs_seen.jsonl` and `pairs_unseen.jsonl` below `output`.

    Returns:
        How many models are held out, and how many pairs name one of them.

    Raises:
        DataError: one of the two parts would be empty.
    """
    kept = screen(models).kept
    known = {row["model_id"] for row in kept}
    named = [pair for pair in pairs if pair["model_id"] in known]
    unseen = [pair for pair in named if is_held_out(pair["model_id"], share)]
    seen = [pair for pair in named if not is_held_out(pair["model_id"], share)]
    if not unseen or not seen:
        raise DataError(
            f"of {len(named)} pairs {len(unseen)} name a model that is held out; needed are some of both: "
            "give more pairs or another --share"
        )
    records = build_records(kept, seen, [row["description"] for row in models])
    catalogue = Catalogue(
        [*records, *public_records(sources_for(output))], name="the starter catalogue, part unseen"
    )
    catalogue.save(output / "catalogue.jsonl")
    for name, part in (("pairs_seen", seen), ("pairs_unseen", unseen)):
        lines = "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in part)
        atomic_write(output / f"{name}.jsonl", lines.encode())
    return len({pair["model_id"] for pair in unseen}), len(unseen)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="hold models out of training")
    parser.add_argument("--models", type=Path, required=True, help="models, .jsonl.gz")
    parser.add_argument("--pairs", type=Path, required=True, help="training pairs, .jsonl.gz")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--share", type=float, default=SHARE, help="of the models, between 0 and 1")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = make_parser().parse_args(arguments)
    if not 0 < options.share < 1:
        raise InvalidInput(f"--share is {options.share}; needed is a number between 0 and 1")
    models, pairs = hold_out(
        read_models(options.models),
        read_pairs(options.pairs),
        options.output,
        share=options.share,
    )
    print(f"{models:,} models with {pairs:,} pairs are held out; written to {options.output}")


if __name__ == "__main__":
    run_script(main)
