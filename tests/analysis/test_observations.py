"""What is compared of two runs is what two runs of one program agree on, and nothing less."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolchain.analysis.observations import compare, placed
from toolchain.ir import Observation


def _seen(*lines: str, stream: str = "main") -> tuple[Observation, ...]:
    """Return observations from lines of kind and text."""
    split = (line.partition(" ") for line in lines)
    return tuple(Observation(stream, kind, text) for kind, _, text in split)


TEXTS = st.lists(
    st.tuples(st.sampled_from(["event", "log"]), st.sampled_from(["a", "b 1", "b 2", "c"])),
    max_size=6,
)


@given(TEXTS, TEXTS)
def test_programs_that_always_do_the_same_differ_exactly_if_their_lists_do(
    before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    first = tuple(Observation("main", *one) for one in before)
    other = tuple(Observation("main", *one) for one in after)
    found = compare(first, first, other)
    assert (found.difference == "") == (before == after)
    assert found.unknown == ()


def test_the_first_difference_is_named_with_its_place() -> None:
    first = _seen("event ready", "event heard one", "result 7")
    found = compare(first, first, _seen("event ready", "event heard two", "result 8"))
    assert found.difference == "observation 2 was event `heard one` and is event `heard two`"
    assert found.compared == {"event": 2, "result": 1}
    assert "is nothing" in compare(first, first, first[:2]).difference


def test_numbers_that_change_are_left_out_and_the_words_around_them_are_not() -> None:
    first, again = _seen("log ready in 12 ms", "log x 1"), _seen("log ready in 9.5 ms", "log x 1")
    assert compare(first, again, _seen("log ready in 700 ms", "log x 1")).difference == ""
    assert compare(first, again, _seen("log ready in 700 s", "log x 1")).difference
    assert compare(first, again, _seen("log ready in 12 ms", "log x 2")).difference
    assert compare(first, again, first).unknown == ("the numbers in log `ready in # ms`",)


def test_an_event_that_differs_otherwise_is_unknown_and_no_other_event_is() -> None:
    first = _seen("event id ab", "event done", "log free")
    again = _seen("event id cd", "event done", "log free")
    assert compare(first, again, _seen("event id ef", "event done", "log free")).difference == ""
    assert compare(first, again, _seen("event id ef", "event lost", "log free")).difference
    assert compare(first, again, _seen("event id ef", "event done", "log full")).difference
    assert compare(first, again, first).unknown == ("event `id ...`",)


def test_an_order_that_changes_is_unknown_and_what_was_seen_still_counts() -> None:
    first, again = _seen("event a", "event b"), _seen("event b", "event a")
    assert compare(first, again, again).unknown == ("the order of main",)
    assert compare(first, again, _seen("event a", "event a")).difference == (
        "event `b` is no longer seen"
    )
    assert compare(first, again, _seen("event b", "event a", "event c")).difference == (
        "event `c` is new"
    )


def test_workers_promise_no_order() -> None:
    first = _seen("log a", "log b", stream="worker")
    assert compare(first, first, tuple(reversed(first))).difference == ""
    assert compare(first, first, first[:1]).difference == "log `b` is no longer seen"


def test_how_the_process_ended_is_said_beside_the_first_difference() -> None:
    first = (*_seen("event a"), *_seen("exit 0", stream="process"))
    found = compare(first, first, _seen("exit 9", stream="process"))
    assert found.difference == (
        "observation 1 was event `a` and is nothing; observation 1 was exit `0` and is exit `9`"
    )


def test_addresses_of_code_and_stack_frames_differ_and_other_addresses_do_not() -> None:
    base = "file:///tmp/x/program/"
    text = (
        f"error Error: no {base}models/a.bin\n    at f ({base}app/main.js:1:2)\n"
        f"at {base}app/main.js:12:3, {base}src/b.js?worker"
    )
    found = placed(_seen(text), [base], {"app/main.js"})
    assert found[0].text == "Error: no /models/a.bin\nat <code>, /src/b.js?worker"
