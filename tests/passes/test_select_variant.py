"""Which builds of onnxruntime-web an application can name, from the entry that it imports."""

import pytest
import real

from toolchain.execution.cache import ActionCache
from toolchain.execution.local import LocalPool
from toolchain.ir import ArtifactId, DirectoryStore, Graph, digest_of
from toolchain.loader import Loader
from toolchain.passes.select_variant import SelectVariant
from toolchain.sources.tree import SourceFile
from toolchain.verify import never_named

PACKAGE = "npm:onnxruntime-web@1.30.0"
DIST = "node_modules/onnxruntime-web/dist"
ENGINE = f"{DIST}/ort-wasm-simd-threaded"
CONDITIONS = frozenset({"browser", "module", "onnxruntime-web-use-extern-wasm"})


class Page:
    """A script that imports one entry of onnxruntime-web, read into a graph."""

    def __init__(self, folder: pytest.TempPathFactory, entry: str) -> None:
        root = folder.mktemp("page")
        self.store = DirectoryStore(root / "store")
        script = root / "main.mjs"
        script.write_text(f'export * from "onnxruntime-web{entry}";\n')
        found = real.folder(PACKAGE)
        files = {"main.mjs": script}
        names = [f"dist/ort.{n}" for n in ("wasm.min.mjs", "min.mjs", "webgpu.min.mjs")]
        names += [p.relative_to(found).as_posix() for p in found.glob("dist/ort-wasm*")]
        tiny = root / "tiny.wasm"  # 86 MB that this pass does not look into
        tiny.write_bytes(b"\0asm\1\0\0\0")
        files |= {
            f"node_modules/onnxruntime-web/{n}": tiny if n.endswith(".wasm") else found / n
            for n in [*names, "package.json"]
        }
        sources = {
            name: SourceFile(path, digest_of(path.read_bytes()), path.stat().st_size)
            for name, path in files.items()
        }
        loader = Loader(self.store, ActionCache(root / "cache"), LocalPool(1))
        loaded = loader.load(sources, ["main.mjs"], conditions=CONDITIONS)
        self.graph = loaded.graph.without_parts()

    def selected(self) -> Graph:
        after = SelectVariant().apply(self.graph, self.store)
        proof = never_named.prove(self.graph, after, self.store, {})
        assert proof.holds, proof.detail
        return after


def _engines(graph: Graph) -> set[str]:
    return {i.removeprefix(ENGINE) for i in graph.files if i.startswith(ENGINE)}


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ("/wasm", {".mjs", ".wasm"}),
        # every word of the plain build is in the name of the other: it may be meant
        ("/webgpu", {".asyncify.mjs", ".asyncify.wasm", ".mjs", ".wasm"}),
        ("", {".jsep.mjs", ".jsep.wasm", ".mjs", ".wasm"}),
    ],
)
def test_the_entry_says_which_builds_can_be_named(
    tmp_path_factory: pytest.TempPathFactory, entry: str, kept: set[str]
) -> None:
    page = Page(tmp_path_factory, entry)
    assert len(_engines(page.graph)) == 8
    assert _engines(page.selected()) == kept


def test_a_build_that_is_named_or_could_be_may_not_go(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    page = Page(tmp_path_factory, "/wasm")

    def without(name: str) -> str:
        after = page.graph.keep(page.graph.artifacts.keys() - {ArtifactId(ENGINE + name)})
        proof = never_named.prove(page.graph, after, page.store, {})
        assert not proof.holds
        return proof.detail

    assert "is used" in without(".wasm")
    page = Page(tmp_path_factory, "/webgpu")
    assert "could be put together" in without(".wasm")
    assert "is used" in without(".asyncify.mjs")
