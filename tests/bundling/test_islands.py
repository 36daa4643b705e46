"""Bundles that share no file may come from different bundlers; others may not."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from toolchain.bundling.contenders import Remade
from toolchain.bundling.islands import Mix, Part, files, islands, mixed
from toolchain.formats.esbuild_build import Import, Output, Result
from toolchain.formats.sourcemap import SourceMap

PAGE, WORKER, OTHER = "src/page.ts", "src/worker.ts", "src/other.ts"
ENTRIES = (PAGE, WORKER)


def _noise(name: str, size: int) -> bytes:
    """Return a comment of ``size`` bytes that hardly compresses."""
    seed = name.encode()
    text = "".join(hashlib.sha256(seed + bytes([n])).hexdigest() for n in range(size // 64 + 1))
    return f"//{text[:size]}\n".encode()


def _output(path: str, data: bytes = b"", entry: str = "", **imports: str) -> Output:
    """Return an output; keywords are ``import`` or ``lazy`` with the name of a file."""
    kinds = {"load": "import-statement", "lazy": "dynamic-import"}
    found = tuple(Import(f"app/{to}.js", kinds[how], external=False) for how, to in imports.items())
    return Output(f"app/{path}.js", data, {}, found, entry=entry)


def _result(*outputs: Output) -> Result:
    return Result(tuple(sorted(outputs, key=lambda o: o.path)), {}, (), ())


def _part(name: str, *outputs: Output) -> Part:
    return Part(name, 1.0, _result(*outputs), lambda _: Remade())


def _two(name: str, page: int, worker: int, chunk: str = "") -> Part:
    """Return a part with a page of one size, which starts a worker of another."""
    data = b'new Worker("./worker.js")' + _noise(name, page)
    outputs = [
        _output("page", data, PAGE, **({"load": chunk} if chunk else {})),
        _output("worker", _noise(f"{name} too", worker), WORKER),
    ]
    return _part(name, *outputs, *([_output(chunk, b"1")] if chunk else []))


def _names(mix: Mix | None) -> Mapping[str, str]:
    assert mix is not None
    return {entry: part.name for island, part in mix.taken.items() for entry in island}


def test_bundles_that_share_a_file_in_any_result_are_one_island() -> None:
    apart = _two("apart", 1, 1).result
    for how in ("load", "lazy"):
        shared = _result(
            _output("page", b"", PAGE, load="a"),
            _output("a", b"", **{how: "b"}),
            _output("worker", b"", WORKER, **{how: "b"}),
            _output("b"),
            _output("other", b"", OTHER),
        )
        both = (PAGE, WORKER)
        assert islands([apart], both) == ((PAGE,), (WORKER,))
        assert islands([apart, shared], (*both, OTHER)) == ((OTHER,), (PAGE, WORKER))


def test_a_bundle_that_loads_another_bundle_is_no_island_of_its_own() -> None:
    made = _result(_output("page", b"", PAGE, load="worker"), _output("worker", b"", WORKER))
    assert islands([made], ENTRIES) == ((PAGE, WORKER),)
    assert files(made, [PAGE]) == {"app/page.js", "app/worker.js"}


def test_each_island_is_taken_from_the_part_that_makes_it_cheapest() -> None:
    parts = [
        _two("esbuild", 4000, 100),
        _two("rollup+swc", 300, 500, "shared-1"),
        _two("bun", 9, 9),
    ]
    mix = mixed(parts[:2], ENTRIES, [PAGE])
    assert _names(mix) == {PAGE: "rollup+swc", WORKER: "esbuild"}
    assert mix is not None
    assert (mix.name, mix.problem) == ("per entry: page=rollup+swc; worker=esbuild", "")
    late = _two("a late one", 4500, 600)
    orders = [[*parts[:2], late], [parts[0], late, parts[1]]]
    assert all(mix == mixed(each, ENTRIES[::-1], [PAGE]) for each in orders)
    whole = {o.path: o.data for o in mix.result.outputs}
    assert whole.keys() == {"app/page.js", "app/shared-1.js", "app/worker.js"}
    assert whole["app/page.js"] == parts[1].result.outputs[0].data
    assert whole["app/worker.js"] == parts[0].result.outputs[1].data
    assert mixed(parts, ENTRIES, [PAGE]) is None  # bun is the cheapest everywhere
    assert mixed(parts[:2], [PAGE], [PAGE]) is None


def test_of_equal_parts_that_is_taken_which_is_the_cheapest_as_a_whole() -> None:
    page, worker = _output("page", b'"worker.js"', PAGE), _output("worker", b"1", WORKER)
    large = _output("page", b'"worker.js"' + _noise("large", 99), PAGE)
    parts = [_part("a", large, worker), _part("b", page, worker)]
    assert mixed(parts, ENTRIES, [PAGE]) is None


def test_a_request_costs_more_than_the_bytes_that_it_saves() -> None:
    single = _part(
        "single", _output("page", _noise("p", 400), PAGE), _output("worker", b"", WORKER)
    )
    split = _part(
        "split",
        _output("page", b'"worker.js"' + _noise("p", 300), PAGE, load="x"),
        _output("x"),
        _output("worker", _noise("w", 99), WORKER),
    )
    assert mixed([single, split], ENTRIES, ENTRIES) is None


def test_what_nobody_starts_in_the_mix_is_no_part_of_it() -> None:
    without = _part(
        "without", _output("page", b"1", PAGE), _output("worker", _noise("w", 300), WORKER)
    )
    assert mixed([_two("esbuild", 900, 1), without], ENTRIES, [PAGE]) is None
    found = mixed([_two("esbuild", 900, 1), without], ENTRIES, ENTRIES)
    assert _names(found) == {PAGE: "without", WORKER: "esbuild"}


def _mixed_by_hand(page: Part, worker: Part) -> Mix:
    return Mix(page.result, {(PAGE,): page, (WORKER,): worker})


def test_parts_that_call_different_files_alike_are_refused() -> None:
    page = _part("a", _output("page", b"", PAGE, load="shared-1"), _output("shared-1", b"1"))
    worker = _part("b", _output("worker", b"", WORKER, lazy="shared-1"), _output("shared-1", b"1"))
    assert _mixed_by_hand(page, worker).problem == "a and b both make app/shared-1.js"


def test_parts_that_start_a_worker_at_different_addresses_are_refused() -> None:
    page = _part("a", _output("page", b"", PAGE), _output("worker-1", b"", WORKER))
    worker = _part("b", _output("page", b"", PAGE), _output("worker", b"", WORKER))
    found = _mixed_by_hand(page, worker).problem
    assert found == "src/worker.ts is app/worker-1.js or app/worker.js"


def test_a_part_that_names_a_file_which_is_taken_from_another_part_is_refused() -> None:
    names = b'fetch("./part-7.js")'
    worker = _output("worker", b"", WORKER)
    page = _part("a", _output("page", names, PAGE), worker, _output("part-7"))
    found = _mixed_by_hand(page, _part("b", _output("page", b"", PAGE), worker)).problem
    assert found == "app/page.js of a names app/part-7.js, which is not taken"


def test_only_what_was_taken_of_a_part_has_to_be_the_same_again() -> None:
    asked: dict[str, Collection[str] | None] = {}
    empty = SourceMap((), (), ())

    def part(name: str, *, differs: str = "") -> Part:
        def again(paths: Collection[str] | None) -> Remade:
            asked[name] = paths
            made = dict.fromkeys(("app/page.js", "app/worker.js"), empty)
            return Remade(differs, {} if differs else made, "" if name == "a" else "it is late")

        return Part(name, 1.5, _two(name, 1, 1).result, again)

    a, b = part("a"), part("b")
    mix = _mixed_by_hand(a, b)
    assert mix.again() == Remade(
        "", {"app/page.js": empty, "app/worker.js": empty}, "b: it is late"
    )
    assert asked == {"a": {"app/page.js"}, "b": {"app/worker.js"}}
    assert mix.seconds == 3.0
    odd = _mixed_by_hand(a, part("b", differs="app/worker.js")).again()
    assert (odd.different, odd.maps) == ("b: app/worker.js", {"app/page.js": empty})


def test_entries_of_one_bundler_stand_together_in_the_name() -> None:
    part, other = _two("bun+swc", 1, 1), _part("rollup, planned chunks", _output("o", b"", OTHER))
    mix = Mix(part.result, {(OTHER,): other, (PAGE,): part, (WORKER,): part})
    assert mix.name == "per entry: o=rollup, planned chunks; page, worker=bun+swc"
