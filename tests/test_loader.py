"""From files to the graph: every byte owned, every reference an edge, nothing read twice."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import parser

from toolchain.accounts import artifact_rows
from toolchain.analysis.why import why
from toolchain.errors import InputError
from toolchain.execution.cache import ActionCache
from toolchain.execution.local import LocalPool
from toolchain.ingest.base import Part
from toolchain.ir import ArtifactId, DirectoryStore, Edge, Kind, Relation, Stage
from toolchain.loader import Loaded, Loader
from toolchain.reading import _with_gaps
from toolchain.sources import directory
from toolchain.units import Bytes

WASM = b"\0asm\1\0\0\0" + b"\0\x05\x04name"

Load = Callable[..., Loaded]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    loader = Loader(
        DirectoryStore(tmp_path / "store"), ActionCache(tmp_path / "actions"), LocalPool(workers=1)
    )

    def build(files: Mapping[str, bytes], *roots: str, **options: object) -> Loaded:
        folder = tmp_path / "project"
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        tree = directory.open_tree(folder)
        return loader.load(tree.files, roots, **options)  # type: ignore[arg-type]  # as given

    return build


def _edges(loaded: Loaded) -> list[str]:
    return [
        f"{e.source} {e.relation} {e.target}"
        for e in sorted(loaded.graph.edges)
        if e.relation is not Relation.CONTAINS
    ]


def test_imports_and_fetches_become_edges_and_the_rest_external(load: Load) -> None:
    main = b"import './a.js'; import 'react'; new URL('./m.wasm', import.meta.url)"
    loaded = load({"main.js": main, "a.js": b"", "m.wasm": WASM}, "main.js")
    assert _edges(loaded) == [
        "main.js import a.js",
        "main.js import external:react",
        "main.js fetch m.wasm",
    ]
    assert loaded.graph.problems() == []


def test_a_computed_target_is_unknown_until_the_project_declares_it(load: Load) -> None:
    files = {"main.js": b"import(somewhere)", "late.js": b""}
    assert _edges(load(files, "main.js")) == ["main.js dynamic unknown:main.js:1:*"]
    declared = load(files, "main.js", dynamic={"*.js": ["late.js"]})
    assert _edges(declared) == ["main.js dynamic late.js"]


def test_a_declaration_says_which_of_the_names_in_strings_are_used(load: Load) -> None:
    files = {"main.js": b"fetch(['v5.onnx', 'v6.onnx'][n])", "v5.onnx": b"5", "v6.onnx": b"6"}
    assert _edges(load(files, "main.js")) == ["main.js fetch v5.onnx", "main.js fetch v6.onnx"]
    declared = load(files, "main.js", dynamic={"main.js": ["v6.onnx"]})
    assert _edges(declared) == ["main.js dynamic v6.onnx"]


def test_code_that_no_root_loads_has_sizes_and_no_edges(load: Load) -> None:
    files = {"main.js": b"import './a.js'", "a.js": b"", "old.js": b"import './a.js'"}
    loaded = load(files, "main.js")
    assert _edges(loaded) == ["main.js import a.js"]
    assert loaded.readings[ArtifactId("old.js")].sizes.raw == 15
    assert "old.js import a.js" in _edges(load(files))  # without roots everything is a root


def test_code_that_nothing_shows_to_be_loaded_is_followed_where_the_caller_names_it(
    load: Load,
) -> None:
    files = {
        "main.js": b"",
        "src/extra.js": b"import './more.js'",
        "src/more.js": b"import './m.wasm'",
        "src/m.wasm": WASM,
        "src/old.js": b"import './more.js'",
    }
    assert _edges(load(files, "main.js")) == []
    loaded = load(files, "main.js", starts=["*/extra.js", "no/such.js"])
    assert _edges(loaded) == [
        "src/extra.js import src/more.js",
        "src/more.js import src/m.wasm",
    ]
    assert loaded.graph.roots == {"main.js"}


def test_behind_an_unknown_name_all_code_of_the_package_is_read(load: Load) -> None:
    package = "node_modules/p/"
    files = {
        "main.js": f"import './{package}index.js'".encode(),
        f"{package}index.js": b"import(chosen)",
        f"{package}plugin.js": b"import 'q'",
        "node_modules/q/index.js": b"",
        "node_modules/r/index.js": b"import 'q'",
    }
    edges = _edges(load(files, "main.js"))
    assert f"{package}plugin.js import node_modules/q/index.js" in edges
    assert not any(e.startswith("node_modules/r/") for e in edges)


def test_every_byte_of_a_module_with_sections_has_one_owner(load: Load) -> None:
    graph = load({"m.wasm": WASM}).graph
    parts = [graph.artifacts[t] for t in graph.targets(ArtifactId("m.wasm"), Relation.CONTAINS)]
    assert sum(p.size for p in parts) == len(WASM)
    assert graph.size == len(WASM)


def test_a_tensor_of_the_graph_says_its_type_its_shape_and_who_reads_it(load: Load) -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]>
        g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { [proj] y = Add (x, w) }"""
    for _ in range(2):  # read, and out of the cache
        loaded = load({"m.onnx": parser.parse_model(text).SerializeToString()})
        found = loaded.graph.artifacts[ArtifactId("m.onnx#tensor/w")]
        assert dict(found.facts) == {"dtype": "float32", "shape": "[2]", "read by": "Add proj"}
        rows = artifact_rows(Stage.INPUT, loaded.graph, loaded.readings)
        assert [r.facts for r in rows if r.id == found.id] == [found.facts]
        assert why(loaded.graph, found.id).facts == dict(found.facts)


