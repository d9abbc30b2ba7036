"""The baselines alone, raw and stripped: what any selector has to beat.

    python benchmarks/baselines.py --pairs val.jsonl.gz --train train.jsonl.gz --models models.jsonl.gz

Takes the options of `diffagent evaluate` (--no-dense, --no-negative, --limit ...) and loads no selector.
"""

from collections.abc import Sequence

from diffagent_tools.exits import run_script, tell
from finetune.evaluate.run import fitted, make_parser, read_data
from finetune.evaluate.summary import ACCURACY_AT, CUTOFF, compare
from finetune.evaluate.write import cell, table
from retrieval.catalogue import Catalogue


def main(arguments: Sequence[str] | None = None) -> None:
    parser = make_parser()
    options = parser.parse_args(arguments)
    if not (options.pairs and options.train and options.models):
        parser.error("--pairs, --train and --models are needed")
    data = read_data(options, Catalogue.starter())
    baselines = fitted(options, data)
    columns = {model["model_id"]: place for place, model in enumerate(data.models)}
    for variant, cases in data.cases.items():
        print(f"\n{variant}: {len(cases):,} prompts, {sum(case.empty for case in cases)} empty\n")
        found = compare(cases, baselines, columns, progress=tell)
        heads = ["method", *(f"top-{k}" for k in (*ACCURACY_AT, 20)), f"MRR@{CUTOFF}"]
        rows = [
            [name, *map(cell, values["accuracy"].values()), cell(values[f"mrr@{CUTOFF}"])]
            for name, values in found.items()
        ]
        print(table(heads, rows))


if __name__ == "__main__":
    run_script(main)
