"""The user study of the paper's section 4.3: which pairs are shown, made into one file that is the study.

    diffagent study create run --prompts prompts.jsonl --output study.db
    diffagent study create --table run.parquet --output study.db

Of every architecture 90 pairs are drawn evenly over the data sets, one a prompt. They come from folders that
`diffagent render --baseline` filled (finetune/study/runs.py), or from a table: a Parquet file with the
columns of `COLUMNS`, a pair a row, all of them text; `image_a` is the baseline's picture and `image_b`
DiffAgent's, relative to the table's folder. The pictures are copied into the study without their metadata,
which would tell what made them.
"""

import io
import os
import random
import secrets
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.study.store import Pair, write_study
from retrieval.errors import InvalidInput, StorageError

COLUMNS = ("architecture", "data_set", "prompt", "image_a", "image_b", "model_a", "model_b")
PAIRS = 90
_FEW = 5
_MOST_BYTES = 50_000_000


@dataclass(frozen=True)
class Row:
    """One pair; `image_a` and `model_a` are the baseline's."""

    architecture: str
    data_set: str
    prompt: str
    image_a: Path
    image_b: Path
    model_a: str
    model_b: str


def create_study(
    rows: Sequence[Row],
    output: Path,
    *,
    source: str,
    pairs: int = PAIRS,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> int:
    """Draws pairs and writes the study; returns how many there are.

    Args:
        source: what the rows were read from, for the report.
        pairs: of each architecture.
        seed: decides which pairs are drawn, and for each rater the order and the sides.

    Raises:
        InvalidInput: a picture cannot be used, there are too few pairs, or `output` exists.
        StorageError: the study cannot be written.
    """
    if output.exists():
        raise InvalidInput(f"{output} exists; name another --output, so that no rating is lost")
    chosen = draw_pairs(rows, pairs, seed)
    if progress is not None:
        progress(f"reading {2 * len(chosen)} pictures")
    made = (
        Pair(
            architecture=row.architecture,
            data_set=row.data_set,
            prompt=row.prompt,
            baseline_model=row.model_a,
            answer_model=row.model_b,
            baseline=clean_picture(row.image_a),
            answer=clean_picture(row.image_b),
        )
        for row in chosen
    )
    temporary = output.parent / f".{output.stem}-{secrets.token_hex(8)}.db"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_study(temporary, made, seed=seed, source=source)
        os.replace(temporary, output)
    except OSError as error:
        raise StorageError(f"cannot write {output} ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
    return len(chosen)


def read_table(path: Path) -> list[Row]:
    """The rows of a Parquet file.

    Raises:
        InvalidInput: it is no Parquet file, lacks a column, has an empty or wrong cell, names pictures that
            are not there, or has no row.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        schema = parquet.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidInput(f"cannot read {path} as Parquet ({str(error).splitlines()[0]})") from error
    missing = [name for name in COLUMNS if name not in schema.names]
    if missing:
        raise InvalidInput(
            f"{path} has the columns {', '.join(schema.names) or 'none'}; missing: {', '.join(missing)}"
        )
    try:
        cells = parquet.read_table(path, columns=list(COLUMNS)).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(f"{path} is damaged ({str(error).splitlines()[0]}); make it again") from error
    if not cells:
        raise InvalidInput(f"{path} has no row; a row is a pair of pictures")
    for place, cell in enumerate(cells, start=1):
        for name in COLUMNS:
            if not isinstance(cell[name], str) or not cell[name].strip():
                raise InvalidInput(f"{path}, row {place}: {name} is {cell[name]!r}; needed is text")
    rows = [
        Row(**cell | {name: path.parent / cell[name] for name in ("image_a", "image_b")}) for cell in cells
    ]
    absent = [image for row in rows for image in (row.image_a, row.image_b) if not image.is_file()]
    if absent:
        named = ", ".join(str(image) for image in absent[:_FEW]) + (", ..." if len(absent) > _FEW else "")
        raise InvalidInput(f"{len(absent):,} pictures of {path} are not there: {named}")
    return rows


def draw_pairs(rows: Sequence[Row], pairs: int, seed: int) -> list[Row]:
    """`pairs` rows of each architecture, evenly over its data sets, no prompt twice.

    Where the number cannot be divided, the first data sets by name have one more.

    Raises:
        InvalidInput: a data set has too few prompts.
    """
    if pairs < 1:
        raise InvalidInput(f"{pairs} pairs of each architecture; a study has one or more")
    drawn: list[Row] = []
    for architecture in sorted({row.architecture for row in rows}):
        by_set: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            if row.architecture == architecture:
                by_set[row.data_set][row.prompt].append(row)
        each, more = divmod(pairs, len(by_set))
        for number, name in enumerate(sorted(by_set)):
            wanted = each + (number < more)
            if len(by_set[name]) < wanted:
                raise InvalidInput(
                    f"the data set {name!r} has {len(by_set[name])} prompts for {architecture!r} and "
                    f"{wanted} are needed; give more rows or a smaller --pairs"
                )
            # by architecture and data set, so that rows of another one change nothing here
            chance = random.Random(f"{seed} {architecture} {name}")
            for prompt in chance.sample(sorted(by_set[name]), wanted):
                drawn.append(chance.choice(by_set[name][prompt]))
    return drawn


def clean_picture(path: Path) -> bytes:
    """The picture as PNG, its pixels alone.

    Raises:
        InvalidInput: it is damaged, no picture, or too large.
    """
    from PIL import Image

    if path.stat().st_size > _MOST_BYTES:
        raise InvalidInput(f"the picture {path} is larger than {_MOST_BYTES // 1_000_000} MB")
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            shown = picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidInput(f"cannot read the picture {path} ({error}); make it again") from error
    except Image.DecompressionBombWarning as error:
        raise InvalidInput(f"the picture {path} has too many pixels ({error})") from error
    shown.info.clear()
    written = io.BytesIO()
    shown.save(written, "PNG")
    return written.getvalue()
