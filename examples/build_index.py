"""A catalogue of your own: read it, index it, search it, choose from it.

    python examples/build_index.py examples/my_models.jsonl "a linocut of boats" --path my_index

A line of the file is one model (retrieval/records/model.py): `model_id`, `model`, `type`, `base_model` are
needed, `description`, `trigger_words` and `tags` are what it is found by. The command does the same:
`diffagent index build --catalogue FILE`, `diffagent select ... --catalogue FILE`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from diffagent_tools import Catalogue, DescriptionIndex, RetrievalSelector

MY_MODELS = Path(__file__).parent / "my_models.jsonl"


def build(source: Path, folder: Path | None = None) -> DescriptionIndex:
    """The index of a catalogue's file; below the user's cache where no folder is named."""
    index = DescriptionIndex(Catalogue.load(source), path=folder, progress=print)
    index.build()
    return index


def main(arguments: Sequence[str] | None = None) -> None:
    """Builds, searches, and prints the hits and the API that is chosen."""
    parser = argparse.ArgumentParser(description="Index a catalogue of your own and search it.")
    parser.add_argument("source", nargs="?", type=Path, default=MY_MODELS)
    parser.add_argument("request", nargs="?", default="a linocut of boats")
    parser.add_argument("--path", type=Path, help="the index's folder")
    options = parser.parse_args(arguments)
    index = build(options.source, options.path)
    for hit in index.search(options.request, k=3):
        print(f"{hit.score:.2f}  {hit.record.model}  {', '.join(hit.matched)}")
    print(RetrievalSelector(index.catalogue).select(options.request)[0].api.to_json(indent=2))


if __name__ == "__main__":
    main()
