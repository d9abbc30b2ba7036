"""Where scores are kept: Parquet shards, one row an image, one float column a reward, all of them raw.

    store = RewardStore.create(folder, ("clip", "imagereward"), run={"candidates": digest})
    store.append([Row("p0", 0, 11, {"clip": 0.81, "imagereward": 0.3})])
    ("p0", 0, 11) in store.keys()
    store.scores({"p0": 3}, seeds=(11,))["p0"]   # {"clip": [n, k], "imagereward": [n, k]}, n = 3

A row's key is prompt, place of the response and seed. Each `append` writes a whole new shard or nothing, so a
run that is killed goes on after the last shard, and a key is never written twice. `store.json` says which run
the scores are of; another run is refused. One process writes at a time (a lock says so); any number read.
"""

import json
import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent_tools.extras import require
from retrieval.errors import DataError, InvalidInput, StorageError
from retrieval.storage import atomic_write

if TYPE_CHECKING:
    from pyarrow import ChunkedArray, Table
    from torch import Tensor

Key = tuple[str, int, int]
_HEADER = "store.json"
_FORMAT = 1


@dataclass(frozen=True)
class Row:
    """The raw scores of one image, by reward."""

    prompt_id: str
    response: int
    seed: int
    scores: Mapping[str, float]

    @property
    def key(self) -> Key:
        return self.prompt_id, self.response, self.seed


