"""esbuild's service: packets, builds, plug-ins, and every way in which it can fail."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import real
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import FormatError, InputError, ToolError
from toolchain.formats import esbuild, esbuild_py
from toolchain.formats.esbuild_packets import WORD_BYTES, Packet, Value, decode, encode
from toolchain.sources.tools import tool

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.text()
    | st.binary()
    | st.sampled_from(["", "x" * 255, "x" * 256]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def service() -> Iterator[esbuild.Esbuild]:
    with esbuild.service(tool("esbuild"), timeout_seconds=60) as running:
        yield running


@given(values, st.integers(0, 2**31 - 1), st.booleans())
def test_packets_say_what_was_put_in(value: Value, number: int, request: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    packet = Packet(number, request=request, value=value)
    data = encode(packet)
    assert int.from_bytes(data[:WORD_BYTES], "little") == len(data) - WORD_BYTES
    assert decode(data[WORD_BYTES:]) == packet


def test_a_packet_that_is_cut_anywhere_or_goes_on_is_refused() -> None:
    value: Value = {"text": "ab", "list": [1, None, True, b"xy"], "deep": {"a": -1}}
    body = encode(Packet(7, request=True, value=value))[WORD_BYTES:]
    for end in range(len(body)):
        with pytest.raises(FormatError):
            decode(body[:end])
    with pytest.raises(FormatError, match="goes on"):
        decode(body + b"\0")
    with pytest.raises(FormatError, match="unknown type 9"):
        decode(body[:WORD_BYTES] + b"\x09")


def test_a_build_gives_files_chunks_and_what_went_into_them(
    tmp_path: Path, service: esbuild.Esbuild
) -> None:
    (tmp_path / "a.ts").write_text(
        'import { b } from "./b";\nexport const a: number = b;\n'
        'export const c = () => import("./c");'
    )
    (tmp_path / "b.ts").write_text("export const b = 1;\nexport const unused = 2;")
    (tmp_path / "c.ts").write_text("export default 3;")
    flags = ("--bundle", "--splitting", "--format=esm", "--outdir=out")
    result = service.build(esbuild.Build(tmp_path, {"main": "a.ts"}, flags))
    assert result.errors == ()
    chunk, main = result.outputs
    assert (main.path, main.entry, main.exports) == ("out/main.js", "a.ts", ("a", "c"))
    assert main.inputs.keys() == {"a.ts", "b.ts"}
    assert [(i.path, i.kind) for i in main.imports] == [(chunk.path, "dynamic-import")]
    assert b"unused" not in main.data
    assert result.inputs["a.ts"].imports[0].original == "./b"
    assert result.inputs["c.ts"].size_bytes == 17
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ts", "b.ts", "c.ts"]


def test_errors_are_values_with_file_and_line(tmp_path: Path, service: esbuild.Esbuild) -> None:
    (tmp_path / "a.js").write_text('import "./gone.js";\n\nlet x = ;\n')
    result = service.build(esbuild.Build(tmp_path, {"a": "a.js"}, ("--bundle", "--outdir=out")))
    assert [(m.where(), m.text) for m in result.errors] == [("a.js:3", 'Unexpected ";"')]
    assert result.errors[0].source == "let x = ;"
    assert result.outputs == ()
    (tmp_path / "a.js").write_text('import "./gone.js";\n')
    result = service.build(esbuild.Build(tmp_path, {"a": "a.js"}, ("--bundle", "--outdir=out")))
    assert [(m.where(), m.text) for m in result.errors] == [
        ("a.js:1", 'Could not resolve "./gone.js"')
    ]


class _FromPython(esbuild.Plugin):
    resolve_filter = "^python:"
    load_filter = "[.]virtual$"

    def resolve(self, question: esbuild.Resolving) -> esbuild.Resolved | None:
        assert question.kind == "import-statement"
        assert question.importer.endswith("a.js")
        name = question.path.removeprefix("python:")
        if name == "outside":
            return esbuild.Resolved(question.path, external=True)
        return esbuild.Resolved(f"{question.folder}/{name}.virtual") if name != "left" else None

    def load(self, path: str) -> esbuild.Loaded | None:
        return esbuild.Loaded(f"export default {Path(path).stem!r}".encode(), "js")


def test_python_answers_what_imports_mean_and_what_files_hold(
    tmp_path: Path, service: esbuild.Esbuild
) -> None:
    (tmp_path / "a.js").write_text(
        'import one from "python:one";\nimport two from "python:outside";\nexport { one, two };'
    )
    flags = ("--bundle", "--format=esm", "--outdir=out")
    result = service.build(esbuild.Build(tmp_path, {"a": "a.js"}, flags, _FromPython()))
    assert result.errors == ()
    assert b'"one"' in result.outputs[0].data
    assert [i.path for i in result.outputs[0].imports if i.external] == ["python:outside"]
    (tmp_path / "a.js").write_text('import "python:left";')
    result = service.build(esbuild.Build(tmp_path, {"a": "a.js"}, flags, _FromPython()))
    assert result.errors[0].text == 'Could not resolve "python:left"'


def test_an_error_in_a_plug_in_is_not_swallowed(tmp_path: Path) -> None:
    class Broken(esbuild.Plugin):
        load_filter = "."

        def load(self, path: str) -> esbuild.Loaded | None:
            raise InputError(f"cannot read {Path(path).name}")

    (tmp_path / "a.js").write_text("1")
    with esbuild.service(tool("esbuild")) as own, pytest.raises(InputError, match=r"a\.js"):
        own.build(esbuild.Build(tmp_path, {"a": "a.js"}, ("--bundle", "--outdir=o"), Broken()))


def test_a_transform_gives_code_or_errors(service: esbuild.Esbuild) -> None:
    good = service.transform(b"const a: number = 1; export { a }", "--loader=ts", "--minify")
    assert good.outputs[0].data == b"const e=1;export{e as a};\n"
    bad = service.transform(b"const a: number = ;", "--loader=ts")
    assert (bad.outputs, bad.errors[0].line) == ((), 1)


def test_megabytes_pass_through_the_pipes(service: esbuild.Esbuild) -> None:
    source = real.file("npm:livekit-client@2.23.0", "dist/livekit-client.esm.mjs").read_bytes()
    result = service.transform(source, "--minify")
    assert result.errors == ()
    assert 300_000 < len(result.outputs[0].data) < len(source)


def _program(folder: Path, body: str) -> Path:
    path = folder / "esbuild"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
    path.chmod(0o755)
    return path


def _greeting(version: str) -> str:
    data = len(version).to_bytes(4, "little") + version.encode()
    return f"os.write(1, {data!r})\n"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (_greeting("0.1.0"), "is version '0.1.0'"),
        ("sys.exit('no such flag')", "died: no such flag"),
        ("time.sleep(60)", "did not answer within 0.5 s"),
        (_greeting(esbuild.VERSION) + "time.sleep(60)", "did not answer within 0.5 s"),
        (_greeting(esbuild.VERSION) + "os.read(0, 9); sys.exit(3)", "died: exit code 3"),
        (
            _greeting(esbuild.VERSION)
            + "os.read(0, 9); os.write(1, b'\\4\\0\\0\\0abcd'); time.sleep(9)",
            "answers nonsense",
        ),
    ],
)
def test_a_service_that_is_wrong_silent_or_dead_is_a_tool_error(
    tmp_path: Path, body: str, what: str
) -> None:
    start = time.monotonic()
    with (
        pytest.raises(ToolError, match=what),
        esbuild.service(_program(tmp_path, body), timeout_seconds=0.5) as own,
    ):
        own.transform(b"1")
    assert time.monotonic() - start < 45


def test_a_service_that_is_killed_is_a_tool_error_and_leaves_no_process() -> None:
    with esbuild.service(tool("esbuild")) as own:
        process = own._process
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ToolError, match="died"):
            own.transform(b"1")
    assert process.returncode == -signal.SIGKILL


def test_a_program_that_is_not_there_is_a_tool_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ToolError, match="cannot be started"),
        esbuild.service(tmp_path / "gone"),
    ):
        pass


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="esbuild-py cannot be imported here")
@pytest.mark.parametrize(
    "text",
    [
        "export const a = <b c={d} {...e}>x {f} <g /></b>;",
        "const h = <><I.J k='l' />{m.map((n) => <o key={n}>&amp;</o>)}</>;",
        "async function p() { return <q r>{await s?.t}</q>; }",
    ],
)
def test_esbuild_py_answers_what_the_binary_answers(text: str) -> None:
    with esbuild.service(tool("esbuild")) as service:
        reference = service.transform(text.encode(), "--loader=jsx", "--charset=utf8")
    assert esbuild_py.transform_jsx(text.encode()).split() == reference.outputs[0].data.split()


def test_esbuild_py_transforms_jsx_where_it_works_and_never_answers_with_nothing() -> None:
    if sys.version_info >= (3, 12):
        assert not esbuild_py.available()
        with pytest.raises(ToolError, match="does not work"):
            esbuild_py.transform_jsx(b"let a = <b/>;")
        return
    assert esbuild_py.available()
    code = esbuild_py.transform_jsx(b"let a = <b>x</b>;")
    assert b'React.createElement("b", null, "x")' in code
    for wrong in (b"let a: number = 1;", b"let ("):
        with pytest.raises(InputError, match="gave nothing"):
            esbuild_py.transform_jsx(wrong)
    with pytest.raises(ToolError, match="did not answer within"):
        esbuild_py.transform_jsx(b"let a = 1;", timeout_seconds=0.001)
