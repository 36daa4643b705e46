"""An edited module leads back to how it came in, through every pass, and what is new to nowhere."""

from __future__ import annotations

from dataclasses import replace

import golden
import pytest

from toolchain.formats.javascript_addresses import edited
from toolchain.formats.sourcemap import Place, SourceMap, parse
from toolchain.formats.sourcemap_edits import named, stale_map, verbatim
from toolchain.formats.sourcemap_mappings import Segment
from toolchain.ir import ArtifactId, Graph, MemoryStore
from toolchain.origins import Edits, chained, origins, with_origins
from toolchain.passes.dedupe_modules import DedupeModules
from toolchain.passes.drop_unreachable import DropUnreachable
from toolchain.passes.tree_shake import TreeShake
from toolchain.units import Bytes
from toolchain.verify import same_reach

MAIN = ArtifactId("main.js")


def _graph(text: str) -> tuple[Graph, MemoryStore]:
    return golden.parse("js *main.js\n" + "".join(f"    {line}\n" for line in text.splitlines()))


def _edited(graph: Graph, store: MemoryStore, old: str, new: str) -> Graph:
    artifact = graph.artifacts[MAIN]
    data = store.get(artifact.digest)
    start = data.index(old.encode())
    edits: Edits = {(start, start + len(old.encode())): new}
    made = edited(data, edits)
    after = graph.with_artifacts([replace(artifact, digest=store.put(made), size=Bytes(len(made)))])
    return with_origins(graph, after, store, {MAIN: edits})


def _place(text: str, word: str) -> tuple[int, int]:
    head = text[: text.index(word)]
    return head.count("\n"), len(head.rpartition("\n")[2].encode("utf-16-le")) // 2


def test_two_edits_one_after_the_other_lead_back_to_the_first_text() -> None:
    text = 'say("\U0001f3b5"); const gone = 1,\n  other = 2;\nlisten(); answer(late);\n'
    graph, store = _graph(text)
    once = _edited(graph, store, "const gone = 1,\n  other = 2;\n", "")
    twice = _edited(once, store, "listen(", "(await import('./x.js')).listen(")
    now = store.get(twice.artifacts[MAIN].digest).decode()
    origin = origins(twice, store)["main.js"]
    for word in ("say(", '"\U0001f3b5"', "answer(", "late"):
        assert origin(*_place(now, word)) == Place("main.js", *_place(text, word))
    assert origin(*_place(now, "await")) == Place("main.js", *_place(text, "listen("))
    assert len(twice.maps()) == len(twice.artifacts) - 1 == 1
    assert twice.files.keys() == {"main.js"}


def test_what_is_shaken_leads_back_from_every_line_and_its_map_goes_with_it() -> None:
    graph, store = golden.parse(
        "js *main.js -> used.js\n"
        '    import { used } from "./used.js";\n    console.log(used());\n'
        "js used.js\n"
        "    const dead = () => 1;\n    /* kept */ export const used = () => { throw Error(); };\n"
        "    export const other = () => dead();\n    //# sourceMappingURL=data:,{}\n"
    )
    before = store.get(graph.artifacts[ArtifactId("used.js")].digest).decode()
    after = TreeShake().apply(graph, store)
    now = store.get(after.artifacts[ArtifactId("used.js")].digest).decode()
    assert "dead" not in now
    assert "sourceMappingURL" not in now
    origin = origins(after, store)["used.js"]
    assert origin(*_place(now, "throw")) == Place("used.js", *_place(before, "throw"))
    alone = replace(after, edges=frozenset(e for e in after.edges if e.source != MAIN))
    dropped = DropUnreachable().apply(alone, store)
    assert dropped.artifacts.keys() == {"main.js"}
    assert same_reach.prove(alone, dropped, store, {}).holds


def test_a_line_that_passes_on_another_module_came_from_nowhere() -> None:
    case = golden.ROOT / "fixtures" / "passes" / "dedupe-modules" / "equal-copies-side-by-side.txt"
    graph, store = golden.parse(golden.read(case).given)
    after = DedupeModules().apply(graph, store)
    assert after.maps()
    for name in after.maps():
        assert origins(after, store)[name](0, 0) is None
        assert parse(store.get(after.maps()[name].digest)).sources == ()


def test_either_of_two_rewrites_may_be_none() -> None:
    def down(line: int, column: int) -> Place | None:
        return Place("a", line + 1, column) if line < 5 else None

    both = chained(down, down)
    assert both is not None
    assert (both(0, 3), both(4, 3), both(9, 3)) == (Place("a", 2, 3), None, None)
    assert (chained(None, None), chained(down, None), chained(None, down)) == (None, down, down)


def test_between_segments_a_place_is_followed_as_far_as_the_texts_are_the_same() -> None:
    found = SourceMap(("a.js",), (), ((Segment(0, 0, 1, 2),),))
    origin = verbatim(found, "throw new E(x);", {"a.js": "\n  throw new E(y);\n"})
    assert origin(0, 6) == Place("a.js", 1, 8)
    assert origin(0, 12) == Place("a.js", 1, 14)
    assert origin(0, 13) == Place("a.js", 1, 2)  # behind what differs nobody knows
    assert verbatim(found, "throw new E(x);", {})(0, 6) == Place("a.js", 1, 2)


def test_names_in_the_place_of_marks_move_what_follows_and_nothing_else() -> None:
    mark = "__RSPACK_ESM_CHUNK_a-b"
    marked = f'import"{mark}";f();import("{mark}");g()\nh()'
    text = 'import"./a-1.js";f();import("./a-1.js");g()\nh()'
    columns = [(0, marked.index(s)) for s in ("import", "f(", "g(")] + [(1, 0)]
    line = tuple(Segment(column, 0, 7, column) for row, column in columns if row == 0)
    found = named(SourceMap(("a",), (), (line, (Segment(0, 0, 9, 0),))), marked, text)
    assert [s.column for s in found.lines[0]] == [0, text.index("f("), text.index("g(")]
    assert found.lines[1][0].column == 0
    with pytest.raises(ValueError, match="more than names"):
        named(found, marked, text.replace("f", "ff"))


def test_only_a_last_line_that_names_a_map_is_taken_away() -> None:
    data = b'x = "//# sourceMappingURL=a";\n//# sourceMappingURL=a.js.map\n'
    assert edited(data, stale_map(data)) == b'x = "//# sourceMappingURL=a";\n'
    assert stale_map(b"//# sourceMappingURL=a.js.map\nf();\n") == {}
