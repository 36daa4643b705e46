"""Proof that bundles are the modules they were made from.

Four things are compared: the names that each root exports, as the source text and the bundle's
text say; every import of the new files, which must lead to a file of the result or to something
outside that the sources ask for, too; paths of this machine, of which there must be none; and
what node gets when it loads the bundle, against a bundle of the same sources with nothing removed
and nothing renamed, or where modules import each other in a circle, against the modules one by one:
exports with their types, what the console says, which globals and members of built-in classes are
changed. Code that needs a browser to load fails alike both times, and the
proof says that it rests on the other three. Lazy and shared chunks and workers must load in node as
well, or fail as a whole bundle of such a module does. Sources are resolved under the pass's
``conditions``.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import dirname, join, normpath

from toolchain.analysis.reachability import reachable
from toolchain.bundling.circles import circular
from toolchain.errors import InputError
from toolchain.formats import esbuild
from toolchain.formats.code_folder import code_folder
from toolchain.formats.esbuild_plugins import NodeStaysOutside
from toolchain.formats.javascript import Module, read
from toolchain.formats.node_module import Both, Laid, Loading, load_both, load_module, spoken
from toolchain.formats.node_resolution import Resolver, is_builtin
from toolchain.formats.unbundled import unbundled
from toolchain.installed import GraphFiles
from toolchain.ir import ArtifactId, DirectoryStore, Graph, Kind, Proof, Relation, Store
from toolchain.sources.tools import node, tool
from toolchain.temporary import temporary_folder

_SCRIPTS = frozenset({Kind.JS, Kind.TS})
_LONGEST_PATH = 200
_DEAD_ZONE = "before initialization"
_WHOLE, _SOURCE = "whole bundle", "source"  # what a bundle is compared with
_LOADS = frozenset({"import", "import()"})
_APART = frozenset({Relation.LAZY, Relation.WORKER})  # what a bundler puts into files of their own


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Return whether the bundles in ``after`` stand for the roots of ``before``."""
    case = _Case(before, after, store, options)
    if not case.new:
        return Proof("same-exports", holds=True, detail="nothing was bundled")
    try:
        problems = [*case.unpaired(), *case.exports(), *case.unresolved(), *case.machine_paths()]
        if problems:
            return Proof("same-exports", holds=False, detail=problems[0])
        outcomes = [*case.loadings(), *case.chunk_loadings()]
    except (InputError, KeyError, RecursionError) as error:
        return Proof("same-exports", holds=False, detail=f"cannot be compared: {error}")
    wrong = [o.text for o in outcomes if not o.holds]
    if wrong:
        return Proof("same-exports", holds=False, detail=wrong[0])
    detail = f"{len(case.new)} files, all imports resolve; " + "; ".join(o.text for o in outcomes)
    return Proof("same-exports", holds=True, detail=detail)


def _conditions(options: Mapping[str, object]) -> frozenset[str]:
    """Return the conditions of package.json's ``exports`` that the pass bundled under."""
    given = options.get("conditions", ())
    return frozenset(map(str, given)) if isinstance(given, Sequence) else frozenset()


@dataclass(frozen=True, slots=True)
class _Outcome:
    holds: bool
    text: str


