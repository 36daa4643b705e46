"""What is seen of a program while its scenario is played, and what the scenario is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing that a program did where somebody could see it.

    ``stream`` is "main", "worker" (of all workers together), "requests" or "process"; ``kind`` what
    happened ("event", "console.error", "unhandled rejection", "failed request", "result", "exit").
    """

    stream: str
    kind: str
    text: str

    def __str__(self) -> str:
        where = "worker: " if self.stream == "worker" else ""
        return f"{where}{self.kind} {self.text}".rstrip()


@dataclass(frozen=True, slots=True)
class Play:
    """How an application is driven, and where.

    ``script`` is an ES module among ``files`` (names in the project to paths). Its default export
    is called with the address of the application's entry and a function that reports an event; what
    it returns is the result. ``entry`` is the module that it drives, empty for the only one.
    """

    script: str
    files: Mapping[str, Path]
    entry: str = ""
    runs_in: tuple[str, ...] = ("node", "chromium")
    conditions: tuple[str, ...] = ()  # of package.json's exports
    mode: str = "production"  # what stands for process.env.NODE_ENV
    microphone: Path | None = None  # a WAV that Chromium hears
    limit_s: float = 60.0
    digests: Mapping[str, str] = field(default_factory=dict)  # of ``files``, for the cache
