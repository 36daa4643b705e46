"""Instructions are counted exactly: only those of the pass, and twice the same."""

import shutil
import sys

import pytest

from toolchain.errors import UnavailableError
from toolchain.harness.bench import Side
from toolchain.harness.instructions import counted

# a stage whose work is known: as many products as its name says; nothing is asked of the others
_PROGRAM = """
import json, sys
from toolchain.harness.serving import serve
AMOUNT = {"vad": 1_000, "stt": 1_000, "tts": 3_000}
def say(message): print(json.dumps(message), flush=True)
def work(asked): return {s: sum(n * n for n in range(AMOUNT[s])) for s in asked["stages"]}
sys.stdin.readline()
serve(work, sys.stdin, say)
"""


@pytest.mark.skipif(shutil.which("vgdb") is None, reason="no valgrind on this machine")
def test_three_times_the_work_is_three_times_the_instructions() -> None:
    side = Side("known", (sys.executable, "-c", _PROGRAM), {}, {"x": {}}, 60)
    found = counted(side, "x").stages
    assert found["vad"] == pytest.approx(found["stt"], rel=0.01)
    assert 2.8 < found["tts"] / found["vad"] < 3.2
    assert 10_000 < found["vad"] < 1_000_000  # not what starting Python takes: about 100 million


def test_without_valgrind_counts_are_said_to_be_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError, match="instruction counts are unavailable") as caught:
        counted(Side("", (), {}, {}, 1), "x")
    assert "valgrind" in caught.value.hint
