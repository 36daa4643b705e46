"""The fixture SDK is what its labels say: complete, the same each time, and true when run."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from sdk_removal import bundling, deletion
from sdk_removal.labels import CONSUMERS, LIVE, Item, Sdk, generate
from sdk_removal.page import text
from sdk_removal.program import bundle_whole, publish, run
from sdk_removal.rate import Removed, removal, weigh
from sdk_removal.rows import Row, differences

from toolchain.behaviour.baseline import baseline
from toolchain.execution.cache import ActionCache
from toolchain.execution.local import LocalPool
from toolchain.formats.esbuild import Esbuild, service
from toolchain.formats.javascript_exports import read_exports
from toolchain.formats.javascript_parsing import parse
from toolchain.ir import DirectoryStore, Play
from toolchain.loader import Loader
from toolchain.passes.bundle_js import BundleJs
from toolchain.sources.directory import open_tree
from toolchain.sources.tools import tool
from toolchain.units import Bytes

ROOT = Path(__file__).parent.parent
_LIVE_EACH = 3  # of each consumer; nox -s deletion takes all
_NODE = frozenset({"node", "module"})
_NO_ITEM = {"import_statement", "comment", "empty_statement"}


@dataclass(frozen=True)
class Published:
    """The SDK, its compiled tree, and an esbuild to work with."""

    sdk: Sdk
    tree: Path
    esbuild: Esbuild


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    work = tmp_path_factory.mktemp("voice-sdk").resolve()
    sdk = generate(work / "sdk")
    with service(tool("esbuild")) as esbuild:
        yield Published(sdk, publish(sdk, work / "published", esbuild), esbuild)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_in_another_process(
    published: Published, tmp_path: Path
) -> None:
    script = ROOT / "fixtures" / "voice-sdk" / "generate.py"
    command = [sys.executable, str(script), str(tmp_path / "a")]
    subprocess.run(command, env={"PYTHONHASHSEED": "7"}, timeout=60, check=True)
    assert _bytes(tmp_path / "a") == _bytes(published.sdk.folder)
    generate(tmp_path / "b", seed=2)
    assert _bytes(tmp_path / "b") != _bytes(tmp_path / "a")


def test_every_construct_has_three_instances_of_which_some_are_needed_and_some_not(
    published: Published,
) -> None:
    folders = {p.name for p in (ROOT / "fixtures" / "voice-sdk" / "constructs").iterdir()}
    instances: dict[str, set[str]] = {}
    labels: dict[str, set[str]] = {}
    for item in published.sdk.items():
        instances.setdefault(item.construct, set()).add(item.instance)
        labels.setdefault(item.construct, set()).update(item.labels.values())
    assert len(folders) > 30
    for construct in folders:
        assert len(instances[construct]) >= 3, construct
        assert labels[construct] - {"dead", "type-only"}, construct
        assert "dead" in labels[construct], construct
    assert set().union(*labels.values()) == LIVE | {"dead", "type-only", "unknown"}


def test_every_export_and_declaration_has_a_label(published: Published) -> None:
    for module in published.sdk.modules.values():
        if module.format == "asset":
            continue
        data = (published.sdk.folder / module.path).read_bytes()
        root = parse(data)[1].root_node
        spans = {(item.start, item.end) for item in module.items}
        for node in root.named_children:
            if node.type in _NO_ITEM or node.text == b'"use strict";':
                continue
            inside = [s for s in spans if s[0] <= node.start_byte and node.end_byte <= s[1]]
            assert len(inside) == 1, f"{module.path}: {node.text!r}"
        found = read_exports(root)
        named = {i.name for i in module.items if i.kind == "export"}
        types = {i.name for i in module.items if i.kind == "type"}
        if module.format == "module":
            assert set(found.names) | (named & types) == named, module.path
            stars = {i.name[1:] for i in module.items if i.kind == "star"}
            assert set(found.stars) == stars, module.path


def test_every_item_says_for_every_consumer_what_it_is_and_why(published: Published) -> None:
    ids = [item.id for item in published.sdk.items()]
    assert len(ids) == len(set(ids))
    for item in published.sdk.items():
        assert set(item.labels) == set(item.why) == set(CONSUMERS)


def test_a_marker_is_in_one_item_and_in_no_other_code(published: Published) -> None:
    files = _bytes(published.sdk.folder)  # compiled, a constant is written where it is used too
    text = b"\n".join(data for name, data in files.items() if name != "labels.json")
    markers = [i.marker for i in published.sdk.items() if i.marker and i.kind != "type"]
    assert {marker: text.count(marker.encode()) for marker in markers} == dict.fromkeys(markers, 1)


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_a_consumer_says_the_same_bundled_and_unbundled(
    published: Published, consumer: str, tmp_path: Path
) -> None:
    unbundled = run(published.tree, published.tree / "consumers" / consumer / "main.js")
    error = bundle_whole(published.sdk, consumer, published.tree, tmp_path, published.esbuild)
    assert not error
    assert run(published.tree, tmp_path / "main.js") == unbundled
    assert unbundled.endswith("exit 0\n")
    assert "threw" not in unbundled


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_what_is_dead_goes_without_a_trace_and_what_is_live_does_not(
    published: Published, consumer: str, tmp_path: Path
) -> None:
    check = deletion.start(published.sdk, consumer, published.tree, tmp_path, published.esbuild)
    items = list(published.sdk.items())
    dead = [i for i in items if i.labels[consumer] in {"dead", "type-only"}]
    live = [i for i in items if i.labels[consumer] in LIVE]
    sample = random.Random(1).sample(live, _LIVE_EACH)  # noqa: S311 - the same each time
    assert check.doubts([*dead, *sample]) == []


def test_deletion_finds_labels_that_are_wrong(published: Published, tmp_path: Path) -> None:
    check = deletion.start(published.sdk, "vad", published.tree, tmp_path, published.esbuild)
    by_name = {item.name: item for item in published.sdk.items() if item.kind != "export"}
    wrong = {
        "VadGate": replace(by_name["VadGate"], labels={"vad": "dead"}),
        "bridge": replace(by_name["bridge"], labels={"vad": "live"}),
    }
    assert {d.item.partition("#")[2] for d in check.doubts(wrong.values())} == set(wrong)


def _item(name: str, label: str) -> Item:
    return Item(name, "a.ts", "enum", "i", name, "function", 0, 9, f"~{name}", {"c": label}, {})


@pytest.mark.parametrize(
    ("code", "rate", "lost"),
    [
        (b"~live1", 1.0, 0),
        (b"~live1 ~dead1", 0.9, 0),
        (b"~dead2", 0.1, 1),
        (b"~maybe ~live1", 1, 0),
    ],
)
def test_the_rate_counts_dead_bytes_that_are_gone_and_live_items_that_are_lost(
    code: bytes, rate: float, lost: int
) -> None:
    labels = {"live1": "live", "dead1": "dead", "dead2": "dead", "maybe": "unknown"}
    items = [_item(name, label) for name, label in labels.items()]
    sizes: Mapping[str, int] = {"live1": 100, "dead1": 10, "dead2": 90, "maybe": 50}
    found = removal(items, sizes, {"a.js": b"", "b.js": code}, "c")
    assert found.overall.rate == pytest.approx(rate)
    assert found.by_construct["enum"] == found.inside == found.overall
    assert len(found.lost) == lost


def test_esbuild_loses_what_is_wrongly_declared_free_of_effects_and_nothing_else(
    published: Published, tmp_path: Path
) -> None:
    esbuild = bundling.bundlers(tmp_path)["esbuild"]
    bundle = bundling.bundle(esbuild, published.sdk, published.tree, "voice", tmp_path / "out")
    assert not bundle.problem
    sizes = weigh(published.sdk, published.esbuild)
    found = removal(published.sdk.items(), sizes, bundle.files, "voice")
    constructs = {i.id: i.construct for i in published.sdk.items()}
    assert {constructs[i] for i in found.lost} == {"wrong-side-effects"}
    assert 0.8 < found.inside.rate + 0.2 <= found.overall.rate + 0.2
    heard = run(published.tree, tmp_path / "out" / "main.js")
    unbundled = run(published.tree, published.tree / "consumers" / "voice" / "main.js")
    assert differences(unbundled, heard) == ("handwritten core/registry",)


def test_the_proof_by_scenario_sees_what_a_wrong_side_effects_field_loses_and_nothing_else(
    published: Published, tmp_path: Path
) -> None:
    store = DirectoryStore(tmp_path / "store")
    loader = Loader(store, ActionCache(tmp_path / "actions"), LocalPool(1))
    files = open_tree(published.tree).files
    loaded = loader.load(files, ["consumers/everything/main.js"], conditions=_NODE)
    scripts = {name: files[name].path for name in ("play.mjs", "platform.mjs")}
    play = Play("play.mjs", scripts, runs_in=("node",), conditions=tuple(_NODE))
    base = baseline(loaded.graph, store, play)
    bundle = BundleJs(conditions=tuple(_NODE))
    lost = base.judge(bundle.apply(loaded.graph, store))
    assert not lost.holds
    assert "handwritten core/registry" in lost.detail
    honest = []
    for name, artifact in loaded.graph.files.items():
        if name.endswith("/package.json"):
            fields = json.loads(store.get(artifact.digest))
            fields.pop("sideEffects", None)
            data = json.dumps(fields).encode()
            honest.append(replace(artifact, digest=store.put(data), size=Bytes(len(data))))
    kept = base.judge(bundle.apply(loaded.graph.with_artifacts(honest), store))
    assert kept.holds, kept.detail


def test_ten_times_the_modules_still_bundle(published: Published, tmp_path: Path) -> None:
    sdk = generate(tmp_path / "sdk", scale=10)
    assert len(sdk.modules) > 7 * len(published.sdk.modules)
    tree = publish(sdk, tmp_path / "published", published.esbuild)
    esbuild = bundling.bundlers(tmp_path)["esbuild"]
    assert not bundling.bundle(esbuild, sdk, tree, "everything", tmp_path / "out").problem


def test_the_tables_fit_a_terminal_and_say_what_was_lost_once() -> None:
    names = ("esbuild", "rollup", "rolldown", "webpack", "bun", "vtool")
    rate = Removed(1_234_567, 1_234_567)
    lost = ("node_modules/@voice-sdk/tts/src/pitch-1.ts#statement 0",)
    rows = [
        *(
            Row("everything", n, "", rate, rate, {"prototype-assignment": rate}, lost, files=123,
                size_bytes=123_456, brotli_bytes=12_345, seconds=123.4)
            for n in names
        ),
        Row("vad", "bun", "it stopped"),
    ]  # fmt: skip
    lines = text(rows).splitlines()
    assert max(map(len, lines)) <= 80
    assert "esbuild, rollup, rolldown, webpack, bun, vtool: everything: lost" in lines
    assert "bun: vad: it stopped" in lines
