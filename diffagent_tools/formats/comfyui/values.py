"""Numbers and texts that a workflow sets, by hand or by nodes of which the value can be told without a run.

text_of(graph, Link("30", 0), notes)       # a concatenation of two texts
number_of(graph, inputs["steps"], "steps")
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from diffagent_tools.formats.comfyui.graph import Graph, Link, Node, Unread
from diffagent_tools.formats.comfyui.nodes import is_known
from diffagent_tools.formats.comfyui.walk import is_switch, output_role, switched

MAX_DEPTH = 40
MAX_TEXT = 100_000
_TEXT_KEYS = (
    *("populated_text", "text", "value", "string", "prompt", "positive", "user_prompt", "text_g", "t5xxl"),
    *("wildcard_text", "Text", "Value", "content", "*0"),
)
_NUMBER_KEYS = ("value", "seed", "int", "float", "number", "Value", "Number", "steps", "cfg", "*0")
_SIZE = re.compile(r"(?<!\d)(\d{2,5})\s*[x×*]\s*(\d{2,5})(?!\d)")
_RATIO = re.compile(r"(\d{1,3}(?:\.\d)?)\s*:\s*(\d{1,3}(?:\.\d)?)")
# nodes whose text is made at each run, and is in the file only where it was stored
_MADE = re.compile(
    r"llm|gpt|gemini|ollama|claude|caption|florence|joycaption|TextGenerate|tagger|interrogat|qwen.?vl", re.I
)


def plain(value: Any) -> Any:
    """A widget's value, also of the file choosers that keep it as `content` beside a preview."""
    if isinstance(value, Mapping):
        value = value.get("content", value.get("value"))
    return value if isinstance(value, str | int | float) else None


def file_of(graph: Graph, value: Any) -> str | None:
    """The name of a file that is chosen, here or in a node that is linked."""
    found = plain(value) if not isinstance(value, Link) else _linked_file(graph, value)
    return found if isinstance(found, str) and found.strip() and found.casefold() != "none" else None


def _linked_file(graph: Graph, link: Link) -> str | None:
    for _ in range(MAX_DEPTH):
        node = graph.get(link.node)
        if node is None:
            return None
        given = dict(node.inputs)
        if is_switch(node):
            given = {"value": switched(graph, node)}
        texts = [text for one in given.values() if isinstance(text := plain(one), str)]
        named = [
            text for text in texts if re.search(r"\.(safetensors|ckpt|gguf|pt|pth|bin|sft)$", text, re.I)
        ]
        if named or len(texts) == 1:
            return (named or texts)[0]
        onward = [one for one in given.values() if isinstance(one, Link)]
        if len(onward) != 1:
            return None
        link = onward[0]
    return None


def number_of(graph: Graph, value: Any, name: str) -> int | float | None:
    """The number of an input of that name."""
    return _number(graph, value, name, 0)


def _number(graph: Graph, value: Any, name: str, depth: int) -> int | float | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value if abs(value) < 2**63 and math.isfinite(value) else None
    if not isinstance(value, Link) or depth == MAX_DEPTH or value.node not in graph:
        return None
    node = graph[value.node]
    inputs = node.inputs
    if is_switch(node):
        return _number(graph, switched(graph, node), name, depth + 1)
    if "expression" in inputs:
        return _calculated(graph, node, value.slot, depth)
    told = output_role(node, value.slot, name)
    # `width` of a node that has both sides is its own width, whatever else it has
    for key in (told, name):
        if key in inputs:
            return _number(graph, inputs[key], name, depth + 1)
    named = node.outputs[value.slot] if 0 <= value.slot < len(node.outputs) else name
    side = next((each for each in (named, name) if each in ("width", "height")), None)
    sides = chosen_size(node) if side else None
    if sides is not None:
        return sides[side == "height"]
    for key in _NUMBER_KEYS:
        if key in inputs:
            return _number(graph, inputs[key], name, depth + 1)
    links = [link for _, link in node.links()]
    if len(links) == 1 and (not is_known(node.kind)):
        return _number(graph, links[0], name, depth + 1)
    return None


