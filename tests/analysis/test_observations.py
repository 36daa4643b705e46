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
    assert compare(first, again, again).unknown == ("some of the order of main",)
    assert compare(first, again, _seen("event a", "event a")).difference == (
        "event `b` is no longer seen"
    )
    assert compare(first, again, _seen("event b", "event a", "event c")).difference == (
        "event `c` is new"
    )


def test_two_that_came_in_either_order_may_and_all_others_must_keep_theirs() -> None:
    first, late = (
        _seen("log a", "log b", "log c", "log d"),
        _seen("log b", "log a", "log c", "log d"),
    )
    swapped, wrong = late, _seen("log a", "log c", "log b", "log d")
    assert compare(first, first, swapped).only_order
    assert compare(first, first, swapped, [late]).difference == ""
    found = compare(first, first, wrong, [late])
    assert found.difference == "log `c` comes before log `b`, and always came after"
    assert found.only_order
    missing = compare(first, first, first[1:], [late])
    assert missing.difference
    assert not missing.only_order


def test_a_late_play_that_saw_something_else_says_nothing_about_order() -> None:
    first, late = _seen("log a", "log b"), _seen("log b", "log a", "error late")
    assert compare(first, first, late[:2], [late]).difference


@given(st.lists(st.permutations("abbcd"), min_size=1, max_size=4), st.permutations("abbcd"))
def test_an_order_is_accepted_exactly_if_no_pair_is_against_all_runs(
    runs: list[list[str]], after: list[str]
) -> None:
    first, *late = (_seen(*(f"log {name}" for name in run)) for run in runs)
    found = compare(first, first, _seen(*(f"log {name}" for name in after)), late)

    def numbered(run: list[str]) -> list[str]:
        return [f"{name}{run[:place].count(name)}" for place, name in enumerate(run)]

    places = [{name: place for place, name in enumerate(numbered(run))} for run in runs]
    names = numbered(after)
    against = any(
        all(place[one] > place[other] for place in places)
        for number, one in enumerate(names)
        for other in names[number + 1 :]
    )
    assert (found.difference != "") == against


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
