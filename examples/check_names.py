"""An agent's answer names three models, one of them invented: which exist, and what to use instead?

    python examples/check_names.py                 # the answer below
    python examples/check_names.py < answer.txt    # names in **bold**

Names are looked up in the packaged catalogue, then by spelling, then by meaning in its description index.
"""

import re
import sys
from collections.abc import Sequence

from diffagent_tools import Catalogue, Check, DescriptionIndex, check

REQUEST = "a cute corgi as pixel art"
ANSWER = """For your corgi I would try one of these:
1. **DreamShaper**, an all-round checkpoint,
2. **rev-animated**, for a softer, drawn look,
3. **CorgiPixel Ultra Diffusion XL**, which was made for exactly this.
"""


def names_in(answer: str) -> list[str]:
    """The names in an answer: what is set in bold."""
    return [name.strip() for name in re.findall(r"\*\*(.+?)\*\*", answer)]


def check_answer(
    answer: str, catalogue: Catalogue, index: DescriptionIndex | None = None, request: str | None = None
) -> list[Check]:
    """A verdict and a repair for every name in the answer, in order."""
    return [check(name, catalogue, index, request) for name in names_in(answer)]


def report(found: Sequence[Check]) -> str:
    """A line for every name."""
    lines = []
    for item in found:
        line = f"{item.named}: {item.verdict.status}"
        if not item.verdict.valid:
            how = "fall back on" if item.repair.abstained else "use"
            line += f" -> {how} {item.repair.api.model} (model id {item.repair.api.model_id})"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Checks the answer on standard input, or the one above."""
    answer = ANSWER if sys.stdin.isatty() else sys.stdin.read() or ANSWER
    catalogue = Catalogue.starter()
    print(report(check_answer(answer, catalogue, DescriptionIndex(catalogue), REQUEST)))


if __name__ == "__main__":
    main()
