"""The form that ComfyUI's editor saves -> the graph that its server would run.

    graph = saved_graph(json.loads(Path("workflow.json").read_text()))

The editor resolves much before it sends a workflow: subgraphs and group nodes are unfolded, Reroute,
Primitive and Get/Set nodes are replaced by what they stand for, a muted node is left out, a bypassed one
hands on what comes in. Widgets get their names back, from the file or from the table of nodes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from diffagent_tools.formats.comfyui.graph import KEPT, MAX_NODES, Graph, Link, Node
from diffagent_tools.formats.comfyui.groups import VALUES, group_definitions, values_of
from diffagent_tools.formats.comfyui.nodes import CONTROLS, widget_names
from retrieval.errors import InvalidInput

_MUTED, _BYPASSED = 2, 4
_INPUT, _OUTPUT = "-10", "-20"
_MAX_DEPTH = 20
_MAX_STEPS = 1000
_REROUTES = {"Reroute", "Reroute (rgthree)", "ReroutePrimitive|pysssss"}
_SETTERS = {"SetNode", "easy setNode"}
_GETTERS = {"GetNode", "easy getNode"}
_NOT_RUN = {*_REROUTES, *_SETTERS, *_GETTERS, "PrimitiveNode", "Note", "MarkdownNote"}
_UNSET = object()
_SCALARS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


def saved_graph(given: Mapping[str, Any]) -> Graph:
    """The graph of a saved workflow.

    Raises:
        InvalidInput: unfolded, it has more nodes than any workflow.
    """
    top = _Scope("", given, None, {}, {**_definitions(given), **group_definitions(given)})
    graph: Graph = {}
    for scope in top.all():
        for raw in scope.nodes.values():
            if raw.get("mode") in (_MUTED, _BYPASSED) or _kind(raw) in _NOT_RUN or scope.definition(raw):
                continue
            if len(graph) == MAX_NODES:
                raise InvalidInput(
                    f"the workflow has more than {MAX_NODES:,} nodes with its subgraphs unfolded; "
                    "give the API form of it"
                )
            node = _node(scope, raw)
            graph[node.id] = node
    return graph


class _Scope:
    """The nodes of a workflow or of one use of a subgraph, and its links as `(node, output)`."""

    def __init__(
        self,
        prefix: str,
        given: Mapping[str, Any],
        parent: "_Scope | None",
        instance: Mapping[str, Any],
        definitions: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.prefix, self.given, self.parent, self.instance = prefix, given, parent, instance
        self.definitions = definitions
        raws = (values_of(instance, given) if instance and VALUES in given else None) or given.get("nodes")
        self.nodes = {
            str(raw.get("id")): raw for raw in (raws if isinstance(raws, list) else []) if _is_map(raw)
        }
        self.links = dict(_links(given))
        self.broadcast = _broadcasts(given, self.nodes)
        self.children: dict[str, _Scope] = {}
        self.depth: int = parent.depth + 1 if parent else 0
        self.promoted, self.inner = _promoted(instance, given) if instance else ({}, {})

    def definition(self, raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What a node is a use of, if it is one of a subgraph."""
        return self.definitions.get(_kind(raw))

    def child(self, id_: str) -> "_Scope | None":
        """The inside of a node that is a use of a subgraph."""
        if id_ not in self.children:
            raw = self.nodes[id_]
            inside = self.definition(raw)
            if inside is None or self.depth == _MAX_DEPTH:
                return None
            self.children[id_] = _Scope(f"{self.prefix}{id_}:", inside, self, raw, self.definitions)
        return self.children[id_]

    def all(self) -> "Iterator[_Scope]":
        """This scope and those in it that are neither muted nor bypassed."""
        stack, made = [self], 0
        while stack:
            scope = stack.pop()
            yield scope
            for id_, raw in scope.nodes.items():
                if scope.definition(raw) and raw.get("mode") not in (_MUTED, _BYPASSED):
                    inside = scope.child(id_)
                    made += 1
                    if inside is not None and made <= MAX_NODES:
                        stack.append(inside)


def _node(scope: _Scope, raw: Mapping[str, Any]) -> Node:
    id_ = str(raw.get("id"))
    inputs: dict[str, Any] = dict(_widgets(raw))
    inputs |= {name: value for (node, name), value in scope.inner.items() if node == id_}
    for place, entry in enumerate(_inputs(raw)):
        name = str(entry.get("name"))
        link = entry.get("link")
        if link is None:
            link = scope.broadcast.get((id_, place))
        if link is None:
            continue
        value = _resolve(scope, str(link))
        if value is None:
            inputs.pop(name, None)
        elif value is not _UNSET:
            inputs[name] = value
    properties = raw.get("properties")
    kept = properties.get(KEPT) if _is_map(properties) else None
    outputs = raw.get("outputs")
    return Node(
        scope.prefix + id_,
        _kind(raw),
        inputs,
        tuple(
            str(one.get("name", "")).lower() if _is_map(one) else ""
            for one in (outputs if isinstance(outputs, list) else [])
        ),
        kept if _is_map(kept) else {},
    )


