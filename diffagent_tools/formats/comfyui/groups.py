"""Group nodes, the older way to fold a part of a workflow, as the subgraphs of today.

A workflow keeps them in `extra.groupNodes`: nodes by their place, links between places, and which outputs
lead outside. A node of the type `workflow>NAME` is one use; its widgets are those of all inner nodes in turn.
"""

from collections.abc import Mapping
from typing import Any

_PREFIXES = ("workflow>", "workflow/")
INPUT, OUTPUT = -10, -20
VALUES = "group values"


def group_definitions(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Type -> definition in the form of a subgraph's."""
    extra = given.get("extra")
    groups = extra.get("groupNodes") if isinstance(extra, Mapping) else None
    found: dict[str, dict[str, Any]] = {}
    for name, group in groups.items() if isinstance(groups, Mapping) else ():
        if isinstance(group, Mapping) and isinstance(group.get("nodes"), list):
            made = _definition(group)
            found |= {f"{prefix}{name}": made for prefix in _PREFIXES}
    return found


def _definition(group: Mapping[str, Any]) -> dict[str, Any]:
    raws = [dict(raw) for raw in group["nodes"] if isinstance(raw, Mapping)]
    links: list[dict[str, Any]] = []
    fed: set[tuple[int, int]] = set()
    feeding: set[tuple[int, int]] = set()

    def join(origin: int, slot: int, target: int, place: int, type_: object) -> None:
        id_ = len(links) + 1
        links.append(
            {
                "id": id_,
                "origin_id": origin,
                "origin_slot": slot,
                "target_id": target,
                "target_slot": place,
                "type": type_,
            }
        )
        if target >= 0:
            raws[target]["inputs"][place]["link"] = id_
            fed.add((target, place))
        if origin >= 0:
            feeding.add((origin, slot))

    made_by: dict[Any, tuple[int, int]] = {}
    wanted: list[tuple[int, int, Any]] = []
    for at, raw in enumerate(raws):
        for slot, output in enumerate(_maps(raw.get("outputs"))):
            ids = output.get("links")
            made_by |= {id_: (at, slot) for id_ in (ids if isinstance(ids, list) else []) if _plain(id_)}
        raw["inputs"] = [dict(entry) for entry in _maps(raw.get("inputs"))]
        for place, entry in enumerate(raw["inputs"]):
            wanted.append((at, place, entry.get("link")))
            entry["link"] = None
        raw["id"], raw["mode"] = at, 0
    for link in group.get("links") or []:
        if isinstance(link, list) and len(link) >= 4:
            ends = link[:4] if _inside(link[:4], raws) else link[1:5]
            if _inside(ends, raws):
                origin, slot, target, place = ends
                join(origin, slot, target, place, link[-1] if isinstance(link[-1], str) else "")
    # what the nodes themselves still say of the links that they had
    for at, place, old in wanted:
        if (at, place) not in fed and _plain(old) and old in made_by:
            origin, slot = made_by[old]
            join(origin, slot, at, place, raws[at]["inputs"][place].get("type"))
    external = {(one[0], one[1]) for one in group.get("external") or [] if _pair(one)}
    inputs: list[dict[str, Any]] = []
    for at, raw in enumerate(raws):
        for place, entry in enumerate(raw["inputs"]):
            if (at, place) not in fed:
                name = _fresh(str(entry.get("name")), raw, inputs)
                join(INPUT, len(inputs), at, place, entry.get("type"))
                inputs.append({"name": name, "type": entry.get("type")})
    outputs: list[dict[str, Any]] = []
    for at, raw in enumerate(raws):
        for slot, output in enumerate(_maps(raw.get("outputs"))):
            if (at, slot) not in feeding or (at, slot) in external:
                join(at, slot, OUTPUT, len(outputs), output.get("type"))
                outputs.append({"name": output.get("name"), "type": output.get("type")})
    return {"nodes": raws, "links": links, "inputs": inputs, "outputs": outputs, VALUES: True}


def _fresh(name: str, raw: Mapping[str, Any], inputs: list[dict[str, Any]]) -> str:
    """The name of an input on the outside: with the node's own before it where it is taken."""
    taken = {one["name"] for one in inputs}
    return name if name not in taken else f"{raw.get('title') or raw.get('type')} {name}"


def values_of(raw: Mapping[str, Any], definition: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The inner nodes with the values that one use of the group sets; None where that cannot be told."""
    values = raw.get("widgets_values")
    if not isinstance(values, list):
        return None
    nodes: list[dict[str, Any]] = []
    at = 0
    for inner in definition["nodes"]:
        own = inner.get("widgets_values")
        count = len(own) if isinstance(own, list) else 0
        nodes.append({**inner, "widgets_values": values[at : at + count]} if count else inner)
        at += count
    return nodes if at == len(values) else None


def _maps(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _plain(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _pair(value: object) -> bool:
    return isinstance(value, list) and len(value) >= 2 and all(isinstance(one, int) for one in value[:2])


def _inside(ends: list[Any], raws: list[dict[str, Any]]) -> bool:
    """Whether four numbers are an output and an input of the group's nodes."""
    if len(ends) < 4 or not all(isinstance(one, int) and not isinstance(one, bool) for one in ends):
        return False
    origin, slot, target, place = ends
    return bool(
        0 <= origin < len(raws)
        and 0 <= target < len(raws)
        and 0 <= place < len(raws[target]["inputs"])
        and 0 <= slot < max(1, len(_maps(raws[origin].get("outputs"))))
    )
