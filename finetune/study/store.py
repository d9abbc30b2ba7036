"""A user study as one SQLite file: the pairs, who rates, and every rating, saved at once.

    study = Study.open(Path("study.db"))
    rater = study.join("Ann")
    study.rate(rater, place=0, question="relevance", side="left")

Each rater sees the pairs in an order and on sides of their own, which the study's seed and the rater's name
decide, so that nothing of it need be kept. Several processes may write at once: the database is in WAL mode,
a writer waits for the others, and a rating is one row under the key rater, pair, question.
"""

import random
import sqlite3
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from retrieval.errors import InvalidInput, StorageError

Question = Literal["relevance", "preference"]
Side = Literal["left", "tie", "right"]
Answer = Literal["win", "tie", "lose"]
"""`win`: DiffAgent's picture was chosen."""
QUESTIONS: tuple[Question, ...] = get_args(Question)
NAME_CHARS = 80
_WAIT = 30.0  # seconds that a writer waits for the others
_APPLICATION = 0x44415354  # "DAST", how the file is known as a study
_VERSION = 1
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
CREATE TABLE study (seed INTEGER NOT NULL, source TEXT NOT NULL);
CREATE TABLE pairs (
    id INTEGER PRIMARY KEY, architecture TEXT NOT NULL, data_set TEXT NOT NULL, prompt TEXT NOT NULL,
    baseline_model TEXT NOT NULL, answer_model TEXT NOT NULL, baseline BLOB NOT NULL, answer BLOB NOT NULL
);
CREATE TABLE raters (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL);
CREATE TABLE ratings (
    rater INTEGER NOT NULL REFERENCES raters, pair INTEGER NOT NULL REFERENCES pairs,
    question TEXT NOT NULL CHECK (question IN ('relevance', 'preference')),
    answer TEXT NOT NULL CHECK (answer IN ('win', 'tie', 'lose')),
    side TEXT NOT NULL CHECK (side IN ('left', 'tie', 'right')),
    rated_at REAL NOT NULL, changes INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (rater, pair, question)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Pair:
    """What is compared, in the order of the table's columns; the pictures are PNGs."""

    architecture: str
    data_set: str
    prompt: str
    baseline_model: str
    answer_model: str
    baseline: bytes
    answer: bytes


@dataclass(frozen=True)
class Rater:
    """Somebody who rates: `order` are ids of pairs, `answer_left[i]` whether DiffAgent's is on the left."""

    id: int
    name: str
    order: tuple[int, ...]
    answer_left: tuple[bool, ...]


@dataclass(frozen=True)
class Rating:
    """One answer; `answer` is DiffAgent's, `side` where the rater pointed."""

    rater: str
    pair: int
    architecture: str
    data_set: str
    question: Question
    answer: Answer
    side: Side


def write_study(path: Path, pairs: Iterable[Pair], *, seed: int, source: str) -> None:
    """A new study without ratings.

    Args:
        source: the table's name, for the report.

    Raises:
        StorageError: it cannot be written.
    """
    with _plainly(path), closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(_SCHEMA)
        with database:
            database.execute("INSERT INTO study VALUES (?, ?)", (seed, source))
            database.executemany(
                "INSERT INTO pairs (architecture, data_set, prompt, baseline_model, answer_model, baseline, "
                "answer) VALUES (?, ?, ?, ?, ?, ?, ?)",
                map(astuple, pairs),
            )


class Study:
    """A study that is there; safe to use from several threads and processes."""

    def __init__(self, path: Path, seed: int, source: str, pairs: tuple[int, ...]) -> None:
        """Use `open`."""
        self.path = path
        self.seed = seed
        self.source = source
        self._pairs = pairs

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens a study.

        Raises:
            InvalidInput: it is not there, no study, damaged, or of another version.
        """
        if not path.is_file():
            raise InvalidInput(f"there is no study {path}; make one with `diffagent study create`")
        with _plainly(path), closing(_connect(path)) as database:
            (application,) = database.execute("PRAGMA application_id").fetchone()
            if application != _APPLICATION:
                raise InvalidInput(f"{path} is no study; make one with `diffagent study create`")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != _VERSION:
                raise InvalidInput(f"{path} is a study of version {version}; this program reads {_VERSION}")
            seed, source = database.execute("SELECT seed, source FROM study").fetchone()
            ids = tuple(number for (number,) in database.execute("SELECT id FROM pairs ORDER BY id"))
        return cls(path, seed, source, ids)

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self._pairs)

    def join(self, name: str) -> Rater:
        """The rater of a name, however it is cased and spaced; a known one goes on where they were.

        Raises:
            InvalidInput: the name is empty or too long.
            StorageError: it cannot be saved.
        """
        with self._writing() as database:
            row = (_key(name), _shown_name(name))
            database.execute("INSERT OR IGNORE INTO raters (key, name) VALUES (?, ?)", row)
        return self.rater(name)

    def rater(self, name: str) -> Rater:
        """A rater who has joined.

        Raises:
            InvalidInput: nobody has joined under this name.
        """
        key = _key(name)
        with self._reading() as database:
            found = database.execute("SELECT id, name FROM raters WHERE key = ?", (key,)).fetchone()
        if found is None:
            raise InvalidInput(f"nobody has joined as {_shown_name(name)!r}; join first")
        number, kept = found
        # a string seeds alike in every version of Python
        chance = random.Random(f"{self.seed} {key}")
        order = chance.sample(self._pairs, len(self._pairs))
        # DiffAgent's picture is as often left as right, for each rater
        left = [place % 2 == 0 for place in range(len(order))]
        chance.shuffle(left)
        return Rater(number, kept, tuple(order), tuple(left))

    def prompt(self, rater: Rater, place: int) -> str:
        """The request of the pair at a place of the rater's order.

        Raises:
            InvalidInput: there is no such place.
        """
        with self._reading() as database:
            found = database.execute("SELECT prompt FROM pairs WHERE id = ?", (_at(rater, place),)).fetchone()
        return str(found[0])

    def picture(self, rater: Rater, place: int, side: Side) -> bytes:
        """The PNG on one side, "left" or "right".

        Raises:
            InvalidInput: there is no such place or side.
        """
        pair = _at(rater, place)
        if side not in ("left", "right"):
            raise InvalidInput(f"no side {side!r}; a picture is left or right")
        column = "answer" if (side == "left") == rater.answer_left[place] else "baseline"
        with self._reading() as database:
            found = database.execute(f"SELECT {column} FROM pairs WHERE id = ?", (pair,)).fetchone()
        return bytes(found[0])

    def rate(self, rater: Rater, place: int, question: Question, side: Side) -> None:
        """Saves an answer before it returns; a later one to the same question replaces it.

        Raises:
            InvalidInput: there is no such place, question or side.
            StorageError: it cannot be saved.
        """
        pair = _at(rater, place)
        if question not in QUESTIONS:
            raise InvalidInput(f"no question {question!r}; there are {', '.join(QUESTIONS)}")
        if side not in get_args(Side):
            raise InvalidInput(f"no answer {side!r}; there are {', '.join(get_args(Side))}")
        answer: Answer = "tie"
        if side != "tie":
            answer = "win" if (side == "left") == rater.answer_left[place] else "lose"
        with self._writing() as database:
            database.execute(
                "INSERT INTO ratings (rater, pair, question, answer, side, rated_at) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET answer = excluded.answer, "
                "side = excluded.side, rated_at = excluded.rated_at, changes = changes + 1",
                (rater.id, pair, question, answer, side, time.time()),
            )

    def given(self, rater: Rater) -> dict[int, dict[Question, Side]]:
        """What the rater answered, by place."""
        places = {pair: place for place, pair in enumerate(rater.order)}
        found: dict[int, dict[Question, Side]] = {}
        with self._reading() as database:
            rows = database.execute("SELECT pair, question, side FROM ratings WHERE rater = ?", (rater.id,))
            for pair, question, side in rows:
                found.setdefault(places[pair], {})[question] = side
        return found

    def ratings(self) -> list[Rating]:
        """All answers, by rater and pair."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT raters.name, pair, architecture, data_set, question, ratings.answer, side "
                "FROM ratings JOIN raters ON raters.id = rater JOIN pairs ON pairs.id = pair "
                "ORDER BY rater, pair, question"
            )
            return [Rating(*row) for row in rows]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _plainly(self.path), closing(_connect(self.path)) as database:
            yield database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as database:
            # the lock is taken at once: a reader that becomes a writer would be refused without a wait
            database.execute("BEGIN IMMEDIATE")
            with database:
                yield database


