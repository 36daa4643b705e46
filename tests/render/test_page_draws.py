"""The page's program draws every report there can be: run in node on a small browser."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from render.page_parts import Page, in_node
from render.reports_strategy import HOSTILE, ROOT, reports, sample

from toolchain.ir import ArtifactId, ArtifactRow, Finding, Kind, Report, Sizes, Stage
from toolchain.render import html
from toolchain.units import Bytes

PAGE = Page((ROOT / "reports" / "report.html").read_text("utf-8"))
DOM = Path(__file__).with_name("small_dom.js").read_text("utf-8")
IDS = [a["id"] for _, a in PAGE.tags if "id" in a]
EVERYTHING = """
  const all = tag => document.documentElement.all().filter(n => n.tag === tag);
  const tiles = $("tiles");
  for (const key of ["ArrowRight", "ArrowDown", "Enter", "ArrowLeft", "ArrowUp", "Enter"])
    tiles?.dispatch("keydown", { key });
  for (const [clientX, clientY] of [[5, 5], [600, 300], [1199, 599], [5000, 5000]]) {
    tiles?.dispatch("pointermove", { clientX, clientY });
    tiles?.dispatch("click", { clientX, clientY });
  }
  for (const key of ["Escape", "Backspace", "Tab"]) tiles?.dispatch("keydown", { key });
  for (const node of all("input").filter(n => n.getAttribute("type") === "radio"))
    node.dispatch("change");
  for (const query of tiles ? ["js", "no such thing", "</script>", ""] : []) {
    $("query").value = query;
    $("query").dispatch("input");
  }
  for (const node of all("button").filter(n => !n.disabled)) node.dispatch("click");
"""
OPEN_ALL = """
  for (const node of document.documentElement.querySelectorAll("button"))
    if (node.hasAttribute("aria-expanded")) node.dispatch("click");
"""


def drawn(*texts: str, acts: str = "", result: str = "document.documentElement.textContent") -> Any:  # noqa: ANN401 - JSON
    """Return ``result`` for each page's data in ``texts``, after drawing it and ``acts``."""
    ids = [i for i in IDS if i]
    program = (
        f"const PURE = {_quoted(PAGE.script('vtool-pure').text)}, "
        f"DRAW = {_quoted(PAGE.script('vtool-page').text)};\n{DOM}\n"
        "const draw = (ids, data, acts, result) => {\n"
        "  const b = smallDocument(ids, data);\n"
        "  return new Function(...Object.keys(b), PURE + DRAW + acts + '; return ' + result)"
        "(...Object.values(b));\n};"
    )
    return in_node(
        program,
        "given.data.map(d => draw(given.ids, d, given.acts, given.result))",
        {"ids": ids, "data": texts, "acts": acts, "result": result},
    )


def _quoted(text: str) -> str:
    return json.dumps(text)  # a JSON string is a JavaScript string


def _is_clean(text: str) -> bool:
    return not any(word in text for word in ("[object", "undefined", "NaN"))


@given(st.lists(reports, min_size=4, max_size=4))
@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],  # an example is a second of node: too dear to shrink
)
def test_every_report_is_drawn_and_every_control_works(many: list[Report]) -> None:
    pages = [html.data(report) for report in many]
    for text in drawn(*pages, acts=EVERYTHING):
        assert "This page makes no request" in text
        assert _is_clean(text) or any(not _is_clean(page) for page in pages)


def test_the_sample_is_drawn_in_full() -> None:
    report = sample()
    [text] = drawn(
        html.data(report),
        acts=OPEN_ALL,
    )
    assert _is_clean(text)
    for verdict in report.verdicts:
        assert verdict.budget.why in text
    for row in report.ledger:
        assert row.artifact in text
        assert row.proof.detail in text
    for finding in report.findings:
        assert finding.message in text
        assert all(line in text for line in finding.evidence)
    for measure in report.measures:
        assert measure.name in text
    for clip, texts in report.turns:
        assert clip in text
        assert all(words in text for _, words in texts)
    for words in (*report.notes, report.machine.cpu, *[v for _, v in report.machine.versions]):
        assert words in text


