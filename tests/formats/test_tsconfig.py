"""tsconfig.json is read as compilers read it: comments, inheritance, the nearest one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from toolchain.formats.node_resolution import Resolver
from toolchain.formats.tsconfig import config_of


@dataclass(frozen=True)
class Project:
    """Files in memory."""

    files: Mapping[str, str]

    def __contains__(self, name: object) -> bool:
        return name in self.files

    def read(self, name: str, /) -> bytes:
        """Return the bytes of a file."""
        return self.files[name].encode()

    def named(self, basename: str, /) -> list[str]:
        """Return all files of a name."""
        return sorted(name for name in self.files if name.rpartition("/")[2] == basename)


def test_the_nearest_configuration_counts_with_all_that_it_extends() -> None:
    files = Project(
        {
            "tsconfig.json": '{"compilerOptions": {"jsx": "preserve"}}',
            "a/tsconfig.json": '{ /* ours */ "extends": ["./x", "../y.json"], }',
            "a/x.json": '{"compilerOptions": {"jsx": "react", "jsxImportSource": "x"}}',
            "y.json": '{"extends": "shared/strict", "compilerOptions": {"jsx": "react-jsx"}}',
            "node_modules/shared/strict.json": '{"compilerOptions": {"baseUrl": "src"}}',
        }
    )
    found = config_of("a/b/c.tsx", files)
    assert found is not None
    assert found.jsx_runtime() == "x/jsx-runtime"
    assert found.base == "node_modules/shared/src"
    assert set(found.files) == files.files.keys() - {"tsconfig.json"}
    assert config_of("node_modules/p/i.tsx", files) is None


def test_what_jsx_calls_is_the_first_name_of_each_factory() -> None:
    files = Project(
        {
            "tsconfig.json": '{"extends": "./base.json", "compilerOptions": {"jsxFactory": "a.b"}}',
            "base.json": '{"compilerOptions": {"jsxFactory": "h", "jsxFragmentFactory": "c.d"}}',
            "e/tsconfig.json": '{"compilerOptions": {"jsx": "react"}}',
        }
    )
    found, other = config_of("a.tsx", files), config_of("e/a.tsx", files)
    assert found is not None
    assert other is not None
    assert (found.jsx_names(), other.jsx_names()) == (("a", "c"), ())


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '"x"', "\ufeff{}", '{"compilerOptions": 7}', "\0"]
)
def test_a_configuration_that_says_nothing_is_no_error(text: str) -> None:
    found = config_of("a.ts", Project({"tsconfig.json": text}))
    assert found is not None
    assert (found.jsx_runtime(), found.paths, found.base) == ("", {}, None)


def test_configurations_that_extend_each_other_come_to_an_end() -> None:
    files = {f"{n}.json": f'{{"extends": ["./{n + 1}.json", "./0.json"]}}' for n in range(20)}
    found = config_of("a.ts", Project({"tsconfig.json": '{"extends": "./0.json"}', **files}))
    assert found is not None
    assert "0.json" in found.files


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("@/tones", "src/tones.ts"),  # a pattern, and an ending that nobody writes
        ("@/audio/low", "src/audio/low.ts"),
        ("@/audio/high", "generated/high.ts"),  # the longest pattern alone, its second target
        ("tones", "src/exact.ts"),
        ("src/tones", "src/tones.ts"),  # baseUrl
        ("preact", "node_modules/preact/index.js"),  # none of all these
    ],
)
def test_an_alias_means_what_it_means_to_a_compiler(asked: str, found: str) -> None:
    paths = (
        '{"@/*": ["src/*"], "@/audio/*": ["./src/audio/*", "generated/*"], "tones": ["src/exact"]}'
    )
    names = "src/tones.ts src/audio/low.ts generated/high.ts src/exact.ts"
    files = dict.fromkeys((*names.split(), "node_modules/preact/index.js"), "")
    files["tsconfig.json"] = f'{{"compilerOptions": {{"baseUrl": ".", "paths": {paths}}}}}'
    resolver = Resolver(Project(files), frozenset())
    assert resolver.resolve(asked, "src/deep/main.ts") == found
    assert resolver.resolve("@/tones", "node_modules/preact/index.js") != "src/tones.ts"
