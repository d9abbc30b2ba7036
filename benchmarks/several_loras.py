"""How many of the LoRAs that people used beside another one are chosen for the same prompt.

    python benchmarks/several_loras.py saved.jsonl.gz        # saved API objects with their pictures

Of each picture whose page is a LoRA of the starter and that names further LoRAs of it, the prompt (without
its tags) is asked with the page's model first; counted is which of the others come beside it.
"""

import argparse
from pathlib import Path

from diffagent_tools.formats.generation import read_generation
from diffagent_tools.select.selector import RetrievalSelector
from diffagent_tools.select.several import with_loras
from finetune.civitai.saved import files_of, read_objects
from finetune.civitai.together import pictures_of, used_in
from retrieval.calls.compose import api_for
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput
from retrieval.records.api import Instruction


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    given = parser.parse_args()
    catalogue = Catalogue.starter()
    selector = RetrievalSelector(catalogue)
    objects = (found for path in files_of(given.source) for found, _ in read_objects(path))
    pictures = wanted = found = added = 0
    for page, picture in pictures_of(objects):
        others = used_in(picture.get("meta"), page, catalogue) - {page}
        made = read_generation(picture["meta"]) if others else None
        if page not in catalogue or made is None or not made.prompt:
            continue
        try:
            (first,) = selector.select(Instruction(prompt=made.prompt), k=1)
        except InvalidInput:
            continue
        api = api_for(catalogue.get(page), Instruction(prompt=made.prompt))
        answer = with_loras(first.model_copy(update={"api": api, "abstained": False}), selector)
        chosen = {lora.model_id for lora in answer.api.loras}
        pictures, wanted = pictures + 1, wanted + len(others)
        found, added = found + len(chosen & others), added + len(chosen)
    print(f"{pictures} pictures name {wanted} further LoRAs; {found} of them were chosen, of {added} in all")


if __name__ == "__main__":
    main()
