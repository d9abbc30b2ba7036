"""Counts which LoRAs people used in one picture, from saved objects of Civitai's API.

    python -m finetune.civitai.together saved.jsonl.gz retrieval/catalogue/starter/together.json

A LoRA is known by the name of its file, in a tag of the prompt or among the picture's resources; one of them
is that of the page on which the picture stands. Only ids and counts are kept, of models that the catalogue
holds and that may be offered; no prompt is.
"""

import argparse
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from diffagent_tools.exits import plain_exit
from diffagent_tools.formats.generation import read_generation
from finetune.civitai.saved import files_of, read_objects
from retrieval.catalogue import Catalogue
from retrieval.catalogue.names import without_ending
from retrieval.search.terms import squash
from retrieval.storage import atomic_write

_LORAS = ("lora", "locon", "lycoris", "dora")


def count_together(objects: Iterable[Any], catalogue: Catalogue) -> dict[tuple[int, int], int]:
    """Pictures a pair of LoRAs, by their ids, the lower first."""
    counts: Counter[tuple[int, int]] = Counter()
    seen: set[Any] = set()
    for page, picture in pictures_of(objects):
        if picture.get("id", picture.get("url")) in seen:
            continue
        seen.add(picture.get("id", picture.get("url")))
        ids = used_in(picture.get("meta"), page, catalogue)
        counts.update(itertools.combinations(sorted(ids), 2))
    return dict(sorted(counts.items()))


def lora_names(meta: Any) -> tuple[str, ...]:
    """The names of the LoRAs that a picture says it was made with."""
    if not isinstance(meta, Mapping):
        return ()
    made = read_generation(meta)
    if made is None:
        return ()
    names = [lora.name for lora in made.loras]
    names += [one.name for one in made.resources if one.kind in _LORAS and one.name]
    return tuple(dict.fromkeys(names))


def pictures_of(objects: Iterable[Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Every picture with the model on whose page it stands."""
    for model in objects:
        versions = model.get("modelVersions") if isinstance(model, Mapping) else None
        for version in versions if isinstance(versions, list) else ():
            images = version.get("images") if isinstance(version, Mapping) else None
            for image in images if isinstance(images, list) else ():
                if isinstance(image, Mapping) and isinstance(model.get("id"), int):
                    yield model["id"], image


def used_in(meta: Any, page: int, catalogue: Catalogue) -> set[int]:
    """The ids of the LoRAs of a picture, of which one is that of the page: the one that says so by its file,
    that goes by the page's trigger words, or that nobody else is called."""
    found = {name: _lora(name, catalogue) for name in lora_names(meta)}
    if page in catalogue and _is_lora(page, catalogue) and page not in found.values():
        own = catalogue.get(page)
        files = {squash(without_ending(file)) for version in own.versions for file in version.file_names}
        triggers = {trigger.casefold() for trigger in own.trigger_words}
        for name, model_id in found.items():
            theirs = (
                {each.casefold() for each in catalogue.get(model_id).trigger_words} if model_id else set()
            )
            if squash(name) in files or theirs & triggers:
                found[name] = page
                break
        else:
            nobody = next((name for name, model_id in found.items() if model_id is None), None)
            found |= {nobody: page} if nobody is not None else {}
    return {model_id for model_id in found.values() if model_id is not None}


def _lora(name: str, catalogue: Catalogue) -> int | None:
    """The id of a LoRA by the name of its file; what is only spelled alike is none."""
    for match in catalogue.find(name):
        if match.how != "loose" and _is_lora(match.record.model_id, catalogue):
            return match.record.model_id
    return None


def _is_lora(model_id: int, catalogue: Catalogue) -> bool:
    record = catalogue.get(model_id)
    return record.type == "LORA" and record.may_be_offered()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "source", type=Path, help="saved API objects, as `diffagent dabench collect` reads them"
    )
    parser.add_argument("target", type=Path, help="the file of counts to write")
    parser.add_argument("--catalogue", type=Path, help="whose models are counted; the starter by default")
    given = parser.parse_args(argv)
    with plain_exit("stopped; nothing was written"):
        catalogue = Catalogue.load(given.catalogue) if given.catalogue else Catalogue.starter()
        objects = (found for path in files_of(given.source) for found, _ in read_objects(path))
        counts = count_together(objects, catalogue)
        rows = [[*pair, count] for pair, count in counts.items()]
        atomic_write(given.target, (json.dumps(rows, separators=(",", ":")) + "\n").encode())
        print(f"{len(rows):,} pairs in {sum(counts.values()):,} pictures, kept in {given.target}")


if __name__ == "__main__":
    main()
