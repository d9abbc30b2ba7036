"""Makes the table of what the writer may not say: five words in a row that one creator's prompts alone hold.

    python -m finetune.data.one_creator --pairs pairs_train.jsonl.gz \\
        --output diffagent_tools/select/writing/guard.safetensors

Only sequences with a word of the vocabulary in them count (diffagent_tools/select/writing/vocabulary.py):
without one nothing that is added can complete them. Hashes are kept, no words.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from diffagent_tools.exits import run_script
from diffagent_tools.select.writing.guard import LENGTH, TABLE, sequence_hash, spoken
from diffagent_tools.select.writing.vocabulary import vocabulary
from finetune.data.pairs import Pair, known_pairs
from retrieval.catalogue import Catalogue
from retrieval.storage import atomic_write


def sequences(text: str) -> Iterator[tuple[str, ...]]:
    """All five words in a row of a text."""
    said = spoken(text)
    return (tuple(said[first : first + LENGTH]) for first in range(len(said) - LENGTH + 1))


def of_one_creator(pairs: Iterable[Pair], catalogue: Catalogue) -> set[tuple[str, ...]]:
    """Sequences that the prompts and negative prompts of one creator alone hold; a model whose creator is not
    known is one of its own."""
    holding: dict[tuple[str, ...], str | int] = {}
    several: set[tuple[str, ...]] = set()
    for pair in pairs:
        creator = catalogue.get(pair["model_id"]).creator or pair["model_id"]
        for text in (pair["prompt"], pair["negative_prompt"]):
            for five in sequences(text):
                if holding.setdefault(five, creator) != creator:
                    several.add(five)
    return holding.keys() - several


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="the training pairs")
    parser.add_argument("--output", type=Path, required=True, help="the table that is written")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the table, and tells how many sequences it holds."""
    import numpy as np
    from safetensors.numpy import save

    options = make_parser().parse_args(arguments)
    catalogue = Catalogue.starter()
    added = {word for phrase in vocabulary() for word in spoken(phrase.text)}
    found = of_one_creator(known_pairs(options.pairs, catalogue), catalogue)
    hashes = sorted({sequence_hash(five) for five in found if not added.isdisjoint(five)})
    atomic_write(options.output, save({TABLE: np.asarray(hashes, np.uint32)}))
    print(f"written: {len(hashes):,} sequences of {len(found):,} into {options.output}")


if __name__ == "__main__":
    run_script(main)
