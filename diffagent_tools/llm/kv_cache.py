"""What transformers calls a key-value cache: `past_key_values`, and `cache` from 5.24 on.

model(input_ids=ids, **{cache_name(model.forward): cache}, use_cache=True)
"""

import inspect
from collections.abc import Callable
from typing import Any


def cache_name(taker: Callable[..., Any]) -> str:
    """The name of the cache among the arguments of a model's `forward`, or of a class of its outputs."""
    return "cache" if "cache" in inspect.signature(taker).parameters else "past_key_values"
