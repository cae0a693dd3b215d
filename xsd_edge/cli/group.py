"""The `xsd-edge` command group: what a user can mend becomes one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from xsd_edge import console
from xsd_edge.errors import XsdEdgeError

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
TERMINATED = 143  # 128 + SIGTERM
READER_GONE = 141  # 128 + SIGPIPE


class Terminated(KeyboardInterrupt):
    """SIGTERM, as service managers stop us: ends a command like Ctrl-C, in order."""


def _terminate(signal_number: int, frame: object) -> None:
    raise Terminated


def _leave(why: str, code: int) -> NoReturn:
    """Everything is closed by now. The interpreter's own farewell would take apart every module,
    which with numba or torch loaded can cost a second that who stops us does not wait for.
    """
    console.say(f"xsd-edge: {why}")
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    os._exit(code)


class Commands(TyperGroup):
    """Turns what a user can mend into one line, and lets everything else show its traceback."""

    def invoke(self, ctx: Any) -> Any:
        signal.signal(signal.SIGTERM, _terminate)
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except XsdEdgeError as error:
            console.error(str(error))
            raise typer.Exit(error.exit_code) from error
        except Terminated:
            _leave("terminated", TERMINATED)
        except KeyboardInterrupt:
            _leave("interrupted", INTERRUPTED)
        except BrokenPipeError as error:
            console.silence_stdout()
            raise typer.Exit(READER_GONE) from error
        return result


# Rich's help costs 0.1 s of imports and rich's tracebacks hide lines: plain ones of both.
PLAIN: dict[str, Any] = {"rich_markup_mode": None, "no_args_is_help": True}
app = typer.Typer(cls=Commands, add_completion=False, pretty_exceptions_enable=False, **PLAIN)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.data(f"xsd-edge {version('xsd-edge')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show it and exit."),
    ] = False,
) -> None:
    """Event cameras draft, a quantized VideoLLaVA verifies: lossless answers, sooner."""
