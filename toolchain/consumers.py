"""A library as a named consumer sees it: the consumer's files are the roots, not the library's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolchain.errors import ConfigError, InputError
from toolchain.formats import package_json
from toolchain.ir import Graph
from toolchain.sources import file, tree
from toolchain.sources.project import Assembly
from toolchain.sources.tree import SourceFile


@dataclass(frozen=True)
class View:
    """From where ``vtool analyze`` looks at a target that is a library."""

    consumers: Sequence[str] = ()  # scripts that import it: files in it, or paths
    conditions: Sequence[str] = ()  # of package.json; those of vtool.toml where there are none


_HINT = "--consumer FILE names a script that uses it, and judges from its side"


def without_consumer(graph: Graph) -> str:
    """Return what is to be said about unused code where nobody named who uses the target."""
    if graph.roots:
        return f"all that package.json offers counts as used, as anybody may import it; {_HINT}"
    return f"nothing is called unused, as nothing says where the program starts; {_HINT}"


def seen_from(assembly: Assembly, target: str, consumers: Sequence[str]) -> Assembly:
    """Return ``assembly`` with ``consumers`` as its roots: names of its files, or paths.

    A consumer from outside imports the library by its name, so that the library then lies in
    ``node_modules``; nothing else of the consumer's folder is there.

    Errors:
        ConfigError: there is no such file, or two are called the same.
        InputError: the library has no name by which a file from outside could import it.
    """
    files = assembly.tree.files
    inside = {one: _inside(one, target, files) for one in consumers}
    outside = [one for one in consumers if inside[one] is None]
    roots = [name for name in inside.values() if name is not None]
    if not outside:
        return replace(assembly, roots=tuple(roots))
    prefix = f"node_modules/{_name(files)}/"
    seen = {prefix + name: source for name, source in files.items()}
    for path in outside:
        for name, source in _opened(path).items():
            if seen.setdefault(name, source) is not source:
                raise ConfigError(
                    f"two consumers are called {name}", hint="rename one, or analyze them apart"
                )
            roots.append(name)
    moved = tuple(name if name in seen else prefix + name for name in roots)
    install = {f"{prefix}{folder}".rstrip("/"): name for folder, name in assembly.install.items()}
    return replace(assembly, tree=tree.tree(seen), roots=moved, install=install)


def _inside(consumer: str, target: str, files: Mapping[str, SourceFile]) -> str | None:
    """Return which file of the target a consumer is; None for one from outside."""
    name = Path(consumer).as_posix()
    if name in files:
        return name
    path, folder = Path(consumer).resolve(), Path(target).resolve()
    if path.is_relative_to(folder) and path.relative_to(folder).as_posix() in files:
        return path.relative_to(folder).as_posix()
    return None


def _opened(path: str) -> Mapping[str, SourceFile]:
    if not Path(path).is_file():
        raise ConfigError(
            f"--consumer: there is no file {path}",
            hint="name a script in the target, or give the path of one that imports it",
        )
    return file.open_tree(Path(path)).files


def _name(files: Mapping[str, SourceFile]) -> str:
    manifest = files.get("package.json")
    name = package_json.parse(manifest.path.read_bytes()).name if manifest is not None else ""
    if not name:
        raise InputError(
            "a consumer from outside imports a library by its name, and this one has none",
            hint='give it a package.json with "name", or name a consumer inside of it',
        )
    return name