def chosen_size(node: Node) -> tuple[int, int] | None:
    """The size that a chooser names in words, such as `832x1216 (0.68)` or `16:9 (Widescreen)` at so many
    megapixels."""
    inputs = node.inputs
    for name, text in node.texts():
        found = _SIZE.search(text[:200])
        if found and any(
            word in name.casefold() for word in ("resol", "dimen", "size", "ratio", "preset", "*")
        ):
            width, height = int(found[1]), int(found[2])
            swapped = any(
                inputs.get(key) in (True, "On", "true") for key in ("invert", "swap_dimensions", "swap")
            )
            return (height, width) if swapped else (width, height)
    ratio = _RATIO.search(str(inputs.get("aspect_ratio"))[:100])
    pixels = inputs.get("megapixels")
    if (
        ratio
        and isinstance(pixels, int | float)
        and 0 < pixels < 1000
        and float(ratio[1])
        and float(ratio[2])
    ):
        multiple = inputs.get("multiple")
        step = int(multiple) if isinstance(multiple, int | float) and 1 <= multiple <= 512 else 8
        shape = float(ratio[1]) / float(ratio[2])
        area = pixels * 1024 * 1024
        width = round(math.sqrt(area * shape) / step) * step
        return width, round(math.sqrt(area / shape) / step) * step
    return None


_OPERATIONS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: lambda left, right: int(left) & int(right),
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "round": round,
    "int": int,
    "floor": math.floor,
    "ceil": math.ceil,
    "abs": abs,
}


def _calculated(graph: Graph, node: Node, slot: int, depth: int) -> int | float | None:
    """The value of a node of arithmetic, read as a tree and never run as code."""
    text = node.inputs.get("expression")
    if not isinstance(text, str) or len(text) > 500:
        return None
    values: dict[str, float] = {}
    for name, given in node.inputs.items():
        number = None if name == "expression" else _number(graph, given, name, depth + 1)
        if number is not None:
            values[name.rpartition(".")[2]] = number
    try:
        found = _term(ast.parse(text.strip(), mode="eval").body, values, 0)
    except (SyntaxError, ValueError, TypeError, KeyError, ArithmeticError, RecursionError, MemoryError):
        return None
    names = node.outputs
    whole = 0 <= slot < len(names) and names[slot] == "int"
    return int(found) if whole or float(found).is_integer() else found


def _term(tree: ast.AST, values: Mapping[str, float], depth: int) -> float:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int | float):
        found: float = tree.value
    elif isinstance(tree, ast.Name):
        found = values[tree.id]
    elif isinstance(tree, ast.BinOp):
        left, right = (_term(each, values, depth + 1) for each in (tree.left, tree.right))
        found = _OPERATIONS[type(tree.op)](left, right)
    elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        found = -_term(tree.operand, values, depth + 1)
    elif isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
        found = _FUNCTIONS[tree.func.id](*(_term(each, values, depth + 1) for each in tree.args[:8]))
    else:
        raise ValueError("not arithmetic")
    if not math.isfinite(found) or abs(found) > 1e18:
        raise ValueError("too large")
    return found


def text_of(graph: Graph, value: Any, notes: list[str]) -> str | None:
    """The text that an input holds; None with a note where a node makes it that does not store it."""
    return _text(graph, value, notes, 0)


