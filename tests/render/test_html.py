"""The page: self-contained, its data inert whatever names it holds, its sample a real report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from render.page_parts import Page, in_node
from render.reports_strategy import HOSTILE, ROOT, SAMPLE, names, reports, sample

from toolchain.errors import VtoolError
from toolchain.ir import ArtifactRow, Kind, Measure, Report, Sizes, Stage
from toolchain.render import flatten, html
from toolchain.render.columns import columns
from toolchain.units import Bytes

TEMPLATE = (ROOT / "reports" / "report.html").read_text("utf-8")
PAGE = Page(TEMPLATE)
PURE = PAGE.script("vtool-pure").text


def rows_of(table: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    """Decode columns as the page does, for properties that node would be slow for."""
    rows: list[dict[str, Any]] = [{} for _ in range(table["rows"])]
    for name, column in table["columns"].items():
        filled = column["filled"] if "filled" in column else range(len(rows))
        values = _values(column["values"] if "filled" in column else column)
        for row, value in zip(filled, values, strict=True):
            rows[row][name] = value
    return rows


def _values(column: Any) -> list[Any]:  # noqa: ANN401 - JSON
    if isinstance(column, list):
        return column
    if "columns" in column:
        return rows_of(column)
    if "words" in column:
        words = _values(column["words"])
        return [words[n] for n in column["at"]]
    found: list[str] = []
    for shared, rest in zip(column["shared"], column["rest"], strict=True):
        found.append((found[-1] if found else "")[:shared] + rest)
    return found


def test_page_asks_nothing_from_anywhere() -> None:
    for tag, attributes in PAGE.tags:
        assert tag not in {"link", "iframe", "img", "object", "embed", "base", "form", "source"}
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    code = PAGE.script("vtool-pure").text + PAGE.script("vtool-page").text
    for word in ("fetch(", "XMLHttpRequest", "WebSocket", "import(", "sendBeacon", "EventSource"):
        assert word not in code
    assert "url(" not in PAGE.style
    assert "@import" not in PAGE.style
    addresses = TEMPLATE.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert "http://" not in addresses
    assert "https://" not in addresses


def test_page_forbids_the_browser_to_ask() -> None:
    policy = next(a for t, a in PAGE.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none';")


def test_page_never_makes_markup_of_data() -> None:
    code = PAGE.script("vtool-pure").text + PAGE.script("vtool-page").text
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "DOMParser",
    ):
        assert word not in code
    assert "new Function" not in code


def test_page_has_one_place_for_data_and_two_programs() -> None:
    ids = [s.attributes.get("id") for s in PAGE.scripts]
    assert ids == ["vtool-data", "vtool-pure", "vtool-page"]
    assert PAGE.script("vtool-data").attributes["type"] == "application/json"


def test_sample_in_the_page_is_the_sample_report_and_says_so() -> None:
    assert PAGE.data == json.loads(SAMPLE.read_text("utf-8"))
    schema = json.loads((ROOT / "reports" / "report.schema.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(PAGE.data)
    assert "data-sample" in PAGE.script("vtool-data").attributes
    assert any(a.get("id") == "sample" and a.get("role") == "note" for _, a in PAGE.tags)


def test_a_real_report_is_not_called_a_sample() -> None:
    page = Page(html.page(sample()))
    assert "data-sample" not in page.script("vtool-data").attributes
    assert page.data["target"] == sample().target


def test_only_the_data_of_the_page_changes() -> None:
    page = html.page(sample())
    start, end = '<script type="application/json" id="vtool-data"', "</script>"
    before, _, rest = TEMPLATE.partition(start)
    assert page.startswith(before + start + ">{")
    assert page.endswith(end + rest.partition(end)[2])


@given(reports)
@settings(max_examples=60)
def test_the_page_holds_the_whole_report_whatever_the_names(report: Report) -> None:
    text = html.data(report)
    assert "<" not in text
    assert "\u2028" not in text
    assert "\n" not in text
    found, expected = json.loads(text), json.loads(json.dumps(flatten.document(report)))
    for row in expected["files"]:
        del row["digest"]
    assert rows_of(found.pop("files")) == expected.pop("files")
    assert rows_of(found.pop("artifacts")) == expected.pop("artifacts")
    assert found == expected


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_stays_data(name: str) -> None:
    row = ArtifactRow(Stage.INPUT, name, Kind.JS, name, Sizes(*[Bytes(1)] * 4))
    page = Page(html.page(replace(sample(), target=name, artifacts=(row,), notes=(name,))))
    assert [s.attributes.get("id") for s in page.scripts] == [
        "vtool-data",
        "vtool-pure",
        "vtool-page",
    ]
    assert [t for t, _ in page.tags] == [t for t, _ in PAGE.tags]
    assert page.data["target"] == name
    assert rows_of(page.data["artifacts"])[0]["id"] == name


sparse_rows = st.fixed_dictionaries(
    {"id": names, "kind": st.sampled_from(["a", "b"]), "raw": st.integers(0, 9)},
    optional={"facts": st.dictionaries(names, names, max_size=3)},
)


@given(st.lists(sparse_rows, max_size=12))
def test_columns_lose_nothing(rows: list[dict[str, object]]) -> None:
    assert rows_of(json.loads(json.dumps(columns(rows)))) == rows


def test_the_page_reads_columns_as_they_were_written() -> None:
    alike = [
        "😀/a",
        "😀/b",
        "😀😀",
        "é",
        "é/x",
        "e\u0301",
        *HOSTILE,
        "node_modules/a/x.js",
        "node_modules/a/y.js",
    ]
    rows: list[dict[str, object]] = [
        {"id": name, "kind": "js" if n % 2 else "wasm", "raw": n}
        for n, name in enumerate(alike * 3)
    ]
    for n in range(1, len(rows), 3):
        rows[n]["facts"] = {"dtype": "int8"} | ({"read by": f"Add {n}"} if n % 2 else {})
    rows[4]["facts"] = {}
    assert in_node(PURE, "expand(given)", columns(rows)) == rows
    assert in_node(PURE, "expand(given)", rows) == rows
    assert in_node(PURE, "expand(given)", columns([])) == []
    assert in_node(PURE, "expand(given)", None) == []


def test_many_owners_stay_small() -> None:
    owner = "node_modules/@scope/package/dist/module.wasm"
    rows = tuple(
        ArtifactRow(
            Stage.INPUT,
            f"{owner}#function/func[{n}]",
            Kind.FUNCTION,
            owner,
            Sizes(Bytes(n), Bytes(n // 2), Bytes(n // 3), Bytes(n // 2)),
        )
        for n in range(20_000)
    )
    many = replace(sample(), files=(), artifacts=rows)
    assert len(html.data(many)) - len(html.data(replace(many, artifacts=()))) < 50 * len(rows)


def test_facts_of_many_tensors_stay_small() -> None:
    facts = tuple(
        (("dtype", "float32"), ("shape", "[64, 64]"), ("read by", f"MatMul /layers.{n}/proj"))
        for n in range(2000)
    )
    sizes = Sizes(*[Bytes(16384)] * 4)
    rows = tuple(
        ArtifactRow(Stage.INPUT, f"m.onnx#tensor/w{n}", Kind.TENSOR, "m.onnx", sizes, found)
        for n, found in enumerate(facts)
    )
    bare = tuple(replace(row, facts=()) for row in rows)
    more = [len(html.data(replace(sample(), artifacts=found))) for found in (rows, bare)]
    assert more[0] - more[1] < 35 * len(rows)


def test_a_template_without_a_place_for_data_is_named(tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_text("<!doctype html><title>x</title>", "utf-8")
    with pytest.raises(VtoolError, match=r"other\.html has no place for data") as caught:
        html.page(sample(), other)
    assert caught.value.hint


def test_another_page_may_draw_the_same_data(tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_text('<script type="application/json" id="vtool-data">{}</script>rest', "utf-8")
    page = html.page(sample(), other)
    assert page.endswith("</script>rest")
    assert Page(page).data["target"] == sample().target


def test_a_number_that_json_cannot_say_is_refused() -> None:
    odd = replace(sample(), measures=(Measure("t", "ms", (float("nan"),)),))
    with pytest.raises(VtoolError, match="not finite"):
        html.page(odd)


def test_page_has_landmarks_and_a_language() -> None:
    tags = [t for t, _ in PAGE.tags]
    attributes = dict(PAGE.tags)
    assert attributes["html"]["lang"] == "en"
    assert tags.count("main") == tags.count("nav") == tags.count("header") == 1
    assert attributes["nav"]["aria-label"]
    sections = [a for t, a in PAGE.tags if t == "section"]
    headings = {a.get("id") for t, a in PAGE.tags if t == "h2"}
    assert [s["aria-labelledby"] in headings for s in sections] == [True] * len(sections)
    assert next(s["id"] for s in sections) == "verdicts"
    viewport = next(a for t, a in PAGE.tags if t == "meta" and a.get("name") == "viewport")
    assert "user-scalable" not in (viewport["content"] or "")


def _colours(block: str) -> dict[str, str]:
    """Return the custom properties of a CSS block that are colours."""
    pairs = (line.partition(":") for line in block.replace("\n", " ").split(";"))
    found = {name.strip().removeprefix("--"): value.strip() for name, _, value in pairs}
    return {name: value for name, value in found.items() if value.startswith("#")}


def _luminance(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb``; WCAG 2.2, definition of relative luminance."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _themes() -> dict[str, dict[str, str]]:
    _, light, dark, *_ = PAGE.style.split(":root")
    bright = _colours(light.partition("{")[2].partition("}")[0])
    return {"light": bright, "dark": bright | _colours(dark.partition("{")[2].partition("}")[0])}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_stands_out_from_what_it_stands_on(theme: str) -> None:
    colour = _themes()[theme]
    texts = ("text", "muted", "accent", "met", "broken", "unsure")
    pairs = [(text, on) for text in texts for on in ("ground", "surface")]
    pairs += [("tile-text", name) for name in colour if name.startswith("k-")]
    pairs += [("tile-text", "surface"), ("accent", "accent-ground"), ("ground", "unsure")]
    pairs += [("mark-text", name) for name in ("met", "broken", "unsure")]
    assert len([name for name in colour if name.startswith("k-")]) == 21
    poor = [(a, b) for a, b in pairs if _contrast(colour[a], colour[b]) < 4.5]
    assert poor == []


def test_the_two_themes_differ() -> None:
    themes = _themes()
    assert _luminance(themes["light"]["ground"]) > 0.8
    assert _luminance(themes["dark"]["ground"]) < 0.05


def test_every_kind_of_file_has_a_colour_and_a_place_in_the_legend() -> None:
    code = PAGE.script("vtool-page").text
    listed = code.partition("const KINDS = ")[2].partition(";")[0]
    kinds = json.loads(listed)
    from toolchain.ir import FILE_KINDS  # noqa: PLC0415 - beside what it is compared with

    assert set(kinds) == {str(kind) for kind in FILE_KINDS}
    assert {f"k-{kind}" for kind in (*kinds, "other")} <= _themes()["light"].keys()
