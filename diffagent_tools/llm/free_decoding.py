"""Free decoding of many answers at once: each is what the language model alone would have written.

    for answer in decode_answers(model, tokenizer, prompts):            # greedy, whole JSON objects
        print(answer.text, answer.ended)
    decode_answers(model, tokenizer, prompts, until=MODEL_INFO)          # up to the base model, no further
    decode_answers(model, tokenizer, prompts, temperature=1.0, seed=7)   # one sample each

A fixed number of rows is decoded together. A row ends as soon as its JSON object closes, and the next prompt
takes its place at once, so no row waits for a long one. Prompts are read apart from each other, and each row
has its own columns in the key-value cache: with fp32 weights the tokens are those of `generate`, one by one.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from diffagent_tools.llm.kv_cache import cache_name
from diffagent_tools.llm.prompt import answer_prefix

if TYPE_CHECKING:
    import torch

ROWS = 32
ANSWER_TOKENS = 320
"""enough for the paper's nine fields with a description of 60 words"""
NAME = 1
MODEL_INFO = 3
"""How many fields of the object are decoded: the name, or model, type and base model; None is all of it."""
_STEP = 64

Allowed = Callable[[Sequence[int]], list[int] | None]
"""The tokens that may follow those generated; None for any. `TrieLogitsProcessor.allowed` is one."""


@dataclass(frozen=True)
class FreeAnswer:
    """What was written: its text with `answer_prefix()` before it, and its tokens.

    `ended`: "closed", the JSON object or the fields asked for are complete; "stopped", the model ended its
    turn; "cut off", too many tokens.
    """

    text: str
    tokens: tuple[int, ...]
    ended: Literal["closed", "stopped", "cut off"]


