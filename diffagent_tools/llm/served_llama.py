"""The fine-tuned LLaMA behind a server, such as LLaMA-2-7B with this project's adapter in vLLM.

    ServedLlama(served, tokenizer_of("meta-llama/Llama-2-7b-hf")).write(instruction)

The server gets the token ids of training and of `Llama.write`, not a text, so that nothing in a request is
taken for a special token; the answer ends with the token that ended answers in training, or where its JSON
object closes.
"""

from typing import TYPE_CHECKING, Any

from diffagent_tools.llm.free_decoding import ANSWER_TOKENS, ObjectReader
from diffagent_tools.llm.prompt import MAX_PROMPT_TOKENS, answer_prefix, encode_prompt
from diffagent_tools.llm.served import ServedModel
from retrieval.errors import BaseModelMissing
from retrieval.records.api import Instruction

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class ServedLlama:
    """Writes whole answers as `Llama.write` does.

    Args:
        tokenizer: of the model that is served.
        max_prompt_tokens: what the adapter was trained with.
    """

    def __init__(
        self,
        served: ServedModel,
        tokenizer: "PreTrainedTokenizerFast",
        *,
        max_prompt_tokens: int = MAX_PROMPT_TOKENS,
    ) -> None:
        self._served = served
        self._tokenizer = tokenizer
        self._max_prompt_tokens = max_prompt_tokens

    def write(self, instruction: Instruction) -> str:
        """The whole answer, greedily decoded, true or not.

        Raises:
            Unanswered: the server gave none.
        """
        ids = encode_prompt(instruction, self._tokenizer, max_prompt_tokens=self._max_prompt_tokens)
        said = self._served.complete(ids, end=[self._tokenizer.eos_token_id], tokens=ANSWER_TOKENS)
        reader = ObjectReader()
        closed = next((place for place, char in enumerate(said, start=1) if reader.feed(char)), len(said))
        return answer_prefix() + said[:closed]


def tokenizer_of(base: str | None) -> "PreTrainedTokenizerFast":
    """The tokenizer of a folder or hub id, without the weights; that of the embedded default if None.

    Raises:
        BaseModelMissing: there is none.
    """
    if base is None:
        from diffagent_tools.llm.base import load_base

        return load_base().tokenizer
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(base, use_fast=True)
    except (OSError, ValueError) as error:
        raise BaseModelMissing(
            f"there is no tokenizer in {base!r}; needed is the folder or hub id of the model that is served"
        ) from error
    loaded: PreTrainedTokenizerFast = tokenizer
    return loaded
