"""What every command needs to work: the cache folder, the store, the executor, the progress."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolchain import plugins
from toolchain.execution.cache import ActionCache
from toolchain.execution.local import LocalPool
from toolchain.ir import DirectoryStore
from toolchain.progress import SILENT, Progress
from toolchain.resources import cache_folder


@dataclass(frozen=True)
class Workspace:
    """One run's tools; nothing in it knows a project."""

    root: Path
    store: DirectoryStore
    cache: ActionCache
    executor: LocalPool
    progress: Progress = SILENT

    @classmethod
    def open(cls, *, jobs: int = 0, progress: Progress = SILENT) -> Workspace:
        """Return the workspace in the user's cache folder; ``jobs`` 0 is one for each core."""
        root = cache_folder()
        return cls(
            root,
            DirectoryStore(root / "store"),
            ActionCache(root / "actions"),
            LocalPool(jobs, ("toolchain.reading", *_ingesters()), progress=progress),
            progress,
        )


def _ingesters() -> list[str]:
    names = plugins.own_names("ingest")
    return [f"toolchain.ingest.{name.replace('-', '_')}" for name in names]
