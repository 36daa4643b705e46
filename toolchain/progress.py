"""How long work tells that it goes on; the command line draws it, the library only reports."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives what is being done and how far it is."""

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:
        """``done`` of ``total`` of ``what``; ``unit`` is "byte" or empty for a count."""
        ...


class Silent:
    """Reports to nobody."""

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Do nothing."""


SILENT = Silent()

_HERE: list[Progress] = []


def here() -> Progress:
    """Return where this process reports to: a worker's parent, or nobody.

    So that long work inside a pass can be followed although a pass takes nothing but its bytes.
    """
    return _HERE[-1] if _HERE else SILENT


def report_to(progress: Progress) -> None:
    """Make ``progress`` what ``here`` returns in this process; a worker does it once."""
    _HERE[:] = [progress]
