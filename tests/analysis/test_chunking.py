"""Chunks: every module in one, nothing loaded in vain unless a request costs more, order kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.analysis.chunking import Modules, Plan, RequestCost, plan, reach

FREE = RequestCost(0, 0)
COST = RequestCost(100, 20)


def program(
    pages: str,
    imports: Mapping[str, str],
    lazy: Mapping[str, str] | None = None,
    sizes: Mapping[str, int] | None = None,
    acting: str = "",
) -> Modules:
    names = {*pages, *imports, *"".join(imports.values()), *"".join((lazy or {}).values())}
    return Modules(
        tuple(pages),
        imports,
        lazy or {},
        dict.fromkeys(names, 1000) | dict(sizes or {}),
        frozenset(acting),
    )


def chunks(made: Plan) -> list[str]:
    return ["".join(chunk.modules) for chunk in made.chunks]


def test_modules_of_the_same_starts_make_a_chunk_and_others_do_not() -> None:
    made = plan(program("ab", {"a": "xyz", "b": "yz", "z": "w"}), FREE)
    assert chunks(made) == ["ax", "b", "wyz"]


def test_what_every_asking_module_has_loaded_makes_no_chunk_of_its_own() -> None:
    made = plan(program("a", {"a": "x", "l": "xy"}, {"a": "l"}), FREE)
    assert chunks(made) == ["ax", "ly"]
    assert [(one.start, one.is_lazy, one.needed) for one in made.loadings()] == [
        ("a", False, 2000),
        ("l", True, 2000),
    ]


def test_a_lazy_module_that_two_pages_ask_for_shares_only_what_both_have() -> None:
    made = plan(program("ab", {"a": "xy", "b": "x", "l": "xy"}, {"a": "l", "b": "l"}), FREE)
    assert chunks(made) == ["a", "b", "l", "x", "y"]


def test_a_small_chunk_goes_into_its_neighbour_when_a_request_costs_more() -> None:
    site = program("abc", {"a": "xs", "b": "xs", "c": "x"}, sizes={"s": 50})
    assert chunks(plan(site, COST)) == ["a", "b", "c", "sx"]
    assert plan(site, COST).merged == 1
    (load,) = [one for one in plan(site, COST).loadings() if one.start == "c"]
    assert (load.needed, load.in_vain) == (2000, 50)


def test_a_large_chunk_stays_apart() -> None:
    site = program("abc", {"a": "xs", "b": "xs", "c": "x"}, sizes={"s": 500})
    assert chunks(plan(site, COST)) == ["a", "b", "c", "s", "x"]


def test_a_module_that_acts_is_not_run_where_it_did_not_run() -> None:
    site = program("abc", {"a": "xs", "b": "xs", "c": "x"}, sizes={"s": 50}, acting="s")
    assert chunks(plan(site, COST)) == ["a", "b", "c", "s", "x"]


def test_modules_that_act_are_not_merged_into_another_order() -> None:
    # q runs, then r; with p, which is quiet and comes first, r would run before q
    imports = {"a": "pqr", "b": "pqr", "c": "q", "d": "r", "e": "q"}
    site = program("abcde", imports, sizes={"p": 10, "q": 9000, "r": 10}, acting="qr")
    quiet = program("abcde", imports, sizes={"p": 10, "q": 9000, "r": 10})
    assert chunks(plan(quiet, COST)) == ["a", "b", "c", "d", "e", "pr", "q"]
    assert chunks(plan(site, COST)) == ["a", "b", "c", "d", "e", "pq", "r"]


def test_an_order_that_no_chunks_by_reach_keep_is_said() -> None:
    # p, q and r run in turn; p and r are of a alone, and run together after q
    assert plan(program("ab", {"a": "pqr", "b": "q"}, acting="pqr"), COST).disordered == ("a",)


def test_circles_of_modules_are_reached_together() -> None:
    site = program("ab", {"a": "x", "x": "y", "y": "x", "b": "y"})
    assert reach(site, ("a", "b")) == {"a": 1, "b": 2, "x": 3, "y": 3}


NAMES = [f"m{n}" for n in range(9)]
GRAPHS = st.builds(
    Modules,
    st.lists(st.sampled_from(NAMES[:4]), min_size=1, max_size=4, unique=True).map(tuple),
    st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4)),
    st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=2)),
    st.fixed_dictionaries({n: st.integers(1, 400) for n in NAMES}),
    st.frozensets(st.sampled_from(NAMES), max_size=4),
)


def eager(site: Modules, start: str) -> set[str]:
    seen, todo = {start}, [start]
    while todo:
        for one in site.imports.get(todo.pop(), ()):
            if one not in seen:
                seen.add(one)
                todo.append(one)
    return seen


def states(site: Modules, made: Plan) -> dict[str, Sequence[frozenset[str]]]:
    """Every set of modules that may be there when a start is asked for, walking from each page."""
    fetched = {one.start: {m for c in one.chunks for m in c.modules} for one in made.loadings()}
    found: dict[str, set[frozenset[str]]] = {s: set() for s in site.starts}
    todo = [(page, frozenset[str]()) for page in site.pages]
    while todo:
        start, there = todo.pop()
        if there in found[start]:
            continue
        found[start].add(there)
        after = there | fetched[start]
        for module in eager(site, start):
            todo += [(target, frozenset(after)) for target in site.lazy.get(module, ())]
    return {start: sorted(sets, key=sorted) for start, sets in found.items()}


@settings(max_examples=200, deadline=None)
@given(GRAPHS, st.sampled_from([FREE, COST, RequestCost(1000, 0)]))
def test_chunks_hold_for_any_program(site: Modules, cost: RequestCost) -> None:
    made = plan(site, cost)
    placed = [m for chunk in made.chunks for m in chunk.modules]
    assert sorted(placed) == sorted({m for s in site.starts for m in eager(site, s)})
    for start, sets in states(site, made).items():
        (loading,) = [one for one in made.loadings() if one.start == start]
        here = {m for chunk in loading.chunks for m in chunk.modules}
        for there in sets:
            assert eager(site, start) <= here | there, "a start lacks what it imports"
        in_vain = here - eager(site, start)
        assert made.merged or not in_vain, "nothing was merged, but a start loads what it lacks"
        assert not in_vain & site.acting - unmerged(site, start), "a module acts where it did not"


def unmerged(site: Modules, start: str) -> set[str]:
    (loading,) = [one for one in plan(site, FREE).loadings() if one.start == start]
    return {m for chunk in loading.chunks for m in chunk.modules} - eager(site, start)


@settings(max_examples=100, deadline=None)
@given(GRAPHS)
def test_merging_never_costs_more_and_breaks_no_order(site: Modules) -> None:
    apart, made = plan(site, FREE), plan(site, COST)
    assert total(made) <= total(apart)
    assert set(made.disordered) <= set(apart.disordered)


def total(made: Plan) -> int:
    return sum(
        one.needed + one.in_vain + len(one.chunks) * COST.of_chunk for one in made.loadings()
    )