def _connect(path: Path) -> sqlite3.Connection:
    """A connection for one use; `mode=rw` makes no file where none is."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    database = sqlite3.connect(uri, uri=True, timeout=_WAIT, isolation_level=None)
    database.execute("PRAGMA foreign_keys = ON")
    return database


@contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """SQLite's errors as this project's."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(f"cannot use the study {path} ({error}); nothing was saved") from error
    except sqlite3.DatabaseError as error:
        raise InvalidInput(f"the study {path} is damaged or no study ({error})") from error


def _at(rater: Rater, place: int) -> int:
    if not 0 <= place < len(rater.order):
        raise InvalidInput(f"no pair {place}; there are 0 to {len(rater.order) - 1}")
    return rater.order[place]


def _shown_name(name: str) -> str:
    """A rater's name on one line, without hidden characters.

    Raises:
        InvalidInput: it is empty or too long.
    """
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    letters = (" " if unicodedata.category(char) in hidden else char for char in name[: 8 * NAME_CHARS])
    shown = " ".join(unicodedata.normalize("NFC", "".join(letters)).split())
    if not shown or len(shown) > NAME_CHARS:
        raise InvalidInput(f"a name has 1 to {NAME_CHARS} characters; this one has {len(shown)}")
    return shown


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", _shown_name(name)).casefold()
