"""Answers a second when the language model writes the paper's whole JSON: together, and one by one.

    python benchmarks/free_decoding.py --pairs pairs_align.jsonl.gz --prompts 96 --alone 6
    python benchmarks/free_decoding.py --pairs pairs_align.jsonl.gz --until 1     # the name alone

One by one is `generate` of transformers with the same limit of tokens, as free mode once was. Seconds are the
processor's, over all threads, so that another program on the machine does not change the ratio.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffagent_tools.exits import run_script
from diffagent_tools.llm.adapter import STARTER_ADAPTER
from diffagent_tools.llm.free_decoding import ANSWER_TOKENS, ROWS
from diffagent_tools.llm.llama import Llama
from finetune.data.pairs import read_pairs
from retrieval.catalogue import Catalogue
from retrieval.records.api import Instruction, read_instruction


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="answers a second, together and one by one")
    parser.add_argument("--pairs", type=Path, required=True, help="instruction-API pairs")
    parser.add_argument(
        "--prompts", type=int, default=96, help="how many are answered together (default: 96)"
    )
    parser.add_argument("--alone", type=int, default=6, help="how many of them one by one, too (default: 6)")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"decoded at a time (default: {ROWS})")
    parser.add_argument("--until", type=int, help="so many fields of the JSON are enough (default: all)")
    parser.add_argument("--adapter", type=Path, default=STARTER_ADAPTER)
    parser.add_argument("--base", help="a folder or hub id of a LLaMA instead of the embedded one")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    import torch

    options = make_parser().parse_args(arguments)
    asked = [
        read_instruction({"prompt": pair["prompt"], "negative prompt": pair["negative_prompt"]})
        for pair in read_pairs(options.pairs)
        if pair["prompt"].strip()
    ][: options.prompts]
    llama = Llama.load(Catalogue.starter(), base=options.base, adapter=options.adapter)
    list(llama.write_all(asked[:1], until=1))  # what is made ready at the first call is not measured
    started = time.process_time()
    answers = list(llama.write_all(asked, rows=options.rows, until=options.until))
    together = (time.process_time() - started) / len(asked)
    count = sum(len(answer.tokens) for answer in answers)
    ended = {
        kind: sum(answer.ended == kind for answer in answers) for kind in ("closed", "stopped", "cut off")
    }
    print(f"threads: {torch.get_num_threads()}")
    print(
        f"together, {options.rows} at a time: {together:.2f} s an answer, {count / len(asked):.0f} tokens "
        f"each, {count / together / len(asked):.0f} tokens a second; {ended}"
    )
    if not options.alone:
        return
    started = time.process_time()
    same = 0
    for instruction, answer in zip(asked[: options.alone], answers, strict=False):
        tokens = alone(llama, instruction)
        same += tuple(tokens[: len(answer.tokens)]) == answer.tokens
    one = (time.process_time() - started) / options.alone
    print(
        f"one by one: {one:.2f} s an answer, {one / together:.1f} times longer; {same} of {options.alone} are"
    )
    print("the same, token for token (all of them with fp32 weights; bf16 products differ by the batch)")


def alone(llama: Llama, instruction: Instruction) -> list[int]:
    """The tokens of `generate`, for one instruction."""
    import torch

    model: Any = llama.base.model
    ids = torch.tensor([llama.prompt_ids(instruction)], device=model.device)
    found = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=ANSWER_TOKENS,
        pad_token_id=llama.base.tokenizer.eos_token_id,
    )
    tokens: list[int] = found[0, ids.shape[1] :].tolist()
    return tokens


if __name__ == "__main__":
    run_script(main)
