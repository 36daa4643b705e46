"""Imports of the project's own packages, to which no link leads."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from toolchain.formats.node_resolution import Resolver
from toolchain.formats.package_json import Problem


class _Files(dict[str, bytes]):
    def read(self, name: str, /) -> bytes:
        return self[name]

    def named(self, basename: str, /) -> list[str]:
        return sorted(n for n in self if n.rpartition("/")[2] == basename)


def _resolver(packages: Mapping[str, object], *files: str) -> Resolver:
    texts = {f"{at}/package.json".lstrip("/"): json.dumps(p) for at, p in packages.items()}
    found = {name: text.encode() for name, text in {**dict.fromkeys(files, ""), **texts}.items()}
    return Resolver(_Files(found), frozenset())


UI = {"name": "@m/ui", "main": "src/index.js"}
FILES = ("packages/ui/src/index.js", "packages/ui/src/b.js", "packages/app/main.js")


@pytest.mark.parametrize(
    "workspaces",
    [["packages/*"], ["./packages/ui"], {"packages": ["**"]}, ["!packages/ui", "packages/**"]],
)
def test_a_workspace_is_imported_from_its_folder(workspaces: object) -> None:
    resolver = _resolver({"": {"workspaces": workspaces}, "packages/ui": UI}, *FILES)
    importer = "packages/app/main.js"
    assert resolver.resolve("@m/ui", importer) == "packages/ui/src/index.js"
    assert resolver.resolve("@m/ui/src/b", importer, require=True) == "packages/ui/src/b.js"
    assert resolver.in_project("@m/ui", importer) == "packages/ui/src/index.js"
    assert resolver.in_project("./main.js", importer) is None
    assert isinstance(resolver.resolve("@m/ui/gone", importer), Problem)


@pytest.mark.parametrize("asked", ["workspace:*", "file:../ui", "link:../ui", "portal:../ui"])
def test_a_dependency_may_name_a_workspace_or_a_folder(asked: str) -> None:
    app = {"name": "app", "dependencies": {"@m/ui": asked}}
    resolver = _resolver({"packages/app": app, "packages/ui": UI}, *FILES)
    assert resolver.in_project("@m/ui", "packages/app/main.js") == "packages/ui/src/index.js"


@pytest.mark.parametrize(
    "packages",
    [
        {"packages/ui": UI},
        {"": {"workspaces": ["apps/*", "packages/*", "!packages/ui"]}, "packages/ui": UI},
        {"": {"workspaces": 1}, "packages/ui": UI},
        {"": {"workspaces": ["**"]}, "packages/ui": UI, "packages/other": UI},
        {"": {"workspaces": ["**"]}, "packages/ui": {"name": "ui"}},
        {"packages/app": {"dependencies": {"@m/ui": "file:../../../ui"}}, "packages/ui": UI},
        {"packages/app": {"dependencies": {"@m/ui": "1"}}, "packages/ui": UI},
    ],
)
def test_what_no_package_counts_in_is_not_installed(packages: Mapping[str, object]) -> None:
    resolver = _resolver(packages, *FILES)
    found = resolver.resolve("@m/ui", "packages/app/main.js")
    assert found == Problem("the package @m/ui is not installed")


def test_an_installed_package_is_nearer_than_a_workspace() -> None:
    packages = {"": {"workspaces": ["packages/*"]}, "packages/ui": UI, "node_modules/@m/ui": UI}
    resolver = _resolver(packages, *FILES, "node_modules/@m/ui/src/index.js")
    found = resolver.resolve("@m/ui", "packages/app/main.js")
    assert found == "node_modules/@m/ui/src/index.js"
    assert resolver.in_project("@m/ui", "packages/app/main.js") is None


def test_exports_of_a_workspace_hold() -> None:
    ui = {"name": "ui", "exports": {".": {"import": "./i.js", "require": "./r.js"}}}
    resolver = _resolver({"": {"workspaces": ["ui"]}, "ui": ui}, "ui/i.js", "ui/r.js")
    assert resolver.in_project("ui", "a.js") == "ui/i.js"
    assert resolver.in_project("ui", "a.js", require=True) == "ui/r.js"
    found = resolver.resolve("ui/i.js", "a.js")
    assert found == Problem("ui does not export ./i.js")
