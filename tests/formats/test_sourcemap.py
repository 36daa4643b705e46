"""Source maps are read as node reads them, written so that they read the same, and composed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import FormatError
from toolchain.formats.esbuild import Build, service
from toolchain.formats.javascript_addresses import edited
from toolchain.formats.sourcemap import Place, SourceMap, compose, dump, parse
from toolchain.formats.sourcemap_edits import edited_text
from toolchain.formats.sourcemap_mappings import Segment, decode, encode
from toolchain.sources.tools import node, tool

# both sides of one, two and three base64 digits, and of the sign
_NUMBERS = st.sampled_from([0, 1, 15, 16, 17, 511, 512, 2**20, 2**31])
_SEGMENTS = st.sampled_from([1, 4, 5]).flatmap(
    lambda count: st.lists(_NUMBERS, min_size=count, max_size=count).map(lambda n: Segment(*n))
)
_LINES = st.lists(
    st.lists(_SEGMENTS, max_size=4).map(lambda s: tuple(sorted(s, key=lambda one: one.column))),
    min_size=1,
    max_size=4,
)


@given(_LINES)
def test_what_is_written_reads_the_same(lines: list[tuple[Segment, ...]]) -> None:
    assert list(decode(encode(lines))) == lines


def test_places_are_those_that_node_finds(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text(
        'import { b } from "./b";\nexport const note = (x: number): number => {\n'
        "  if (x > b) throw new Error(`\U0001f3b5 ü ${x}`); return x + b;\n};\n"
    )
    (tmp_path / "b.ts").write_text("enum E {\n  A = 3 }\nexport const b: number = E.A;\n")
    flags = ("--bundle", "--minify", "--sourcemap=external", "--outdir=out", "--format=esm")
    with service(tool("esbuild")) as esbuild:
        done = esbuild.build(Build(tmp_path.resolve(), {"a": "a.ts"}, flags))
    (made,) = done.outputs
    found = parse(made.map)
    width = len(made.data.decode())
    script = """
    const { SourceMap } = require("node:module");
    const map = new SourceMap(JSON.parse(require("node:fs").readFileSync(0, "utf8")));
    const rows = [];
    for (let column = 0; column < Number(process.argv[1]); column++) {
      const one = map.findEntry(0, column);
      rows.push([one.originalSource, one.originalLine, one.originalColumn]);
    }
    console.log(JSON.stringify(rows));
    """
    for data in (made.map, dump(found)):
        done_ = subprocess.run(
            [node(), "-e", script, str(width)],
            input=data, capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        theirs = [tuple(row) for row in json.loads(done_.stdout)]
        ours = [found.original(0, column) for column in range(width)]
        assert [(p.source, p.line, p.column) for p in ours if p] == theirs
    assert {p.source for p in ours if p} == {"../a.ts", "../b.ts"}


_PLACES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=6)


def _map(source: str, places: list[tuple[int, int]]) -> SourceMap:
    """Return the map of one line whose column N came from the Nth place."""
    line = tuple(Segment(c, 0, a, b) for c, (a, b) in enumerate(places))
    return SourceMap((source,), (), (line,))


@given(_PLACES, _PLACES)
def test_composing_is_looking_up_twice(
    outer: list[tuple[int, int]], inner: list[tuple[int, int]]
) -> None:
    first, second = _map("b.js", outer), _map("a.ts", inner)
    both = compose(first, {"b.js": second.original})
    for column in range(len(outer) + 2):
        place = first.original(0, column)
        assert place is not None
        assert both.original(0, column) == second.original(place.line, place.column)
    assert compose(first, {"other.js": second.original}) == first


def test_composing_keeps_the_oldest_name_and_the_contents_that_are_left() -> None:
    outer = SourceMap(("b.js", "c"), ("e",), ((Segment(0, 0, 0, 4, 0), Segment(9, 1)),), ("b", "c"))
    inner = SourceMap(("a.ts",), ("speak",), ((Segment(4, 0, 7, 2, 0),),))
    both = compose(outer, {"b.js": inner.original})
    assert both.original(0, 8) == Place("a.ts", 7, 2, "speak")
    assert json.loads(dump(both))["sourcesContent"] == [None, "c"]
    nameless = SourceMap(("a.ts",), (), ((Segment(4, 0, 7, 2),),))
    assert compose(outer, {"b.js": nameless.original}).original(0, 0) == Place("a.ts", 7, 2, "e")


_TEXT = st.text("ab\n\U0001f3b5ü", max_size=12)


@given(st.lists(st.tuples(_TEXT, _TEXT, _TEXT), max_size=4), _TEXT)
def test_an_edited_text_leads_back_to_where_each_kept_character_was(
    pieces: list[tuple[str, str, str]], rest: str
) -> None:
    data, edits, kept = b"", {}, []
    for before, old, new in pieces:
        kept.append((len(data), before))
        start = len(data) + len(before.encode())
        data += (before + old).encode()
        if old:
            edits[start, len(data)] = new
    kept.append((len(data), rest))
    data += rest.encode()
    text = edited(data, edits).decode()
    found = edited_text("a.js", data, edits)
    shift = 0
    for offset, piece in kept:
        shift = sum(len(new.encode()) - (e - s) for (s, e), new in edits.items() if e <= offset)
        for number, character in enumerate(piece):
            at = offset + len(piece[:number].encode())
            if character != "\n":
                there = found.original(*_place(text, at + shift))
                assert there == Place("a.js", *_place(data.decode(), at))
    for (start, _), new in edits.items():
        before = sum(len(n.encode()) - (e - s) for (s, e), n in edits.items() if e <= start)
        if new.strip("\n"):
            there = found.original(*_place(text, start + before))
            assert there == Place("a.js", *_place(data.decode(), start))


def _place(text: str, offset: int) -> tuple[int, int]:
    """Return line and UTF-16 column of a byte offset."""
    head = text.encode()[:offset].decode()
    last = head.rpartition("\n")[2]
    return head.count("\n"), len(last.encode("utf-16-le")) // 2


def test_an_index_map_is_one_map() -> None:
    part = {"version": 3, "sources": ["a.ts"], "names": [], "mappings": "AACA;AAAC"}
    sections = [
        {"offset": {"line": 0, "column": 0}, "map": part},
        {"offset": {"line": 1, "column": 10}, "map": {**part, "sources": ["b.ts"]}},
    ]
    found = parse(json.dumps({"version": 3, "sections": sections}).encode())
    assert found.original(0, 0) == Place("a.ts", 1, 0)
    assert found.original(1, 3) == Place("a.ts", 1, 1)
    assert found.original(1, 10) == Place("b.ts", 1, 0)
    assert found.original(2, 0) == Place("b.ts", 1, 1)


def test_paths_are_those_below_the_root() -> None:
    def source(root: str, name: str) -> str:
        text = {"version": 3, "sourceRoot": root, "sources": [name], "names": [], "mappings": ""}
        return parse(b")]}'\n" + json.dumps(text).encode()).sources[0]

    assert source("../src", "../a.ts") == "../a.ts"
    assert source("https://x.org/s/", "a.ts") == "https://x.org/s/a.ts"
    assert source("src", "webpack://a.ts") == "webpack://a.ts"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 2, "sources": [], "names": [], "mappings": ""}',
        '{"version": 3, "names": [], "mappings": ""}',
        '{"version": 3, "sources": [], "names": [], "mappings": "AAAA"}',
        '{"version": 3, "sources": ["a"], "names": [], "mappings": "AAAAA"}',
        '{"version": 3, "sources": ["a"], "names": [], "mappings": "AA"}',
        '{"version": 3, "sources": ["a"], "names": [], "mappings": "D"}',
        '{"version": 3, "sources": ["a"], "names": [], "mappings": "g"}',
        '{"version": 3, "sources": ["a"], "names": [], "mappings": "?"}',
        '{"version": 3, "sections": [{"offset": {}}]}',
    ],
)
def test_a_map_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="source map"):
        parse(text.encode())
