"""A process that tries a model may do anything: what it did is said, and it is gone after."""

import sys
import time

import psutil
import pytest

from toolchain.errors import ToolError, UnusableError
from toolchain.quantization.trial import Limits, ask

LIMITS = Limits(seconds=20, memory_bytes=2_000_000_000)

CRASH = "import os; os.kill(os.getpid(), 11)"


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_the_last_line_is_the_answer_whatever_a_library_prints_before() -> None:
    code = "import json, sys; print('hello'); print(json.dumps({'n': len(json.load(sys.stdin))}))"
    assert ask(python(code), {"a": 1, "b": 2}, LIMITS) == {"n": 2}


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        (CRASH, "was killed by signal 11"),
        ("import sys; sys.exit('no such kernel')", "ended with code 1: no such kernel"),
        ("pass", "ended with code 0"),
        ('print(\'{"error": "bad model"}\')', "does not run: bad model"),
        (f"print('careful: 1 core', flush=True); {CRASH}", "by signal 11: careful: 1 core"),
        (f"print('{{\"n\": 2}}', flush=True); {CRASH}", "was killed by signal 11"),
        ("print('{\"load_cpu_ms\": 0.')", "ended with code 0"),
        ("print(3)", "ended with code 0: 3"),
        ("import sys; print('{\"n\": 2}'); sys.exit(1)", "ended with code 1"),
    ],
)
def test_how_it_ended_is_said(code: str, complaint: str) -> None:
    with pytest.raises(UnusableError, match=complaint):
        ask(python(code), {}, LIMITS)


@pytest.mark.parametrize(
    ("code", "limits", "complaint"),
    [
        ("while True: pass", Limits(0.5, 10**10), "takes longer than 0.5 s"),
        ("import time; time.sleep(60)", Limits(0.5, 10**10), "takes longer than 0.5 s"),
        (
            "import time; x = bytearray(b'x') * 400_000_000; time.sleep(60)",
            Limits(30, 200_000_000),
            "takes more than 200 MB",
        ),
    ],
)
def test_a_process_beyond_its_limits_is_ended(code: str, limits: Limits, complaint: str) -> None:
    start, others = time.monotonic(), set(psutil.Process().children())
    with pytest.raises(UnusableError, match=complaint):
        ask(python(code), {}, limits)
    assert time.monotonic() - start < 45
    left = set(psutil.Process().children()) - others
    assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]


def test_a_program_that_is_not_there_is_no_fault_of_the_model() -> None:
    with pytest.raises(ToolError, match="cannot be started"):
        ask(("/nowhere/node",), {}, LIMITS)