def test_what_needed_no_work_is_not_called_dropped() -> None:
    kinds = [(row.proof.holds, row.kept) for row in sample().ledger]
    assert kinds.count((False, False)) == kinds.count((True, False)) == 1
    result = """$("changes").querySelectorAll("[class]").filter(n => n.tag === "span")
      .map(n => [n.getAttribute("class"), n.textContent]).filter(([css, text]) =>
        css.startsWith("tag") && !text.includes("cached"))"""
    [tags] = drawn(html.data(sample()), acts=OPEN_ALL, result=result)
    assert sorted(tags) == [
        ["tag", "1 unchanged"],
        ["tag", "unchanged"],
        ["tag broken", "1 dropped"],
        ["tag broken", "dropped"],
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_on_the_page(name: str) -> None:
    row = ArtifactRow(Stage.INPUT, name, Kind.JS, name, Sizes(*[Bytes(1)] * 4))
    report = replace(
        sample(),
        target=name,
        totals=(),
        ledger=(),
        files=(),
        artifacts=(row,),
        findings=(Finding("c", ArtifactId(name), name, name),),
    )
    [[text, tags]] = drawn(
        html.data(report),
        acts=EVERYTHING,
        result="[document.documentElement].map(d => [d.textContent, d.all().map(n => n.tag)])[0]",
    )
    assert text.count(name) >= 3
    assert {"script", "bold", "img"}.isdisjoint(tags)


def test_what_is_missing_has_no_section() -> None:
    empty = replace(
        sample(),
        verdicts=(),
        ledger=(),
        findings=(),
        measures=(),
        baseline=(),
        turns=(),
        models=(),
        notes=(),
    )
    [shown] = drawn(html.data(empty), result='$("nav").textContent')
    assert shown == "BytesEnvironment"
    [every] = drawn(html.data(sample()), result='$("nav").textContent')
    assert every == "VerdictsWhat changedModelsBytesFindingsMeasuresTurnsEnvironment"


def test_a_sample_is_called_one_and_a_report_is_not() -> None:
    result = '$("sample").hidden'
    assert drawn(html.data(sample()), result=result) == [True]
    acts = 'tag.setAttribute("data-sample", ""); drawHead();'
    assert drawn(html.data(sample()), acts=acts, result=result) == [False]


def test_the_ledgers_last_row_is_the_total() -> None:
    [foot] = drawn(
        html.data(sample()), result='$("changes").querySelectorAll("tfoot")[0].textContent'
    )
    assert foot.startswith("Delivered")
    assert "\u221253.3 MB128 MB" in foot


def test_sorting_tells_its_direction() -> None:
    acts = 'for (const n of [1, 2]) $("owners").querySelector("[data-key=gzip]").dispatch("click");'
    result = '$("owners").querySelectorAll("[aria-sort]").map(n => n.getAttribute("aria-sort"))'
    [sort] = drawn(html.data(sample()), acts=acts, result=result)
    assert sort == ["none", "none", "none", "ascending", "none", "none"]


def test_every_table_names_itself_and_its_columns() -> None:
    result = """document.documentElement.querySelectorAll("table").map(t => [
      t.childNodes.filter(n => n.tag === "caption" && n.textContent).length,
      t.querySelectorAll("th").every(n => n.getAttribute("scope"))])"""
    [tables] = drawn(html.data(sample()), acts=EVERYTHING, result=result)
    assert len(tables) >= 5
    assert all(captions == 1 and scoped for captions, scoped in tables)


def test_a_choice_keeps_the_place_in_the_treemap() -> None:
    acts = """
      for (const key of ["ArrowRight", "Enter"]) $("tiles").dispatch("keydown", { key });
      const before = trail.map(n => n.path).join();
      for (const node of document.documentElement.querySelectorAll("[type=radio]"))
        node.dispatch("change");
    """
    [[before, after]] = drawn(
        html.data(sample()), acts=acts, result="[before, trail.map(n => n.path).join()]"
    )
    assert before == after == ",models"


def test_a_model_shows_every_setting_that_was_tried_and_which_was_taken() -> None:
    [model] = [m for m in sample().models if m.points]
    counts = "$('models').querySelectorAll('circle').map(c => c.getAttribute('class'))"
    [circles] = drawn(html.data(sample()), result=counts)
    # a point far beyond the limit is left out: it would flatten the others
    near = [p for p in model.points if p.error <= 3 * (model.error_limit or 0)]
    assert sorted(circles) == sorted("taken" if p.chosen else "tried" for p in near)


def test_the_facts_of_a_tensor_are_drawn_where_its_row_is() -> None:
    told = (("dtype", "int8"), ("read by", "MatMul /proj"))
    row = ArtifactRow(
        Stage.INPUT, "m.onnx#tensor/w", Kind.TENSOR, "m.onnx", Sizes(*[Bytes(9)] * 4), told
    )
    report = replace(sample(), files=(), artifacts=(row,), ledger=(), findings=())
    shown = "document.documentElement.textContent"
    choose = """
      for (const node of document.documentElement.querySelectorAll("input"))
        if (node.value === "owner" || node.getAttribute("value") === "owner") {
          node.checked = true; node.dispatch("change");
        }
    """
    [text] = drawn(html.data(report), acts=choose, result=shown)
    assert "dtype: int8 · read by: MatMul /proj" in text
