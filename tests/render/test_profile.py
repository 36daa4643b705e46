"""A profile as trace, page, text and JSON: valid, inert, complete."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from render.page_parts import Page, in_node
from render.reports_strategy import HOSTILE, ROOT
from rich.console import Console

from toolchain.errors import InputError
from toolchain.ir.profile import Profile, UnusedCode
from toolchain.ir.recommendation import Effect, Recommendation, Tried
from toolchain.ir.timeline import END_OF_SPEECH, Lane, Moment, Resident, Span, Timeline
from toolchain.render import chrome_trace, profile_json, profile_page, profile_text
from toolchain.units import Bytes

PAGE = Page((ROOT / "reports" / "profile.html").read_text("utf-8"))
DOM = Path(__file__).with_name("small_dom.js").read_text("utf-8")
SAMPLE = (ROOT / "fixtures" / "reports" / "profile.json").read_text("utf-8")
WORDS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=12))
TIMES = st.floats(0, 20_000)


def sample() -> Profile:
    return profile_json.parse(SAMPLE, where="the sample")


def spans(lane: Lane) -> st.SearchStrategy[Span]:
    return st.builds(
        lambda start, ms, text, kept: Span(
            lane,
            start,
            start + ms,
            "token",
            text,
            0.5 if lane is Lane.VAD else None,
            kept or lane in {Lane.SAID, Lane.VAD, Lane.HEARD},
        ),
        TIMES,
        st.floats(0, 500),
        WORDS,
        st.booleans(),
    )


timelines = st.builds(
    Timeline,
    WORDS,
    WORDS,
    st.lists(st.sampled_from(Lane).flatmap(spans), min_size=1, max_size=12).map(tuple),
    st.lists(st.builds(Moment, st.just(END_OF_SPEECH), TIMES), max_size=2).map(tuple),
    st.lists(st.builds(Resident, TIMES, st.integers(0, 2**40)), max_size=3).map(tuple),
)


def with_turns(*turns: Timeline) -> Profile:
    base = sample()
    assert base.runtime_profile is not None
    return replace(base, runtime_profile=replace(base.runtime_profile, timelines=turns))


def events(profile: Profile) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(chrome_trace.trace(profile))["traceEvents"]
    return found


@given(st.lists(timelines, max_size=3))
def test_every_event_of_a_trace_is_one_that_perfetto_takes(turns: list[Timeline]) -> None:
    found = events(with_turns(*turns))
    for event in found:
        assert event["ph"] in {"X", "i", "C", "M"}
        assert event["name"]
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] == "C":
            assert all(isinstance(v, int | float) for v in event["args"].values())
    named = {(e["pid"], e["tid"]) for e in found if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in found if e["ph"] == "X"} == named
    worked = [s for t in turns for s in t.spans]
    assert sum(e["ph"] == "X" for e in found) == len(worked)
    assert sum(e["dur"] for e in found if e["ph"] == "X") == pytest.approx(
        sum(1000 * s.ms for s in worked)
    )


def test_slices_of_a_thread_lie_in_each_other_or_apart() -> None:
    """What overlaps in part on one thread is drawn wrongly: thrown away work has its own."""
    by_thread: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for event in events(sample()):
        if event["ph"] == "X":
            by_thread.setdefault((event["pid"], event["tid"]), []).append(event)
    assert len(by_thread) >= 6
    for slices in by_thread.values():
        ends: list[float] = []
        for one in sorted(slices, key=lambda e: (e["ts"], -e["dur"])):
            while ends and one["ts"] >= ends[-1] - 1e-3:
                ends.pop()
            assert not ends or one["ts"] + one["dur"] <= ends[-1] + 1e-3
            ends.append(one["ts"] + one["dur"])


def test_work_that_was_thrown_away_has_a_thread_of_its_own() -> None:
    """It may still end when what replaces it has begun: on one thread they would overlap."""
    thrown = Span(Lane.STT, 100, 200, "stopped", kept=False)
    kept = Span(Lane.STT, 150, 250, "transcript", "a")
    found = events(with_turns(Timeline("x", "", (thrown, kept), (), ())))
    assert len({e["tid"] for e in found if e["ph"] == "X"}) == 2
    names = {e["args"]["name"] for e in found if e["name"] == "thread_name"}
    assert names == {"STT", "STT (thrown away)"}


def test_overlap_is_kept_in_the_trace() -> None:
    stt = Span(Lane.STT, 100, 200, "transcript", "a")
    vad = Span(Lane.VAD, 120, 121, "frame", "", 0.1)
    both = [e for e in events(with_turns(Timeline("x", "", (stt, vad), (), ()))) if e["ph"] == "X"]
    assert [(e["ts"], e["ts"] + e["dur"]) for e in both] == [(100_000, 200_000), (120_000, 121_000)]
    assert both[0]["tid"] != both[1]["tid"]


@given(timelines)
def test_hostile_words_stay_data_in_the_page(turn: Timeline) -> None:
    page = Page(profile_page.page(with_turns(turn)))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in PAGE.tags]
    [shown] = page.data["runtime_profile"]["timelines"]
    assert shown["clip"] == turn.clip.encode("utf-8", "replace").decode("utf-8")


def drawn(*profiles: Profile, result: str = "document.documentElement.textContent") -> Any:  # noqa: ANN401 - JSON
    acts = (
        '$("vtool-data").replaceChildren();'  # what the page draws, not what it draws from
        ' for (const n of document.documentElement.all()) { n.dispatch("change");'
        ' n.dispatch("pointerenter");'
        ' for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft", "Tab"])'
        ' n.dispatch("keydown", { key }); }'
    )
    program = (
        f"const PURE = {json.dumps(PAGE.script('vtool-pure').text)}, "
        f"DRAW = {json.dumps(PAGE.script('vtool-page').text)};\n{DOM}\n"
        "const draw = data => { const b = smallDocument(given.ids, data);\n"
        "  return new Function(...Object.keys(b), PURE + DRAW + given.acts + '; return ' + "
        "given.result)(...Object.values(b)); };"
    )
    given = {
        "ids": [a["id"] for _, a in PAGE.tags if "id" in a],
        "data": [profile_page.data(p) for p in profiles],
        "acts": acts,
        "result": result,
    }
    return in_node(program, "given.data.map(draw)", given)


def _is_clean(text: str) -> bool:
    return not any(word in text for word in ("[object", "undefined", "NaN", "null"))


def test_the_page_draws_everything_of_the_sample() -> None:
    one = sample()
    [text] = drawn(one)
    assert _is_clean(text)
    assert one.runtime_profile is not None
    assert one.bundle_analysis is not None
    for model in one.runtime_profile.models:
        assert model.model in text
        assert all(o.operator in text for o in model.operators)
    for package in one.bundle_analysis.packages:
        assert package.name in text
    for unused in one.bundle_analysis.unused_code:
        assert all(suggestion in text for suggestion in unused.suggestions)
    for tried in one.tried:
        assert tried.what in text
    for note in (*one.notes, *one.bundle_analysis.notes):
        assert note in text


@given(st.lists(timelines, min_size=3, max_size=3))
@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
    max_examples=4,
    phases=[Phase.explicit, Phase.generate],  # an example is a second of node: too dear to shrink
    deadline=None,
)
def test_the_page_draws_every_turn_there_can_be(turns: list[Timeline]) -> None:
    for text in drawn(*(with_turns(turn) for turn in turns), with_turns()):
        assert "Profile of" in text
        assert "NaN" not in text or any("NaN" in s.text for t in turns for s in t.spans)


def test_the_page_draws_either_half_alone() -> None:
    one = sample()
    first, second = drawn(
        replace(one, runtime_profile=None, recommendations=(), tried=()),
        replace(one, bundle_analysis=None),
    )
    assert "Operators" not in first
    assert "nothing was tried" in first
    assert "Packages" not in second
    assert _is_clean(first)
    assert _is_clean(second)


def test_a_turn_of_which_nothing_was_heard_has_no_latency() -> None:
    """It never came: 0 ms would be the best figure of all."""
    frame = Span(Lane.VAD, 32, 33, "frame", "", 0.9)
    silent = Timeline("mute", "Hello?", (frame,), (Moment(END_OF_SPEECH, 500),), ())
    profile = with_turns(silent)
    [text] = drawn(profile)
    assert "mute: nothing heard" in text
    assert "Turn mute: nothing heard" in printed(profile)


def test_bytes_as_installed_and_bytes_as_minified_are_not_added_up() -> None:
    one = sample()
    assert one.bundle_analysis is not None
    unused = (
        UnusedCode("a.js", Bytes(5000), Bytes(5000), ("leave it out",), imported=False),
        UnusedCode("b.js", Bytes(900), Bytes(300), ("bundle it",)),
    )
    profile = replace(one, bundle_analysis=replace(one.bundle_analysis, unused_code=unused))
    [page] = drawn(profile)
    for text in (page, " ".join(printed(profile).split())):
        assert (
            "in all 5.00 kb of files that no entry reaches, 300 b minified of others"
            in text.lower()
        )


def test_every_table_of_the_page_is_reached_and_named_without_a_mouse() -> None:
    scrolled = (
        'document.documentElement.all().filter(n => (n.getAttribute("class") || "")'
        '.split(" ").includes("scroll")).map(n => [n.getAttribute("tabindex"), '
        'n.getAttribute("role"), n.getAttribute("aria-label")])'
    )
    [found] = drawn(sample(), result=scrolled)
    assert len(found) > 5
    assert all(tab == "0" and role == "region" and label for tab, role, label in found)


def test_the_page_asks_nobody_for_anything() -> None:
    policy = [a for t, a in PAGE.tags if t == "meta" and "http-equiv" in a]
    assert policy[0]["content"].startswith("default-src 'none'")
    assert not [a for t, a in PAGE.tags if t in {"link", "img", "iframe"} or "src" in a]


def test_the_page_has_its_sample_inside() -> None:
    assert "data-sample" in PAGE.script("vtool-data").attributes
    assert PAGE.data == json.loads(profile_page.data(sample()))


def test_a_profile_is_read_as_it_was_written() -> None:
    one = sample()
    assert profile_json.parse(profile_json.write(one), where="here") == one
    Draft202012Validator(profile_json.schema()).validate(json.loads(profile_json.write(one)))


def test_the_published_schema_is_the_documents() -> None:
    published = json.loads((ROOT / "reports" / "profile.schema.json").read_text("utf-8"))
    assert published == profile_json.schema(), "write reports/profile.schema.json anew"


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 1}'])
def test_what_is_no_profile_is_refused_in_words(text: str) -> None:
    with pytest.raises(InputError, match="here: "):
        profile_json.parse(text, where="here")
    other = SAMPLE.replace('"schema_version": 1', '"schema_version": 99')
    with pytest.raises(InputError, match="schema_version 99"):
        profile_json.parse(other, where="here")


def printed(profile: Profile) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None, highlight=False)
    profile_text.print_profile(profile, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_no_line_is_longer_than_80_columns_and_nothing_helps_is_said() -> None:
    one = replace(sample(), recommendations=())
    text = printed(one)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "none: nothing that was tried was measured to help" in text


def test_a_recommendation_is_printed_with_its_evidence_its_cost_and_its_command() -> None:
    gain = Effect.measured("turn.first_audio", "ms", [(400.0, 300.0)] * 20, 0.99)
    cost = Effect.measured("turn.cpu", "ms", [(100.0, 150.0)] * 20, 0.99)
    advice = Recommendation("do it", "in vtool.toml:\n[voice.llm]\nthreads = 1", (gain,), (cost,))
    text = printed(replace(sample(), recommendations=(advice,), tried=()))
    assert "turn.first_audio 400 ms: -100 ms (-25.0 %), surely -100 .. -100 ms" in " ".join(
        text.replace("-100 ms .. -100 ms", "-100 .. -100 ms").split()
    )
    assert "at the cost of turn.cpu 100 ms: +50.0 ms" in text
    assert "    threads = 1" in text


def test_what_was_tried_in_vain_is_told_with_its_reason() -> None:
    same = Effect.measured("turn.cpu", "ms", [(100.0, 100.0)] * 20, 0.99)
    tried = Tried("spin", "how", (same,), "nothing became better for certain")
    text = printed(replace(sample(), recommendations=(), tried=(tried,)))
    assert "spin: nothing became better for certain" in text
