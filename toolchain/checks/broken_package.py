"""Finds files package.json that nobody can read.

What it does
    Parses every ``package.json``: it must be JSON in UTF-8, and an object. It is an error where a
    root reaches code beside or below it.

Why
    Without it nobody knows what the package exports, what has side effects and how its modules are
    to be read; one tool guesses, another refuses.

Advice
    Correct the file, or install the package again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from toolchain.analysis.reachability import reachable
from toolchain.errors import FormatError
from toolchain.formats.package_json import parse
from toolchain.ir import Finding, Graph, Severity, Store


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield one finding for each file that is broken."""
    labels = [i for i in graph.files if PurePosixPath(i).name == "package.json"]
    used: set[PurePosixPath] = set()
    for name in reachable(graph) if labels else ():
        used.update(PurePosixPath(name).parents)
    for name in labels:
        try:
            parse(store.get(graph.artifacts[name].digest))
        except FormatError as error:
            is_used = PurePosixPath(name).parent in used
            yield Finding(
                check="broken-package",
                where=name,
                message=str(error),
                advice="correct the file, or install the package again",
                severity=Severity.ERROR if is_used else Severity.NOTE,
            )