class RewardStore:
    """A folder of shards; `create` begins or goes on with one, `open` reads one."""

    def __init__(self, folder: Path, rewards: Sequence[str]) -> None:
        self.folder = folder
        self.rewards = tuple(rewards)
        self._known: set[Key] | None = None

    @classmethod
    def create(cls, folder: Path, rewards: Sequence[str], *, run: Mapping[str, Any]) -> "RewardStore":
        """The store of a run, a new one where the folder holds none.

        Args:
            run: what tells this run from another: candidates, renderer, versions of the rewards ...

        Raises:
            DataError: the folder holds the scores of another run; the message says what differs.
            StorageError: the folder cannot be written.
        """
        if not rewards:
            raise InvalidInput("a store needs the name of at least one reward")
        header = {"format": _FORMAT, "rewards": list(rewards), "run": dict(run)}
        path = folder / _HEADER
        if not path.is_file():
            atomic_write(path, (json.dumps(header, indent=2, sort_keys=True) + "\n").encode())
        held = _read_header(folder)
        wanted = json.loads(json.dumps(header))
        if held != wanted:
            before, now = {**held, **held["run"]}, {**wanted, **wanted["run"]}
            keys = sorted((before.keys() | now.keys()) - {"run"})
            differing = [key for key in keys if before.get(key) != now.get(key)]
            said = "; ".join(f"{key}: {before.get(key)} there, {now.get(key)} now" for key in differing)
            raise DataError(
                f"{folder} holds the scores of another run ({said}); name another folder for this one"
            )
        return cls(folder, rewards)

    @classmethod
    def open(cls, folder: Path) -> "RewardStore":
        """A store that exists. Raises DataError for a folder that is none, MissingExtra without pyarrow."""
        require("pyarrow")
        return cls(folder, _read_header(folder)["rewards"])

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the lock of the one process that may append.

        Raises:
            StorageError: another process holds it.
        """
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.folder / ".lock", timeout=0):
                self._known = None
                yield
        except Timeout as error:
            raise StorageError(
                f"another process writes into {self.folder}; wait for it, or name another folder"
            ) from error

    def append(self, rows: Sequence[Row]) -> None:
        """Writes the rows as one new shard.

        Raises:
            InvalidInput: a score is missing or not finite, or a key is there already; nothing is written.
            StorageError: the folder cannot be written or the disk is full.
        """
        if not rows:
            return
        known = self.keys()
        new: set[Key] = set()
        for row in rows:
            if set(row.scores) != set(self.rewards):
                raise InvalidInput(
                    f"image {row.key} has scores of {', '.join(sorted(row.scores)) or 'no reward'}; "
                    f"this store keeps {', '.join(self.rewards)}"
                )
            bad = [name for name, score in row.scores.items() if not math.isfinite(score)]
            if bad:
                raise InvalidInput(
                    f"the score of image {row.key} (prompt, response, seed) by {', '.join(bad)} is not a "
                    "finite number; look at the image: a black one comes of float16, so render in float32"
                )
            if row.key in known or row.key in new:
                raise InvalidInput(f"image {row.key} (prompt, response, seed) has been scored before")
            new.add(row.key)
        import pyarrow as pa
        import pyarrow.parquet as parquet

        table = pa.table(
            {
                "prompt_id": pa.array([row.prompt_id for row in rows], pa.string()),
                "response": pa.array([row.response for row in rows], pa.int32()),
                "seed": pa.array([row.seed for row in rows], pa.int64()),
                **{
                    name: pa.array([row.scores[name] for row in rows], pa.float32())
                    for name in self.rewards
                },
            }
        )  # fmt: skip
        path = self.folder / f"part-{secrets.token_hex(8)}.parquet"
        atomic_write(path, lambda temporary: parquet.write_table(table, temporary))
        known |= new

    def keys(self) -> set[Key]:
        """All images that have been scored; what this process appends is added to it."""
        if self._known is None:
            table = self.table(("prompt_id", "response", "seed"))
            columns = (table.column(name).to_pylist() for name in ("prompt_id", "response", "seed"))
            self._known = set(zip(*columns, strict=True))
        return self._known

    def table(self, columns: Iterable[str] | None = None) -> "Table":
        """All rows, in no particular order.

        Raises:
            StorageError: a shard is damaged, or holds a score that is not finite; the message names it and
                what to do.
        """
        import pyarrow as pa
        import pyarrow.parquet as parquet

        wanted = list(columns or ("prompt_id", "response", "seed", *self.rewards))
        types = {"prompt_id": pa.string(), "response": pa.int32(), "seed": pa.int64()}
        schema = pa.schema([(name, types.get(name, pa.float32())) for name in wanted])
        parts = [schema.empty_table()]
        for path in sorted(self.folder.glob("part-*.parquet")):
            try:
                part = parquet.read_table(path, columns=wanted).cast(schema)
                for name in self.rewards:
                    if name in wanted and not _all_finite(part.column(name)):
                        raise OSError(f"{name} holds a score that is not a finite number")
                parts.append(part)
            except (pa.ArrowException, OSError) as error:
                raise StorageError(
                    f"the shard {path} cannot be read ({error}); delete it, and the same command scores its "
                    "images again"
                ) from error
        return pa.concat_tables(parts)

    def columns(self) -> dict[str, "Tensor"]:
        """The scores of each reward over all images, [images] float32."""
        import torch

        table = self.table(self.rewards)
        # a copy, because Arrow's memory is not for writing
        return {name: torch.tensor(table.column(name).to_numpy()) for name in self.rewards}

    def scores(self, wanted: Mapping[str, int], seeds: Sequence[int]) -> dict[str, dict[str, "Tensor"]]:
        """By prompt the scores of each reward, [n, k] float32: n responses, a column a seed.

        Args:
            wanted: how many responses each prompt has.

        Raises:
            DataError: images have not been scored; the message says how many and names one.
        """
        import torch

        table = self.table()
        place = {seed: column for column, seed in enumerate(seeds)}
        found = {
            prompt_id: {name: torch.full((count, len(seeds)), float("nan")) for name in self.rewards}
            for prompt_id, count in wanted.items()
        }
        values = {name: table.column(name).to_pylist() for name in table.column_names}
        for row, prompt_id in enumerate(values["prompt_id"]):
            response, seed = values["response"][row], values["seed"][row]
            if response < wanted.get(prompt_id, 0) and seed in place:
                for name in self.rewards:
                    found[prompt_id][name][response, place[seed]] = values[name][row]
        missing = [
            (prompt_id, int(response), seeds[int(column)])
            for prompt_id, scores in found.items()
            for response, column in scores[self.rewards[0]].isnan().nonzero()
        ]
        if missing:
            raise DataError(
                f"{len(missing):,} images in {self.folder} have no score yet, such as {missing[0]} (prompt, "
                "response, seed); go on with render_and_score, then try again"
            )
        return found


def _all_finite(column: "ChunkedArray") -> bool:
    import pyarrow.compute as compute

    return column.null_count == 0 and bool(compute.all(compute.is_finite(column), min_count=0).as_py())


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / _HEADER
    try:
        header: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if header["format"] != _FORMAT or not header["rewards"] or not isinstance(header["run"], dict):
            raise ValueError(f"format {header['format']}, needed is {_FORMAT}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} is no store of scores ({error}); `python -m finetune.rewards` makes one"
        ) from error
    return header
