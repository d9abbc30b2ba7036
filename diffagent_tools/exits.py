"""How the command ends: its exit codes, and one plain line instead of a traceback.

with plain_exit():
    ...  # whatever is raised on purpose becomes a line on standard error and an exit code

if __name__ == "__main__":
    run_script(main)  # the same for a script that is no part of the command
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn

import typer

from diffagent_tools.extras import missing_extra
from retrieval.errors import CatalogueError, DataError, DiffAgentError, InvalidInput


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
        yield
    except (DiffAgentError, ModuleNotFoundError) as error:
        told = error if isinstance(error, DiffAgentError) else missing_extra(error)
        if told is None:
            raise
        typer.echo(f"error: {told}", err=True)
        raise typer.Exit(exit_code(told)) from error
    except KeyboardInterrupt as error:
        typer.echo(f"\n{when_stopped}", err=True)
        raise typer.Exit(Exit.STOPPED) from error
    except BrokenPipeError as error:
        # the reader of standard output has left (`| head`); Python would complain again when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.FOUND) from error


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
    """Progress, where it does not mix with the answer: on standard error."""
    typer.echo(line, err=True)
