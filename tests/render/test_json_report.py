"""``report.json``: what is written is read back, is what the schema says, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from render.reports_strategy import ROOT, SAMPLE, here, reports, sample

from toolchain.errors import ConfigError, InputError, VtoolError
from toolchain.ir import ArtifactRow, Kind, Machine, Measure, Report, Sizes, Stage
from toolchain.render import json_report
from toolchain.units import Bytes

SCHEMA: dict[str, Any] = json.loads((ROOT / "reports" / "report.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def _loads(report: Report) -> list[float | None]:
    taken = [m.machine for m in (*report.measures, *report.baseline)]
    return [m.load for m in (report.machine, *taken) if m is not None]


@given(reports)
def test_a_report_survives_being_written_and_read(report: Report) -> None:
    text = json_report.write(report)
    again = json_report.parse(text, where="test")
    assert again == report
    # a machine's equality leaves the load out
    assert _loads(again) == _loads(report)
    assert json_report.write(json_report.parse(text, where="test")) == text


@given(reports)
@settings(max_examples=50)
def test_every_document_is_what_the_published_schema_says(report: Report) -> None:
    VALIDATOR.validate(json.loads(json_report.write(report)))


def test_published_schema_is_the_one_of_this_code() -> None:
    assert json_report.schema() == SCHEMA, (
        "write reports/report.schema.json anew, see docs/report.md"
    )
    Draft202012Validator.check_schema(SCHEMA)


def test_sample_is_written_as_this_version_writes_it() -> None:
    assert json_report.write(sample()) == SAMPLE.read_text("utf-8")
    VALIDATOR.validate(json.loads(SAMPLE.read_text("utf-8")))


def test_sample_adds_up() -> None:
    report = sample()
    for stage, total in report.totals:
        rows = [a.sizes for a in report.artifacts if a.stage is stage]
        assert sum(s.raw for s in rows) == total.raw
        files = [f.sizes for f in report.files if f.stage is stage]
        for codec in ("raw", "gzip", "brotli", "zstd"):
            assert sum(getattr(s, codec) for s in files) == getattr(total, codec)
    delivered = sum(
        min(f.sizes.raw, f.sizes.gzip, f.sizes.brotli, f.sizes.zstd)
        if any(r.step == "compress" and r.artifact == f.id and r.saved for r in report.ledger)
        else f.sizes.raw
        for f in report.files
        if f.stage is Stage.OUTPUT
    )
    before = dict(report.totals)[Stage.INPUT].raw
    assert before - sum(r.saved for r in report.ledger) == delivered


def test_a_row_is_a_line() -> None:
    lines = json_report.write(sample()).splitlines()
    report = sample()
    assert sum(line.startswith('  {"stage": ') for line in lines) == len(
        report.files + report.artifacts
    )


def test_no_document_says_more_than_the_schema() -> None:
    for path in (("surprise",), ("machine", "surprise"), ("ledger", 0, "surprise")):
        document = json.loads(SAMPLE.read_text("utf-8"))
        at: Any = document
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = 1
        assert not VALIDATOR.is_valid(document), path
        with pytest.raises(InputError, match="surprise"):
            json_report.parse(json.dumps(document), where="x.json")


FAULTS: list[tuple[tuple[str | int, ...], object]] = [
    (("machine", "cores"), "two"),
    (("artifacts", 3, "raw"), -1),
    (("artifacts", 3, "raw"), 1.5),
    (("artifacts", 3, "kind"), "sculpture"),
    (("artifacts", 3, "facts"), {"dtype": 32}),
    (("files", 0, "reachable"), 1),
    (("files", 0, "facts"), [["a", "b"]]),
    (("measures", 0, "samples"), ["1"]),
    (("measures", 0, "unit"), "furlong"),
    (("verdicts", 0, "state"), "fine"),
    (("verdicts", 0, "percentile"), 101),
    (("verdicts", 2, "interval", "confidence"), 95),
    (("verdicts", 2, "interval", "low"), "1 s"),
    (("measures", 0, "looks"), 4),
    (("measures", 0, "load"), "low"),
    (("machine", "limits"), {"cpu": "two"}),
    (("findings", 0, "cost"), "much"),
    (("totals", "sideways"), {"raw": 1, "gzip": 1, "brotli": 1, "zstd": 1}),
    (("turns",), None),
]


@pytest.mark.parametrize(("path", "value"), FAULTS, ids=lambda found: str(found)[:40])
def test_a_wrong_value_is_refused_by_reader_and_schema_alike(
    path: tuple[str | int, ...], value: object
) -> None:
    document = json.loads(SAMPLE.read_text("utf-8"))
    at: Any = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(InputError) as caught:
        json_report.parse(json.dumps(document), where="x.json")
    assert str(caught.value).startswith("x.json: ")
    assert caught.value.hint
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("key", json.loads(SAMPLE.read_text("utf-8")))
def test_a_missing_key_is_refused_by_reader_and_schema_alike(key: str) -> None:
    document = json.loads(SAMPLE.read_text("utf-8"))
    del document[key]
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(InputError, match=key):
        json_report.parse(json.dumps(document), where="x.json")


@pytest.mark.parametrize("version", [0, 2, "1", None, [1], 10**30])
def test_another_schema_version_is_refused_with_advice(version: object) -> None:
    document = json.loads(SAMPLE.read_text("utf-8")) | {"schema_version": version}
    with pytest.raises(InputError, match="schema_version") as caught:
        json_report.parse(json.dumps(document), where="x.json")
    assert caught.value.hint


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"1", b"\xff\xfe", b"null", b"[" * 100_000, b'{"a": NaN}']
)
def test_what_is_no_report_is_refused_with_advice(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        json_report.parse(data, where="x.json")
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@given(st.data())
@settings(max_examples=40)
def test_a_cut_report_is_an_input_error(data: st.DataObject) -> None:
    text = SAMPLE.read_bytes()
    cut = data.draw(st.integers(0, len(text) - 3))
    with pytest.raises(InputError):
        json_report.parse(text[:cut], where="x.json")


def test_a_missing_file_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json cannot be read") as caught:
        json_report.read(tmp_path / "none.json")
    assert caught.value.hint
    with pytest.raises(ConfigError):
        json_report.read(tmp_path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_cannot_say_is_refused_when_written(bad: float) -> None:
    report = replace(sample(), measures=(Measure("t", "ms", (1.0, bad), here),))
    with pytest.raises(VtoolError, match="not finite"):
        json_report.write(report)


def test_a_measure_keeps_its_machine_apart_from_the_reports() -> None:
    other = Machine("other", 8, 1, "Linux", "3.12")
    measured = (
        Measure("a", "ms", (1.0,), other),
        Measure("b", "ms", (1.0,), None),
        Measure("c", "ms", (1.0,), sample().machine),
    )
    text = json_report.write(replace(sample(), measures=measured))
    assert json_report.parse(text, where="x").measures == measured
    rows = json.loads(text)["measures"]
    assert [("machine" in row) for row in rows] == [True, True, False]


def test_a_busy_minute_is_said_of_the_measure_without_the_whole_machine_again() -> None:
    machine = replace(sample().machine, load=0.25)
    taken = tuple(
        Measure("t", "ms", (1.0,), replace(machine, load=load)) for load in (0.25, 1.5, None)
    )
    text = json_report.write(replace(sample(), machine=machine, measures=taken, baseline=()))
    rows = json.loads(text)["measures"]
    assert not any("machine" in row for row in rows)
    assert [row.get("load", "as the report") for row in rows] == ["as the report", 1.5, None]


def test_a_report_of_an_older_version_is_read_and_unknown_stays_unknown() -> None:
    document = json.loads(SAMPLE.read_text("utf-8"))
    for key in ("governor", "limits", "load"):
        document["machine"].pop(key, None)
    for row in document["measures"] + document["baseline"]:
        row.pop("load", None)
    for row in document["verdicts"]:
        row.pop("interval", None)
    old = json_report.parse(json.dumps(document), where="old.json")
    assert {v.interval for v in old.verdicts} == {None}
    assert (old.machine.governor, old.machine.limits, old.machine.load) == (None, None, None)
    assert old.machine.differences(sample().machine) == ()
    assert {m.looks for m in old.measures} == {1}


def test_an_owner_without_facts_has_no_word_about_them() -> None:
    sizes = Sizes(*[Bytes(1)] * 4)
    bare = ArtifactRow(Stage.INPUT, "a.js", Kind.JS, "a.js", sizes)
    told = replace(bare, id="m.onnx#tensor/w", facts=(("dtype", "int8"),))
    text = json_report.write(replace(sample(), files=(), artifacts=(bare, told)))
    lines = [line for line in text.splitlines() if line.startswith('  {"stage": ')]
    assert [line.partition('"facts"')[2] for line in lines] == ["", ': {"dtype": "int8"}}']


def test_a_fact_given_twice_keeps_both_values() -> None:
    twice = replace(sample().files[0], facts=(("opset", "17"), ("opset", "ai.onnx.ml 3")))
    text = json_report.write(replace(sample(), files=(twice,)))
    assert json_report.parse(text, where="x").files[0].facts == (("opset", "17, ai.onnx.ml 3"),)


def test_a_name_that_is_not_utf8_does_not_stop_the_report() -> None:
    odd = replace(sample().files[0], id=b"caf\xe9.js".decode("utf-8", "surrogateescape"))
    text = json_report.write(replace(sample(), files=(odd,)))
    assert json_report.parse(text.encode(), where="x").files[0].id == "caf?.js"
