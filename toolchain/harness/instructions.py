"""Counts the instructions that one pass through each stage takes, exactly, where valgrind is there.

The stages are run in callgrind, which counts every instruction of the process and of the libraries
in it. Counting begins when the models are open and warm. What asking takes (reading the request,
collecting garbage) is counted alone and taken away.

The language model is not counted: valgrind does each fused multiply-add in a helper of its own, and
opening a model of 135 million weights alone (its system message) was not done in 18 minutes.

What it is not: valgrind offers programs a processor without AVX-512. A runtime that would choose
kernels for it chooses those for AVX2 here, in both applications alike; so these are instructions of
another machine than the one that the times are of.

Source: the Callgrind manual, 6.2.3 (counting a part of a run) and vgdb's monitor commands.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolError, UnavailableError
from toolchain.harness.bench import Side
from toolchain.harness.process import Child, started
from toolchain.progress import SILENT, Progress
from toolchain.temporary import temporary_folder

_SLOWER = 120
"""Times that a program takes in callgrind at most; its manual says about 50, on an idle machine."""

_MONITOR_TIMEOUT_S = 60  # for the process to stop and answer; it takes 0.1 s
COUNTED = ("vad", "stt", "tts")
_TOTALS = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions of one pass of one clip, by stage."""

    label: str
    clip: str
    stages: Mapping[str, int]


def tools() -> tuple[str, str]:
    """Return where valgrind and its monitor are.

    Errors:
        UnavailableError: one of them is not on the PATH.
    """
    found = [shutil.which(name) for name in ("valgrind", "vgdb")]
    if not found[0] or not found[1]:
        raise UnavailableError(
            "instruction counts are unavailable: there is no valgrind with vgdb here",
            hint="install valgrind (Linux), or compare CPU time without --instructions",
        )
    return found[0], found[1]


def counted(side: Side, clip: str, *, progress: Progress = SILENT) -> Counts:
    """Return what one pass of ``clip`` takes in each stage of ``side``.

    Errors:
        UnavailableError: valgrind is not here.
        ToolError: the application failed in it, or its counter did not answer.
    """
    valgrind, monitor = tools()
    with temporary_folder() as name:
        folder = Path(name)
        command = (
            *(valgrind, "--tool=callgrind", "--instr-atstart=no", "--log-file=/dev/null"),
            *(f"--vgdb-prefix={folder / 'vgdb'}", f"--callgrind-out-file={folder / 'counts'}"),
            *side.command,
        )
        with started(command, side.opening, {"PYTHONHASHSEED": "0"}) as child:
            counter = _Counter(side, clip, child, (monitor, folder))
            progress.update(f"opening {side.label} in callgrind", 0, 0)
            counter.answer(f"opening {side.label}")
            counter.play(COUNTED)
            asking = counter.count(())
            found = {}
            for number, stage in enumerate(COUNTED):
                doing = f"counting instructions of {side.label}"
                progress.update(doing, number, len(COUNTED))
                found[stage] = counter.count((stage,)) - asking
                progress.update(doing, number + 1, len(COUNTED))
    return Counts(side.label, clip, found)


@dataclass(frozen=True)
class _Counter:
    """An application in callgrind."""

    side: Side
    clip: str
    child: Child
    monitor: tuple[str, Path]  # the program, and the folder of its pipes and of the counts

    def count(self, stages: Sequence[str]) -> int:
        """Return the instructions of one pass through ``stages``, with what asking takes."""
        self._tell("instrumentation", "on")
        self._tell("zero")
        self.play(stages)
        before = set(self.monitor[1].glob("counts.*"))
        self._tell("dump")
        self._tell("instrumentation", "off")
        written = sorted(set(self.monitor[1].glob("counts.*")) - before)
        totals = [_TOTALS.findall(path.read_text("utf-8", "replace")) for path in written]
        if not totals or not all(totals):
            raise ToolError("callgrind wrote no counts", hint="is there room for temporary files?")
        return sum(int(found[-1]) for found in totals)

    def play(self, stages: Sequence[str]) -> None:
        """Let the application do one pass."""
        asked = {**self.side.requests[self.clip], "passes": 1, "stages": list(stages)}
        self.child.tell(asked)
        self.answer(f"playing {self.clip} ({self.side.label})")

    def answer(self, doing: str) -> None:
        """Wait for the application."""
        patience_s = self.side.timeout_s * _SLOWER
        self.child.answer(f"{doing} in callgrind", timeout_s=patience_s, progress=SILENT)

    def _tell(self, *words: str) -> None:
        program, folder = self.monitor
        pid = self.child.process.pid
        command = [program, f"--vgdb-prefix={folder / 'vgdb'}", f"--pid={pid}", *words]
        try:
            subprocess.run(command, capture_output=True, check=True, timeout=_MONITOR_TIMEOUT_S)
        except (subprocess.SubprocessError, OSError) as error:
            raise ToolError(
                f"callgrind does not answer its monitor: {' '.join(words)}",
                hint="may processes be traced here? some containers forbid it (ptrace)",
            ) from error