def _text(graph: Graph, value: Any, notes: list[str], depth: int) -> str | None:
    if not isinstance(value, Link):
        found = plain(value)
        return None if found is None or isinstance(found, bool) else str(found)[:MAX_TEXT]
    node = graph.get(value.node)
    if node is None or depth == MAX_DEPTH:
        return None
    inputs = node.inputs
    if is_switch(node):
        return _text(graph, switched(graph, node), notes, depth + 1)

    def of(key: str) -> str:
        return (_text(graph, inputs[key], notes, depth + 1) or "") if key in inputs else ""

    kind = node.kind
    stored = _stored(node)
    if stored is not None:
        return stored
    told = output_role(node, value.slot, "")
    if told and told in inputs:
        return _text(graph, inputs[told], notes, depth + 1)
    if kind == "StringReplace":
        return of("string").replace(of("find"), of("replace")) if of("find") else of("string")
    if kind == "StringTrim":
        return of("string").strip()
    if kind == "CaseConverter":
        made = {
            "UPPERCASE": str.upper,
            "lowercase": str.lower,
            "Capitalize": str.capitalize,
            "Title Case": str.title,
        }
        return made.get(of("mode"), str)(of("string"))
    if kind == "StringFormat":
        given = {name.rpartition(".")[2]: of(name) for name in inputs if name.startswith("values.")}
        return re.sub(r"\{(\w+)\}", lambda match: given.get(match[1], match[0]), of("f_string"))
    if kind == "CustomCombo" and isinstance(inputs.get("choice"), str):
        return of("choice")
    if kind in ("RegexReplace", "RegexExtract", "JsonExtractString") or _MADE.search(kind):
        notes.append(
            Unread(f"the text of the node {node.shown} is made when it runs and is not in the workflow")
        )
        return None
    joined = _joined(node, of)
    if joined is not None:
        return joined
    key = next((key for key in _TEXT_KEYS if inputs.get(key) is not None), None)
    if key is None:
        links = [(name, link) for name, link in node.links() if name not in ("clip", "model", "vae", "image")]
        texts = [(name, text) for name, text in node.texts() if text.strip()]
        if len(links) == 1:
            return _text(graph, links[0][1], notes, depth + 1)
        if len(texts) != 1:
            notes.append(Unread(f"the text of the node {node.shown} cannot be told without running it"))
            return None
        key = texts[0][0]
    if not is_known(kind) and not _is_plain_text(node, key):
        notes.append(f"the node {node.shown} is not known; its {key.lstrip('*')!r} was taken as it stands")
    return _text(graph, inputs[key], notes, depth + 1)


def _is_plain_text(node: Node, key: str) -> bool:
    """Whether a node has one text and nothing else that could change it."""
    others = [name for name in node.inputs if name != key]
    return not others or node.kind.startswith("Primitive") or "text" in node.kind.casefold()


def _stored(node: Node) -> str | None:
    """What a node showed or filled in at its last run, where the file keeps it."""
    kind, inputs = node.kind, node.inputs
    if isinstance(inputs.get("populated_text"), str) and inputs["populated_text"].strip():
        return str(inputs["populated_text"])
    if kind.startswith(("ShowText", "Show Text", "PreviewAny", "easy showAnything", "Display")) or (
        kind == "StringFunction|pysssss"
    ):
        shown = [inputs.get(key) for key in ("result", "text_0", "text_1", "preview_text", "*1", "*0")]
        shown += [inputs.get("text"), inputs.get("text2")]
        for one in shown:
            one = one[0] if isinstance(one, list) and one else one
            one = one[0] if isinstance(one, list) and one else one
            if isinstance(one, str) and one.strip():
                return one
    return None


def _joined(node: Node, of: Callable[[str], str]) -> str | None:
    """The text of a node that joins several; None where it is no such node."""
    kind = node.kind.casefold()
    if not re.search(r"concat|join|append|combine|merge", kind) and kind != "stringfunction|pysssss":
        return None
    between = next((key for key in ("delimiter", "separator", "delim") if key in node.inputs), None)
    keys = [
        key
        for key in node.inputs
        if re.fullmatch(r"(?:string|text|prompt|str|input|t)_?(?:[a-z]|\d{1,2})", key.casefold())
    ]
    if not keys:
        return None
    sign = of(between) if between else ", " if "prompt" in kind or "text_a" in keys else ""
    sign = sign.replace("\\n", "\n")
    parts = [of(key) for key in sorted(keys)]
    return sign.join(part for part in parts if part)
