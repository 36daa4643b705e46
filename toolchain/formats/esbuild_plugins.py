"""What esbuild asks Python while it bundles a folder of modules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from toolchain.formats.esbuild_build import Loaded, Plugin, Resolved, Resolving
from toolchain.formats.javascript_addresses import Rebase, edited, needs_itself, own_imports
from toolchain.formats.node_resolution import Resolver, is_builtin
from toolchain.formats.sourcemap import Origin
from toolchain.formats.sourcemap_edits import edited_text, stale_map
from toolchain.formats.workspaces import own_packages

_BARE = r"^[^./]"
_SCRIPT = r"\.[cm]?[jt]sx?$"


class NodeStaysOutside(Plugin):
    """Leaves Node's own modules to code that asks for them where it finds itself in Node.

    Libraries guard such a ``require`` or ``import()`` by a test for Node; a browser never gets
    there. A static import is not guarded, so it stays an error of the bundler. Imports of the
    project's own packages lead to their folders: there are no links in ``node_modules`` here.
    """

    resolve_filter = _BARE

    def __init__(self, folder: Path, files: Collection[str], conditions: frozenset[str]) -> None:
        self._folder = folder
        self._resolver = Resolver(_Files(folder, files), conditions)
        if own_packages(self._resolver.files):
            self.load_filter = _SCRIPT  # esbuild asks only then: it reads faster alone

    def resolve(self, question: Resolving) -> Resolved | None:
        """Leave a module of Node outside, unless a package of its name is installed."""
        if question.kind == "import-statement" or not is_builtin(question.path):
            return None
        importer = Path(question.importer).relative_to(self._folder).as_posix()
        require = question.kind != "dynamic-import"
        if isinstance(self._resolver.resolve(question.path, importer, require=require), str):
            return None
        return Resolved(question.path, external=True)

    def load(self, path: str) -> Loaded | None:
        """Give esbuild the edited text of a module that imports a package of the project."""
        module = Path(path)
        data = module.read_bytes()
        name = module.relative_to(self._folder).as_posix()
        edits = own_imports(name, data, self._resolver)
        return Loaded(edited(data, edits), _loader(module)) if edits else None


class AddressesStayRight(NodeStaysOutside):
    """Also rewrites addresses that are relative to a module, since its code moves to ``outdir``."""

    load_filter = _SCRIPT

    def __init__(
        self,
        folder: Path,
        files: Collection[str],
        conditions: frozenset[str],
        moved: Mapping[str, str],
        outdir: str,
    ) -> None:
        super().__init__(folder, files, conditions)
        self.own_address: set[str] = set()  # modules that may load themselves as a file
        self.origins: dict[str, Origin] = {}  # where places of modules that were edited were
        self._rebase = Rebase(files, moved, outdir, self._resolver)

    def edited(self, name: str) -> bytes:
        """Return the text of the module ``name`` as bundlers get it."""
        return self._rebase.module(name, (self._folder / name).read_bytes())

    def load(self, path: str) -> Loaded | None:
        """Give esbuild the edited text of a module that asks where it is."""
        module = Path(path)
        name = module.relative_to(self._folder).as_posix()
        data = module.read_bytes()
        edits = self._rebase.edits(name, data)
        if not edits:
            return None
        edits |= stale_map(data)
        self.origins[name] = edited_text(name, data, edits).original
        if needs_itself(data):
            self.own_address.add(name)
        return Loaded(edited(data, edits), _loader(module))


def _loader(module: Path) -> str:
    # .mjs and .cts say how to load a module; the language is that of .js and .ts
    return module.suffix.lstrip(".").lstrip("cm")


class _Files:
    """The files of a project, some of which lie in a folder to be read."""

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        self._folder, self._names = folder, names

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def read(self, name: str, /) -> bytes:
        return (self._folder / name).read_bytes()

    def named(self, basename: str, /) -> Sequence[str]:
        return self._by_name.get(basename, [])

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in sorted(self._names):
            found.setdefault(name.rpartition("/")[2], []).append(name)
        return found
