"""A catalogue of your own: read it, index it, search it, choose from it.

    python examples/build_index.py examples/my_models.jsonl "a linocut of boats" --path my_index

A line of the file is one model (retrieval/records/model.py): `model_id`, `model`, `type`, `base_model` are
needed, `description`, `trigger_words` and `tags` are what it is found by. The command does the same:
`diffagent index build --catalogue FILE`, `diffagent select ... --catalogue FILE`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent_tools import Catalogue, DescriptionIndex, T2IApi
from retrieval.calls.compose import api_for
from retrieval.records.api import read_instruction

if TYPE_CHECKING:
    from retrieval.search.encoders import Embedder
    from retrieval.search.index import Hit

MY_MODELS = Path(__file__).parent / "my_models.jsonl"


def build(source: Path, folder: Path | None = None, embedder: "Embedder | None" = None) -> DescriptionIndex:
    """The index of a catalogue's file; below the user's cache where no folder is named."""
    index = DescriptionIndex(Catalogue.load(source), embedder, path=folder, progress=print)
    index.build()
    return index


def best_call(hits: Sequence["Hit"], request: str) -> T2IApi:
    """The complete API of the first hit."""
    return api_for(hits[0].record, read_instruction(request))


def main(arguments: Sequence[str] | None = None, embedder: "Embedder | None" = None) -> None:
    """Builds, searches, and prints the hits and the API of the first."""
    parser = argparse.ArgumentParser(description="Index a catalogue of your own and search it.")
    parser.add_argument("source", nargs="?", type=Path, default=MY_MODELS)
    parser.add_argument("request", nargs="?", default="a linocut of boats")
    parser.add_argument("--path", type=Path, help="the index's folder")
    options = parser.parse_args(arguments)
    hits = build(options.source, options.path, embedder).search(options.request, k=3)
    for hit in hits:
        print(f"{hit.score:.2f}  {hit.record.model}  {', '.join(hit.matched)}")
    print(best_call(hits, options.request).to_json(indent=2))


if __name__ == "__main__":
    main()