class ObjectReader:
    """Reads the text of a JSON object piece by piece, and says when it is complete.

    It begins after `answer_prefix()`, inside the quotes of the first value.

    Args:
        fields: how many fields of the object are enough; None for the whole object.
    """

    def __init__(self, fields: int | None = None) -> None:
        self._wanted = fields
        self._depth, self._quoted, self._escaped = 1, True, False
        self._value = True
        self._fields = 0

    def feed(self, text: str) -> bool:
        """Whether the object, or the fields wanted of it, are complete after this piece, too."""
        for char in text:
            if self.complete:
                return True
            self._read(char)
        return self.complete

    @property
    def complete(self) -> bool:
        return self._depth == 0 or (self._wanted is not None and self._fields >= self._wanted)

    def _read(self, char: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._quoted:
            self._escaped = char == "\\"
            if char == '"':
                self._quoted = False
                self._count()
        elif char == '"':
            self._quoted = True
        elif char == ":":
            self._value = self._value or self._depth == 1
        elif char in ",}]":
            self._count()
            if char != ",":
                self._depth -= 1
                self._count()
        elif char in "{[":
            self._depth += 1

    def _count(self) -> None:
        """A value of the object itself has ended, if one was being read."""
        if self._depth == 1 and self._value:
            self._fields += 1
            self._value = False


def decode_answers(
    model: Any,
    tokenizer: Any,
    prompts: Iterable[Sequence[int]],
    *,
    rows: int = ROWS,
    max_new_tokens: int = ANSWER_TOKENS,
    until: int | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    allowed: Allowed | None = None,
) -> Iterator[FreeAnswer]:
    """The answers to `prompts`, in their order, each as soon as it and those before it are written.

    Args:
        model: a decoder with rotary or other positions given as `position_ids`, as `load_base` loads it.
        prompts: token ids, as `encode_prompt` makes them; taken as rows become free.
        rows: how many answers are decoded together.
        until: fields of the object that are enough (`NAME`, `MODEL_INFO`); None for the whole object.
        temperature: 0 takes the likeliest token; above, tokens are drawn.
        seed: of the draws, which depend on it and on the prompt, and on no other prompt.
        allowed: holds the answers to a prefix trie.

    Raises:
        ValueError: a prompt without tokens, or no rows.
    """
    if rows < 1:
        raise ValueError(f"rows is {rows}; at least one answer is decoded at a time")
    ends = _end_tokens(model, tokenizer)
    choose = _Chooser(temperature, seed, allowed)
    text_of = lru_cache(maxsize=None)(lambda token: str(tokenizer.decode([token])))
    waiting = enumerate(prompts)
    live: list[_Row] = []
    done: dict[int, FreeAnswer] = {}
    cache = _RowCache(rows, model)
    told = 0
    while True:
        fresh = [_Row(place, list(prompt), until) for place, prompt in islice(waiting, rows - len(live))]
        if not fresh and not live:
            break
        logits = _read(model, cache, live, fresh)
        live += fresh
        for row, token in zip(live, choose(logits, live), strict=True):
            row.take(token, token in ends, text_of(token), max_new_tokens)
        for row in live:
            if row.ended is not None:
                done[row.place] = row.answer(tokenizer, ends)
        kept = _close_up([row.ended is None for row in live])
        if len(kept) < len(live):
            cache.keep(kept)
            live = [live[i] for i in kept]
        while told in done:
            yield done.pop(told)
            told += 1


def _close_up(live: Sequence[bool]) -> list[int]:
    """The places of the live rows, moved as little as can be: those beyond the end fill the gaps."""
    count = sum(live)
    last = [place for place, is_live in enumerate(live) if is_live and place >= count]
    return [place if live[place] else last.pop() for place in range(count)]


class _Row:
    """An answer that is being written."""

    def __init__(self, place: int, prompt: list[int], until: int | None) -> None:
        if not prompt:
            raise ValueError(f"prompt {place} has no tokens; an answer needs something to continue")
        self.place = place
        self.prompt = prompt
        self.tokens: list[int] = []
        self.ended: Literal["closed", "stopped", "cut off"] | None = None
        self.generator: torch.Generator | None = None
        self._reader = ObjectReader(until)

    def take(self, token: int, is_end: bool, text: str, most: int) -> None:
        self.tokens.append(token)
        if is_end:
            self.ended = "stopped"
        elif self._reader.feed(text):
            self.ended = "closed"
        elif len(self.tokens) >= most:
            self.ended = "cut off"

    def answer(self, tokenizer: Any, ends: frozenset[int]) -> FreeAnswer:
        assert self.ended is not None
        said = str(tokenizer.decode(self.tokens, skip_special_tokens=True))
        return FreeAnswer(answer_prefix() + said, tuple(self.tokens), self.ended)


class _Chooser:
    """The next token of each row."""

    def __init__(self, temperature: float, seed: int, allowed: Allowed | None) -> None:
        if temperature < 0:
            raise ValueError(f"temperature is {temperature}; needed is 0 (the likeliest token) or more")
        self._temperature = temperature
        self._seed = seed
        self._allowed = allowed

    def __call__(self, logits: "torch.Tensor", rows: Sequence[_Row]) -> list[int]:
        """Tokens for `logits` [rows, vocabulary]."""
        import torch

        logits = logits.float()
        held = logits if self._allowed is None else self._hold(logits, rows)
        if self._temperature == 0:
            likeliest: list[int] = held.argmax(-1).tolist()
            return likeliest
        chances = torch.softmax(held / self._temperature, -1)
        return [
            int(torch.multinomial(chances[i], 1, generator=self._generator(row, logits.device)))
            for i, row in enumerate(rows)
        ]

    def _hold(self, logits: "torch.Tensor", rows: Sequence[_Row]) -> "torch.Tensor":
        import torch

        assert self._allowed is not None
        held = torch.full_like(logits, -torch.inf)
        for i, row in enumerate(rows):
            tokens = self._allowed(row.tokens)
            if tokens is None:
                held[i] = logits[i]
            else:
                held[i, tokens] = logits[i, tokens]
        return held

    def _generator(self, row: _Row, device: "torch.device") -> "torch.Generator":
        import torch

        if row.generator is None:
            digest = hashlib.sha256(repr((self._seed, row.prompt)).encode()).digest()
            mixed = int.from_bytes(digest[:8], "big") >> 1
            row.generator = torch.Generator(device).manual_seed(mixed)
        return row.generator


class _RowCache:
    """Keys and values of every row in columns of its own, begun at column 0: what a cache of transformers is
    to a model's layers. `lengths` [rows] are the columns that are filled.

    A cache of transformers has one length for all rows, so that rows of another length must be padded, and
    grows by copying all of it at every step.
    """

    def __init__(self, rows: int, model: Any) -> None:
        import torch

        self._rows = rows
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self.lengths = torch.zeros(0, dtype=torch.long, device=model.device)
        self._width = 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Columns that are looked at."""
        return self._width

    def update(
        self, keys: "torch.Tensor", values: "torch.Tensor", layer_idx: int, *args: Any, **kwargs: Any
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """Takes in one column a row [rows, heads, 1, size]; all that is to be looked at."""
        import torch

        count = len(self.lengths)
        places = torch.arange(count, device=keys.device)
        for stored, new in ((self._keys, keys), (self._values, values)):
            stored[layer_idx][places, :, self.lengths] = new[:, :, 0]
        width = self._width + 1
        return self._keys[layer_idx][:count, :, :width], self._values[layer_idx][:count, :, :width]

    def mask(self) -> "torch.Tensor":
        """[rows, 1, 1, columns], true where the next token of a row may look; the step's own column is in."""
        import torch

        columns = torch.arange(self._width + 1, device=self.lengths.device)
        return (columns <= self.lengths[:, None])[:, None, None]

    def grown(self) -> None:
        """After a step of all rows."""
        self.lengths = self.lengths + 1
        self._width += 1
        self._reserve(self._width + 1)

    def add(self, prompts: Any, lengths: "torch.Tensor") -> None:
        """New rows below the others, from a cache of transformers padded on the right."""
        import torch

        first = len(self.lengths)
        self.lengths = torch.cat([self.lengths, lengths])
        width = int(lengths.max())
        self._width = max(self._width, width)
        for place, layer in enumerate(prompts.layers):
            if len(self._keys) == place:
                shape = (self._rows, layer.keys.shape[1], _STEP, layer.keys.shape[3])
                self._keys.append(layer.keys.new_zeros(shape))
                self._values.append(layer.values.new_zeros(shape))
        self._reserve(self._width + 1)
        for place, layer in enumerate(prompts.layers):
            self._keys[place][first : first + len(lengths), :, :width] = layer.keys[:, :, :width]
            self._values[place][first : first + len(lengths), :, :width] = layer.values[:, :, :width]

    def keep(self, rows: Sequence[int]) -> None:
        """Leaves the other rows out; a row stays, or moves up to one that is left out (`_close_up`)."""
        import torch

        chosen = torch.tensor(rows, dtype=torch.long, device=self.lengths.device)
        self.lengths = self.lengths[chosen]
        for place, row in enumerate(rows):
            if place != row:
                for stored in (*self._keys, *self._values):
                    stored[place] = stored[row]
        self._width = int(self.lengths.max()) if len(rows) else 0

    def _reserve(self, width: int) -> None:
        import torch

        for stored in (self._keys, self._values):
            for place, old in enumerate(stored):
                if old.shape[2] < width:
                    more = old.new_zeros(*old.shape[:2], width - old.shape[2] + _STEP, old.shape[3])
                    stored[place] = torch.cat([old, more], 2)


def _read(model: Any, cache: _RowCache, live: Sequence[_Row], fresh: Sequence[_Row]) -> "torch.Tensor":
    """Logits [live and fresh rows, vocabulary] after the last token of each."""
    import torch

    with torch.no_grad():
        parts = []
        if live:
            parts.append(_read_step(model, cache, live))
        if fresh:
            parts.append(_read_prompts(model, cache, fresh))
        return torch.cat(parts)


def _read_step(model: Any, cache: _RowCache, live: Sequence[_Row]) -> "torch.Tensor":
    import torch

    tokens = torch.tensor([[row.tokens[-1]] for row in live], device=model.device)
    seen = cache.mask()
    # additive, because with a mask of booleans the kernel is chosen anew in each layer
    mask = torch.zeros(seen.shape, dtype=model.dtype, device=model.device)
    logits: torch.Tensor = model(
        input_ids=tokens,
        attention_mask=mask.masked_fill(~seen, torch.finfo(model.dtype).min),
        position_ids=cache.lengths[:, None],
        **{cache_name(model.forward): cache},
        use_cache=True,
    ).logits[:, -1]
    cache.grown()
    return logits


def _read_prompts(model: Any, cache: _RowCache, fresh: Sequence[_Row]) -> "torch.Tensor":
    """Padded on the right: in a causal model nothing before the padding sees it, so no mask is needed."""
    import torch
    from transformers import DynamicCache

    lengths = torch.tensor([len(row.prompt) for row in fresh], device=model.device)
    ids = torch.zeros(len(fresh), int(lengths.max()), dtype=torch.long, device=model.device)
    for place, row in enumerate(fresh):
        ids[place, : len(row.prompt)] = torch.tensor(row.prompt)
    read: Any = DynamicCache(config=model.config)
    inner = model.base_model
    kept = {cache_name(inner.forward): read}
    hidden = inner(input_ids=ids, **kept, use_cache=True).last_hidden_state
    cache.add(read, lengths)
    last = hidden[torch.arange(len(fresh), device=model.device), lengths - 1]
    logits: torch.Tensor = model.get_output_embeddings()(last)
    return logits


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    given = model.generation_config.eos_token_id
    listed = given if isinstance(given, list) else [given]
    return frozenset(token for token in (*listed, tokenizer.eos_token_id) if token is not None)
