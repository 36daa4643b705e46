"""Which package a file belongs to, and which files are its licence."""

from __future__ import annotations

import pytest
from graph_strategies import artifact

from toolchain.analysis.packages import is_notice, package_of
from toolchain.ir import ArtifactId, Kind


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("node_modules/a/index.js", "node_modules/a"),
        ("node_modules/@s/a/dist/x.js", "node_modules/@s/a"),
        ("node_modules/a/node_modules/@s/b/x.js", "node_modules/a/node_modules/@s/b"),
        ("app/node_modules/a/x.js", "app/node_modules/a"),
        ("node_modules/loose.js", "node_modules"),
        ("src/deep/x.ts", "src"),
        ("app.js", "."),
        ("lib.zip!/inner/x.js", "."),
        ("models/all.zip!/inner/x.onnx", "models"),
        ("dist/app.js#entry/node_modules/a/x.js", "dist"),
        ("node_modules/a/x.wasm#section/.debug/info", "node_modules/a"),
        ("external:@a/b", "external"),
        ("unknown:src/x.js:3:*", "unknown"),
        ("odd:folder/x.js", "odd:folder"),
    ],
)
def test_the_innermost_package_owns_a_file(name: str, package: str) -> None:
    assert package_of(ArtifactId(name)) == package


@pytest.mark.parametrize("name", ["LICENSE", "licence.md", "NOTICE.txt", "ThirdPartyNotices.txt"])
def test_licences_and_notices_are_known_by_name(name: str) -> None:
    assert is_notice(artifact(f"a/{name}", Kind.TEXT))


@pytest.mark.parametrize(
    ("name", "kind"), [("license.js", Kind.JS), ("README.md", Kind.TEXT), ("x/y", Kind.DATA)]
)
def test_code_and_other_documents_are_no_licence(name: str, kind: Kind) -> None:
    assert not is_notice(artifact(f"a/{name}", kind))
