"""The real command line against a hostile user: one error, one hint, the right code, no damage."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import socket
import struct
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import onnxruntime
import pytest
import tiny_gguf
from cli.project import (
    BUDGET,
    BUNDLE,
    COMMAND,
    TIMEOUT_S,
    at_once,
    hostile_archives,
    leftovers,
    package,
    project,
    snapshot,
    special,
    start,
    tgz,
    vtool,
    write,
)
from onnx import parser
from sources.fake_registry import Registry

COMPRESS = '[[step]]\nrun = "compress"\nwhy = "smaller"\n'
SPECIALIZE = (
    '[[step]]\nrun = "bind-input"\nwhy = "one rate"\noptions = { input = "x", value = 1 }\n'
)
MODEL = '<ir_version: 8, opset_import: ["" : 17]> g (float[1] x) => (float[1] y) %s'
KNOWN = MODEL % "<float[1] w = {1.5}> { y = Add(x, w) }"
WASM = b"\0asm\1\0\0\0" + bytes([1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 4, 1, 2, 0, 0x0B])

ARCHIVES = list(hostile_archives())


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[Path]:
    """Return an old result; it must be the same after the test, with nothing beside it."""
    out = write(tmp_path / "out", {"vtool-manifest.json": "{}", "app/old.js": "let old"})
    before = snapshot(out)
    yield out
    assert snapshot(out) == before
    assert leftovers(tmp_path) == []


@pytest.fixture
def private(tmp_path: Path) -> dict[str, str]:
    """Return the environment of an empty cache."""
    return {"VTOOL_CACHE": str(tmp_path / "cache")}


# What is asked for


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["polish"], "polish"),
        (["analyze"], "target"),
        (["analyze", ""], "empty"),
        (["analyze", "npm:../up@1.0.0"], "not a package address"),
        (["analyze", "cargo:serde@1.0.0"], "cargo"),
        (["optimize", ".", "-o", "out", "--faster"], "--faster"),
        (["optimize", ".", "-o", "out", "--jobs", "-1"], "--jobs"),
        (["optimize", "."], "--out"),
        (["explain", "no-such-pass"], "no-such-pass"),
        (["report", ".", "--format", "pdf"], "pdf"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_request_nobody_understands_is_refused(arguments: list[str], word: str) -> None:
    ran = vtool(*arguments)
    ran.refuses(2, word)
    assert "-c" not in ran.err.split()  # the hint names vtool, however it was started


def test_a_target_that_is_missing_or_empty_is_refused(tmp_path: Path, refused: Path) -> None:
    write(tmp_path, {"empty.wasm": b"", "plain/a.txt": "a"})
    (tmp_path / "empty").mkdir()
    for target, word in (("gone", "nothing at"), ("empty", "no file"), ("empty.wasm", "is empty")):
        vtool("analyze", tmp_path / target).refuses(3, word)
    vtool("optimize", tmp_path / "gone", "-o", refused).refuses(3, "nothing at")
    vtool("optimize", tmp_path / "plain", "-o", refused).refuses(2, "no vtool.toml")


# vtool.toml and the rule packs


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('colour = "red"\n', ("colour", "unknown key")),
        ('conditions = "browser"\n', ("conditions", "array")),
        ("conditions = = 1\n", ("line 5",)),
        ('sources = ["../secrets"]\n', ("../secrets",)),
        ('[[input]]\npath = "m"\nfrom = "npm:a"\nmember = "m"\n', ("no version",)),
        ('[packages]\nleft-pad = "1.3.0"\n', ("vtool.lock", "run `vtool lock")),
        ("[dynamic]\na = 1\n", ("dynamic.a", "array")),
    ],
    ids=["key", "type", "syntax", "outside", "version", "unlocked", "table"],
)
def test_a_wrong_vtool_toml_is_refused(
    tmp_path: Path, more: str, words: tuple[str, ...], refused: Path
) -> None:
    own = project(tmp_path / "p", more=more)
    vtool("optimize", own, "-o", refused).refuses(2, *words)


def test_an_entry_that_is_not_there_is_refused(tmp_path: Path, refused: Path) -> None:
    own = project(tmp_path / "p")
    (own / "src/main.js").rename(own / "src/other.js")
    vtool("optimize", own, "-o", refused).refuses(3, "src/main.js", "vtool.toml")


def test_code_without_an_entry_is_refused(tmp_path: Path, refused: Path) -> None:
    own = project(tmp_path / "p")
    (own / "vtool.toml").write_text('name = "small"\n', "utf-8")
    vtool("optimize", own, "-o", refused).refuses(2, "vtool.toml: entries", "src/main.js")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (BUNDLE + "colour = 1\n", ("web.toml", "colour", "unknown key")),
        (BUNDLE.replace('"one file"', "1"), ("web.toml", "why", "text")),
        ("", ("web.toml", "step", "missing")),
        (BUNDLE.replace("bundle-js", "bundle-css"), ("web.toml", "step 1", "bundle-css")),
        (BUNDLE + "options = { fast = true }\n", ("web.toml", "fast", "minify")),
        (BUNDLE + 'options = { minify = "x" }\n', ("web.toml", "minify", "true or false")),
        (BUNDLE + "options = { limit_s = -1 }\n", ("web.toml: step 1", "limit_s", "above 0")),
        (BUNDLE + "options = { candidates = [] }\n", ("candidates", "esbuild")),
        (BUNDLE + 'match = "*.js"\n', ("web.toml: step 1: match", 'as in ["*.js"]')),
        (BUNDLE + 'options = { target = "netscape" }\n', ("netscape",)),
        (BUNDLE + 'options = { outdir = "../../up" }\n', ("../../up",)),
        ('[[step]]\nrun = "bind-input"\nwhy = "x"\n', ("input", "missing")),
        (
            '[[step]]\nrun = "import-gguf"\nwhy = "x"\nbudgets = ["quality.nobody"]\n',
            ("lossy", "import-gguf", "quality.nobody"),
        ),
    ],
    ids=[
        "key", "type", "empty", "pass", "option", "option-type", "negative",
        "no candidate", "array", "value", "outside", "missing",
        "lossy",
    ],
)  # fmt: skip
def test_a_wrong_pipeline_is_refused(
    tmp_path: Path, steps: str, words: tuple[str, ...], refused: Path
) -> None:
    own = project(tmp_path / "a/b/p", steps=steps)
    vtool("optimize", own, "-o", refused).refuses(2, *words)
    assert not [p for p in tmp_path.rglob("main.js") if p != own / "src/main.js"]


@pytest.mark.parametrize(
    ("budgets", "words"),
    [
        (BUDGET + "colour = 1\n", ("web.toml", "colour", "unknown key")),
        (BUDGET.replace("1_000_000", '"much"'), ("web.toml", "limit", "number")),
        (BUDGET.replace("1_000_000", "nan"), ("web.toml", "core.brotli", "finite")),
        (BUDGET + "percentile = 101\n", ("web.toml", "percentile", "0 to 100")),
        (BUDGET.replace('"byte"', '"ms"'), ("core.brotli", "unit")),
        (BUDGET.replace("core.brotli", "core.brotlli"), ("'core.brotlli'", "mean core.brotli")),
        (BUDGET.replace("core.brotli", "speed"), ("nothing measures 'speed'", "core.raw")),
    ],
    ids=["key", "type", "nan", "percentile", "unit", "misspelt", "no measure"],
)
def test_a_wrong_budget_pack_is_refused(
    tmp_path: Path, budgets: str, words: tuple[str, ...], refused: Path
) -> None:
    own = project(tmp_path / "p", budgets=budgets)
    vtool("optimize", own, "-o", refused).refuses(2, *words)


def test_only_a_budget_ends_with_1(tmp_path: Path) -> None:
    own = project(tmp_path / "p", budgets=BUDGET.replace("1_000_000", "1"))
    ran = vtool("optimize", own, "-o", tmp_path / "out")
    assert (ran.code, "error:" in ran.err) == (1, False)
    assert (tmp_path / "out/report.json").is_file()
    assert vtool("gate", tmp_path / "out").code == 1


# Packages


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Yield a registry on the loopback interface."""
    fake = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = fake.answers.get(self.path)
            if answer is None:
                self.send_error(404)
            else:
                answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fake.base = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield fake
        server.shutdown()
        thread.join(10)