def test_files_in_archives_in_archives_are_seen_and_not_counted_twice(load: Load) -> None:
    def packed(name: str, data: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(name, data)
        return out.getvalue()

    outer = packed("inner.zip", packed("deep/a.js", b"let a"))
    graph = load({"all.zip": outer}).graph
    assert ArtifactId("all.zip!/inner.zip!/deep/a.js") in graph.artifacts
    unpacks = Edge(ArtifactId("all.zip"), ArtifactId("all.zip!/inner.zip"), Relation.UNPACKS)
    assert unpacks in graph.edges
    assert graph.size == len(outer)
    assert graph.problems() == []


def test_a_root_that_is_cut_is_refused_and_a_stray_file_is_only_reported(load: Load) -> None:
    files = {"main.js": b"", "m.wasm": WASM[:-2]}
    stray = load(files, "main.js")
    assert "unreadable" in dict(stray.readings[ArtifactId("m.wasm")].contents.facts)
    assert stray.graph.size == len(WASM) - 2
    with pytest.raises(InputError, match=r"m\.wasm: .* at byte \d+"):
        load(files, "m.wasm")


def test_a_root_that_is_not_there_is_named(load: Load) -> None:
    with pytest.raises(InputError, match=r"no file src/main\.ts"):
        load({"a.js": b""}, "src/main.ts")


def test_the_second_load_reads_no_file_again(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"main.js": b"import './a.js'", "a.js": b"", "m.wasm": WASM}
    first = load(files, "main.js")
    monkeypatch.setattr(LocalPool, "run", lambda _pool, _function, items: iter(items))  # [] only
    second = load(files, "main.js")
    assert (second.graph, second.readings) == (first.graph, first.readings)


ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=6)


@given(ranges, st.integers(1, 60))
def test_gaps_are_filled_so_that_parts_tile_the_file(
    found: list[tuple[int, int]], size: int
) -> None:
    parts, at = [], 0
    for gap, length in found:
        if at + gap + length > size:
            break
        parts.append(Part(Kind.SECTION, f"s{at}", at + gap, Bytes(length)))
        at += gap + length
    tiles = _with_gaps(parts, size)
    assert all(p.size for p in tiles)
    if tiles:
        assert [p.offset for p in tiles] == [0, *(p.offset + p.size for p in tiles)][:-1]
        assert sum(p.size for p in tiles) == size
    else:
        assert not any(p.size for p in parts)
