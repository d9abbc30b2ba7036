"""One request, one API: the model, why, and the JSON to call it with.

    python examples/select_one.py "A cute happy corgi, pixel art"

Nothing is fetched: the packaged adapter chooses without its language model.
"""

import sys
from collections.abc import Sequence

from diffagent_tools import LlamaSelector, Selection, Selector


def choose(request: str, selector: Selector) -> Selection:
    """The best answer to the request."""
    return selector.select(request)[0]


def main(arguments: Sequence[str], selector: Selector | None = None) -> None:
    """Prints the answer to the request that the arguments are the words of."""
    request = " ".join(arguments) or "A cute happy corgi, pixel art"
    selection = choose(request, selector or LlamaSelector(progress=lambda line: print(line, file=sys.stderr)))
    print(f"{selection.api.model}: {selection.reason}")
    print(selection.page_url or "")
    print(selection.api.to_json(indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