def asking(base: str) -> dict[str, str]:
    """Return the environment that makes ``base`` every registry."""
    return {
        "npm_config_registry": base,
        "npm_config_userconfig": os.devnull,
        "PIP_INDEX_URL": f"{base}/simple/",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "VTOOL_TIMEOUT_S": "2",
    }


def closed() -> dict[str, str]:
    """Return the environment of registries nobody listens for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return asking(f"http://127.0.0.1:{free.getsockname()[1]}")


def test_an_unreachable_registry_is_an_error_until_the_cache_has_the_package(
    registry: Registry, private: dict[str, str]
) -> None:
    registry.publish("small", "1.0.0", {"index.js": b"export const a = 1;\n"})
    offline = {**private, **closed(), "VTOOL_OFFLINE": "1"}
    npm, pypi = at_once(
        lambda: vtool("analyze", "npm:small@1.0.0", **private, **closed()),
        lambda: vtool("analyze", "pypi:small==1.0.0", **private, **closed()),
    )
    npm.refuses(4, "npm", "unreachable")
    pypi.refuses(4, "PyPI", "unreachable")
    vtool("analyze", "npm:small@1.0.0", **offline).refuses(4, "VTOOL_OFFLINE")
    assert vtool("analyze", "npm:small@1.0.0", **private, **asking(registry.base)).code == 0
    assert vtool("analyze", "npm:small@1.0.0", **private, **closed()).code == 0
    assert vtool("analyze", "npm:small@1.0.0", **offline).code == 0


def test_a_package_or_version_that_does_not_exist_is_refused(
    registry: Registry, private: dict[str, str], tmp_path: Path
) -> None:
    registry.publish("small", "1.0.0")
    registry.upload("small", {"small-1.0.0-py3-none-any.whl": b"never asked for"})
    env = {**private, **asking(registry.base)}
    vtool("analyze", "npm:absent@1.0.0", **env).refuses(2, "absent")
    vtool("analyze", "npm:small@9.9.9", **env).refuses(2, "9.9.9", "npm:small@1.0.0")
    vtool("analyze", "pypi:absent==1.0.0", **env).refuses(2, "absent")
    vtool("analyze", "pypi:small==9.9.9", **env).refuses(2, "9.9.9")
    own = project(tmp_path / "p", more='[packages]\nsmall = "^2.0.0"\n')
    before = snapshot(own)
    vtool("lock", own, **env).refuses(2, "small", "^2.0.0")
    assert snapshot(own) == before


def test_a_file_that_is_not_the_locked_one_is_refused(
    registry: Registry, private: dict[str, str], tmp_path: Path, refused: Path
) -> None:
    path = registry.publish("small", "1.0.0", {"index.js": b"export const a = 1;\n"})
    own = project(tmp_path / "p", steps=COMPRESS, more='[packages]\nsmall = "1.0.0"\n')
    env = {**private, **asking(registry.base)}
    assert vtool("lock", own, **env).code == 0
    registry.serve(path, tgz({"package/index.js": b"steal()"}))
    ran = vtool("optimize", own, "-o", refused, **env)
    ran.refuses(3, "sha512", "vtool lock")
    assert not list((tmp_path / "cache/downloads").iterdir())
    text = (own / "vtool.lock").read_text()
    (own / "vtool.lock").write_text(text.replace("sha512-", "sha512-nonsense"))
    vtool("optimize", own, "-o", refused, **env).refuses(2, "vtool.lock", "integrity")


# Archives


@pytest.mark.parametrize(("name", "word", "data"), ARCHIVES, ids=[a[0] for a in ARCHIVES])
def test_a_hostile_archive_leaves_nothing_in_the_cache(
    tmp_path: Path, private: dict[str, str], name: str, word: str, data: bytes
) -> None:
    write(tmp_path, {name: data, f"folder/inner/{name}": data, "folder/a.txt": "a"})
    for ran in at_once(
        lambda: vtool("analyze", tmp_path / name, **private),
        lambda: vtool("analyze", tmp_path / "folder", **private),
    ):
        ran.refuses(3, name, word)
    assert not [p for p in (tmp_path / "cache/trees").rglob("*") if p.is_file()]
    assert not list(tmp_path.parent.glob("up.js"))


def test_an_archive_with_endless_members_is_refused(
    tmp_path: Path, private: dict[str, str]
) -> None:
    # the same 1000 folders again and again: a bomb by count alone
    members = io.BytesIO()
    with tarfile.open(fileobj=members, mode="w") as archive:
        for number in range(1000):
            archive.addfile(special(f"d/{number}", tarfile.DIRTYPE))
    block = members.getvalue()[: 512 * 1000]
    (tmp_path / "count.tar").write_bytes(block * 201 + bytes(1024))
    vtool("analyze", tmp_path / "count.tar", **private).refuses(3, "200,000 members")


# JavaScript


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"src/main.js": "import './b.js';", "src/b.js": "\n\nfunction ("}, ("src/b.js:3",)),
        ({"src/main.js": "import './b.ts';", "src/b.ts": "interface {"}, ("src/b.ts:1",)),
        ({"src/main.js": "a\0b"}, ("src/main.js", "zero byte")),
        ({"src/main.js": "\nimport './gone.js';"}, ("src/main.js:2", "src/gone.js")),
        ({"src/main.js": "\nimport('./gone.js');"}, ("src/main.js:2", "src/gone.js")),
        ({"src/main.js": "import 'gone';"}, ("src/main.js:1", "gone")),
        (
            {"package.json": package("p", exports="./gone.js"), "src/main.js": "import 'p';"},
            ("src/main.js:1", "./gone.js, which is not there"),
        ),
        (
            {"package.json": package("p", imports={"#x": "./no.js"}), "src/main.js": "import '#x'"},
            ("src/main.js:1", "./no.js, which is not there"),
        ),
        ({"package.json": "{", "src/main.js": "import 'p';"}, ("package.json", "JSON")),
    ],
    ids=["js", "ts", "binary", "file", "lazy", "package", "exports", "imports", "package.json"],
)
def test_own_code_that_cannot_work_is_refused_at_its_line(
    tmp_path: Path, files: dict[str, str], words: tuple[str, ...], refused: Path
) -> None:
    own = project(tmp_path / "p", files)
    vtool("optimize", own, "-o", refused).refuses(3, *words)


def test_own_code_that_cannot_work_is_refused_where_nothing_bundles_it(
    tmp_path: Path, refused: Path
) -> None:
    own = project(tmp_path / "p", {"src/main.js": "import './gone.js';"}, steps=COMPRESS)
    vtool("analyze", own).refuses(3, "src/main.js:1", "src/gone.js")
    vtool("optimize", own, "-o", refused).refuses(3, "src/main.js:1", "src/gone.js")
    write(own, {"src/main.js": "\nlet = = 1;"})
    vtool("analyze", own).refuses(3, "src/main.js:2")


def test_what_the_page_provides_need_not_be_there(tmp_path: Path) -> None:
    external = BUNDLE + 'options = { external = ["react"] }\n'
    own = project(tmp_path / "p", {"src/main.js": "import 'react/dom';"}, steps=external)
    assert vtool("analyze", own).code == 0
    own = project(tmp_path / "q", {"src/main.js": "import '@/b';"})
    write(own, {"tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["./src/*"]}}}'})
    write(own, {"src/b.js": "export const b = 1;"})
    assert vtool("analyze", own).code == 0


def test_a_dependency_whose_exports_point_nowhere_is_refused_where_it_is_imported(
    tmp_path: Path, registry: Registry, private: dict[str, str]
) -> None:
    files = {"package.json": package("dep", exports="./gone.js").encode()}
    registry.publish("dep", "1.0.0", files)
    own = project(
        tmp_path / "p", {"src/main.js": "import 'dep';"}, more='[packages]\ndep = "1.0.0"\n'
    )
    env = {**private, **asking(registry.base)}
    assert vtool("lock", own, **env).code == 0
    vtool("analyze", own, **env).refuses(3, "src/main.js:1", "dep points to ./gone.js")


def test_what_is_wrong_in_code_of_others_is_a_finding(
    tmp_path: Path, registry: Registry, private: dict[str, str]
) -> None:
    registry.publish("dep", "1.0.0", {"index.js": b"import './gone.js';\nfunction ("})
    own = project(
        tmp_path / "p", {"src/main.js": "import 'dep';"}, more='[packages]\ndep = "1.0.0"\n'
    )
    env = {**private, **asking(registry.base)}
    assert vtool("lock", own, **env).code == 0
    ran = vtool("analyze", own, "--json", "-", **env)
    assert (ran.code, "error:" in ran.err) == (0, False)
    checks = {f["check"] for f in json.loads(ran.out)["findings"]}
    assert {"unreadable-file", "unresolved-import"} <= checks


# Files of a format


def ort_model(folder: Path) -> bytes:
    """Return an ORT file that onnxruntime wrote."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "sample.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(parser.parse_model(KNOWN).SerializeToString(), options)
    return (folder / "sample.ort").read_bytes()


