"""Inputs made from seeds by a number: the same number gives the same input, on every machine and day.

    rng = generator(seed=1, target="infotext", number=17)
    made(rng, ["a corgi\\nSteps: 20, Model: dream"])       # the text with something wrong about it

Texts and bytes are cut, doubled, spliced and salted with what readers stumble over; JSON values get other
values at a path, and texts of theirs are changed like texts.
"""

import random
import re
from collections.abc import Sequence
from typing import Any

LONG = 20_000
_SALT = (
    *(
        '"',
        "'",
        "\\",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "<",
        ">",
        ":",
        ",",
        ";",
        "=",
        "|",
        "@",
        "#",
        "%",
        "&",
        "`",
        "~",
    ),
    *("\n", "\r\n", "\t", "\x00", "\x1b[2J", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u200d", "\ufeff"),
    *("\U000e0041", "\ud800", "é", "e\u0301", "ﬁ", "İ", "ß", "灯笼", "🐕", "٣", "²", "½", "१२"),
    *("0", "-1", "1e400", "-1e308", "NaN", "Infinity", "9" * 25, "9" * 5_000, "0x10", "1_000", "1.5.2", "٠"),
    *(
        "null",
        "None",
        "true",
        "undefined",
        "none",
        "{}",
        "[]",
        '""',
        "{{",
        "}}",
        "[[",
        "```",
        "```json\n",
        "---\n",
    ),
    *(
        "<think>",
        "</think>",
        "<lora:ink:0.8>",
        "<lora:::>",
        "<lora:a",
        "urn:air:sd1:lora:civitai:",
        "civitai:",
    ),
    *(
        "https://civitai.com/models/",
        "?modelVersionId=",
        "sha256:",
        "ab" * 32,
        "..",
        "../",
        "C:\\",
        "file://",
    ),
    *(
        ".safetensors",
        ".ckpt",
        "_fp16",
        " v2",
        " [ab12cd34ef]",
        "Steps: ",
        "Negative prompt: ",
        "Hashes: {",
        "AND",
    ),
    *(
        "model",
        "base model",
        "&#x1b;",
        "&lt;",
        "<script>",
        "%s",
        "%00",
        "${x}",
        "{{x}}",
        "$(id)",
        "!!python/object",
    ),
    *("*a", "&a [*a]", "? ", "|\n", "- - - ", "from_pretrained(", "self", "__class__", "nude", "a child"),
)
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 1.5, -0.0, 1e308, 1e-320, float("inf"), float("nan")),
    *(2**31, 2**53 + 1, 2**63, -(2**63), 10**30, 10**400, "", " ", "0", "-1", "1e400", "NaN", "9" * 5_000),
    *(
        "x\x1b[2J",
        "\u202e",
        "\ud800",
        "None",
        "null",
        "1x1",
        "512x",
        "a" * 300,
        "a\nb",
        "灯笼",
        "urn:air:sd1:lora",
    ),
    *(
        [],
        {},
        [[]],
        [{}],
        [None],
        ["3", 0],
        ["3", 0, 1],
        ["3", -1],
        [1, 2, 3],
        {"a": []},
        {"": ""},
        {"model": {}},
    ),
    *(
        {"id": 1},
        {"model": "ink"},
        [["3", 0], ["4", 0]],
        {"__value__": ["3", 0]},
        ["ink", "mill"],
        "ink",
        "Ink Wash",
    ),
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def generator(seed: int, target: str, number: int) -> random.Random:
    """A source of chance of its own for each input, so that a run can begin at any number."""
    return random.Random(f"{seed}/{target}/{number}")


def made(rng: random.Random, seeds: Sequence[Any]) -> Any:
    """A seed with up to eight changes; one in fifty is left as it is."""
    value = rng.choice(seeds)
    if rng.random() < 0.02:
        return value
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        if isinstance(value, str):
            value = _text(rng, value, seeds)[:LONG]
        elif isinstance(value, bytes):
            value = _bytes(rng, value, seeds)
        else:
            value = _value(rng, value, seeds)
    return value