def _resolve(scope: _Scope, link: str) -> Any:
    """What a link brings: an output that is run, or a value; None is nothing, `_UNSET` the widget's own."""
    for _ in range(_MAX_STEPS):
        if link not in scope.links:
            return None
        origin, slot, type_ = scope.links[link]
        if origin == _INPUT and scope.parent is not None:
            outer = _outer_input(scope, slot)
            if outer.get("link") is None:
                return scope.promoted.get(str(outer.get("name")), _UNSET)
            scope, link = scope.parent, str(outer["link"])
            continue
        raw = scope.nodes.get(origin)
        if raw is None or raw.get("mode") == _MUTED:
            return None
        kind = _kind(raw)
        onward: object = None
        if raw.get("mode") == _BYPASSED:
            onward = _bypassed(raw, slot, type_)
        elif kind in _REROUTES or kind in _SETTERS:
            onward = next((entry.get("link") for entry in _inputs(raw)), None)
        elif kind in _GETTERS:
            scope, onward = _set(scope, raw)
        elif kind == "PrimitiveNode":
            return _primitive(scope, raw)
        elif scope.definition(raw) is not None:
            inside = scope.child(origin)
            if inside is None:
                return None
            scope, onward = inside, _inner_output(inside, slot)
        else:
            return Link(scope.prefix + origin, slot)
        if onward is None:
            return None
        link = str(onward)
    return None


def _primitive(scope: _Scope, raw: Mapping[str, Any]) -> Any:
    value = scope.inner.get((str(raw.get("id")), "value"), _UNSET)
    values = raw.get("widgets_values")
    if value is _UNSET and isinstance(values, list) and values:
        return values[0]
    return value


def _outer_input(scope: _Scope, slot: int) -> Mapping[str, Any]:
    """The input of the use of a subgraph that stands for one of the definition's."""
    taken = scope.given.get("inputs")
    own = taken[slot] if isinstance(taken, list) and 0 <= slot < len(taken) else {}
    name = own.get("name") if _is_map(own) else None
    found = next((entry for entry in _inputs(scope.instance) if entry.get("name") == name), None)
    return found if found is not None else {"name": name}


def _inner_output(scope: _Scope, slot: int) -> object:
    """The link inside that feeds an output of a subgraph."""
    for link, target, place in _targets(scope.given):
        if target == _OUTPUT and place == slot:
            return link
    made = scope.given.get("outputs")
    one = made[slot] if isinstance(made, list) and 0 <= slot < len(made) else None
    ids = one.get("linkIds") if _is_map(one) else None
    return ids[0] if isinstance(ids, list) and ids else None


def _bypassed(raw: Mapping[str, Any], slot: int, type_: str) -> object:
    """The link of the input that an output of a bypassed node hands on: the one of its place if it is of the
    type, else the first that is."""
    outputs = raw.get("outputs")
    made = outputs[slot] if isinstance(outputs, list) and 0 <= slot < len(outputs) else None
    wanted = str(made.get("type")) if _is_map(made) else type_
    taken = list(_inputs(raw))
    alike = [entry for entry in taken if str(entry.get("type")) == wanted]
    if 0 <= slot < len(taken) and taken[slot] in alike:
        alike.insert(0, taken[slot])
    return next((entry["link"] for entry in alike if entry.get("link") is not None), None)


def _set(scope: _Scope, getter: Mapping[str, Any]) -> tuple[_Scope, object]:
    """Where what a Get node gets was set: in its own workflow, else in one around it."""
    values = getter.get("widgets_values")
    name = values[0] if isinstance(values, list) and values else None
    where: _Scope | None = scope
    while where is not None and name is not None:
        for raw in where.nodes.values():
            set_to = raw.get("widgets_values")
            if _kind(raw) in _SETTERS and isinstance(set_to, list) and set_to[:1] == [name]:
                return where, next((entry.get("link") for entry in _inputs(raw)), None)
        where = where.parent
    return scope, None


