"""Reads which npm packages a project has, where each copy lies, and who asks for which version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from posixpath import dirname

from toolchain.analysis.packages import package_of
from toolchain.errors import FormatError
from toolchain.formats.package_json import Package, parse
from toolchain.ir import ArtifactId, Digest, Graph, Store
from toolchain.npm_range import accepts, real_name

_MODULES = "node_modules"
_NEEDS = ("peerDependencies", "optionalDependencies", "dependencies")  # the last one counts


@dataclass(frozen=True, slots=True)
class Copy:
    """A package in a folder of ``node_modules``."""

    folder: str
    called: str  # as importers call it: differs from its name for an alias
    name: str
    version: str
    files: Mapping[str, Digest]  # its own by path inside, without packages nested in it
    peers: tuple[str, ...]

    @property
    def around(self) -> str:
        """The folder in whose ``node_modules`` it lies: what is there sees it first."""
        return self.folder.removesuffix(f"{_MODULES}/{self.called}").rstrip("/")


@dataclass(frozen=True, slots=True)
class Ask:
    """Who needs a package, in which versions."""

    asker: str  # the folder of a package; "" is the project
    wanted: str | None  # None: imported without being declared


@dataclass(frozen=True)
class Installed:
    """All copies by folder, and who sees which."""

    copies: Mapping[str, Copy]
    asks: Mapping[str, tuple[Ask, ...]]

    def visible(self, folder: str, name: str) -> Copy | None:
        """Return the copy of ``name`` that code in ``folder`` finds, as Node looks for it."""
        for place in _upwards(folder):
            found = self.copies.get(_join(place, name))
            if found is not None:
                return found
        return None

    def behind(self, copy: Copy) -> Copy | None:
        """Return the copy that those who see ``copy`` would find if it were not there."""
        return self.visible(dirname(copy.around), copy.called) if copy.around else None

    def fits_all(self, copy: Copy, other: Copy) -> bool:
        """Whether ``other`` is of a version that all who see ``copy`` accept; somebody must."""
        asks = self.asks.get(copy.folder, ())
        versions = copy.version and other.version and copy.name == other.name
        return bool(versions and asks) and all(fits(ask, copy.called, other) for ask in asks)

    def several(self) -> dict[str, list[Copy]]:
        """Return the packages that there are several copies of, by name, copies by folder."""
        named: dict[str, list[Copy]] = {}
        for folder in sorted(self.copies):
            named.setdefault(self.copies[folder].name, []).append(self.copies[folder])
        return {name: found for name, found in sorted(named.items()) if len(found) > 1}


class GraphFiles:
    """A graph's files as resolvers ask for them: ``javascript_targets.ProjectFiles``."""

    def __init__(self, graph: Graph, store: Store) -> None:
        self._graph, self._store = graph, store
        self._packages: dict[str, bytes] = {}  # every package.json that was asked for

    def __contains__(self, name: object) -> bool:
        return name in self._graph.artifacts

    def read(self, name: str, /) -> bytes:
        """Return the bytes of a file that is there; those of each ``package.json`` are kept."""
        data = self._packages.get(name)
        if data is None:
            data = self._store.get(self._graph.artifacts[ArtifactId(name)].digest)
            if name.endswith("package.json"):  # resolvers ask for it with every import
                self._packages[name] = data
        return data

    def named(self, basename: str, /) -> Sequence[str]:
        """Return all files whose last path component is ``basename``, sorted."""
        return self._by_name.get(basename, [])

    def in_folder(self, folder: str, /) -> Sequence[str]:
        """Return all files below ``folder`` ("" is everything), sorted."""
        start = f"{folder}/" if folder else ""
        return [name for name in self._names if name.startswith(start)]

    @cached_property
    def _names(self) -> list[str]:
        return sorted(self._graph.files)

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self._names:
            found.setdefault(name.rpartition("/")[2], []).append(name)
        return found


def fits(ask: Ask, called: str, other: Copy) -> bool:
    """Whether ``other`` answers ``ask`` for ``called``; what cannot be known does not."""
    if ask.wanted is None:
        return False
    name, wanted = real_name(called, ask.wanted)
    return name == other.name and accepts(wanted, other.version) is True


def installed(graph: Graph, store: Store) -> Installed:
    """Read the ``package.json`` of every package in ``graph``; broken ones are no packages."""
    packages = dict(_packages(graph, store))
    files: dict[str, dict[str, Digest]] = {}
    for name, artifact in graph.files.items():
        folder = package_of(name)
        if folder in packages:
            files.setdefault(folder, {})[name[len(folder) + 1 :]] = artifact.digest
    copies = {
        folder: _copy(folder, package, files[folder])
        for folder, package in packages.items()
        if f"{_MODULES}/" in folder
    }
    found = Installed(copies, {})
    asks: dict[str, dict[str, Ask]] = {}
    for folder, package in packages.items():
        for called, wanted in _wanted(package).items():
            seen = found.visible(folder, called)
            if seen is not None:
                asks.setdefault(seen.folder, {})[folder] = Ask(folder, wanted)
    for asker, folder in _imports(graph, packages):
        asks.setdefault(folder, {}).setdefault(asker, Ask(asker, None))
    told = {f: tuple(a for _, a in sorted(by.items())) for f, by in sorted(asks.items())}
    return Installed(copies, told)


def home(name: str, packages: Mapping[str, object]) -> str:
    """Return the folder of the package that a file belongs to; "" for the project's own."""
    folder = package_of(ArtifactId(name))
    if folder in packages and f"{_MODULES}/" in folder:
        return folder
    return next((f for f in _upwards(dirname(name)) if f in packages), "")


def _packages(graph: Graph, store: Store) -> Iterator[tuple[str, Package]]:
    """Yield the packages in node_modules, and the project's own with a name."""
    for name, artifact in sorted(graph.files.items()):
        folder, _, base = name.rpartition("/")
        if base != "package.json":
            continue
        nested = _MODULES in folder.split("/")
        if nested and package_of(name) != folder:
            continue  # only says whether scripts are modules
        try:
            package = parse(store.get(artifact.digest))
        except FormatError:
            continue
        if nested or package.name or not folder:
            yield folder, package


def _copy(folder: str, package: Package, files: Mapping[str, Digest]) -> Copy:
    called = folder.rpartition(f"{_MODULES}/")[2]
    version = package.fields.get("version")
    peers = package.fields.get("peerDependencies")
    return Copy(
        folder,
        called,
        package.name or called,
        version if isinstance(version, str) else "",
        files,
        tuple(sorted(peers)) if isinstance(peers, dict) else (),
    )


def _wanted(package: Package) -> dict[str, str]:
    needs: dict[str, str] = {}
    for key in _NEEDS:
        table = package.fields.get(key)
        if isinstance(table, dict):
            needs |= {n: w for n, w in table.items() if isinstance(w, str)}
    return needs


def _imports(graph: Graph, packages: Mapping[str, Package]) -> Iterator[tuple[str, str]]:
    """Yield which package has a file that needs a file of which other one in node_modules."""
    homes = {name: home(name, packages) for name in graph.files}
    for edge in sorted(graph.edges):
        source, target = homes.get(edge.source), homes.get(edge.target)
        if source is not None and target and source != target and f"{_MODULES}/" in target:
            yield source, target


def _upwards(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = dirname(folder)
    yield ""


def _join(folder: str, name: str) -> str:
    return f"{folder}/{_MODULES}/{name}" if folder else f"{_MODULES}/{name}"