FORMATS: dict[str, Callable[[Path], bytes]] = {
    "m.wasm": lambda _: WASM,
    "m.so": lambda _: Path("/proc/self/exe").read_bytes(),
    "m.onnx": lambda _: parser.parse_model(KNOWN).SerializeToString(),
    "m.ort": ort_model,
    "m.gguf": lambda _: tiny_gguf.written(*tiny_gguf.llama()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    whole = FORMATS[name](tmp_path)
    cuts = (7, len(whole) // 2, len(whole) * 4 // 5)
    write(tmp_path, {f"{cut}/{name}": whole[:cut] for cut in cuts})
    for ran in at_once(*(partial(vtool, "analyze", tmp_path / f"{cut}/{name}") for cut in cuts)):
        ran.refuses(3, name, "byte")


@pytest.mark.parametrize(
    ("name", "at", "wild"),
    [
        ("m.wasm", 9, b"\xff\xff\xff\xff\x0f"),  # size of the first section
        ("m.so", 40, struct.pack("<Q", 1 << 62)),  # where the section headers are
        ("m.onnx", 3, b"\xff\xff\xff\xff\x7f"),  # length of the graph
        ("m.ort", 0, b"\xff\xff\xff\x7f"),  # where the root table is
        ("m.gguf", 8, struct.pack("<Q", 1 << 62)),  # number of tensors
        ("m.gguf", 16, struct.pack("<Q", (1 << 64) - 1)),  # number of metadata entries
    ],
)
def test_an_absurd_length_is_refused(tmp_path: Path, name: str, at: int, wild: bytes) -> None:
    whole = FORMATS[name](tmp_path)
    (tmp_path / name).write_bytes(whole[:at] + wild + whole[at + len(wild) :])
    vtool("analyze", tmp_path / name).refuses(3, name, "byte")


def test_a_model_that_nobody_can_run_is_refused(tmp_path: Path, refused: Path) -> None:
    strange = parser.parse_model(MODEL % "{ y = acme.Strange(x) }")
    strange.opset_import.add(domain="acme", version=1)
    own = project(tmp_path / "p", {"m.onnx": strange.SerializeToString()}, steps=SPECIALIZE)
    vtool("optimize", own, "-o", refused).refuses(3, "m.onnx", "Strange")


def test_a_model_without_its_weights_is_refused(tmp_path: Path, refused: Path) -> None:
    model = parser.parse_model(KNOWN)
    weights = model.graph.initializer[0]
    weights.ClearField("float_data")
    weights.data_location = weights.EXTERNAL
    weights.external_data.add(key="location", value="weights.bin")
    own = project(tmp_path / "p", {"models/m.onnx": model.SerializeToString()}, steps=SPECIALIZE)
    vtool("optimize", own, "-o", refused).refuses(3, "models/m.onnx", "weights.bin")


# Where results go


def test_an_output_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    own = project(tmp_path / "p")
    write(tmp_path, {"full/mine.txt": "mine", "file": "mine"})
    (tmp_path / "link").symlink_to(tmp_path / "full")
    before = snapshot(tmp_path)
    cases = (
        (own, "holds the input"),
        (tmp_path, "holds the input"),
        (own / "build", "inside the input"),
        (tmp_path / "full", "not empty"),
        (tmp_path / "file", "not a folder"),
        (tmp_path / "file/out", "not a folder"),
        (tmp_path / "link", "not a folder"),
        (Path("/proc/out"), "/proc"),
    )
    runs = (partial(vtool, "optimize", own, "-o", out) for out, _ in cases)
    for (out, word), ran in zip(cases, at_once(*runs), strict=True):
        ran.refuses(4 if str(out) == "/proc/out" else 2, word)
    assert snapshot(tmp_path) == before


def test_json_for_a_place_that_takes_none_is_refused_before_the_work(tmp_path: Path) -> None:
    own = project(tmp_path / "p")
    out = tmp_path / "out"
    write(tmp_path, {"file": "mine"})
    for place in (tmp_path, tmp_path / "file/x.json"):
        vtool("optimize", own, "-o", out, "--json", place).refuses(2, "folder")
        assert not out.exists()
    vtool("analyze", own, "--html", tmp_path).refuses(2, "folder")
    vtool("analyze", own, "--json", "/proc/x.json").refuses(2, "/proc/x.json")


def test_a_file_in_a_folder_that_is_not_there_is_refused_before_the_work(tmp_path: Path) -> None:
    own = project(tmp_path / "p")
    before = snapshot(tmp_path)
    place = tmp_path / "nosuch" / "x"
    for command in (
        ["analyze", own, "--json", place],
        ["analyze", own, "--html", place],
        ["profile", own, "--trace", place],
        ["report", own, "-o", place],
        ["materialize", own, "-o", place],
    ):
        vtool(*command).refuses(2, "there is no folder", "nosuch")
    assert snapshot(tmp_path) == before


def test_json_on_standard_output_is_alone_there(tmp_path: Path) -> None:
    own = project(tmp_path / "p")
    out = tmp_path / "out"
    for command in (["optimize", own, "-o", out], ["analyze", own], ["gate", out], ["report", out]):
        ran = vtool(*command, "--json", "-")
        assert (ran.code, type(json.loads(ran.out))) == (0, dict)


def test_standard_output_that_takes_nothing_is_an_error(tmp_path: Path) -> None:
    own = project(tmp_path / "p")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "analyze", str(own), "--json", "-"],
            check=False,
            encoding="utf-8",
            stderr=subprocess.PIPE,
            stdout=full,
            timeout=TIMEOUT_S,
        )
    assert done.returncode == 4
    assert "error: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["gate", "report"])
def test_a_damaged_report_is_refused(tmp_path: Path, command: str) -> None:
    out = tmp_path / "out"
    assert vtool("optimize", project(tmp_path / "p"), "-o", out).code == 0
    text = (out / "report.json").read_text()
    cases = (
        (text[: len(text) // 2], ("JSON",)),
        ("", ("JSON",)),
        ("{}", ("schema_version",)),
        (text.replace('"schema_version": 1', '"schema_version": 99', 1), ("99",)),
        (text.replace('"machine": {', '"machine": 1, "cpu": {', 1), ("machine",)),
    )
    write(tmp_path, {f"{number}/saved.json": case[0] for number, case in enumerate(cases)})
    runs = (partial(vtool, command, tmp_path / f"{n}/saved.json") for n in range(len(cases)))
    for (_, words), ran in zip(cases, at_once(*runs), strict=True):
        ran.refuses(3, "saved.json", *words)
    vtool(command, tmp_path / "gone.json").refuses(2, "gone.json")


def test_a_gate_without_budgets_does_not_open(tmp_path: Path) -> None:
    saved = tmp_path / "analysis.json"
    assert vtool("analyze", project(tmp_path / "p"), "--json", saved).code == 0
    vtool("gate", saved).refuses(2, "no budget", "--budgets")


# A full disk, Ctrl-C, kill


def slow_project(folder: Path) -> Path:
    """Write a project whose compression takes some seconds."""
    generator = random.Random(20_250_207)  # noqa: S311 - text, not secrets
    rows = ("".join(generator.choices("abcdefghij klmnop", k=60)) for _ in range(15_000))
    text = "export const rows = [\n" + "".join(f"{row!r},\n" for row in rows) + "];\n"
    return project(folder, {"src/main.js": text}, steps=COMPRESS)


def test_a_full_disk_is_an_error_for_the_cache_and_for_the_output(
    tmp_path: Path, private: dict[str, str], refused: Path
) -> None:
    noise = random.Random(20_250_207).randbytes(400_000)  # noqa: S311 - data, not secrets
    own = project(tmp_path / "p", {"noise.bin": noise}, steps=COMPRESS)
    (tmp_path / "a.tgz").write_bytes(tgz({"package/noise.bin": noise}))
    limit = 200_000
    full = vtool("analyze", tmp_path / "a.tgz", file_limit=limit, **private)
    full.refuses(4, str(tmp_path / "cache"), "VTOOL_CACHE")
    assert vtool("optimize", own, "-o", tmp_path / "warm", **private).code == 0
    ran = vtool("optimize", own, "-o", refused, file_limit=limit, **private)
    ran.refuses(4, "cannot write", str(refused))
    assert vtool("optimize", own, "-o", tmp_path / "again", **private).code == 0


def until(process: subprocess.Popen[str], word: str) -> None:
    """Read what ``process`` says until a line has ``word``."""
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"it ended before it said {word!r}")


def gone(group: int) -> bool:
    """Return whether every process of ``group`` ends within some seconds."""
    for _ in range(300):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_says_so_and_changes_nothing(
    tmp_path: Path, private: dict[str, str], refused: Path
) -> None:
    own = slow_project(tmp_path / "p")
    process = start("optimize", own, "-o", refused, **private)
    until(process, "pass compress")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (130, "")
    lines = [line for line in err.splitlines() if line.startswith(("error:", " hint:"))]
    assert lines == [
        "error: interrupted",
        " hint: nothing was changed; run the same command again",
    ]
    assert "Traceback" not in err
    assert gone(process.pid)


def test_what_kill_leaves_is_cleaned_by_the_next_run(
    tmp_path: Path, private: dict[str, str]
) -> None:
    files = {f"data/{number}.txt": f"file {number}\n" for number in range(1500)}
    own = project(tmp_path / "p", files, steps=COMPRESS)
    out = write(tmp_path / "out", {"vtool-manifest.json": "{}", "app/old.js": "let old"})
    before = snapshot(out)
    process = start("optimize", own, "-o", out, **private)
    deadline = time.monotonic() + TIMEOUT_S
    while not leftovers(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()  # while it writes
    process.communicate(timeout=TIMEOUT_S)
    assert len(leftovers(tmp_path)) == 1
    assert snapshot(out) == before
    assert gone(process.pid)
    ran = vtool("optimize", own, "-o", out, **private)
    assert ran.code == 0, ran.err
    assert leftovers(tmp_path) == []
    assert (out / "data/1499.txt").is_file()
    assert not (out / "app/old.js").exists()


def test_a_kill_while_it_works_costs_nothing_but_the_work(
    tmp_path: Path, private: dict[str, str], refused: Path
) -> None:
    own = slow_project(tmp_path / "p")
    process = start("optimize", own, "-o", refused, **private)
    until(process, "pass compress")
    process.kill()
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == -signal.SIGKILL
    assert gone(process.pid)
    assert vtool("optimize", own, "-o", tmp_path / "fresh", **private).code in {0, 1}
    assert leftovers(tmp_path) == []
