"""How the command ends: its exit codes, and one plain line instead of a traceback.

with plain_exit():
    ...  # whatever is raised on purpose becomes a line on standard error and an exit code

if __name__ == "__main__":
    run_script(main)  # the same for a script that is no part of the command
"""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import NoReturn, TextIO

import typer

from diffagent_tools.extras import missing_extra
from retrieval.errors import CatalogueError, DataError, DiffAgentError, InvalidInput
from retrieval.records.inert import lines

_ERROR_CHARS = 2_000
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class Exit(IntEnum):
    """0 found, 1 abstained (`check`: neither valid nor an alias), 2 bad usage or input, 3 the machine cannot
    (network, storage, an extra, files that do not fit together), 130 stopped by Ctrl-C."""

    FOUND = 0
    ABSTAINED = 1
    USAGE = 2
    FAILED = 3
    STOPPED = 130


def exit_code(error: DiffAgentError) -> Exit:
    """What the caller gave wrongly is bad usage; the rest is a failure of the machine or its files."""
    given = (InvalidInput, CatalogueError, DataError)
    return Exit.USAGE if isinstance(error, given) else Exit.FAILED


@contextmanager
def plain_exit(when_stopped: str = "stopped") -> Iterator[None]:
    """Ends the command with a line and an exit code for every error that is raised on purpose.

    Args:
        when_stopped: the line after Ctrl-C.
    """
    try:
        try:
            yield
        finally:
            # what is still held back must come before an end that says it came
            sys.stdout.flush()
    except (DiffAgentError, ModuleNotFoundError) as error:
        told = error if isinstance(error, DiffAgentError) else missing_extra(error)
        if told is None:
            raise
        _tell_error(str(told))
        raise typer.Exit(exit_code(told)) from error
    except KeyboardInterrupt as error:
        tell(f"\n{when_stopped}")
        raise typer.Exit(Exit.STOPPED) from error
    except BrokenPipeError as error:
        # the reader of standard output has left (`| head`); Python would complain again when it flushes
        _drop(sys.stdout)
        raise typer.Exit(Exit.FOUND) from error
    except SystemExit as ending:
        # typer and rich end with 1 where the reader has left
        if not isinstance(ending.__context__, BrokenPipeError):
            raise
        _drop(sys.stdout)
        raise typer.Exit(Exit.FOUND) from ending
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _drop(sys.stdout)
        _tell_error(f"cannot write the answer ({error.strerror}); free some space, or send it somewhere else")
        raise typer.Exit(Exit.FAILED) from error


def _drop(stream: TextIO) -> None:
    """Nothing is written to the stream any more, what it still holds among it."""
    with suppress(OSError, ValueError):  # a stream that is no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _tell_error(text: str) -> None:
    from diffagent_tools.quoting import plain  # the records behind it take a moment that --help has not

    # what was typed or came from strangers may be in it, a megabyte of it
    tell(f"error: {plain(text, _ERROR_CHARS)}")


def run_script(main: Callable[[], object], when_stopped: str = "stopped") -> NoReturn:
    """Runs a script's `main` and ends the process as the command would end.

    Args:
        main: what it returns is the exit code where it is an integer, else the code is 0.
        when_stopped: the line after Ctrl-C.
    """
    try:
        with plain_exit(when_stopped):
            code = main()
    except typer.Exit as ending:
        raise SystemExit(ending.exit_code) from ending
    raise SystemExit(code if isinstance(code, int) else Exit.FOUND)


def tell(line: str) -> None:
    """Progress, where it does not mix with the answer: on standard error, if that takes it."""
    try:
        typer.echo(lines(line), err=True)
    except OSError:
        _drop(sys.stderr)
