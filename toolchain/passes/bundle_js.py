"""Bundle JavaScript and TypeScript: one tree-shaken, minified file and lazy chunks.

What it does
    Each script that is a root, with everything it imports, becomes ``app/NAME.js``; what it loads
    with ``import()``, and what several of them share, becomes a chunk beside it. Code that nobody
    uses is left out. The modules that went in leave the graph.

Why
    A page loads one file instead of hundreds, and compression sees all of the code at once.
    The voice application of the fixtures: 47 modules become 3 files.

Keeps
    The names that a root exports. Files that are fetched while the application runs, workers,
    worklets and Emscripten's glue keep their own paths, and ``import.meta.url`` its meaning: what
    was relative to a module is rewritten to be relative to the bundle. Licences of all packages
    that went in, and comments marked as legal, are collected in ``app/LICENSES.txt``.
    A worker written in TypeScript is bundled like a root, since no browser runs it as it is.
    A root that lies in ``outdir`` with everything it imports is a bundle already and stays.

Source
    esbuild 0.28.2, https://esbuild.github.io/api/; the analysis of ``new URL(...)`` is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.analysis.packages import is_notice, package_of
from toolchain.errors import ConfigError, InputError
from toolchain.formats import esbuild
from toolchain.formats.code_folder import code_folder
from toolchain.formats.esbuild_plugins import AddressesStayRight
from toolchain.formats.package_json import parse
from toolchain.formats.sourcemap import Origin, compose, seen_from_above
from toolchain.formats.sourcemap import dump as dump_map
from toolchain.formats.sourcemap import parse as parse_map
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, Relation, Store
from toolchain.passes.base import GraphPass
from toolchain.sources.tools import tool
from toolchain.units import Bytes

_SCRIPTS = frozenset({Kind.JS, Kind.TS})
_ABSENT = frozenset({Kind.EXTERNAL, Kind.UNKNOWN})
_IMPORTS = {"import-statement": Relation.IMPORT, "dynamic-import": Relation.LAZY}
_KINDS = {".js": Kind.JS, ".css": Kind.CSS}
_LEGAL = ".LEGAL.txt"  # what esbuild appends to the name of a file with legal comments
_NOTICES = "LICENSES.txt"

_WHOLE = ("--tree-shaking=false", "--ignore-annotations")  # the last of two equal flags counts


@dataclass(frozen=True)
class Built:
    """What the bundler made: of which modules, what, and who needs its own address."""

    entries: tuple[ArtifactId, ...]
    result: esbuild.Result
    own_address: frozenset[str]
    origins: Mapping[str, Origin]  # where places of modules that were edited before were


@dataclass(frozen=True)
class BundleJs(GraphPass):
    """Bundle every script that is a root.

    ``conditions`` are those of package.json's ``exports``; ``external`` names packages that stay
    imports, for a page that provides them. ``sourcemap`` makes a map for each script, which
    ``vtool trace`` reads and which does not ship.
    """

    proof = "same-exports"

    minify: bool = True
    splitting: bool = True
    target: str = "es2022"
    outdir: str = "app"
    conditions: tuple[str, ...] = ("browser", "module")
    external: tuple[str, ...] = ()
    sourcemap: bool = False

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with bundles in place of its modules.

        Errors:
            ConfigError: ``outdir`` leads out of the output, or esbuild knows no such ``target``.
            InputError: a syntax error, an import that does not resolve.
            ToolError: esbuild failed.
        """
        built = self.built(graph, store)
        if built is None:
            return graph
        rewiring = _Rewiring(
            graph, store, built.result, self.outdir, built.own_address, built.origins
        )
        return rewiring.graph(set(built.entries))

    def built(self, graph: Graph, store: Store, *, shaken: bool = True) -> Built | None:
        """Return what the bundler makes of ``graph``; None if it has nothing to bundle.

        Not ``shaken``: with all code of the modules that it reads, also where a package says that
        its modules can be left out, to measure what tree shaking is worth.

        Errors:
            as ``apply``
        """
        if self.outdir.startswith("/") or ".." in PurePosixPath(self.outdir).parts:
            raise ConfigError(
                f"bundle-js: outdir: {self.outdir!r} leads out of the output folder",
                hint="write it relative to the output folder",
            )
        entries = self._entries(graph)
        if not entries:
            return None
        with (
            code_folder(graph.files.values(), store) as folder,
            esbuild.service(tool("esbuild")) as service,
        ):
            moved = {str(i): f"{self.outdir}/{name}.js" for name, i in entries.items()}
            plugin = AddressesStayRight(
                folder, graph.files, frozenset(self.conditions), moved, self.outdir
            )
            flags = self._flags() if shaken else (*self._flags(), *_WHOLE)
            result = service.build(esbuild.Build(folder, dict(entries), flags, plugin))
            if result.errors:
                raise _wrong(result.errors, folder)
        own_address = frozenset(plugin.own_address)
        return Built(tuple(entries.values()), result, own_address, plugin.origins)

    def _entries(self, graph: Graph) -> dict[str, ArtifactId]:
        """Return the modules to bundle by the names of their bundles, without extension."""
        scripts = sorted(r for r in graph.roots if graph.artifacts[r].kind in _SCRIPTS)
        roots = [r for r in scripts if not self._is_bundle(r, graph)]
        workers = {
            e.target
            for e in graph.edges
            if e.relation is Relation.WORKER and graph.artifacts[e.target].kind is Kind.TS
        }
        entries: dict[str, ArtifactId] = {}
        for module in [*roots, *sorted(workers - set(roots))] if roots else []:
            path = PurePosixPath(module)
            short, long = path.stem, "-".join(path.with_suffix("").parts)
            entries[long if short in entries else short] = module
        return entries

    def _is_bundle(self, root: ArtifactId, graph: Graph) -> bool:
        """Whether a root lies in ``outdir`` with all it imports: it was bundled before."""
        return graph.artifacts[root].kind is Kind.JS and all(
            PurePosixPath(i).parent == PurePosixPath(self.outdir)
            for i in {root, *graph.targets(root, *_IMPORTS.values())}
            if graph.artifacts[i].kind not in _ABSENT
        )

    def _flags(self) -> tuple[str, ...]:
        flags = [
            "--bundle",
            "--format=esm",
            "--platform=browser",
            "--tree-shaking=true",
            "--charset=utf8",
            "--preserve-symlinks",
            "--legal-comments=external",
            f"--target={self.target}",
            f"--outdir={self.outdir}",
            f"--conditions={','.join(self.conditions)}",
            *(f"--external:{name}" for name in self.external),
        ]
        if self.minify:
            flags.append("--minify")
        if self.splitting:
            flags.append("--splitting")
        if self.sourcemap:
            flags += ["--sourcemap=external", "--sources-content=false"]
        return tuple(flags)


