"""Puts made-up inputs into every reader and every door, and says what broke.

    python tests/fuzz                                        # 1,000 inputs for each reader and each door
    python tests/fuzz --only answers check --inputs 100000   # of two of them
    python tests/fuzz --seconds 600                          # each for ten minutes of processor time
    python tests/fuzz --only check --first 4711 --inputs 1 --show

The inputs follow from seed and number alone: a run that was stopped goes on with `--first`, and a number that
is told shows its input again. Of each input must hold: what is raised is one of retrieval/errors.py, whatever
is returned is in the catalogue, nothing shown holds a control character, and it takes no more processor time
than its target may (0.2 s for `check`, else 0.5). Exit code 1: something broke.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path += [str(Path(__file__).parent.parent / "support"), str(Path(__file__).parent)]

from running import fuzz, targets
from small_world import small_catalogue

from retrieval.catalogue import Catalogue


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", help="names of readers and doors")
    parser.add_argument("--inputs", type=int, default=1_000, help="for each")
    parser.add_argument("--seconds", type=float, help="of processor time for each, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument(
        "--small", action="store_true", help="the seven models of the tests, which are quicker"
    )
    parser.add_argument("--show", action="store_true", help="print the inputs")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the targets and prints a line for each; 1 where something broke."""
    options = make_parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = targets(small_catalogue() if options.small else Catalogue.starter(), Path(folder))
        unknown = set(options.only or ()) - found.keys()
        if unknown:
            print(f"no target {', '.join(sorted(unknown))}; there are {', '.join(found)}", file=sys.stderr)
            return 2
        limits = {name: getattr(options, name) for name in ("seconds", "seed", "first", "show")}
        broken = 0
        for name in options.only or found:
            outcome = fuzz(name, found[name], inputs=options.inputs, **limits)
            broken += len(outcome.broken)
            refused = ", ".join(f"{count:,} {kind}" for kind, count in outcome.errors.most_common(4))
            print(
                f"{name}: {outcome.inputs:,} inputs in {outcome.spent:,.0f} s, {len(outcome.broken):,} "
                f"broken; slowest {outcome.slowest:.3f} s (number {outcome.slowest_at}); "
                f"{refused or 'none'} refused",
                flush=True,
            )
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
