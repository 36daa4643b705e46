"""The pool of worker processes: deaths, hangs and errors stay with their own item."""

import importlib.util
import sys
from pathlib import Path

import pytest

from toolchain.errors import InputError, ToolError
from toolchain.execution.local import LocalPool

_spec = importlib.util.spec_from_file_location(
    "pool_workers", Path(__file__).with_name("workers.py")
)
assert _spec is not None
assert _spec.loader is not None
workers = importlib.util.module_from_spec(_spec)
sys.modules["pool_workers"] = workers
_spec.loader.exec_module(workers)


@pytest.fixture(autouse=True)
def _workers_can_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pool_workers.py").write_text(Path(__file__).with_name("workers.py").read_text())
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


def _run(items: list[str], **options: float) -> dict[str, str | Exception | None]:
    pool = LocalPool(workers=2, **options)  # type: ignore[arg-type]  # item_seconds only
    outcomes = list(pool.run(workers.work, items))
    assert sorted(o.index for o in outcomes) == list(range(len(items)))
    return {items[o.index]: o.error or o.value for o in outcomes}


def test_every_item_is_answered_exactly_once() -> None:
    items = [f"item {n}" for n in range(20)]
    assert _run(items) == {i: i.upper() for i in items}


def test_a_worker_that_is_killed_fails_its_own_item_and_nothing_else() -> None:
    done = _run(["a", "die", "b", "c", "leave", "d"])
    assert [done[k] for k in "abcd"] == ["A", "B", "C", "D"]
    assert isinstance(done["die"], ToolError)
    assert "SIGKILL" in str(done["die"])
    assert "exit code 7" in str(done["leave"])


def test_an_error_with_a_hint_crosses_the_process_border_whole() -> None:
    error = _run(["refuse"])["refuse"]
    assert isinstance(error, InputError)
    assert (str(error), error.hint) == ("this file is cut", "fetch it again")


def test_a_defect_in_a_pass_names_its_place_and_is_no_traceback() -> None:
    error = _run(["bug", "a"])["bug"]
    assert isinstance(error, ToolError)
    assert "ZeroDivisionError" in str(error)
    assert "work, line" in str(error)


def test_an_item_that_hangs_is_stopped_and_the_others_are_done() -> None:
    done = _run(["hang", "a", "b"], item_seconds=2.0)
    assert isinstance(done["hang"], ToolError)
    assert "longer than 2 s" in str(done["hang"])
    assert (done["a"], done["b"]) == ("A", "B")


def test_nothing_to_do_starts_no_process() -> None:
    assert _run([]) == {}


def test_what_is_added_while_others_are_answered_is_done_too() -> None:
    waiting = ["a"]
    done = []
    for outcome in LocalPool(2).drain(workers.work, waiting):
        done.append(outcome.get())
        if len(done) < 5:
            waiting += [f"b{len(done)}", f"c{len(done)}"]
    assert sorted(done) == ["A", "B1", "B2", "B3", "B4", "C1", "C2", "C3", "C4"]


class _Heard:
    def __init__(self) -> None:
        self.all: list[tuple[str, int, int]] = []

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:
        del unit
        self.all.append((what, done, total))


def test_what_a_worker_reports_is_heard_and_is_no_answer() -> None:
    heard = _Heard()
    outcomes = list(LocalPool(1, progress=heard).run(workers.long_work, [7]))
    assert [o.get() for o in outcomes] == [7]
    assert heard.all[-1] == ("searching", 3, 3)


def test_a_worker_that_keeps_reporting_is_stopped_at_its_time_too() -> None:
    outcomes = list(LocalPool(1, item_seconds=0.4, progress=_Heard()).run(workers.long_work, [7]))
    assert "longer than" in str(outcomes[0].error)