class _Case:
    """Both graphs, and what is asked of them more than once."""

    def __init__(
        self,
        before: Graph,
        after: Graph,
        store: Store,
        options: Mapping[str, object],
    ) -> None:
        self.before, self.after, self.store = before, after, store
        self.conditions = _conditions(options)
        self.mode = "production" if options.get("minify") else "development"  # as esbuild has it
        self.target = str(options.get("target", "es2022"))  # node knows less than esbuild
        self.new = sorted(
            i
            for i, a in after.artifacts.items()
            if a.kind is Kind.JS and before.artifacts.get(i) != a
        )
        self.roots = sorted(
            r
            for r in before.roots
            if before.artifacts[r].kind in _SCRIPTS
            and (r not in after.roots or after.artifacts[r] != before.artifacts[r])
        )
        self.pairs = dict(self._pairs())
        self._modules: dict[str, Module] = {}

    def _pairs(self) -> Iterator[tuple[ArtifactId, ArtifactId]]:
        """Find each root's bundle by its name, or by its whole path where two are alike."""
        bundles = {PurePosixPath(i).stem: i for i in self.new if i in self.after.roots}
        taken: set[ArtifactId] = set()
        for root in self.roots:
            path = PurePosixPath(root)
            for name in (path.stem, "-".join(path.with_suffix("").parts)):
                bundle = bundles.get(name)
                if bundle is not None and bundle not in taken:
                    taken.add(bundle)
                    yield root, bundle
                    break

    def unpaired(self) -> Iterator[str]:
        """Yield the roots without a bundle."""
        yield from (f"there is no bundle for {r}" for r in self.roots if r not in self.pairs)

    def exports(self) -> Iterator[str]:
        """Yield the bundles that do not export what their roots do."""
        for root, bundle in self.pairs.items():
            if not self._module(self.before, root).is_esm:
                continue
            wanted, got = self.names(root), set(self._module(self.after, bundle).exports.names)
            if wanted != got:
                lost, added = sorted(wanted - got), sorted(got - wanted)
                yield f"{bundle} exports not what {root} does: lost {lost}, added {added}"

    def names(self, root: ArtifactId) -> set[str]:
        """Return the names that a source module exports, those it passes on included."""
        return self._names(root, frozenset())

    def _names(self, module: ArtifactId, above: frozenset[ArtifactId]) -> set[str]:
        exports = self._module(self.before, module).exports
        names = set(exports.names)
        resolver = Resolver(GraphFiles(self.before, self.store), self.conditions)
        for star in exports.stars:
            found = resolver.resolve(star, module)
            if isinstance(found, str) and found and found not in above:
                passed_on = self._names(ArtifactId(found), above | {module})
                names |= passed_on - {"default"}
        return names

    def unresolved(self) -> Iterator[str]:
        """Yield the imports of the new files that lead nowhere."""
        for script in self.new:
            for mention in self._module(self.after, script).mentions:
                if mention.how not in _LOADS or mention.computed:
                    continue
                if not self._is_there(script, mention.target):
                    yield f"{script}: the import of {mention.target!r} leads nowhere"

    def _is_there(self, script: ArtifactId, target: str) -> bool:
        if target.startswith("."):
            return normpath(join(dirname(script), target)) in self.after.artifacts
        outside = ArtifactId(f"external:{target}")
        declared = outside in self.after.targets(script) and outside in self.after.artifacts
        return declared or self._is_asked_for(target)

    def _is_asked_for(self, target: str) -> bool:
        """Whether a source asks for a module of Node or for an address on the network."""
        remote = is_builtin(target) or "://" in target
        return remote and any(
            target in {m.target for m in self._module(self.before, i).mentions}
            for i, a in self.before.files.items()
            if a.kind in _SCRIPTS and target.encode() in self.store.get(a.digest)
        )

    def machine_paths(self) -> Iterator[str]:
        """Yield paths of this machine, and file: addresses, that no source holds itself."""
        suspects = {b"file:///", os.fsencode(tempfile.gettempdir()) + b"/vtool-"}
        suspects |= {os.fsencode(Path.cwd()) + b"/", os.fsencode(Path.home()) + b"/"}
        if isinstance(self.store, DirectoryStore):
            suspects.add(os.fsencode(self.store.root.resolve()) + b"/")
        for script in self.new:
            data = self.store.get(self.after.artifacts[script].digest)
            for suspect in sorted(s for s in suspects if s in data):
                at = data.index(suspect)
                path = data[at : at + _LONGEST_PATH].split(b'"')[0].split(b"'")[0].split(b"`")[0]
                if not self._sources_hold(path):
                    yield f"{script} holds a path of this machine: {path.decode(errors='replace')}"

    def _sources_hold(self, text: bytes) -> bool:
        return any(
            text in self.store.get(a.digest)
            for a in self.before.files.values()
            if a.kind in _SCRIPTS
        )

    def loadings(self) -> Iterator[_Outcome]:
        """Load each bundle in node, and one of the same root with nothing removed."""
        with temporary_folder(prefix="vtool-load-") as name:
            # names of one length, and the same below: a program may say what its file is called
            ours, theirs = Path(name).resolve() / "bundle", Path(name).resolve() / "source"
            _write(ours, {i: self.store.get(self.after.artifacts[i].digest) for i in self.new})
            whole = self._whole_bundles({b: r for r, b in self.pairs.items()})
            _write(theirs, {o.path: o.data for o in whole.outputs})
            alone = self._modules_one_by_one(whole, Path(name).resolve() / "single")
            for root, bundle in self.pairs.items():
                reference, other = Laid(theirs / bundle, theirs), _WHOLE
                if root in alone and _tells_more(alone[root]):
                    reference, other = alone[root], _SOURCE
                both = load_both(node(), Laid(ours / bundle, ours), reference)
                yield self._compared((root, bundle), both, other)
                if difference := _seen_otherwise(both, other):
                    yield _Outcome(
                        holds=not both.steady,
                        text=f"{bundle}: {difference}"
                        + ("" if both.steady else f"; so does the {other} from run to run"),
                    )

    def _modules_one_by_one(self, whole: esbuild.Result, folder: Path) -> dict[ArtifactId, Laid]:
        """Lay out the modules of each root that have a circle, as files of their own in ``folder``.

        esbuild's bundle of such modules may read what cannot be read yet.
        """
        circles = {root: circular(root, whole.inputs) for root in self.pairs}
        code = frozenset[str]().union(*circles.values())
        if not code:
            return {}
        resolver = Resolver(GraphFiles(self.before, self.store), self.conditions)
        with (
            code_folder(self.before.files.values(), self.store) as sources,
            esbuild.service(tool("esbuild")) as service,
        ):
            made = unbundled(sources, code, resolver, service, self.mode)
        _write(folder, made.files)
        return {
            root: Laid(folder / made.paths.get(root, root), folder)
            for root, scripts in circles.items()
            if scripts
        }

    def chunk_loadings(self) -> Iterator[_Outcome]:
        """Load the files that are no root's bundle; what fails must fail as a whole module does."""
        chunks = [i for i in self.new if i not in self.pairs.values()]
        with temporary_folder(prefix="vtool-load-") as name:
            folder = Path(name).resolve()
            _write(folder, {i: self.store.get(self.after.artifacts[i].digest) for i in self.new})
            loaded = {i: load_module(node(), folder / i, root=folder) for i in chunks}
            failed = {i: loading for i, loading in loaded.items() if loading.error}
            whole = self._whole_failures(folder) if failed else {}
        if count := len(chunks) - len(failed):
            text = "1 chunk loads" if count == 1 else f"{count} chunks load"
            yield _Outcome(holds=True, text=f"{text} in node")
        for chunk, loading in failed.items():
            error = loading.error
            like = min((module for module, w in whole.items() if w.fails_as(loading)), default=None)
            text = f"{chunk} fails to load in node: {error}"
            if like is not None:
                text = f"{chunk} does not load in node, nor does a whole bundle of {like} ({error})"
            yield _Outcome(holds=like is not None, text=text)

    def _whole_failures(self, folder: Path) -> dict[ArtifactId, Loading]:
        """Return how whole bundles of the roots, and of what they load apart, fail in node."""
        used = reachable(self.before)
        apart = {e.target for e in self.before.edges if e.relation in _APART and e.source in used}
        scripts = {i for i in apart if self.before.artifacts[i].kind in _SCRIPTS}
        modules = sorted({*self.pairs, *scripts})
        bundles = {f"{number}.js": module for number, module in enumerate(modules)}
        made = self._whole_bundles(bundles)
        _write(folder / "whole", {o.path: o.data for o in made.outputs})
        return {m: load_module(node(), folder / "whole" / n) for n, m in bundles.items()}

    def _whole_bundles(self, modules: Mapping[str, ArtifactId]) -> esbuild.Result:
        """Bundle each module, under its name, without minifying and without removing anything."""
        outside = {
            e.target.partition(":")[2]
            for e in self.after.edges
            if e.source in self.new and self.after.artifacts[e.target].kind is Kind.EXTERNAL
        }
        outside -= {name for name in outside if self._is_replaced(name)}
        flags = ["--bundle", "--format=esm", "--platform=browser", "--tree-shaking=false"]
        flags += ["--outdir=.", "--preserve-symlinks", f"--target={self.target}"]
        flags += [f"--define:process.env.NODE_ENV={json.dumps(self.mode)}"]
        flags += [f"--conditions={','.join(sorted(self.conditions))}"]
        flags += [f"--external:{name}" for name in sorted(outside)]
        entries = {name.removesuffix(".js"): str(module) for name, module in modules.items()}
        with (
            code_folder(self.before.files.values(), self.store) as folder,
            esbuild.service(tool("esbuild")) as service,
        ):
            plugin = NodeStaysOutside(folder, self.before.files, self.conditions)
            result = service.build(esbuild.Build(folder, entries, tuple(flags), plugin))
        if result.errors:
            first = result.errors[0]
            raise InputError(f"the sources do not bundle: {first.where()} {first.text}")
        return result

    def _is_replaced(self, name: str) -> bool:
        """Whether a source that asks for ``name`` gets a file, or what stands for nothing.

        That is what the browser field of its package.json says.
        """
        resolver = Resolver(GraphFiles(self.before, self.store), self.conditions)
        sources = (e.source for e in self.before.edges if e.target == f"external:{name}")
        return any(
            isinstance(resolver.resolve(m.target, source, require=m.how == "require"), str)
            for source in sources
            for m in self._module(self.before, source).mentions
            if m.target == name
        )

    def _compared(self, pair: tuple[ArtifactId, ArtifactId], both: Both, other: str) -> _Outcome:
        (root, bundle), ours, theirs = pair, both.ours, both.theirs
        if ours.is_late and theirs.is_late:
            return _Outcome(
                holds=True,
                text=f"{bundle}: {_count(self.names(root))} as in {root}, and that alone was "
                f"compared: in node neither it nor its {other} came to an end ({ours.error})",
            )
        if ours.error or theirs.error:
            if ours.fails_as(theirs):
                return _Outcome(
                    holds=True,
                    text=f"{bundle}: {_count(self.names(root))} as in {root}; not run, since "
                    f"its {other} does not load in node either ({ours.error})",
                )
            side, error = (bundle, ours.error) if ours.error else (f"the {other}", theirs.error)
            return _Outcome(holds=False, text=f"only {side} fails to load in node: {error}")
        if ours.exports != theirs.exports:
            different = sorted({name for name, _ in set(ours.exports) ^ set(theirs.exports)})
            return _Outcome(holds=False, text=f"{bundle} gives other values for {different}")
        like = "its modules one by one" if other == _SOURCE else "an unshaken, unminified bundle"
        return _Outcome(
            holds=True,
            text=f"{bundle}: {_count(dict(ours.exports))} as in {root}, "
            f"same names and types in node as {like}, same console and globals",
        )

    def _module(self, graph: Graph, name: ArtifactId) -> Module:
        digest = graph.artifacts[name].digest
        if digest not in self._modules:
            self._modules[digest] = read(self.store.get(digest))
        return self._modules[digest]


