"""The tables beside peers say what the samples say, and a peer that is missing has a row."""

from __future__ import annotations

import io
import json
import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from semantic_version import Version

from toolchain.ir import Machine
from toolchain.tables import check, dump

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import ablation_page  # noqa: E402 - the benchmarks are scripts beside the package
from beside import figures, page, rounds, talking  # noqa: E402
from beside.samples import Asked, Contestant, Found, Sample, Way  # noqa: E402

MACHINE = Machine(
    cpu="a", cores=2, memory_bytes=1, system="Linux x86_64", python="3.12", versions=(), load=0.1
)
OURS = Contestant("vtool moonshine", "stt", 1, "vtool moonshine, 1", "Moonshine tiny.en, optimized")
PEER = Contestant("faster-whisper float32", "stt", 2, OURS.key, "Whisper tiny.en, float32")
GONE = Contestant("faster-whisper int8", "stt", 2, OURS.key, "Whisper", "not installed")
LLM = Contestant("vtool llama", "llm", 1, "vtool llama, 1", "SmolLM2")
NODE = Contestant("node-llama-cpp", "llm", 1, LLM.key, "the GGUF")


def answers(who: Contestant, ms: float, text: str = "") -> list[Sample]:
    """Return two rounds of two clips, twice as slow in the second, and the processes."""
    process = {"ready_ms": 10 * ms, "load_ms": ms, "peak_bytes": ms * 1e6}
    found = [Sample(who.key, number, "", process) for number in (0, 1)]
    for number in (0, 1):
        for item in ("a", "b"):
            times = {"total_ms": ms * (number + 1), "cpu_ms": ms, "first_ms": ms}
            times |= {"whole_first_ms": ms, "token_ms": ms}
            found.append(Sample(who.key, number, item, times, text, (1, 2, 9)))
    return found


def run() -> Found:
    said = [Asked(item, "stt", "one two", 2.0) for item in ("a", "b")]
    asked = [Asked(item, "llm", "one two") for item in ("a", "b")]
    samples = [*answers(OURS, 100, "one two"), *answers(PEER, 300, "one three")]
    samples += [*answers(LLM, 10), *answers(NODE, 20)]
    return Found(
        MACHINE, {"p": "1"}, 2, (OURS, PEER, GONE, LLM, NODE), (*said, *asked), tuple(samples)
    )


def test_ratios_are_of_the_same_clip_in_the_same_round() -> None:
    slow = [replace(s, number=1 - s.number) for s in answers(PEER, 300)]  # rounds turned round
    found = replace(run(), samples=(*answers(OURS, 100), *slow))
    row = figures.rows(found)[1]
    assert row.medians["total_ms"] == 450
    assert sorted(
        s.figures["total_ms"] / b.figures["total_ms"]
        for s, b in zip(slow[2:], [*answers(OURS, 100)[4:], *answers(OURS, 100)[2:4]], strict=True)
    ) == [1.5, 1.5, 6.0, 6.0]
    assert row.ratios["total_ms"].median == 3.75


def test_who_answers_wrongly_has_word_errors_and_who_is_missing_no_figures() -> None:
    ours, peer, gone = figures.rows(run())[:3]
    assert (ours.wer, peer.wer) == (0.0, 0.5)
    assert '- a: "one three" (faster-whisper float32, 2)' in page.markdown(run())
    assert peer.medians["rtf"] == pytest.approx(0.225)  # 450 ms of 2 s
    assert (gone.words, gone.medians, gone.wer) == ("not installed", {}, None)


def test_answers_are_the_same_until_they_end() -> None:
    found = replace(run(), stops=(2,))
    other = [replace(s, tokens=(1, 2, 7)) for s in found.samples if s.key == NODE.key]
    kept = tuple(s for s in found.samples if s.key != NODE.key)
    row = figures.rows(replace(found, samples=(*kept, *other)))[4]
    assert (row.same, row.asked, row.agreement) == (2, 2, 1.0)
    row = figures.rows(replace(found, samples=(*kept, *other), stops=()))[4]
    assert row.same == 0
    assert row.agreement == pytest.approx(2 / 3)


def test_every_line_on_the_terminal_has_at_most_80_columns() -> None:
    slow = [
        replace(s, figures=dict.fromkeys(s.figures, 98_765.4) | {"peak_bytes": 9.8765e9})
        for s in run().samples
    ]
    missing = replace(GONE, missing="x" * 200)
    found = replace(run(), samples=tuple(slow), contestants=(OURS, PEER, missing, LLM, NODE))
    assert max(map(len, page.text(found).splitlines())) <= 80
    assert "faster-whisper int8, 2: unavailable: xxx" in page.text(found)


def test_the_page_has_a_cell_for_every_column_and_says_that_others_worked() -> None:
    lines = page.markdown(replace(run(), machine=replace(MACHINE, load=3.0))).splitlines()
    tables = [[line for line in lines if line.startswith("|")]]
    counts = [line.count("|") for line in tables[0]]
    assert counts == [12 + 1] * 5 + [16 + 1] * 4
    assert "load before 3.00, other work ran on it: figures are rough" in "\n".join(lines).lower()
    assert "quiet" in page.markdown(run())


