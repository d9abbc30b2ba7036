"""How long the description index takes to build, to open and to search: the packaged one, and a large one.

    python benchmarks/index_search.py                     # the packaged one, with its own embedder
    python benchmarks/index_search.py --records 100000    # made-up models, hashed words for vectors

Threads are the caller's matter (OMP_NUM_THREADS).
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

from diffagent_tools.exits import run_script
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord
from retrieval.search.encoders import Embedder, HashEmbedder, PackagedEmbedder
from retrieval.search.index import DescriptionIndex

T = TypeVar("T")
WORDS = 20_000
QUERIES = ("word17 word23 word4711", "word5 word9 word99, word100 word1234 word7", "word19999")


def record(number: int) -> ModelRecord:
    """A made-up record with forty profile terms, drawn so that a few words are common and most are rare."""
    words = [f"word{(number * 7919 + 104729 * i) % (WORDS >> (i % 10))}" for i in range(40)]
    return ModelRecord(
        model_id=number + 1,
        model=f"Model {number} {words[0]}",
        type="LORA" if number % 2 else "Checkpoint",
        base_model="SDXL 1.0" if number % 3 else "SD 1.5",
        description=" ".join(words[:12]),
        trigger_words=(words[1],),
        tags=tuple(words[3:6]),
        available=number % 50 != 0,
        commercial_use=("Image",) if number % 4 else (),
        terms=dict.fromkeys(words, 0.25),
        samples=8,
    )


def timed(label: str, action: Callable[[], T]) -> T:
    start = time.perf_counter()
    result = action()
    print(f"{label:52s} {time.perf_counter() - start:9.3f} s", flush=True)
    return result


def measure(catalogue: Catalogue, embedder: Embedder, queries: Sequence[str], folder: Path) -> None:
    """Prints a line a step; the second half with another index object, as another process would."""
    print(f"{len(catalogue):,} models, {embedder.name}")
    timed("digest of the catalogue", lambda: catalogue.digest)
    timed("import chromadb", lambda: __import__("chromadb"))
    first = DescriptionIndex(catalogue, embedder, path=folder)
    timed("build", first.build)
    first.close()
    index = DescriptionIndex(catalogue, embedder, path=folder)
    timed("open a built index", index.open)
    timed("load the embedder, embed one text", lambda: embedder.embed(["a castle"]))
    timed("first search (makes the scorer of words)", lambda: index.search(queries[0]))
    kinds: dict[str, Callable[[str], object]] = {
        "search": lambda text: index.search(text),
        "search, LoRAs of SD 1.5 for commercial use": lambda text: index.search(
            text, base_model="SD 1.5", type="LORA", commercial_use=True
        ),
        "search, k = 200": lambda text: index.search(text, k=200),
        "by meaning alone": lambda text: index.dense(text, 10),
    }
    for kind, action in kinds.items():
        spent = []
        for text in queries * 5:
            start = time.perf_counter()
            action(text)
            spent.append(time.perf_counter() - start)
        print(f"{kind + ', warm: median, worst of ' + str(len(spent)):70s}", end=" ")
        print(f"{1000 * median(spent):7.1f} ms {1000 * max(spent):7.1f} ms", flush=True)
    recall(index, queries)


def recall(index: DescriptionIndex, queries: Sequence[str]) -> None:
    """How many of the ten nearest vectors Chroma's graph finds, of those that comparing all of them finds."""
    import numpy as np

    from retrieval.records.model import document_text

    texts = [document_text(record) for record in index.catalogue]
    vectors = np.concatenate([index.embedder.embed(texts[i : i + 1000]) for i in range(0, len(texts), 1000)])
    shares = []
    for query in queries:
        cosines = vectors @ index.embedder.embed([query])[0]
        found = [cosine for _, cosine in index.dense(query, 10)]
        # by cosine and not by id, because vectors may be equal
        shares.append(sum(cosine >= np.sort(cosines)[-10] - 1e-4 for cosine in found) / 10)
    print(f"of the ten nearest by meaning, found by the graph: {sum(shares) / len(shares):.2f}")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="build and search the description index")
    parser.add_argument("--records", type=int, help="made-up models instead of the packaged catalogue")
    parser.add_argument("--dimension", type=int, default=384, help="of the made-up vectors")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = make_parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if options.records:
            catalogue = Catalogue((record(number) for number in range(options.records)), name="made up")
            measure(catalogue, HashEmbedder(options.dimension), QUERIES, Path(folder))
        else:
            queries = ("a corgi, pixel art", "photo of an old man, film grain", "neon city at night, rain")
            measure(Catalogue.starter(), PackagedEmbedder(), queries, Path(folder))


if __name__ == "__main__":
    run_script(main)
