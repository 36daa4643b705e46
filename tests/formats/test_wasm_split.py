"""The loader of split modules, on modules split by hand: binaryen is not needed here."""

import json
import struct
from pathlib import Path

import pytest

from toolchain.errors import FormatError, ToolError
from toolchain.formats import esbuild, leb128, node_program, wasm_signatures, wasm_split
from toolchain.formats.javascript_prologue import prologue
from toolchain.formats.node_program import Run
from toolchain.formats.wasm_split import Part
from toolchain.sources.tools import node, tool

_HEADER = b"\0asm\1\0\0\0"


def _module(*sections: tuple[int, str]) -> bytes:
    parts = ((kind, bytes.fromhex(text)) for kind, text in sections)
    return _HEADER + b"".join(bytes([k]) + leb128.encoded(len(p)) + p for k, p in parts)


# call() jumps to place 0 of the table, where the part puts a function that returns 42
_PRIMARY = _module(
    (1, "01 60 00 01 7f"),
    (2, "01 04 61 61 2e 30 01 30 00 00"),  # aa.0 "0"
    (3, "01 00"),
    (4, "01 70 00 01"),
    (7, "02 01 74 01 00 04 63 61 6c 6c 00 01"),
    (9, "01 00 41 00 0b 01 00"),
    (10, "01 07 00 41 00 11 00 00 0b"),
)
_DEFERRED = _module(
    (1, "01 60 00 01 7f"),
    (2, "01 0c 61 61 2e 30 2e 70 72 69 6d 61 72 79 01 74 01 70 00 01"),  # aa.0.primary "t"
    (3, "01 00"),
    (9, "01 00 41 00 0b 01 00"),
    (10, "01 04 00 41 2a 0b"),
)
_PART = Part(_DEFERRED, "aa.0", "aa.0.primary", "t")
_GLUE = """import { readFileSync } from "node:fs";
export const bytes = readFileSync(new URL("./engine.wasm", import.meta.url));
export const start = async () => (await WebAssembly.instantiate(bytes, {})).instance.exports;
export const counts = () => globalThis[Symbol.for("vtool.split-wasm")];
"""


def _run(
    program: str,
    *,
    glue: str = _GLUE,
    name: str = "lib/glue.mjs",
    prefetch: bool = False,
    **more: bytes,
) -> Run:
    with esbuild.service(tool("esbuild")) as service:
        loader = wasm_split.with_loader(
            service, (name, glue.encode()), "lib/engine.wasm", [_PART], prefetch=prefetch
        )
    files = {
        name: loader,
        "lib/engine.wasm": _PRIMARY,
        "lib/engine.deferred.wasm": _DEFERRED,
        "run.mjs": program.encode(),
    }
    files |= {key.replace("__", "/"): data for key, data in more.items()}
    return node_program.run(node(), "run.mjs", {**files}, timeout_s=60)


def test_the_first_call_loads_the_part_and_later_calls_do_not() -> None:
    done = _run(
        """import { start, counts } from "./lib/glue.mjs";
        const engine = await start();
        const before = counts().misses;
        console.log(before, engine.call(), engine.call(), counts().misses);
        console.log(counts().loads.map((load) => load.name).join());"""
    )
    assert done.complaint == ""
    assert done.printed == "0 42 42 1\nengine.deferred.wasm\n"
    assert (done.instances, done.misses) == (1, 1)


def test_every_way_to_instantiate_is_covered() -> None:
    done = _run(
        """import { bytes } from "./lib/glue.mjs";
        const module = new WebAssembly.Module(bytes);
        const one = new WebAssembly.Instance(module, {});
        const two = await WebAssembly.instantiate(module, {});
        const body = new Response(bytes, { headers: { "content-type": "application/wasm" } });
        const three = (await WebAssembly.instantiateStreaming(body, {})).instance;
        console.log([one, two, three].map((i) => i.exports.call()).join());
        console.log([one, two, three].every((i) => i instanceof WebAssembly.Instance));"""
    )
    assert done.complaint == ""
    assert done.printed == "42,42,42\ntrue\n"
    assert (done.instances, done.misses) == (3, 3)  # each instance has its own table


def test_a_thread_loads_parts_for_itself() -> None:
    done = _run(
        """import { Worker } from "node:worker_threads";
        const worker = new Worker(new URL("./thread.mjs", import.meta.url));
        worker.on("message", (said) => console.log(said));""",
        **{
            "thread.mjs": b"""import { parentPort } from "node:worker_threads";
            import { bytes, counts } from "./lib/glue.mjs";
            const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
            parentPort.postMessage(`${exports.call()} after ${counts().misses} miss`);"""
        },
    )
    assert done.complaint == ""
    assert done.printed == "42 after 1 miss\n"


def test_a_part_that_was_fetched_ahead_is_no_miss() -> None:
    program = """import { start, counts } from "./lib/glue.mjs";
        const engine = await start();
        for (let turn = 0; turn < 50; turn += 1) await new Promise((r) => setTimeout(r, 5));
        console.log(engine.call(), counts().misses);"""
    assert _run(program, prefetch=True).printed == "42 0\n"
    assert _run(program).printed == "42 1\n"