def test_what_json_says_can_be_read_again() -> None:
    found = run()
    again = check(json.loads(json.dumps(dump(found))), Found, where="out.json")
    assert page.markdown(again) == page.markdown(found)


def test_a_peer_is_asked_line_by_line_and_its_last_error_is_told(tmp_path: Path) -> None:
    code = "import sys, json\nfor line in sys.stdin: print(json.dumps({'got': json.loads(line)}), "
    way = Way((sys.executable, "-c", f"{code}flush=True)"), {"a": 1})
    with talking.talk(way, tmp_path) as talk:
        assert talk.opened["got"] == {"a": 1}
        assert talk.ask({"b": 2}) == {"got": {"b": 2}}
        assert (talk.peak_bytes() or 0) > 1_000_000
    assert talk.peak_bytes() is None, "it has ended: 0 bytes would be the best figure of all"
    broken = Way((sys.executable, "-c", "raise SystemError('no model')"), {})
    with (
        pytest.raises(talking.FailedError, match="SystemError: no model"),
        talking.talk(broken, tmp_path),
    ):
        pass


def test_the_last_words_are_the_error_and_not_what_follows_it() -> None:
    log = io.BytesIO(b"start\nTypeError: bad\n    at file.js:1\n\nNode.js v20\n")
    assert talking.last_words(log) == "TypeError: bad"


def test_a_peer_that_dies_is_left_out_with_its_words_and_the_others_go_on(tmp_path: Path) -> None:
    say = 'print(\'{"load_ms": 1, "total_ms": 2, "cpu_ms": 2}\', flush=True)'
    echo = f"import sys\nfor line in sys.stdin: {say}"
    dies = f"import sys; sys.stdin.readline(); {say}; raise KeyError"
    field = rounds.Field(
        [
            (OURS, Way((sys.executable, "-c", echo), {})),
            (PEER, Way((sys.executable, "-c", dies), {})),
            (GONE, Way(("nothing-is-called-so",), {})),
        ],
        tmp_path,
    )
    task = rounds.Task(Asked("a", "stt", "one", 1.0), {"": {"clip": "a.wav"}})
    field.round(0, [task], random.Random(0))  # noqa: S311 - an order
    assert {s.key for s in field.samples} == {OURS.key}
    assert field.failed == {PEER.key: "KeyError"}


def test_node_llama_cpp_and_its_binary_are_pinned_to_one_version() -> None:
    lock = (ROOT / "benchmarks" / "beside" / "vtool.lock").read_text("utf-8")
    names = ("pkg:npm/node-llama-cpp@", "pkg:npm/%40node-llama-cpp/linux-x64@")
    found = {lock.partition(name)[2].partition('"')[0] for name in names}
    assert len(found) == 1
    assert Version(found.pop())


def turn(
    variant: str, ms: float, work: Mapping[str, float], calls: int = 0
) -> ablation_page.Played:
    overhead = dict.fromkeys(work, (0.5,) * calls) if calls else {}
    return ablation_page.Played(
        variant, 0, "a", ms, ms, ms, 0.0, 0.0, cut_off=False, work_ms=work, overhead_ms=overhead
    )


def ablation() -> ablation_page.Ablation:
    work = dict.fromkeys(ablation_page.STAGES, 10.0)
    late = "nothing is prepared in the silence"
    turns = (
        turn(ablation_page.PROCESSES, 250, {**work, "llm": 15.0}, calls=4),
        turn(late, 400, work),
        turn(ablation_page.WHOLE, 200, {**work, "llm": 12.0}),
        turn(ablation_page.ONE_THREAD, 300, work),
    )
    names = (ablation_page.WHOLE, late, ablation_page.ONE_THREAD, ablation_page.PROCESSES)
    return ablation_page.Ablation(MACHINE, 1, names, turns)


def test_a_variant_is_divided_by_the_whole_pipeline_in_the_order_of_the_list() -> None:
    rows = ablation_page.rows(ablation())
    assert [(r.variant, r.ratio) for r in rows][:2] == [
        (ablation_page.WHOLE, 1.0),
        ("nothing is prepared in the silence", 2.0),
    ]


def test_worker_overhead_is_told_for_each_stage_in_each_placement() -> None:
    placed = {(p.stage, p.placement): p for p in ablation_page.placed(ablation())}
    assert len(placed) == 4 * 3
    assert placed["llm", "a thread a stage"].more_ms == 2.0
    apart = placed["llm", "a process a stage"]
    assert (apart.more_ms, apart.calls, apart.call_ms, apart.turn_ms) == (5.0, 4.0, 0.5, 2.0)
    assert placed["llm", "one thread"].calls == 0


def test_the_tables_of_an_ablation_fit_a_terminal_and_have_whole_rows() -> None:
    assert max(map(len, ablation_page.text(ablation()).splitlines())) <= 80
    lines = [s for s in ablation_page.markdown(ablation()).splitlines() if s.startswith("|")]
    assert {line.count("|") for line in lines} == {10, 8}