def _tells_more(laid: Laid) -> bool:
    """Whether the modules of a program, one by one, show what it means: they load, or cannot.

    What only a bundler understands fails otherwise, as does what bundlers leave out.
    """
    error = load_module(node(), laid.module, root=laid.root).error
    return not error or _DEAD_ZONE in error


def _seen_otherwise(both: Both, other: str) -> str:
    """Return what two loadings do not have in common besides exports, in words; empty if nothing.

    Lines of the console are compared in order, globals and members of built-in classes by name.
    """
    ours, theirs = both.ours, both.theirs
    mine, whole = spoken(ours, theirs)
    if mine != whole:
        at = next((n for n, (a, b) in enumerate(zip(mine, whole, strict=False)) if a != b), None)
        at = min(len(mine), len(whole)) if at is None else at
        said = repr(mine[at])[:_LONGEST_PATH] if at < len(mine) else "nothing"
        wanted = repr(whole[at])[:_LONGEST_PATH] if at < len(whole) else "nothing"
        return f"the console says {said} where the {other} says {wanted}"
    if ours.changed != theirs.changed:
        names = sorted(set(ours.changed) ^ set(theirs.changed))
        return f"other globals or built-in members are changed: {', '.join(names[:10])}"
    return ""


def _write(folder: Path, files: Mapping[str, bytes] | Mapping[ArtifactId, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "package.json").write_text('{"type": "module"}')


def _count(names: object) -> str:
    count = len(names) if isinstance(names, set | dict) else 0
    return f"{count} export{'' if count == 1 else 's'}"
