"""Stripped prompts: without the trigger words and name words of the model they are to find.

    strip_prompt("Pixel Art corgi, pixelart", "Pixel Art", ("pixelart",))    # "      corgi,  "
    stripped("Pixel Art corgi, pixelart", record)    # as the catalogue names its model

Prompts often name their model, which any search finds. Accuracy is therefore reported twice, as prompts are
and stripped. The rule is the one that published figures were measured by, so it is not improved upon: words
of more than 3 characters, anywhere in the prompt, in any case, each replaced by a space.
"""

import re
from collections.abc import Iterable

from retrieval.records.model import ModelRecord

SHORTEST = 4


def strip_prompt(prompt: str, name: str, trigger_words: Iterable[str]) -> str:
    """The prompt without each comma-separated trigger and each word of the name of 4 characters or more.

    Triggers go first, in their order, each as a whole; a word inside a longer one goes, too. What is left
    may be white space only.
    """
    triggers = [word.strip() for entry in trigger_words for word in entry.split(",")]
    for word in triggers + re.findall(r"\w+", name):
        if len(word) >= SHORTEST:
            prompt = re.sub(re.escape(word), " ", prompt, flags=re.IGNORECASE)
    return prompt


def stripped(prompt: str, record: ModelRecord) -> str:
    """The prompt without its model's trigger words and name, for training and for measuring alike."""
    return strip_prompt(prompt, record.model, record.trigger_words)
