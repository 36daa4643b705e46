"""The outputs of a bundler in the place of the modules that went into them, as a graph."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

from toolchain.analysis.packages import is_notice, package_of
from toolchain.bundling.live import is_bundled, is_named, live_outputs, starting
from toolchain.errors import InputError
from toolchain.formats import esbuild
from toolchain.formats.compression import shipped_size
from toolchain.formats.package_json import parse
from toolchain.formats.sourcemap import Origin, SourceMap, compose, dump, seen_from_above
from toolchain.formats.sourcemap import parse as parse_map
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, Relation, Store
from toolchain.units import Bytes

LEGAL = ".LEGAL.txt"  # what esbuild appends to the name of a file with legal comments
IMPORTS = {"import-statement": Relation.IMPORT, "dynamic-import": Relation.LAZY}
ABSENT = frozenset({Kind.EXTERNAL, Kind.UNKNOWN})
_KINDS = {".js": Kind.JS, ".css": Kind.CSS}
_NOTICES = "LICENSES.txt"


def brotli_size(result: esbuild.Result, roots: Collection[str]) -> int:
    """Return the bytes of all scripts that ``roots`` may load, each compressed as it will ship."""
    live = live_outputs(result, roots)
    return sum(shipped_size(o.data) for o in result.outputs if o.path in live)


def sheets(result: esbuild.Result, roots: Collection[str]) -> dict[str, str]:
    """Return the style sheets that pages need, by the module whose bundle they come with.

    The sheet of a page has the styles of what it loads by ``import()``, too: those that chunks have
    of their own are for nobody, and those of code that was shaken off as well.
    """
    live = live_outputs(result, roots)
    found = {o.entry: o.css for o in result.outputs if o.css and o.path in live}
    inputs = {o.path: set(o.inputs) for o in result.outputs}
    held = {one for entry, sheet in found.items() if entry in roots for one in inputs[sheet]}
    return {e: sheet for e, sheet in found.items() if e in roots or not inputs[sheet] <= held}


def script_of(path: str) -> str:
    """Return the script that a file is, or whose legal comments it holds; "" if it is neither.

    >>> script_of("app/main.js.LEGAL.txt"), script_of("app/main.css")
    ('app/main.js', '')
    """
    script = path.removesuffix(LEGAL)
    return script if script.endswith(".js") else ""


@dataclass(frozen=True)
class Rewiring:
    """The outputs of a build in the place of the modules that went into it."""

    before: Graph
    store: Store
    result: esbuild.Result
    outdir: str
    own_address: frozenset[str]
    styles: Mapping[str, str]  # ``sheets``

    def graph(self, entries: set[ArtifactId]) -> Graph:
        """Return the new graph; ``entries`` are the modules that became bundles."""
        before = self.before
        used = {ArtifactId(i) for i in self.result.inputs if i in before.artifacts}
        live = live_outputs(self.result, starting(before, entries))
        wanted = {*live, *self.styles.values()}  # of code that was shaken off no styles
        scripts = [
            o
            for o in self.result.outputs
            if o.path in wanted or not o.path.endswith((LEGAL, ".js", ".css"))
        ]
        new = [self._artifact(o.path, o.data) for o in scripts]
        if notices := self._notices(used):
            new.append(self._artifact(f"{self.outdir}/{_NOTICES}", notices))
        for artifact in new:
            if artifact.id in before.artifacts and artifact.id not in used:
                raise InputError(
                    f"the project has a file {artifact.id} already",
                    hint="give bundle-js another `outdir`",
                )
        starts = {ArtifactId(o.path) for o in scripts if o.entry in before.roots & entries}
        texts = {a.id for a in new if a.kind is Kind.TEXT}
        names = {a.id for a in new}
        kept = [e for e in before.edges if e.source not in names]
        edges = {
            *kept,
            *self._styles(live, starts),
            *(e for o in scripts for e in self._edges(o, entries)),
        }
        new += self._outside(edges)
        roots = (before.roots - entries) | starts | texts
        artifacts = {**before.artifacts, **{a.id: a for a in new}}
        made = replace(before, artifacts=artifacts, edges=frozenset(edges), roots=frozenset(roots))
        return _without(made, used - names, before)

    def _styles(self, live: set[str], starts: set[ArtifactId]) -> Iterator[Edge]:
        """Yield which style sheet a page needs beside each output that is loaded."""
        for module, sheet in self.styles.items():
            holders = {o.path for o in self._scripts() if module in {o.entry, *o.inputs}} & live
            for path in holders or starts:  # a module without code may be in no output
                yield Edge(ArtifactId(path), ArtifactId(sheet), Relation.STYLE)

    def _artifact(self, path: str, data: bytes) -> Artifact:
        kind = _KINDS.get(PurePosixPath(path).suffix, Kind.TEXT)
        return Artifact(ArtifactId(path), kind, self.store.put(data), Bytes(len(data)))

    def _edges(self, output: esbuild.Output, entries: set[ArtifactId]) -> Iterator[Edge]:
        """Yield what an output needs: other outputs, and what its modules need besides modules."""
        source = ArtifactId(output.path)
        outputs = {o.path for o in self.result.outputs}
        bundles = {o.entry: ArtifactId(o.path) for o in self.result.outputs if o.entry in entries}
        for one in output.imports:
            if one.kind in IMPORTS and (one.external or one.path in outputs):
                target = f"external:{one.path}" if one.external else one.path
                yield Edge(source, ArtifactId(target), IMPORTS[one.kind])
        modules = {m for m, size in output.inputs.items() if size}
        for module in modules & self.own_address:
            yield Edge(source, ArtifactId(module), Relation.FETCH)
        for edge in sorted(e for m in modules for e in self._needs.get(m, ())):
            if self._stays(edge):
                target = bundles.get(edge.target, edge.target)
                text = self.store.get(self.before.artifacts[edge.source].digest)
                if target != source and is_named(edge, text, self._scripts(), target):
                    yield Edge(source, target, edge.relation)

    @cached_property
    def _needs(self) -> dict[str, list[Edge]]:
        """What each artifact needs."""
        found: dict[str, list[Edge]] = {}
        for edge in self.before.edges:
            found.setdefault(edge.source, []).append(edge)
        return found

    def _stays(self, edge: Edge) -> bool:
        """Whether what a module needs is not in the bundles with it."""
        if edge.relation in IMPORTS.values():
            return self.before.artifacts[edge.target].kind in ABSENT
        if edge.relation is Relation.DYNAMIC:
            module = self.store.get(self.before.artifacts[edge.source].digest)
            return not is_bundled(edge, module, self.result.inputs)
        return edge.relation is not Relation.CONTAINS

    def _scripts(self) -> Iterator[esbuild.Output]:
        return (o for o in self.result.outputs if o.path.endswith(".js"))

    def _outside(self, edges: Iterable[Edge]) -> list[Artifact]:
        """Return what bundles leave to the page and no module left to it before."""
        targets = {e.target for e in edges if e.target.startswith("external:")}
        nothing = self.store.put(b"")
        return [
            Artifact(i, Kind.EXTERNAL, nothing, Bytes(0))
            for i in sorted(targets - self.before.artifacts.keys())
        ]

    def _notices(self, used: Iterable[ArtifactId]) -> bytes:
        """Return the licences of all packages that went in, then the legal comments."""
        packages = {package_of(i) for i in used if "node_modules/" in i}
        files = self.before.files
        texts = {
            p: _label(files.get(ArtifactId(f"{p}/package.json")), self.store) for p in packages
        }
        for artifact in files.values():
            if is_notice(artifact) and package_of(artifact.id) in packages:
                texts[artifact.id] = self.store.get(artifact.digest).decode(errors="replace")
        for output in self.result.outputs:
            if output.path.endswith(LEGAL) and output.data.strip():
                texts[output.path.removesuffix(LEGAL)] = output.data.decode(errors="replace")
        return "\n".join(
            f"---- {name}\n\n{texts[name].strip()}\n" for name in sorted(texts)
        ).encode()


def with_maps(
    graph: Graph, store: Store, maps: Mapping[str, SourceMap], origins: Mapping[str, Origin]
) -> Graph:
    """Return ``graph`` with a map for each of its scripts that ``maps`` knows, by path.

    ``origins`` say where the modules that bundlers get were: all the way back to how they came in.
    """
    new, edges = [], []
    for path, found in sorted(maps.items()):
        if ArtifactId(path) not in graph.artifacts:
            continue
        data = dump(compose(found, origins), file=PurePosixPath(path).name)
        name = ArtifactId(f"{path}.map")
        new.append(Artifact(name, Kind.SOURCEMAP, store.put(data), Bytes(len(data))))
        edges.append(Edge(name, ArtifactId(path), Relation.MAPS))
    return graph.with_artifacts(new).with_edges(edges)


def maps_of(result: esbuild.Result) -> dict[str, SourceMap]:
    """Return the maps that esbuild made, by the path of the script; sources are ids of modules."""
    return {o.path: seen_from_above(parse_map(o.map), o.path) for o in result.outputs if o.map}


def _label(package: Artifact | None, store: Store) -> str:
    """Return name, version and licence of a package as its package.json states them."""
    fields = parse(store.get(package.digest)).fields if package else {}
    stated = fields.get("license") or "licence not stated"
    return (
        " ".join(str(fields[key]) for key in ("name", "version") if key in fields) + f": {stated}"
    )


def _without(graph: Graph, used: set[ArtifactId], before: Graph) -> Graph:
    """Drop the modules that went in, less those that a root still loads as files.

    With the last file of a package go its package.json and its licences, which are in the
    collected text now. So does what was outside or unknown for dropped modules only.
    """
    needs = graph.needs()
    seen, todo = set(graph.roots), list(graph.roots)
    while todo:
        found = {target for target, _ in needs[todo.pop()]} - seen
        seen |= found
        todo += found
    gone = used - seen
    emptied = {package_of(i) for i in gone} - {
        package_of(i) for i, a in graph.artifacts.items() if i not in gone and not _is_label(a)
    }
    gone |= {i for i, a in before.artifacts.items() if package_of(i) in emptied and _is_label(a)}
    wanted = {e.target for e in graph.edges if e.source not in gone}
    gone |= {i for i, a in graph.artifacts.items() if a.kind in ABSENT and i not in wanted}
    return graph.keep(graph.artifacts.keys() - gone)


def _is_label(artifact: Artifact) -> bool:
    return artifact.id.endswith("/package.json") or is_notice(artifact)
