"""Remove the files that nothing in the application can load.

What it does
    Starts at the roots, follows every import, worker, fetch, needed library and candidate of a
    name that is only partly known, and drops the files it does not come to.

Why
    A package ships every build for every consumer: of onnxruntime-web's 145 MB an application
    loads one script and one WebAssembly file.

Keeps
    Where a module loads a name that nobody can know before it runs, every file of its own package
    that such a name may stand for. ``package.json`` of a script that stays, since Node.js reads
    there whether it is a module. Licences and notices of every package that still ships a file
    (``keep_licences``). Files that match a glob in ``keep``, with all they need. And everything,
    where the graph has no roots: then nobody said what the application is.

Source
    Mark and sweep. package.json: Node.js documentation, "Determining module system".
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from toolchain.analysis.shipping import needed
from toolchain.ir import Graph, Store
from toolchain.passes.base import GraphPass


@dataclass(frozen=True)
class DropUnreachable(GraphPass):
    """Drop what no root reaches; ``keep`` are globs on whole ids in which ``*`` spans folders."""

    proof = "same-reach"

    keep: tuple[str, ...] = ()
    keep_licences: bool = True

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` less the files that nothing can load."""
        del store  # names and edges are enough
        wanted = {i for i in graph.artifacts if any(fnmatchcase(i, glob) for glob in self.keep)}
        return graph.keep(needed(graph, wanted, licences=self.keep_licences))
