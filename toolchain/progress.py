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