def test_modules_that_were_not_split_are_left_alone() -> None:
    done = _run(
        """import "./lib/glue.mjs";
        const plain = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
        const { module, instance } = await WebAssembly.instantiate(plain);
        console.log(module instanceof WebAssembly.Module, Object.keys(instance.exports).length);
        console.log(await WebAssembly.instantiate(Uint8Array.of(1)).catch((e) => e.name));"""
    )
    assert done.printed == "true 0\nCompileError\n"
    assert done.instances == 0


def test_a_part_that_is_not_there_is_an_error_that_names_it() -> None:
    done = _run(
        """import { rmSync } from "node:fs";
        import { start } from "./lib/glue.mjs";
        rmSync(new URL("./lib/engine.deferred.wasm", import.meta.url));
        try { (await start()).call(); } catch (error) { console.log(error.message); }"""
    )
    assert "engine.deferred.wasm" in done.printed


def test_two_scripts_with_the_loader_count_each_miss_once() -> None:
    program = """import { start } from "./lib/glue.mjs";
        import "./lib/again.mjs";
        console.log((await start()).call());"""
    with esbuild.service(tool("esbuild")) as service:
        again = wasm_split.with_loader(
            service, ("lib/again.mjs", b"export {};"), "lib/engine.wasm", [_PART], prefetch=False
        )
    done = _run(program, **{"lib__again.mjs": again})
    assert done.printed == "42\n"
    assert done.misses == 1


def test_a_classic_script_keeps_its_first_line_and_its_strictness() -> None:
    glue = """#!/usr/bin/env node
/* licence */ 'use strict';
const fs = require("node:fs");
exports.sloppy = (function () { return this; })() !== undefined;
exports.start = async () => {
  const bytes = fs.readFileSync(`${__dirname}/engine.wasm`);
  return (await WebAssembly.instantiate(bytes, {})).instance.exports;
};
"""
    done = _run(
        """import glue from "./lib/glue.cjs";
        console.log(glue.sloppy, (await glue.start()).call());""",
        glue=glue,
        name="lib/glue.cjs",
    )
    assert done.complaint == ""
    assert done.printed == "false 42\n"


def test_the_script_moves_down_by_one_line() -> None:
    with esbuild.service(tool("esbuild")) as service:
        for text in (b"export {};\n", b"#!/bin/node\nexport {};\n"):
            made = wasm_split.with_loader(
                service, ("a.mjs", text), "a.wasm", [_PART], prefetch=False
            )
            assert made.count(b"\n") == text.count(b"\n") + 1
            assert made.endswith(b"\nexport {};\n")
    moved = wasm_split.one_line_down(b'{"version":3,"mappings":"AAAA;AACA"}')
    assert json.loads(moved)["mappings"] == ";AAAA;AACA"
    sections = b'{"version":3,"sections":[{"offset":{"line":2,"column":0},"map":{}}]}'
    assert json.loads(wasm_split.one_line_down(sections))["sections"][0]["offset"]["line"] == 3
    with pytest.raises(FormatError, match="not a source map"):
        wasm_split.one_line_down(b"[]")


@pytest.mark.parametrize(
    ("text", "strict", "esm"),
    [
        (b"'use strict'; f()", True, False),
        (b'// c\n"use asm";"use strict";', True, False),
        (b'f(); "use strict";', False, False),
        (b"", False, False),
        (b"import 'a'", False, True),
    ],
)
def test_what_a_script_begins_with_is_seen(text: bytes, *, strict: bool, esm: bool) -> None:
    found = prologue(text)
    assert (found.hashbang_bytes, found.strict, found.is_esm) == (0, strict, esm)


def test_profiles_say_which_functions_ran_in_any_run() -> None:
    hash_ = bytes(8)
    first, second = struct.pack("<3I", 0, 4, 0), struct.pack("<3I", 1, 0, 0)
    assert wasm_split.ran([hash_ + first, hash_ + second], 3) == {0, 1}
    with pytest.raises(ToolError, match="not one of 4 functions"):
        wasm_split.ran([hash_ + first], 4)


def test_functions_that_javascript_cannot_call_are_known() -> None:
    module = _module(
        (1, "02 60 01 7b 00 60 02 7f 7e 01 7d"),  # (v128) -> (), (i32, i64) -> f32
        (3, "03 00 01 00"),
        (10, "03 02 00 0b 02 00 0b 02 00 0b"),
    )
    crosses = [signature.crosses for signature in wasm_signatures.defined(module)]
    assert crosses == [False, True, False]
    with pytest.raises(FormatError, match="not a function's"):
        wasm_signatures.defined(_module((1, "01 5f 01 7f 00"), (3, "01 00")))


def test_names_of_parts_are_those_by_which_a_split_module_is_known() -> None:
    for count in (1, 2, 3):
        name = wasm_split.deferred_name("a/b.wasm", 0, count)
        assert name in wasm_split.deferred_names("a/b.wasm")
        assert Path(name).parent == Path("a")


def test_only_names_and_debug_data_are_left_out_for_binaryen() -> None:
    custom = _module((0, "04 6e 61 6d 65 00"), (0, "01 78 01"))
    assert wasm_split.plain(custom) == _module((0, "01 78 01"))