def _wrong(errors: tuple[esbuild.Message, ...], folder: Path) -> InputError:
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    where = f"{first.where()}: " if first.where() else ""
    text = first.text.replace(f"{folder}/", "")
    hint = f"correct the code: {first.source.strip()[:80]}"
    if text.startswith("Could not resolve"):
        hint = "install the package, correct the import, or name it in bundle-js's `external`"
    return InputError(f"{where}{text}{more}", hint=hint)


@dataclass(frozen=True)
class _Rewiring:
    """The outputs of a build in the place of the modules that went into it."""

    before: Graph
    store: Store
    result: esbuild.Result
    outdir: str
    own_address: frozenset[str]
    origins: Mapping[str, Origin]

    def graph(self, entries: set[ArtifactId]) -> Graph:
        """Return the new graph; ``entries`` are the modules that became bundles."""
        before = self.before
        used = {ArtifactId(i) for i in self.result.inputs if i in before.artifacts}
        scripts = [o for o in self.result.outputs if not o.path.endswith(_LEGAL)]
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
        styles = {a.id for a in new if a.kind in {Kind.CSS, Kind.TEXT}}
        names = {a.id for a in new}
        kept = [e for e in before.edges if e.source not in names]
        edges = {*kept, *(e for o in scripts for e in self._edges(o, entries))}
        new += self._outside(edges)
        for output in scripts:
            if output.map:
                new.append(self._map(output))
                edges.add(Edge(new[-1].id, ArtifactId(output.path), Relation.MAPS))
        roots = (before.roots - entries) | starts | styles
        artifacts = {**before.artifacts, **{a.id: a for a in new}}
        return _without(Graph(artifacts, frozenset(edges), frozenset(roots)), used - names, before)

    def _artifact(self, path: str, data: bytes) -> Artifact:
        kind = _KINDS.get(PurePosixPath(path).suffix, Kind.TEXT)
        return Artifact(ArtifactId(path), kind, self.store.put(data), Bytes(len(data)))

    def _map(self, output: esbuild.Output) -> Artifact:
        """Return the source map of a script, all the way back to the modules as they came in."""
        built = seen_from_above(parse_map(output.map), output.path)
        data = dump_map(compose(built, self.origins), file=PurePosixPath(output.path).name)
        name = ArtifactId(f"{output.path}.map")
        return Artifact(name, Kind.SOURCEMAP, self.store.put(data), Bytes(len(data)))

    def _edges(self, output: esbuild.Output, entries: set[ArtifactId]) -> Iterator[Edge]:
        """Yield what an output needs: other outputs, and what its modules need besides modules."""
        source = ArtifactId(output.path)
        outputs = {o.path for o in self.result.outputs}
        bundles = {o.entry: ArtifactId(o.path) for o in self.result.outputs if o.entry in entries}
        for one in output.imports:
            if one.kind in _IMPORTS and (one.external or one.path in outputs):
                target = f"external:{one.path}" if one.external else one.path
                yield Edge(source, ArtifactId(target), _IMPORTS[one.kind])
        modules = {m for m, size in output.inputs.items() if size}
        for module in modules & self.own_address:
            yield Edge(source, ArtifactId(module), Relation.FETCH)
        for edge in self.before.edges:
            if edge.source not in modules or edge.relation is Relation.CONTAINS:
                continue
            absent = self.before.artifacts[edge.target].kind in _ABSENT
            if edge.relation not in _IMPORTS.values() or absent:
                target = bundles.get(edge.target, edge.target)
                if target != source:
                    yield Edge(source, target, edge.relation)

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
            if output.path.endswith(_LEGAL) and output.data.strip():
                texts[output.path.removesuffix(_LEGAL)] = output.data.decode(errors="replace")
        return "\n".join(
            f"---- {name}\n\n{texts[name].strip()}\n" for name in sorted(texts)
        ).encode()


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
    gone |= {i for i, a in graph.artifacts.items() if a.kind in _ABSENT and i not in wanted}
    return graph.keep(graph.artifacts.keys() - gone)


def _is_label(artifact: Artifact) -> bool:
    return artifact.id.endswith("/package.json") or is_notice(artifact)
