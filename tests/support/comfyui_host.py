"""ComfyUI's side of a node pack, after its documentation: custom_nodes, its lists of files, and its executor.

    host = ComfyUI(folder, checkpoints=[...], loras=[...])
    host.run("DiffAgentSelect", {"text": "a corgi"})         # inputs checked, defaults, types of outputs
    host.accepts("DiffAgentSelect", 0, host.types("checkpoints"))

A node is INPUT_TYPES, RETURN_TYPES, RETURN_NAMES, FUNCTION, CATEGORY and IS_CHANGED.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

SAMPLERS = ["euler", "euler_ancestral", "dpmpp_2m", "dpmpp_sde", "ddim"]
SCHEDULERS = ["normal", "karras", "exponential", "simple"]
_PYTHON = {"STRING": str, "INT": int, "FLOAT": float, "BOOLEAN": bool, "LORA_STACK": list}


class ComfyUI:
    """A ComfyUI with a folder of custom nodes. `files`: what it lists of each kind."""

    def __init__(self, **files: list[str]) -> None:
        self.files = {"checkpoints": [], "loras": [], **files}
        self.loaded: list[tuple[Any, ...]] = []
        self.nodes: dict[str, Any] = {}
        self._last: dict[str, tuple[Any, Any]] = {}

    def listed(self, kind: str) -> list[str]:
        """`folder_paths.get_filename_list`: made anew each time."""
        return list(self.files[kind])

    @contextmanager
    def with_nodes_of(self, folder: Path) -> Iterator["ComfyUI"]:
        """With the pack in `custom_nodes/NAME`, loaded as ComfyUI loads one."""
        comfy, samplers, paths, nodes = (
            ModuleType(name) for name in ("comfy", "comfy.samplers", "folder_paths", "nodes")
        )
        samplers.KSampler = type("KSampler", (), {"SAMPLERS": SAMPLERS, "SCHEDULERS": SCHEDULERS})  # type: ignore[attr-defined]
        comfy.samplers = samplers  # type: ignore[attr-defined]
        paths.get_filename_list = self.listed  # type: ignore[attr-defined]
        nodes.LoraLoader = self._lora_loader()  # type: ignore[attr-defined]
        there = {"comfy": comfy, "comfy.samplers": samplers, "folder_paths": paths, "nodes": nodes}
        name = f"custom_nodes_{folder.name}"
        before = {each: sys.modules.get(each) for each in there}
        sys.modules.update(there)
        try:
            spec = importlib.util.spec_from_file_location(
                name, folder / "__init__.py", submodule_search_locations=[str(folder)]
            )
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            self.nodes = module.NODE_CLASS_MAPPINGS
            assert set(module.NODE_DISPLAY_NAME_MAPPINGS) == set(self.nodes)
            yield self
        finally:
            for each in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
                del sys.modules[each]
            for each, was in before.items():
                sys.modules.pop(each) if was is None else sys.modules.update({each: was})

    def _lora_loader(self) -> type:
        loaded = self.loaded

        class LoraLoader:
            def load_lora(self, model: str, clip: str, *lora: Any) -> tuple[str, str]:
                loaded.append(lora)
                return f"{model}+{lora[0]}", f"{clip}+{lora[0]}"

        return LoraLoader

    def accepts(self, node: str, output: int, wanted: Any) -> bool:
        """Whether an input of the type `wanted` may be linked to an output: as `validate_node_input`."""
        given = self.nodes[node].RETURN_TYPES[output]
        if not given != wanted:  # noqa: SIM202 - ComfyUI asks just so, and a type may answer `!=` by itself
            return True
        return isinstance(given, str) and isinstance(wanted, str) and given in wanted.split(",")

    def run(self, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """The outputs by their names; what is given and what is answered must be of the node's own types."""
        node = self.nodes[name]
        said = node.INPUT_TYPES()
        offered = {**said["required"], **said.get("optional", {})}
        assert set(said["required"]) <= set(inputs) <= set(offered)
        for key, value in inputs.items():
            kind = offered[key][0]
            if isinstance(kind, list):
                assert value in kind, f"Value not in list: {key}: {value!r} not in {kind}"
            elif kind in _PYTHON:
                assert isinstance(value, _PYTHON[kind])
        assert node.CATEGORY
        made = node()
        answer = getattr(made, node.FUNCTION)(**inputs)
        assert isinstance(answer, tuple)
        assert len(answer) == len(made.RETURN_TYPES)
        names = getattr(node, "RETURN_NAMES", made.RETURN_TYPES)
        assert len(names) == len(answer)
        for kind, value in zip(made.RETURN_TYPES, answer, strict=True):
            if isinstance(kind, list):
                assert value in kind, f"{value!r} is not listed"
            elif kind in _PYTHON:
                assert type(value) is _PYTHON[kind], (kind, value)
        return dict(zip(names, answer, strict=True))

    def runs_again(self, name: str, inputs: dict[str, Any]) -> bool:
        """Whether ComfyUI would run the node anew, by its inputs and IS_CHANGED; NaN is never the same."""
        node = self.nodes[name]
        now = (inputs, node.IS_CHANGED(**inputs)) if hasattr(node, "IS_CHANGED") else (inputs, None)
        same = self._last.get(name) == now and now[1] == now[1]
        self._last[name] = now
        return not same
