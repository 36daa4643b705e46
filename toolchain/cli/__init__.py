"""The command line: one file per command; arguments -> library -> text -> exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.exceptions import TyperException

from toolchain import __version__
from toolchain.errors import EXIT_INTERRUPTED, ConfigError, UnavailableError, VtoolError
from toolchain.temporary import remove_all

COMMANDS = (
    "analyze",
    "optimize",
    "run",
    "profile",
    "bench",
    "gate",
    "why",
    "trace",
    "explain",
    "report",
    "materialize",
    "lock",
)

_EPILOG = (
    "Exit codes: 0 met, 1 budget broken, 2 request wrong, 3 input wrong, 4 vtool failed, "
    "5 inconclusive."
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it with the flag's value
    if value:
        typer.echo(f"vtool {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: bool = typer.Option(  # noqa: ARG001, FBT001 - typer's callback prints it
        False,  # noqa: FBT003 - the flag's default
        "--version",
        callback=_version,
        is_eager=True,
        help="Print the version and exit.",
    ),
) -> None:
    """The compiler for shipping voice AI: analyze, shrink, prove, measure, gate."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def application() -> typer.Typer:
    """Return the command line with every command of ``COMMANDS``."""
    app = typer.Typer(
        name="vtool",
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode="rich",
        epilog=_EPILOG,
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True, epilog=_EPILOG)(_root)
    for name in COMMANDS:
        module = importlib.import_module(f"toolchain.cli.{name}")
        app.command(name)(getattr(module, name))
    return app


def main() -> NoReturn:
    """Run vtool; every error becomes one ``error:`` line, one ``hint:`` line and an exit code."""
    _listen()
    try:
        code = typer.main.get_command(application())(prog_name="vtool", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except Exception as error:
        if _INTERRUPTED:  # it fell into a lock or a pipe, and what came of that is no error
            _leave_interrupted()
        if os.environ.get("VTOOL_DEBUG") and not isinstance(error, VtoolError | TyperException):
            raise
        code = _explain(error)
    if code == EXIT_INTERRUPTED:  # typer catches most Ctrl-C itself and makes this of it
        _leave_interrupted()
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: Exception) -> int:
    """Print the error and its hint; return the exit code."""
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone
        return 0
    if isinstance(error, VtoolError):
        _say(str(error), error.hint)
        return error.exit_code
    if isinstance(error, TyperException):
        _say(_message(error), _usage_hint(error))
        return ConfigError.exit_code
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        _say(f"{place}{error.strerror or error}", "check the disk, its space and its permissions")
        return UnavailableError.exit_code
    _say(f"{type(error).__name__}: {error}", "a defect of vtool; VTOOL_DEBUG=1 shows where")
    return VtoolError.exit_code


_INTERRUPTED: list[int] = []
"""The signals that have asked us to end."""
_CLEANING_SECONDS = 30  # ours: from a signal to the end; workers are given 10 of them


def _listen() -> None:
    """Let SIGTERM and Ctrl-C end vtool in the same way; who is deaf to Ctrl-C stays so."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """Stop what is done; only once, for `timeout` and a terminal may signal twice.

    A second KeyboardInterrupt would fall into the removal of temporary files, or into a lock that
    the first one is just letting go.
    """
    if _INTERRUPTED:
        return
    _INTERRUPTED.append(number)
    if hasattr(signal, "setitimer"):  # whatever hangs then, or has swallowed the exception
        signal.signal(signal.SIGALRM, lambda *_: os._exit(EXIT_INTERRUPTED))
        signal.setitimer(signal.ITIMER_REAL, _CLEANING_SECONDS)
    raise KeyboardInterrupt


def _leave_interrupted() -> NoReturn:
    """End at once: a thread deep in a compressor would be waited for, and what it does is lost."""
    remove_all()
    _say("interrupted", "nothing was changed; run the same command again")
    sys.stderr.flush()
    os._exit(EXIT_INTERRUPTED)


def _message(error: Any) -> str:  # noqa: ANN401 - typer's errors format themselves
    said = str(error.format_message() if hasattr(error, "format_message") else error)
    for of_programs, plainly in _PLAINLY.items():
        said = said.replace(of_programs, plainly)
    return said


_PLAINLY = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "not a whole number",
    "Input should be a valid number, unable to parse string as a number": "not a number",
}
"""The words of typer's validator, and ours for who types options."""


def _usage_hint(error: Any) -> str:  # noqa: ANN401 - click's errors, some with a context
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path if context else 'vtool'} --help`"


def _say(error: str, hint: str) -> None:
    print(f"error: {' '.join(error.split())}", file=sys.stderr)  # noqa: T201 - the one place for errors
    if hint:
        print(f" hint: {' '.join(hint.split())}", file=sys.stderr)  # noqa: T201 - the one place for errors
