"""A trained adapter's folder: its card, whether it fits a base model and a catalogue, and its weights merged.

card = read_card(STARTER_ADAPTER)
check_base(card, base.name, base.digest, STARTER_ADAPTER)
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.catalogue import Catalogue
from retrieval.errors import AdapterError, AdapterMismatch
from retrieval.search.fusion import usable
from retrieval.search.ranker import LEXICAL_FILE, STARTER_WEIGHTS

if TYPE_CHECKING:
    pass


STARTER_ADAPTER = Path(__file__).parents[1] / "adapters" / "starter"
ADAPTER_FILE = "adapter_model.safetensors"


ADAPTER_CONFIG = "adapter_config.json"


CARD_FILE = "card.json"


def ranker_folder(adapter: Path) -> Path:
    """Where retrieval's weights are: the adapter's own if its folder brings some, else the packaged ones.

    Raises:
        AdapterError: there is no such folder.
    """
    if not adapter.is_dir():
        raise AdapterError(f"there is no folder {adapter}; needed is that of a trained adapter")
    return adapter if (adapter / LEXICAL_FILE).is_file() else STARTER_WEIGHTS


def adapter_digest(adapter: Path, *, ranker: bool = False) -> str:
    """12 hex digits of its weights' SHA256, so that answers of an older training are not taken for its own.

    Args:
        ranker: with all else in its folder, and retrieval's weights where they lie elsewhere.
    """
    held = {*adapter.rglob("*"), *ranker_folder(adapter).rglob("*")} if ranker else adapter.glob("adapter_*")
    content = hashlib.sha256()
    for path in sorted(path for path in held if path.is_file()):
        content.update(path.read_bytes())
    return content.hexdigest()[:12]


def read_card(adapter: Path) -> Mapping[str, Any]:
    """The card of a trained adapter; empty where the folder holds none.

    Raises:
        AdapterError: adapter weights without a readable card.
    """
    if not (adapter / ADAPTER_FILE).is_file():
        return {}
    try:
        card: Any = json.loads((adapter / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AdapterError(
            f"the adapter {adapter} has no readable {CARD_FILE} ({error}), so nobody can say which base "
            "model it fits; train it with finetune/sft/run.py, which writes one"
        ) from error
    if not isinstance(card, dict):
        raise AdapterError(f"{adapter / CARD_FILE} is not a JSON object; finetune/sft/run.py writes one")
    learnt = card.get("model_ids") or []
    if not isinstance(learnt, list) or not all(type(each) is int for each in learnt):
        raise AdapterError(f"model_ids in {adapter / CARD_FILE} are no list of whole numbers; train it anew")
    return card


def check_base(card: Mapping[str, Any], name: str, digest: str, adapter: Path) -> None:
    """Raises AdapterMismatch, naming both, where the adapter was trained on another base model."""
    if card.get("base_digest") != digest:
        raise AdapterMismatch(
            f"the adapter {adapter.name} was trained on {card.get('base')!r} ({card.get('base_digest')}), "
            f"and the base model is {name!r} ({digest}); pass the base it was trained on, or train one for "
            "this base"
        )


def check_catalogue(card: Mapping[str, Any], catalogue: Catalogue, adapter: Path) -> None:
    """Raises AdapterMismatch where most of the models that the adapter was trained to name are not there.

    Models that were added since training are welcome: they are found by retrieval and scored like the others.
    """
    learnt = card.get("model_ids") or ()
    if learnt and sum(model_id in catalogue for model_id in learnt) < len(learnt) / 2:
        raise AdapterMismatch(
            f"the adapter {adapter.name} was trained for the catalogue {card.get('catalogue')!r}, and most "
            f"of its models are not in {catalogue.name!r}; train an adapter for this catalogue (python -m "
            "finetune.sft), or choose without a language model (--mode retrieval)"
        )


def merge_lora(model: Any, adapter: Path) -> int:
    """Adds a LoRA adapter to the weights in place, W + (alpha / r) B A; returns how many layers it changed.

    The files are peft's. Merging here saves importing peft, which takes longer than an answer; that both give
    the same weights is tested.

    Raises:
        AdapterError: the files cannot be read, or hold something else than plain LoRA.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        config = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        with safe_open(adapter / ADAPTER_FILE, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        if not isinstance(config, dict):
            raise ValueError(f"{ADAPTER_CONFIG} is no JSON object")
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise AdapterError(
            f"cannot read the adapter {adapter} ({error}); it is peft's save_pretrained that writes one"
        ) from error
    if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("bias", "none") != "none":
        raise AdapterError(
            f"the adapter {adapter} is not a plain LoRA; only plain LoRA adapters can be merged"
        )
    scale = _scale(config, adapter)
    modules = dict(model.named_modules())
    merged = 0
    with torch.no_grad():
        for name, down in tensors.items():
            if not name.endswith(".lora_A.weight"):
                continue
            path = name.removesuffix(".lora_A.weight")
            up = tensors.get(f"{path}.lora_B.weight")
            target = modules.get(path.removeprefix("base_model.model."))
            if up is None or target is None:
                raise AdapterError(
                    f"the adapter {adapter} has weights for {path}, which the base model lacks"
                )
            added = up.float() @ down.float()
            if not bool(added.isfinite().all()):
                raise AdapterError(f"the adapter {adapter} holds numbers that are not finite for {path}")
            weight = target.weight
            weight += (scale * added).to(weight)
            merged += 1
    if 2 * merged != len(tensors):
        raise AdapterError(
            f"the adapter {adapter} holds {len(tensors) - 2 * merged} tensors that are not LoRA's"
        )
    return merged


def _scale(config: Mapping[str, Any], adapter: Path) -> float:
    """What peft multiplies the product of both matrices by.

    Raises:
        AdapterError: rank or alpha is no number above 0.
    """
    try:
        alpha, rank = (usable(name, config.get(name), least=1e-9) for name in ("lora_alpha", "r"))
    except (TypeError, ValueError) as error:
        raise AdapterError(f"{ADAPTER_CONFIG} of the adapter {adapter}: {error}; train it anew") from error
    return float(alpha / (rank ** (0.5 if config.get("use_rslora") else 1.0)))