def _promoted(
    instance: Mapping[str, Any], definition: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[tuple[str, str], Any]]:
    """The values that a use of a subgraph sets: by the name of its input, and by inner node and widget."""
    named = instance.get("widgets_values_named")
    by_name: dict[str, Any] = dict(named) if _is_map(named) else {}
    inner: dict[tuple[str, str], Any] = {}
    values = instance.get("widgets_values")
    values = values if isinstance(values, list) else []
    properties = instance.get("properties")
    proxies = properties.get("proxyWidgets") if _is_map(properties) else None
    own = [str(entry.get("name")) for entry in _inputs(instance) if entry.get("widget")]
    taken = definition.get("inputs")
    scalar = [
        str(one.get("name"))
        for one in (taken if isinstance(taken, list) else [])
        if _is_map(one) and str(one.get("type")) in _SCALARS
    ]
    if isinstance(proxies, list) and proxies and len(proxies) == len(values):
        for proxy, value in zip(proxies, values, strict=True):
            if not isinstance(proxy, list) or len(proxy) < 2:
                continue
            if str(proxy[0]) == "-1":
                by_name.setdefault(str(proxy[1]), value)
            else:
                inner[str(proxy[0]), str(proxy[1])] = value
    elif values and not by_name:
        # as many values as widgets, and otherwise nothing tells which is whose
        names = own if len(own) == len(values) else scalar if len(scalar) == len(values) else []
        by_name = dict(zip(names, values, strict=False))
    return {name: value for name, value in by_name.items() if value is not None}, inner


def _widgets(raw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values of a node's widgets by their names; `*0`, … where nothing tells them."""
    named, values = raw.get("widgets_values_named"), raw.get("widgets_values")
    for one in (named, values):
        if _is_map(one):
            yield from ((str(name), value) for name, value in one.items() if value not in CONTROLS)
            return
    if not isinstance(values, list):
        return
    kept: list[Any] = []
    for value in values:
        follows = kept and isinstance(kept[-1], int | float) and not isinstance(kept[-1], bool)
        if not (follows and isinstance(value, str) and value in CONTROLS):
            kept.append(value)
    told = [
        str(entry["widget"].get("name"))
        for entry in _inputs(raw)
        if _is_map(entry.get("widget")) and entry["widget"].get("name") is not None
    ]
    names = told if told and len(told) == len(kept) else list(widget_names(_kind(raw)))
    for place, value in enumerate(kept):
        yield (names[place] if place < len(names) else f"*{place}"), value


def _broadcasts(given: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[tuple[str, int], object]:
    """Inputs that an "Anything Everywhere" node feeds without a line: (node, place) -> link.

    Newer workflows list them; else the node's own inputs go to all inputs of their type that are free.
    """
    found: dict[tuple[str, int], object] = {}
    senders = [raw for raw in nodes.values() if "Everywhere" in _kind(raw)]
    types: dict[str, object] = {}
    prompts: dict[str, object] = {}
    for raw in senders:
        for entry in _inputs(raw):
            if "Prompts" in _kind(raw):
                prompts.setdefault(str(entry.get("name")), entry.get("link"))
            elif entry.get("link") is not None and str(entry.get("type")) not in ("*", "None"):
                types.setdefault(str(entry.get("type")), entry["link"])
            elif entry.get("link") is not None:
                types.setdefault(_type_of(given, entry["link"]), entry["link"])
    for id_, raw in nodes.items():
        if raw in senders:
            continue
        for place, entry in enumerate(_inputs(raw)):
            if entry.get("link") is not None or entry.get("widget"):
                continue
            sent = prompts.get(str(entry.get("name"))) or types.get(str(entry.get("type")))
            if sent is not None:
                found[id_, place] = sent
    return found


def _type_of(given: Mapping[str, Any], link: object) -> str:
    return next((type_ for id_, (_, _, type_) in _links(given) if id_ == str(link)), "")


def _definitions(given: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    held = given.get("definitions")
    subgraphs = held.get("subgraphs") if _is_map(held) else None
    return {
        str(one.get("id")): one for one in (subgraphs if isinstance(subgraphs, list) else []) if _is_map(one)
    }


def _links(given: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, int, str]]]:
    """Link -> (node, output, type), in the form of either version."""
    for link in _list(given.get("links")):
        if isinstance(link, list) and len(link) >= 5:
            slot, type_ = link[2], link[5] if len(link) > 5 else ""
            yield str(link[0]), (str(link[1]), slot if isinstance(slot, int) else 0, str(type_))
        elif _is_map(link):
            slot = link.get("origin_slot")
            origin = str(link.get("origin_id"))
            yield str(link.get("id")), (origin, slot if isinstance(slot, int) else 0, str(link.get("type")))


def _targets(given: Mapping[str, Any]) -> Iterator[tuple[object, str, object]]:
    """Link, and where it leads."""
    for link in _list(given.get("links")):
        if isinstance(link, list) and len(link) >= 5:
            yield link[0], str(link[3]), link[4]
        elif _is_map(link):
            yield link.get("id"), str(link.get("target_id")), link.get("target_slot")


def _inputs(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (entry for entry in _list(raw.get("inputs")) if _is_map(entry))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_map(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _kind(raw: Mapping[str, Any]) -> str:
    return str(raw.get("type"))
