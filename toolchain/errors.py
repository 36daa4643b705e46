"""Every exception vtool raises on purpose, with its exit code.

    VtoolError               exit 4   vtool, or a tool it runs, could not finish
    |-- ConfigError          exit 2   the request is wrong: arguments, vtool.toml, a rule pack
    |-- InputError           exit 3   a file the user gave is wrong
    |   |-- FormatError               ... at a byte offset
    |   |-- UnusableError             ... it is well formed, but nothing here can run it
    |   `-- IntegrityError            ... it is not the file that was promised
    |-- UnavailableError     exit 4   something outside (a registry, a disk) does not answer
    |-- ToolError            exit 4   an external tool failed, died or ran out of time
    `-- PassError            exit 4   a pass broke its promise

Exit codes are an interface: 0 all budgets met, 1 a budget broken, 2 request wrong, 3 input
wrong, 4 vtool failed, 5 inconclusive, 130 interrupted.

A problem *in the artifact being analyzed* (too big, unused, duplicated) is not an exception:
it is a ``Finding``, a value the report can sort and count.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_MET = 0
EXIT_BROKEN = 1
EXIT_INCONCLUSIVE = 5
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class VtoolError(Exception):
    """Base of every error a user may see; ``hint`` is one line that says what to do."""

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # errors cross process boundaries; keyword-only arguments do not survive the default
        return (_revive, (type(self), str(self), self.hint))


def _revive(kind: type[VtoolError], message: str, hint: str) -> VtoolError:
    error = kind.__new__(kind)
    VtoolError.__init__(error, message, hint=hint)
    return error


class ConfigError(VtoolError):
    """The command line, ``vtool.toml`` or a rule pack asks for something impossible."""

    exit_code = 2


class InputError(VtoolError):
    """A file given by the user cannot be read as what it claims to be."""

    exit_code = 3


class FormatError(InputError):
    """The bytes stop making sense at ``offset``."""

    def __init__(self, what: str, offset: int, *, hint: str = "") -> None:
        super().__init__(f"{what} at byte {offset}", hint=hint)
        self.offset = offset


class UnusableError(InputError):
    """A well-formed file that its runtime refuses: what ships it cannot work."""


class IntegrityError(InputError):
    """A downloaded or cached file is not the one the lock file names."""


class UnavailableError(VtoolError):
    """Something outside vtool (a registry, the disk) does not answer."""


class ToolError(VtoolError):
    """An external tool failed, died or ran out of time."""


class PassError(VtoolError):
    """A pass broke its promise."""
