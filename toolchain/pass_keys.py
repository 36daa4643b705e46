"""What the result of a pass depends on besides its input: code, tools, libraries beside a file."""

from __future__ import annotations

from toolchain import plugins, resources
from toolchain.execution.cache import source_digest
from toolchain.formats import bundlers
from toolchain.ir import Artifact, ArtifactId, Graph, Kind, Relation, digest_of
from toolchain.passes.base import ArtifactPass, GuardedPass
from toolchain.sources.toolbox import lock_file

_SETTLED = ("tools.toml", "compression.toml", "requests.toml")


def code_of(name: str, proof: str) -> tuple[str, str]:
    """Return digests of the code of a pass and of its proof."""
    return (
        source_digest(plugins.find("passes", name).__name__),
        source_digest(plugins.find("verify", proof).__name__),
    )


def task_code(made: ArtifactPass) -> list[str]:
    """Return digests of code that ``made`` finds by name: the task's family."""
    if not isinstance(made, GuardedPass):
        return []
    return [source_digest(plugins.find("tasks", str(made.task.get("family"))).__name__)]


def linked(graph: Graph, name: ArtifactId) -> list[Artifact]:
    """Return the libraries that ``name`` links, and those that they link, sorted by id."""
    found: set[ArtifactId] = set()
    todo = [name]
    while todo:
        for target in graph.targets(todo.pop(), Relation.LINK):
            if target not in found and graph.artifacts[target].kind is not Kind.EXTERNAL:
                found.add(target)
                todo.append(target)
    return [graph.artifacts[n] for n in sorted(found)]


def tools() -> str:
    """Return a digest of the pinned tools and levels: another esbuild is another result."""
    rules = resources.folder("rules")
    files = (*(rules / name for name in _SETTLED), lock_file(), bundlers.SCRIPT)
    return digest_of(b"".join(path.read_bytes() for path in files))