def _text(rng: random.Random, text: str, seeds: Sequence[Any]) -> str:
    start, end = _span(rng, len(text))
    kind = rng.randrange(9)
    if kind == 0:
        return text[:start] + text[end:]
    if kind == 1:
        return text[:start] + text[start:end] * rng.choice((2, 3, 50)) + text[end:]
    if kind == 2:
        return text[:start] + rng.choice(_SALT) + text[end if rng.random() < 0.3 else start :]
    if kind == 3:
        return text[:start] + rng.choice(_SALT) + text[start:]
    if kind == 4:
        other = rng.choice(seeds)
        other = other if isinstance(other, str) else repr(other)
        return text[:start] + other[_span(rng, len(other))[0] :]
    if kind == 5:
        numbers = list(_NUMBER.finditer(text))
        if numbers:
            at = rng.choice(numbers)
            return text[: at.start()] + rng.choice(_SALT) + text[at.end() :]
    if kind == 6:
        return rng.choice((str.upper, str.lower, str.swapcase, str.title, str.strip))(text)
    if kind == 7 and rng.random() < 0.2:
        # what is read in one pass stays quick, whatever is repeated
        return text[:start] + rng.choice(_SALT) * rng.choice((100, 2_000)) + text[start:]
    return text[:start] + text[start:end][::-1] + text[end:]


def _bytes(rng: random.Random, data: bytes, seeds: Sequence[Any]) -> bytes:
    start, end = _span(rng, len(data))
    kind = rng.randrange(8)
    if kind == 0:
        return data[:start] + data[end:]
    if kind == 1:
        return data[:start] + data[start:end] * 2 + data[end:]
    if kind == 2 and data:
        at = rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    if kind == 3:
        extreme = rng.choice(
            (b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01", b"\xff" * 8, b"\x80")
        )
        return data[:start] + extreme + data[start + len(extreme) :]
    if kind == 4:
        return data[:start]
    if kind == 5:
        other = rng.choice([seed for seed in seeds if isinstance(seed, bytes)])
        return data[:start] + other[_span(rng, len(other))[0] :]
    if kind == 6:
        return data[:start] + rng.choice(_SALT).encode("utf-8", "surrogatepass") + data[start:]
    return data[:start] + rng.randbytes(rng.randrange(1, 9)) + data[end:]


def _value(rng: random.Random, value: Any, seeds: Sequence[Any]) -> Any:
    """A copy with something else at one place; what lies beside the way to it is shared."""
    keys = _keys(value)
    if not keys:
        return rng.choice(_ODD)
    key = rng.choice(keys)
    made, item = value.copy(), value[key]
    kind = rng.randrange(8)
    if _keys(item) and rng.random() < 0.75:
        made[key] = _value(rng, item, seeds)
    elif kind <= 2:
        made[key] = rng.choice(_ODD)
    elif kind == 3 and isinstance(item, str):
        made[key] = _text(rng, item, ["ink"])[:LONG]
    elif kind == 4:
        made[key] = _part(rng, rng.choice([seed for seed in seeds if not isinstance(seed, str | bytes)]))
    elif kind == 5:
        del made[key]
    elif kind == 6 and isinstance(made, dict):
        made[rng.choice(_SALT) if rng.random() < 0.5 else f"{key}"[::-1]] = made.pop(key)
    elif kind == 7 and isinstance(made, list):
        made.extend(made[:3])
    else:
        made[key] = [item] if rng.random() < 0.5 else {"model": item}
    return made


def _part(rng: random.Random, value: Any) -> Any:
    """Something that lies in a value."""
    keys = _keys(value)
    if not keys:
        return value
    item = value[rng.choice(keys)]
    return _part(rng, item) if rng.random() < 0.6 else item


def _keys(value: Any) -> Sequence[Any]:
    return list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()


def _span(rng: random.Random, length: int) -> tuple[int, int]:
    """A place and a later one, which is near more often than far."""
    start = rng.randint(0, length)
    return start, min(length, start + rng.choice((1, 1, 2, 4, 8, 30, 200)))
