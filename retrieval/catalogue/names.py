"""How a model's name is compared: one spelling for all the ways in which people write it.

>>> normalise_name("Rev-Animated") == normalise_name("rev animated")
True
>>> alias_keys("majicMIX realistic 麦橘写实 v6.safetensors")
('majicmixrealistic麦橘写实', 'majicmixrealistic', '麦橘写实')
"""

import re
import unicodedata

_NOT_ALNUM = re.compile(r"[^a-z0-9]+")
_FILE_ENDING = re.compile(r"\.(?:safetensors|ckpt|pth?|bin|gguf|zip)$", re.IGNORECASE)
_LORA_TAG = re.compile(r"^<(?:lora|lyco|hypernet):([^:>]+)(?::[^>]*)?>$", re.IGNORECASE)
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|【[^【】]*】|（[^（）]*）|「[^「」]*」|<[^<>]*>")
# what uploaders put behind a name: a version, a precision, a packaging
_VERSION = r"(?:v(?:er(?:sion)?)?\.?\s*)?\d+(?:[.\d]*\d)?[a-z]?"
_PACKING = r"(?:fp16|fp32|bf16|pruned|full|(?:no-?)?ema(?:-?only)?|(?:baked-?|with-?)?vae|inpainting|final)"
_SUFFIX = re.compile(rf"[\s_.\-–|:/]+(?:{_VERSION}|{_PACKING})$|(?<=[^\W\d_])v\d[\d.]*[a-z]?$", re.IGNORECASE)
_BARE_VERSION = re.compile(r"v(?:er(?:sion)?)?\.?\s*\d[\d.]*[a-z]?", re.IGNORECASE)
_MIN_PART = 4  # a Latin part shorter than this ("AI", "3D") names too many models
_MIN_OTHER_PART = 2  # two ideographs carry as much as a word


def normalise_name(text: str) -> str:
    """Case, width, accents, punctuation and spaces taken away.

    Never empty for a text that is not: a name such as `>_<` or `...` that holds neither letter nor digit
    keeps its own signs, and letters of every script are kept with their marks.
    """
    if text.isascii():
        return _NOT_ALNUM.sub("", text.lower()) or "".join(text.lower().split()) or text
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept: list[str] = []
    for char in folded:
        base = unicodedata.normalize("NFD", char)[0]
        if base.isascii():
            kept.append(base if base.isalnum() else "")
            continue
        category = unicodedata.category(char)[0]
        if category in "LN" or (category == "M" and kept and kept[-1] and not kept[-1].isascii()):
            kept.append(char)
    return "".join(kept) or "".join(folded.split()) or folded or text


def without_ending(file_name: str) -> str:
    """A file name without `.safetensors` and the like."""
    return _FILE_ENDING.sub("", file_name.strip())


def without_version(name: str) -> str:
    """The name without file ending, brackets, version and packaging words; itself if nothing is left."""
    name = name.strip()
    tag = _LORA_TAG.match(name)
    if tag:
        name = tag.group(1).strip()
    bare = without_ending(name)
    unbracketed = " ".join(_BRACKETS.sub(" ", bare).split())
    bare = unbracketed or bare
    while True:
        shorter = _SUFFIX.sub("", bare).rstrip(" _-.–|:/")
        if not any(c.isalpha() for c in shorter) or shorter == bare or _BARE_VERSION.fullmatch(shorter):
            return bare or name
        bare = shorter


def alias_keys(name: str) -> tuple[str, ...]:
    """The looser keys of a name, best first: without file ending and version, then its Latin and other parts.

    `normalise_name(name)` itself is not repeated among them. Empty text has no keys.
    """
    full = normalise_name(name)
    tag = _LORA_TAG.match(name.strip())
    bare = without_version(name)
    keys = [normalise_name(without_ending(tag.group(1) if tag else name)), normalise_name(bare)]
    if not bare.isascii():
        words = bare.split()
        latin = normalise_name(without_version(" ".join(word for word in words if word.isascii())))
        other = normalise_name(" ".join(word for word in words if not word.isascii()))
        if latin and other:
            keys += [latin] if len(latin) >= _MIN_PART else []
            keys += [other] if len(other) >= _MIN_OTHER_PART else []
    return tuple(dict.fromkeys(key for key in keys if key and key != full))
