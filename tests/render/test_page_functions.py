"""The page's own arithmetic, in node: it agrees with Python's and its treemap is exact."""

from __future__ import annotations

import random
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from render.page_parts import Page, in_node
from render.reports_strategy import ROOT, sample

from toolchain.ir import Budget, LedgerRow, Measure, Proof, Stage
from toolchain.render import figures, flatten
from toolchain.sources import tools
from toolchain.units import Bytes, Seconds, show_bytes, show_quantity, show_range, show_share

PAGE = Page((ROOT / "reports" / "report.html").read_text("utf-8"))
PURE = PAGE.script("vtool-pure").text
SEED = 20_260_801
TIES = [1125, 1135, 12_450, 12_550, 124_500, 125_500, 1_005, 999_500, 999_499, 9_995, 99_950]


def _chance() -> random.Random:
    return random.Random(SEED)  # noqa: S311 - the same cases every time, nothing secret


def test_both_programs_are_javascript(tmp_path: Any) -> None:  # noqa: ANN401 - a Path
    for name in ("vtool-pure", "vtool-page"):
        file = tmp_path / f"{name}.js"
        file.write_text(PAGE.script(name).text, "utf-8")
        done = subprocess.run(
            [str(tools.node()), "--check", str(file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_bytes_are_written_as_python_writes_them() -> None:
    chance = _chance()
    counts = [
        0,
        1,
        999,
        1000,
        -1500,
        10**12,
        *TIES,
        *[chance.randrange(10**10) for _ in range(500)],
    ]
    assert in_node(PURE, "given.map(showBytes)", counts) == [show_bytes(n) for n in counts]


def test_quantities_are_written_as_python_writes_them() -> None:
    chance = _chance()
    values = [0.0, 0.5, 1.125, 0.125, 0.0625, 12.25, 999.5, 1234.5, 1e6, -3.25]
    values += [chance.uniform(0, 10 ** chance.randrange(7)) for _ in range(300)]
    pairs = [
        (v, unit)
        for v in values
        for unit in ("ms", "s", "ratio", "count", "tokens/s", "dB", "nats", "byte")
    ]
    shown = in_node(PURE, "given.map(([v, u]) => showQuantity(v, u))", pairs)
    assert shown == [show_quantity(v, u) for v, u in pairs]
    shares = [(a, b) for a in values[:40] for b in (0, 1, 8, 1000)]
    assert in_node(PURE, "given.map(([a, b]) => showShare(a, b))", shares) == [
        show_share(a, b) for a, b in shares
    ]


def test_ranges_and_doubts_are_written_as_python_writes_them() -> None:
    ranges = [
        (low, high, unit)
        for low, high in [(440.0, 471.6), (440.0, None), (None, 3.0), (None, None), (9e5, 2e6)]
        for unit in ("ms", "s", "byte", "ratio", "count", "tokens/s")
    ]
    shown = in_node(PURE, "given.map(([l, h, u]) => showRange(l, h, u))", ranges)
    assert shown == [show_range(*one) for one in ranges]
    budget = Budget("t", "ms", 100, "why", 95)
    verdicts = [
        budget.judge(Measure("t", "ms", samples, looks=looks))
        for samples in ((1.0,) * 5, (1.0,) * 100, (*(1.0,) * 95, *(200.0,) * 5))
        for looks in (1, 3)
    ]
    report = flatten.document(replace(sample(), verdicts=tuple(verdicts)))
    doubts = in_node(PURE, "given.map(doubtOf)", report["verdicts"])
    assert doubts == [v.doubt for v in verdicts]
    assert len(set(doubts)) == 5


def test_changes_have_a_sign() -> None:
    assert in_node(PURE, "given.map(showChange)", [0, 1500, -1500]) == [
        "0 B",
        "+1.50 kB",
        "\u22121.50 kB",
    ]
    assert in_node(PURE, "given.map(showPercent)", [0, 0.25, -0.25]) == [
        "0.0 %",
        "+25.0 %",
        "\u221225.0 %",
    ]


def test_percentiles_are_those_of_a_measure() -> None:
    chance = _chance()
    cases = [
        ([chance.uniform(-5, 500) for _ in range(size)], percent)
        for size in (1, 2, 3, 10, 19, 20, 21, 100)
        for percent in (0, 5, 50, 95, 99, 100)
    ]
    assert in_node(PURE, "given.map(([s, p]) => percentile(s, p))", cases) == [
        Measure("m", "ms", tuple(samples)).percentile(percent) for samples, percent in cases
    ]


def test_passes_add_up_as_in_the_terminal() -> None:
    ledger = flatten.document(sample())["ledger"]
    steps = in_node(PURE, "stepsOf(given)", ledger)
    expected = figures.steps(sample())
    assert [s["pass"] for s in steps] == [s.step for s in expected]
    for one, other in zip(steps, expected, strict=True):
        assert (one["before"], one["after"], one["held"], one["unchanged"], one["cached"]) == (
            other.before,
            other.after,
            other.held,
            other.unchanged,
            other.cached,
        )
        assert one["seconds"] == pytest.approx(other.seconds)


def test_a_pass_that_runs_twice_has_a_row_for_each_run() -> None:
    proof = Proof("same-reach", holds=True, detail="")
    made = [("drop", "a", 9, 5), ("bundle", "*", 5, 6), ("drop", "a", 6, 2), ("drop", "a", 2, 1)]
    ledger = tuple(LedgerRow(s, n, Bytes(b), Bytes(a), Seconds(0), proof) for s, n, b, a in made)
    report = replace(sample(), ledger=ledger)
    found = [(step.step, step.before, step.after) for step in figures.steps(report)]
    assert found == [("drop", 9, 5), ("bundle", 5, 6), ("drop", 6, 2), ("drop", 2, 1)]
    ledger = flatten.document(report)["ledger"]
    drawn = in_node(PURE, "stepsOf(given).map(s => [s.pass, s.before, s.after])", ledger)
    assert drawn == [list(one) for one in found]


@pytest.mark.parametrize("across", [False, True])
def test_measures_pair_as_in_the_terminal(across: bool) -> None:  # noqa: FBT001 - pytest's way
    here = sample().machine
    extra = (
        Measure("other.machine", "ms", (1.0,), replace(here, cores=99)),
        Measure("other.version", "ms", (1.0,), replace(here, versions=(("vtool", "9"),))),
        Measure("busy", "ms", (1.0,), replace(here, load=99.0)),
        Measure("unknown.governor", "ms", (1.0,), replace(here, governor=None, limits=None)),
        Measure("unknown.machine", "ms", (1.0,), None),
        Measure("only.after", "ms", (1.0,), here),
        Measure("empty", "ms", (), here),
        Measure("zero", "ms", (0.0,), here),
    )
    base = tuple(replace(m, machine=here) for m in extra if m.samples and m.name != "only.after")
    report = replace(
        sample(),
        measures=(*sample().measures, *extra),
        baseline=(*sample().baseline, *base),
        across_machines=across,
    )
    document = flatten.document(report)
    pairs = in_node(
        PURE,
        "pairsOf(given.measures, given.baseline, given.machine, given.across_machines)",
        document,
    )
    expected = figures.pairs(report)
    assert {p["name"] for p in pairs if p["elsewhere"]} == (
        {"other.machine", "other.version", "unknown.machine"} if across else set()
    )
    assert [p["name"] for p in pairs] == [name for name, _, _ in expected]
    for pair, (_, before, after) in zip(pairs, expected, strict=True):
        change = figures.change(before, after, across_machines=across)
        assert pair["change"] == (None if change is None else pytest.approx(change))


def _cases() -> list[tuple[list[float], float, float, float, float]]:
    chance = _chance()
    cases: list[tuple[list[float], float, float, float, float]] = [
        ([1.0], 0, 0, 10, 10),
        ([6, 6, 4, 3, 2, 2, 1], 0, 0, 6, 4),
        ([5.0, 0.0, 0.0], 3, 4, 20, 1),
        ([1e12, 1.0], 0, 0, 300, 200),
    ]
    for _ in range(60):
        values = [
            chance.paretovariate(chance.choice([0.5, 1, 3]))
            for _ in range(chance.randrange(1, 120))
        ]
        box = (
            chance.uniform(0, 9),
            chance.uniform(0, 9),
            chance.uniform(1, 900),
            chance.uniform(1, 900),
        )
        cases.append((sorted(values, reverse=True), *box))
    return cases


def test_treemap_fills_its_rectangle_exactly_and_nothing_overlaps() -> None:
    cases = _cases()
    results = in_node(PURE, "given.map(c => Array.from(squarify(...c)))", cases)
    for (values, x, y, w, h), flat in zip(cases, results, strict=True):
        boxes = [flat[at : at + 4] for at in range(0, len(flat), 4)]
        total = sum(values)
        for value, (bx, by, bw, bh) in zip(values, boxes, strict=True):
            assert bw * bh == pytest.approx(w * h * value / total, rel=1e-6, abs=1e-6 * w * h)
            assert bx >= x - 1e-6
            assert by >= y - 1e-6
            assert bx + bw <= x + w + 1e-6
            assert by + bh <= y + h + 1e-6
        for n, (ax, ay, aw, ah) in enumerate(boxes):
            for bx, by, bw, bh in boxes[n + 1 :]:
                wide = min(ax + aw, bx + bw) - max(ax, bx)
                high = min(ay + ah, by + bh) - max(ay, by)
                assert min(wide, high) < 1e-6


def test_treemap_tiles_are_nearly_square() -> None:
    flat = in_node(PURE, "Array.from(squarify(given, 0, 0, 1200, 600))", [1.0] * 400)
    ratios = [max(w / h, h / w) for w, h in zip(flat[2::4], flat[3::4], strict=True)]
    assert max(ratios) < 2


@pytest.mark.parametrize("case", [[[], 0, 0, 5, 5], [[0, 0], 0, 0, 5, 5], [[1, 1], 0, 0, 0, 5]])
def test_nothing_to_lay_out_is_laid_out_as_nothing(case: list[Any]) -> None:
    flat = in_node(PURE, "Array.from(squarify(...given))", case)
    assert len(flat) == 4 * len(case[0])
    assert all(w == 0 or h == 0 for w, h in zip(flat[2::4], flat[3::4], strict=True))


def _artifacts(stage: Stage) -> list[Any]:
    return [a for a in flatten.document(sample())["artifacts"] if a["stage"] == stage]


@pytest.mark.parametrize("stage", list(Stage))
def test_every_byte_of_a_stage_is_in_the_tree_once(stage: Stage) -> None:
    rows = _artifacts(stage)
    tree = in_node(PURE, "treeOf(given, row => row.kind, 'all')", rows)
    assert tree["sizes"] == [sum(r[c] for r in rows) for c in ("raw", "gzip", "brotli", "zstd")]
    assert tree["count"] == len(rows)
    leaves: list[str] = []

    def walk(node: Any) -> None:  # noqa: ANN401 - JSON
        if node["children"] is None:
            leaves.append(node["row"]["id"])
            return
        sizes = [sum(c["sizes"][n] for c in node["children"]) for n in range(4)]
        assert sizes == node["sizes"]
        for child in node["children"]:
            walk(child)

    walk(tree)
    assert sorted(leaves) == sorted(r["id"] for r in rows)


def test_hostile_paths_make_a_tree_like_any_other() -> None:
    ids = ["a", "a/b", "a/b#section/x/y", "/", "//x", "__proto__", "constructor/x", "x.zip!/m", ""]
    rows = [
        {
            "id": i,
            "owner": i.split("#")[0],
            "kind": "js",
            "raw": 1,
            "gzip": 1,
            "brotli": 1,
            "zstd": 1,
        }
        for i in ids
    ]
    tree = in_node(PURE, "treeOf(given, row => row.kind, 'all')", rows)
    assert tree["count"] == len(ids)
    assert tree["sizes"] == [len(ids)] * 4


def test_boxes_of_a_layout_lie_inside_their_parents() -> None:
    boxes = in_node(
        PURE,
        "layout(treeOf(given, row => row.kind, 'all'), 0, 1000, 600)"
        ".map(b => [b.depth, b.x, b.y, b.w, b.h, b.child.x, b.child.y, b.child.w, b.child.h])",
        _artifacts(Stage.INPUT),
    )
    assert len(boxes) > 100
    for depth, x, y, w, h, cx, cy, cw, ch in boxes:
        assert x >= cx - 1e-6
        assert y >= cy - 1e-6
        assert x + w <= cx + cw + 1e-6
        assert y + h <= cy + ch + 1e-6
        assert depth > 0 or (x, y, w, h) == (cx, cy, cw, ch)


def test_the_treemap_of_many_leaves_takes_time_in_proportion() -> None:
    """In one process, so that a slow machine is slow for both; a square of eight would be 64."""
    program = """(() => {
      const rows = count => Array.from({ length: count }, (_, n) => ({
        id: `p${n % 40}/d${n % 600}/f${n}.js`, owner: `p${n % 40}/d${n % 600}/f${n}.js`, kind: 'js',
        raw: 1 + n * 7919 % 100003, gzip: 1, brotli: 1, zstd: 1 }));
      const laid = count => layout(treeOf(rows(count), row => row.kind, 'all'), 0, 1400, 600);
      const cpu = count => Math.min(...[1, 2, 3].map(() => {
        const start = process.cpuUsage();
        laid(count);
        const used = process.cpuUsage(start);
        return used.user + used.system;
      }));
      laid(20000);
      return [laid(20000).length, cpu(20000) / cpu(2500)];
    })()"""
    count, times = in_node(PURE, program)
    assert count >= 20_000
    assert times < 32


def test_sorting_never_depends_on_the_order_rows_came_in() -> None:
    rows = [{"id": f"f{n}", "raw": n % 3} for n in range(30)]
    mixed = rows[::2] + rows[1::2]
    for down in (True, False):
        one, other = (
            in_node(PURE, "sorted(given[0], 'raw', given[1])", [r, down]) for r in (rows, mixed)
        )
        assert one == other
        assert [r["raw"] for r in one] == sorted((r["raw"] for r in rows), reverse=down)


def test_search_wants_every_word_and_takes_signs_literally() -> None:
    found = in_node(
        PURE,
        "given[1].map(matcher(given[0]))",
        [" Silero  .onnx(", ["a/silero.ONNX(", "silero.onnx", ""]],
    )
    assert found == [True, False, False]


def test_packages_sum_their_files() -> None:
    files = [f for f in flatten.document(sample())["files"] if f["stage"] == "output"]
    sums = {p["id"]: p["raw"] for p in in_node(PURE, "byPackage(given)", files)}
    expected = {name: sizes.raw for name, sizes in figures.packages(sample(), Stage.OUTPUT)}
    assert sums == expected


def test_milestones_are_in_the_order_they_happen() -> None:
    points = in_node(PURE, "milestones(given)", flatten.document(sample())["measures"])
    assert [name for name, _ in points] == ["endpoint", "first token", "first audio"]
    assert [time for _, time in points] == sorted(time for _, time in points)


def test_texts_before_and_after_stand_beside_each_other() -> None:
    texts = {"said": "x", "heard before": "a", "heard after": "b", "only before": "c"}
    assert in_node(PURE, "besides(given)", texts) == [
        {"name": "said", "text": "x"},
        {"name": "heard", "before": "a", "after": "b"},
        {"name": "only before", "text": "c"},
    ]
