"""A workflow as a graph: nodes by their ids, and inputs that are values or links to another node's output.

graph = plain_graph(json.loads(text))
graph["3"].inputs["positive"]      # Link(node='6', slot=0)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

KEPT = "diffagent"
"""Under which key a node's `_meta` (API form) or `properties` (saved form) hold what the catalogue knows."""
MAX_NODES = 10_000
_SHOWN = 8


class Unread(str):
    """A note on something that makes the picture and could not be read."""


class Link(NamedTuple):
    """An output: the node's id and the place of the output among all of that node."""

    node: str
    slot: int


@dataclass(frozen=True)
class Node:
    """`inputs` by name; the values of widgets without a known name are `*0`, `*1`, … `outputs` are the names
    of the outputs in lower case, empty where the form does not say them."""

    id: str
    kind: str
    inputs: Mapping[str, Any]
    outputs: tuple[str, ...] = ()
    kept: Mapping[str, Any] = field(default_factory=dict)

    def links(self) -> Iterator[tuple[str, Link]]:
        """The inputs that come from another node."""
        return ((name, value) for name, value in self.inputs.items() if isinstance(value, Link))

    def texts(self) -> Iterator[tuple[str, str]]:
        """The inputs that are text set by hand."""
        return ((name, value) for name, value in self.inputs.items() if isinstance(value, str))

    @property
    def shown(self) -> str:
        """Its kind as messages say it."""
        return repr(self.kind[:60])


Graph = dict[str, Node]


def plain_graph(given: Mapping[str, Any]) -> Graph:
    """The nodes of the API form, in which a link is `[node, output]`."""
    ids = {str(id_) for id_, node in given.items() if isinstance(node, Mapping) and "class_type" in node}
    graph: Graph = {}
    for id_, node in given.items():
        if str(id_) not in ids or len(graph) == MAX_NODES:
            continue
        inputs = node.get("inputs")
        meta = node.get("_meta")
        kept = meta.get(KEPT) if isinstance(meta, Mapping) else None
        graph[str(id_)] = Node(
            str(id_),
            str(node["class_type"]),
            {str(name): _linked(value, ids) for name, value in inputs.items()}
            if isinstance(inputs, Mapping)
            else {},
            kept=kept if isinstance(kept, Mapping) else {},
        )
    return graph


def _linked(value: Any, ids: set[str]) -> Any:
    """A link as one; a list of one value in the key `__value__`, as ComfyUI wraps lists, without its wrap."""
    if isinstance(value, Mapping) and set(value) == {"__value__"}:
        return value["__value__"]
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int):
        slot = value[1]
        if isinstance(slot, int) and not isinstance(slot, bool) and str(value[0]) in ids:
            return Link(str(value[0]), slot)
    return value


def listed(graph: Graph) -> str:
    """The kinds of nodes that are there, for a message."""
    names = sorted({node.kind[:60] for node in graph.values()})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "none"
