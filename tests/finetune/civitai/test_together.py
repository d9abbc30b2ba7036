"""Which LoRAs stood in one picture: by their files, never by likeness, and none that is not offered."""

import json
from pathlib import Path
from typing import Any

from finetune.civitai.together import count_together, lora_names, main
from retrieval.catalogue import Catalogue
from retrieval.records.model import ModelRecord


def lora(model_id: int, name: str, file: str, **fields: Any) -> ModelRecord:
    version = {"version_id": model_id, "version": "v1", "base_model": "SD 1.5", "file_names": [file]}
    return ModelRecord.model_validate(
        {"model_id": model_id, "model": name, "type": "LORA", "base_model": "SD 1.5", "versions": [version]}
        | fields
    )


CATALOGUE = Catalogue(
    [
        lora(1, "Ink", "ink_v2.safetensors"),
        lora(2, "Neon", "neon.safetensors"),
        lora(3, "Neon again", "neon.safetensors"),
        lora(4, "Adult", "adult.safetensors", nsfw=True),
    ]
)


def page(model_id: int, *metas: Any) -> dict[str, Any]:
    images = [{"id": model_id * 100 + place, "meta": meta} for place, meta in enumerate(metas)]
    return {"id": model_id, "name": "a", "type": "LORA", "modelVersions": [{"id": 1, "images": images}]}


def prompt(text: str) -> dict[str, Any]:
    return {"prompt": text, "steps": 20}


def test_pairs_are_counted_by_picture() -> None:
    both = prompt("a fox <lora:ink_v2:0.6> <lora:neon:0.3>")
    listed = {**prompt("a fox"), "resources": [{"type": "lora", "name": "neon", "weight": 0.4}]}
    objects = [
        page(1, both, {**listed, "prompt": "a fox <lora:mine:1>"}, prompt("a fox <lora:ink_v2:1>"), None),
        page(9, both, prompt("<lora:nobody:1> <lora:ink_v2:1>")),
    ]
    assert count_together(objects, CATALOGUE) == {(1, 2): 3}
    # one picture on two pages is one
    assert count_together([objects[0], objects[0]], CATALOGUE) == {(1, 2): 2}


def test_one_name_on_a_page_is_the_page_whoever_else_is_called_so() -> None:
    again = lora(5, "Ink again", "other.safetensors", trigger_words=["inkink"])
    named = Catalogue([lora(1, "Ink", "ink_v2.safetensors", trigger_words=["InkInk"]), again])
    assert count_together([page(5, prompt("<lora:ink:1>"))], named) == {}


def test_a_file_of_two_models_is_that_of_the_page() -> None:
    assert count_together([page(3, prompt("<lora:neon:1> <lora:ink_v2:1>"))], CATALOGUE) == {(1, 3): 1}


def test_what_is_not_offered_is_not_counted() -> None:
    assert count_together([page(4, prompt("<lora:adult:1> <lora:neon:1>"))], CATALOGUE) == {}


def test_what_is_no_picture_has_no_loras() -> None:
    for meta in (None, "", [], 5, {"meta": None}, {"resources": "x"}):
        assert lora_names(meta) == ()
    odd: list[Any] = [None, 5, {"id": 1, "modelVersions": [None, {"images": [None, {"meta": 3}]}]}]
    assert count_together(odd, CATALOGUE) == {}


def test_the_command_writes_ids_and_counts(tmp_path: Path) -> None:
    source, target, catalogue = (tmp_path / name for name in ("saved.jsonl", "counts.json", "models.jsonl"))
    CATALOGUE.save(catalogue)
    source.write_text(json.dumps(page(1, prompt("<lora:neon:1> <lora:ink_v2:1>"))) + "\n", encoding="utf-8")
    main([str(source), str(target), "--catalogue", str(catalogue)])
    assert json.loads(target.read_text(encoding="utf-8")) == [[1, 2, 1]]
