"""How a model's name is compared: one spelling for all the ways in which people write it.

>>> normalise_name("Rev-Animated") == normalise_name("rev animated")
True
>>> alias_keys("majicMIX realistic 麦橘写实 v6.safetensors")
('majicmixrealistic麦橘写实', 'majicmixrealistic', '麦橘写实')
"""

import re
import unicodedata

_NOT_ALNUM = re.compile(r"[^a-z0-9]+")
_FILE_ENDING = re.compile(r"\.(?:safetensors|ckpt|pth?|bin|gguf|zip|onnx|sft)$", re.IGNORECASE)
_LORA_TAG = re.compile(r"^<(?:lora|lyco|hypernet):([^:>]+)(?::[^>]*)?>$", re.IGNORECASE)
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|【[^【】]*】|（[^（）]*）|「[^「」]*」|<[^<>]*>")
# what uploaders and programs put behind a name: a version, a precision, a packaging
_PACKING = (
    r"(?:fp?(?:8|16|32)(?:[_-]e\dm\d(?:fn)?)?|bf16|nf4|q\d(?:p|_k(?:_[sml])?|_[01])?|pruned(?:fp?(?:16|32))?|full"
    r"|(?:no-?)?ema(?:-?only)?|(?:baked-?|with-?|merged-?|no-?)?vae(?:fix)?|baked|inpaint(?:ing)?|diffusers|final)"
)
_VERSION = rf"(?:v(?:er(?:sion)?)?\.?\s*)?\d+(?:[.\d]*\d)?(?:b\d+|[a-z])?{_PACKING}*"
_SUFFIX = re.compile(
    rf"[\s_.\-–|:/]+(?:{_VERSION}|{_PACKING})$|(?<=[^\W\d_])v\d[\d.]*(?:b\d+|[a-z])?{_PACKING}*$",
    re.IGNORECASE,
)
# run together, as in `dreamshaper7BakedVAE`: only with a capital letter, since words may end so
_GLUED = re.compile(
    r"(?<=[^\s_])(?:BakedV[Aa][Ee]|NoV[Aa][Ee]|Pruned|Inpaint(?:ing)?)$"
    r"|(?<=[a-z\d])(?:F[Pp](?:16|32)|V[Aa][Ee])$|(?<=\d)bakedvae$"
)
_BARE_VERSION = re.compile(r"v(?:er(?:sion)?)?\.?\s*\d[\d.]*[a-z]?", re.IGNORECASE)
_PACKED = re.compile(rf"(?:[\s_.\-]+{_PACKING})+$", re.IGNORECASE)
# what thousands of names have beside their own
_GENERIC = ("lora", "locon", "lycoris", "style", "styles", "concept", "checkpoint", "model", "models")
_MAX_SUFFIX = 60
_MAX_SUFFIXES = 8
_MIN_PART = 4  # a Latin part shorter than this ("AI", "3D") names too many models
_MIN_OTHER_PART = 2  # two ideographs carry as much as a word

MAX_CHARS = 1_000
"""A longer name is no name: nothing is looked up by it."""


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
    return split_version(name)[0]


def split_version(name: str) -> tuple[str, str]:
    """The name without file ending, brackets, version and packaging words, and these words as one text.

    >>> split_version("dreamshaper_8-fp16.ckpt")
    ('dreamshaper', '8 fp16')
    """
    name = name.strip()
    tag = _LORA_TAG.match(name)
    if tag:
        name = tag.group(1).strip()
    bare = without_ending(name)
    unbracketed = " ".join(_BRACKETS.sub(" ", bare).split())
    inside = [found.group()[1:-1] for found in _BRACKETS.finditer(bare)] if unbracketed else []
    bare, behind = _without_suffixes(unbracketed or bare)
    return bare or name, " ".join((*behind, *inside))


def _without_suffixes(bare: str) -> tuple[str, list[str]]:
    """The text without version and packaging words at its end, and these in their order."""
    behind: list[str] = []
    while True:
        # a suffix is short, and a name of nothing but suffixes must not be searched from its start each time
        near = max(0, len(bare) - _MAX_SUFFIX)
        found = _SUFFIX.search(bare, near) or _GLUED.search(bare, near)
        if len(behind) >= _MAX_SUFFIXES:
            return bare, behind
        shorter = (bare[: found.start()] if found else bare).rstrip(" _-.–|:/")
        if not any(c.isalpha() for c in shorter) or shorter == bare or _BARE_VERSION.fullmatch(shorter):
            return bare, behind
        behind.insert(0, bare[len(shorter) :].strip(" _-.–|:/"))
        bare = shorter


def alias_keys(name: str) -> tuple[str, ...]:
    """The looser keys of a name, best first: without file ending and version, then its Latin and other parts.

    `normalise_name(name)` itself is not repeated among them. Empty text has no keys, nor has one of more than
    `MAX_CHARS`, because the time to find them grows with the square of the length.
    """
    if len(name) > MAX_CHARS:
        return ()
    full = normalise_name(name)
    tag = _LORA_TAG.match(name.strip())
    bare = without_version(name)
    file = without_ending(tag.group(1) if tag else name)
    # brackets may tell two models apart, so that they are taken away last
    packed = _PACKED.search(file, max(0, len(file) - _MAX_SUFFIX))
    shorter = (file, file[: packed.start()] if packed else "", _without_suffixes(file)[0], bare)
    keys = [normalise_name(each) for each in shorter]
    if not bare.isascii():
        words = bare.split()
        latin = normalise_name(without_version(" ".join(word for word in words if word.isascii())))
        other = normalise_name(" ".join(word for word in words if not word.isascii()))
        if latin and other:
            keys += [latin] if len(latin) >= _MIN_PART else []
            keys += [other] if len(other) >= _MIN_OTHER_PART else []
    return tuple(dict.fromkeys(key for key in keys if key and key not in (full, *_GENERIC)))
