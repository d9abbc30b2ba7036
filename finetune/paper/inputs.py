"""What both tables of the paper begin with: the prompts, the adapters that are compared, and their answers.

adapters = read_adapters(["sft=adapters/sft", "rrhf=adapters/rrhf"])
answers = Speaker(options, adapters[0], catalogue)(prompt_set, Path("evaluation/table1/answers"))
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.exits import tell
from diffagent_tools.llm.adapter import STARTER_ADAPTER
from diffagent_tools.llm.free_decoding import ROWS
from finetune.paper.free_answers import Answer, free_answers
from finetune.paper.prompt_sets import SAMPLE, PromptSet, Rewrite, read_sets
from retrieval.catalogue import Catalogue
from retrieval.errors import InvalidInput

if TYPE_CHECKING:
    from diffagent_tools.llm.llama import Llama


@dataclass(frozen=True)
class Adapter:
    """A trained adapter under its name in the table; `stage` is the paper's column that it stands in."""

    name: str
    folder: Path
    stage: str | None
    digest: str


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Prompts and adapters."""
    parser.add_argument("--pairs", type=Path, help="DABench's validation pairs, .jsonl or .jsonl.gz")
    parser.add_argument("--coco", type=Path, help="COCO captions, one a line")
    parser.add_argument("--parti", type=Path, help="PartiPrompts.tsv")
    parser.add_argument(
        "--sample", type=int, default=SAMPLE, help=f"COCO and Parti prompts drawn (default: {SAMPLE:,})"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--limit", type=int, help="the first N prompts of each set only")
    parser.add_argument(
        "--rewrite-with",
        metavar="PROVIDER:MODEL",
        help="a chat model for LangChain's init_chat_model that makes well-structured prompts of COCO's and "
        "Parti's, as in the paper; without it the raw prompts are used",
    )
    parser.add_argument(
        "--rewrites",
        type=Path,
        default=Path("evaluation/rewrites.sqlite"),
        help="cache of its answers (default: evaluation/rewrites.sqlite)",
    )
    parser.add_argument(
        "--adapters",
        nargs="+",
        default=[f"packaged={STARTER_ADAPTER}"],
        metavar="NAME=FOLDER",
        help="what is compared; the card of each says its stage (default: the packaged one)",
    )
    parser.add_argument("--base", help="a folder or hub id of a LLaMA instead of the embedded one")
    parser.add_argument("--catalogue", type=Path, help="a catalogue instead of the packaged one")
    parser.add_argument("--whole", action="store_true", help="decode all nine fields, not the first three")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"answers decoded together (default: {ROWS})")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))


def read_prompts(options: argparse.Namespace) -> list[PromptSet]:
    """The sets that the options name.

    Raises:
        DataError: a file is missing or broken.
        InvalidInput: no file is named, or a count is below 1.
    """
    if options.rows < 1:
        raise InvalidInput(f"--rows is {options.rows}, needed is at least 1")
    return read_sets(
        pairs=options.pairs,
        coco=options.coco,
        parti=options.parti,
        sample=options.sample,
        seed=options.seed,
        limit=options.limit,
        rewrite=_rewriter(options),
    )


def _rewriter(options: argparse.Namespace) -> Rewrite | None:
    """Raises MissingExtra without LangChain; InvalidInput where no provider's package knows such a model."""
    if options.rewrite_with is None:
        return None
    from diffagent_tools.chat.agent import chat_model
    from diffagent_tools.llm.chat_model import CachedChat
    from finetune.paper.rewrite_prompts import PromptRewriter

    return PromptRewriter(CachedChat(chat_model(options.rewrite_with), cache=options.rewrites), tell)


def read_adapters(given: Sequence[str]) -> list[Adapter]:
    """`NAME=FOLDER` each.

    Raises:
        InvalidInput: not of that form, a name twice, or a folder that holds no adapter.
    """
    from diffagent_tools.llm.adapter import adapter_digest, read_card

    found: dict[str, Adapter] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not name or not path or name in found or "/" in name:
            raise InvalidInput(
                f"--adapters {text!r} is not NAME=FOLDER with a new name; write it like sft=adapters/sft"
            )
        folder = Path(path)
        card = read_card(folder)
        if not card:
            raise InvalidInput(
                f"{folder} holds no adapter; python -m finetune.sft or finetune.rrhf trains one"
            )
        found[name] = Adapter(name, folder, stage_of(card), adapter_digest(folder))
    return list(found.values())


def stage_of(card: Mapping[str, Any]) -> str | None:
    """The paper's column that an adapter stands in: "SFT", "RRHF", or none for a control."""
    if card.get("stage") == "rrhf":
        return "RRHF" if card.get("config", {}).get("loss", "rrhf") == "rrhf" else None
    return "SFT"


class Speaker:
    """What an adapter answers; its language model is loaded when it is first asked for, which a finished run
    never does."""

    def __init__(self, options: argparse.Namespace, adapter: Adapter, catalogue: Catalogue) -> None:
        self._options, self._adapter, self._catalogue = options, adapter, catalogue
        self._llama: Llama | None = None

    def __call__(self, prompts: PromptSet, folder: Path) -> list[Answer]:
        """The answers to a set, kept in a file of the folder.

        Raises:
            DataError: the folder holds the answers of another adapter, or to other prompts.
            AdapterError: the adapter cannot be read, or fits another base model or catalogue.
        """
        options, adapter = self._options, self._adapter
        run = {"adapter": adapter.digest, "base": options.base, "catalogue": self._catalogue.digest}
        if options.dtype != "float32":
            run["dtype"] = options.dtype
        return free_answers(
            self._load,
            self._catalogue,
            prompts.cases,
            folder / f"{adapter.name}_{prompts.slug}.jsonl",
            run,
            whole=options.whole,
            rows=options.rows,
            progress=tell,
        )

    def _load(self) -> "Llama":
        from diffagent_tools.llm.llama import Llama

        if self._llama is None:
            self._llama = Llama.load(
                self._catalogue,
                base=self._options.base,
                adapter=self._adapter.folder,
                device=self._options.device,
                dtype=self._options.dtype,
                progress=tell,
            )
        return self._llama
