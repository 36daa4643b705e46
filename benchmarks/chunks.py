"""What four pages of the fixture SDK load, by whose chunks: bytes, files, and planned chunks.

    python benchmarks/chunks.py                  prints the table of docs/chunks.md; about 30 s

The consumers vad, voice, react and everything are four pages of one site. Sizes are brotli bytes;
"each file once" is what is stored, "pages" and "import()" sum what each of them loads with an empty
cache; "cost" adds what rules/requests.toml says that requests cost, which decides.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from toolchain.ir import Graph, Store
from toolchain.loader import Loader
from toolchain.passes.base import Attempt
from toolchain.passes.bundle_js import BundleJs
from toolchain.sources.directory import open_tree
from toolchain.workspace import Workspace

PAGES = tuple(f"consumers/{name}/main.ts" for name in ("vad", "voice", "react", "everything"))
CANDIDATES = ("esbuild", "rolldown+swc", "rspack+swc", "bun+swc", "rollup+swc", "rollup+oxc")
_GENERATOR = Path(__file__).parent.parent / "fixtures/voice-sdk/generate.py"


def main() -> None:
    """Bundle and print."""
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name).resolve() / "sdk"
        _generate(tree)
        workspace = Workspace.open()
        loader = Loader(workspace.store, workspace.cache, workspace.executor)
        conditions = frozenset({"browser", "module"})
        loaded = loader.load(open_tree(tree).files, PAGES, conditions=conditions)
        found = attempts(loaded.graph.without_parts(), workspace.store)
    print("| candidate | each file once | cost | what is loaded |\n|---|---|---|---|")
    for one in sorted(found, key=lambda a: (a.graph is None, a.rank)):
        print(f"| {one.name} | {one.size:,} | {one.cost:,} | {one.detail} |")


def attempts(graph: Graph, store: Store) -> list[Attempt]:
    """Return what each candidate makes of the pages."""
    return list(BundleJs(candidates=CANDIDATES).attempts(graph, store))


def _generate(tree: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate", _GENERATOR)
    assert spec is not None  # noqa: S101 - for the type checker
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write(tree)


if __name__ == "__main__":
    main()
