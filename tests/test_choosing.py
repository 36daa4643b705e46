"""The smallest candidate that holds is kept, and the ledger says of all others why not."""

from __future__ import annotations

from dataclasses import replace

from toolchain.choosing import Prove, smallest_proved
from toolchain.ir import Artifact, ArtifactId, Digest, Fate, Graph, Kind, Proof
from toolchain.passes.base import Again, Attempt
from toolchain.units import Bytes, Seconds

_BEFORE = Graph({}, frozenset(), frozenset())


def _graph(name: str) -> Graph:
    artifact = Artifact(ArtifactId(name), Kind.JS, Digest(""), Bytes(1))
    return Graph({artifact.id: artifact}, frozenset(), frozenset())


def _attempt(name: str, size: int, *, differs: str = "") -> Attempt:
    return Attempt(name, Seconds(1), _graph(name), Bytes(size), again=lambda: Again(differs))


def _holds_except(*wrong: str) -> tuple[list[str], Prove]:
    asked: list[str] = []

    def prove(after: Graph, /) -> Proof:
        (name,) = after.artifacts
        asked.append(name)
        return Proof("same", name not in wrong, f"{name} was compared")

    return asked, prove


def test_the_smallest_is_kept_and_larger_ones_are_not_even_proved() -> None:
    asked, prove = _holds_except()
    found = smallest_proved(_BEFORE, [_attempt("a", 9), _attempt("b", 7), _attempt("c", 8)], prove)
    assert (found.graph, asked, found.lasts) == (_graph("b"), ["b"], True)
    assert [(c.name, c.fate, c.detail) for c in found.candidates] == [
        ("b", Fate.KEPT, ""),
        ("c", Fate.LARGER, "1 bytes more"),
        ("a", Fate.LARGER, "2 bytes more"),
    ]


def test_a_candidate_that_is_not_the_same_program_or_not_the_same_twice_loses() -> None:
    _, prove = _holds_except("wrong")
    attempts = [_attempt("wrong", 1), _attempt("odd", 2, differs="app/x.js"), _attempt("ok", 3)]
    found = smallest_proved(_BEFORE, attempts, prove)
    assert found.graph == _graph("ok")
    assert [(c.fate, c.detail) for c in found.candidates] == [
        (Fate.UNPROVED, "wrong was compared"),
        (Fate.UNSTEADY, "app/x.js"),
        (Fate.KEPT, ""),
    ]


def test_the_graph_that_is_kept_is_that_of_the_second_time_and_says_what_it_lacks() -> None:
    _, prove = _holds_except()
    again = Again(graph=_graph("with a map"), detail="no source map of app/x.js")
    attempts = [replace(_attempt("a", 5), again=lambda: again), _attempt("b", 7)]
    found = smallest_proved(_BEFORE, attempts, prove)
    assert found.graph == _graph("with a map")
    assert found.candidates[0].detail == "no source map of app/x.js"


def test_of_equals_the_first_by_name_is_kept_in_whatever_order_they_finish() -> None:
    _, prove = _holds_except()
    one, other = _attempt("a", 5), _attempt("b", 5)
    assert smallest_proved(_BEFORE, [one, other], prove) == smallest_proved(
        _BEFORE, [other, one], prove
    )


def test_where_nothing_holds_the_graph_stays_and_the_smallest_says_why() -> None:
    _, prove = _holds_except("a", "b")
    found = smallest_proved(_BEFORE, [_attempt("a", 9), _attempt("b", 7)], prove)
    assert (found.graph, found.proof.holds, found.lasts) == (_BEFORE, False, False)
    assert found.proof.detail == "b was compared"


def test_what_made_nothing_is_shown_and_what_is_missing_may_be_there_next_time() -> None:
    _, prove = _holds_except()
    late = Attempt("late", Seconds(60), fate=Fate.SLOW, detail="no end within 60 s")
    gone = Attempt("gone", Seconds(0), fate=Fate.ABSENT, detail="there is no bun for this")
    found = smallest_proved(_BEFORE, [late, _attempt("a", 9)], prove)
    assert found.lasts
    assert found.candidates[1].detail == "no end within 60 s"
    assert found.candidates[1].size is None
    assert not smallest_proved(_BEFORE, [gone, _attempt("a", 9)], prove).lasts
