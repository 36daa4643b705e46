"""Plays one stage alone: what each of its models takes, opened in one way, and what it answers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
import psutil

from toolchain.formats.audio import read_wav
from toolchain.harness import memory
from toolchain.harness.session import framed
from toolchain.voice import pipeline
from toolchain.voice.engine import give_back, naming
from toolchain.voice.observing import Observer, observed
from toolchain.voice.stage import LISTENING_HZ

_MOST_KEPT_BYTES = 16_000_000
"""Of a model's answers, to be compared number by number: all that a detector says to a clip, the
first tokens of a language model with what it then knows. Ours."""

Say = Callable[[Mapping[str, Any]], None]


Place = tuple[str, tuple[int, ...], int]
"""An array in the file of answers: type, shape, offset."""


@dataclass(frozen=True, slots=True)
class Opened:
    """How onnxruntime says that a session was opened."""

    threads: int
    spinning: bool
    arena: bool
    prepacking: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model gave out in one pass."""

    digest: str  # of every bit of it
    runs: tuple[tuple[Place, ...], ...]  # outputs of each run, until there were enough


@dataclass(frozen=True, slots=True)
class Seen:
    """What one process saw of a stage, by model where it says so."""

    opened: Mapping[str, Opened]
    load_ms: Mapping[str, float]  # wall time
    run_ms: Mapping[str, tuple[float, ...]]  # wall time of its runs, one sample a pass
    cpu_ms: Mapping[str, tuple[float, ...]]  # of the process while it ran, in all threads
    pass_cpu_ms: tuple[float, ...]  # of the whole pass: threads that spin between two runs too
    others_cores: float  # of the machine, used by other processes during the passes
    resident: int  # bytes above those before the stage was opened, after the passes
    peak: int | None  # the most until then; None where nobody knows
    said: tuple[str, ...]  # words and tokens, which must stay the same
    answers: Mapping[str, Answers]


@dataclass
class _Watch(Observer):
    """Times models, and keeps what they answer where ``kept`` is a file."""

    load_ms: dict[str, float] = field(default_factory=dict)
    run_ms: dict[str, float] = field(default_factory=dict)
    cpu_ms: dict[str, float] = field(default_factory=dict)
    digests: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, list[list[Place]]] = field(default_factory=dict)
    opened: dict[str, Opened] = field(default_factory=dict)
    kept: Any = None
    _names: dict[int, str] = field(default_factory=dict)
    _sessions: list[ort.InferenceSession] = field(default_factory=list)  # so that ids stay theirs
    _bytes: dict[str, int] = field(default_factory=dict)

    def opening(self, name: str, work: Callable[[], ort.InferenceSession]) -> ort.InferenceSession:
        before = time.perf_counter()
        session = work()
        self.load_ms[name] = (time.perf_counter() - before) * 1e3
        self._names[id(session)] = name
        self.opened[name] = _opened(session)
        self._sessions.append(session)
        return session

    def running(self, session: ort.InferenceSession, work: Callable[[], list[Any]]) -> list[Any]:
        name = self._names[id(session)]
        before, cpu = time.perf_counter(), time.process_time()
        found = work()
        self.cpu_ms[name] = self.cpu_ms.get(name, 0.0) + (time.process_time() - cpu) * 1e3
        self.run_ms[name] = self.run_ms.get(name, 0.0) + (time.perf_counter() - before) * 1e3
        if self.kept:
            self._keep(name, found)
        return found

    def _keep(self, name: str, outputs: Sequence[Any]) -> None:
        digest = self.digests.setdefault(name, hashlib.sha256())
        places: list[Place] = []
        for output in outputs:
            array = output.numpy() if isinstance(output, ort.OrtValue) else np.asarray(output)
            data = np.ascontiguousarray(array).tobytes()
            digest.update(f"{array.dtype} {array.shape} ".encode())
            digest.update(data)
            self._bytes[name] = self._bytes.get(name, 0) + len(data)
            if self._bytes[name] <= _MOST_KEPT_BYTES and not array.dtype.hasobject:
                places.append((array.dtype.name, array.shape, self.kept.tell()))
                self.kept.write(data)
        self.runs.setdefault(name, []).append(places)


def alone(request: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Open ``stage`` and let it do ``passes`` over what it is given; return what was ``Seen``.

    ``sound`` is the path of a clip, ``text`` what is said in it; ``tokens`` of an answer are
    waited for. Passes go on until ``seconds`` are over, but there are ``least`` and at most
    ``most``; one more before is not counted, one more after writes to the file ``answers``.
    """
    stage = request["stage"]
    files = {name: Path(path) for name, path in request["files"].items()}
    say({"doing": f"opening {stage}"})
    start, watch = memory.resident(), _Watch()
    with observed(watch), naming(stage, "the search for session options"):
        opened = pipeline.load_stage(request["voice"], stage, files)
        work = _work(stage, opened, request)
        work()
        before = _Used.now()
        passes = list(_passes(watch, work, request))
        others = _Used.now().by_others(before)
        peak = memory.peak()
        give_back()
        resident = memory.resident() - start
        with _keeping(watch, Path(request["answers"])):
            said = work()
    names = watch.load_ms
    seen = Seen(
        opened=watch.opened,
        load_ms=watch.load_ms,
        run_ms={n: tuple(run.get(n, 0.0) for run, _, _ in passes) for n in names},
        cpu_ms={n: tuple(cpu.get(n, 0.0) for _, cpu, _ in passes) for n in names},
        pass_cpu_ms=tuple(whole for _, _, whole in passes),
        others_cores=others,
        resident=resident,
        peak=None if peak is None else peak - start,
        said=said,
        answers={
            n: Answers(d.hexdigest(), tuple(map(tuple, watch.runs[n])))
            for n, d in watch.digests.items()
        },
    )
    return asdict(seen)


class _Used(NamedTuple):
    """Seconds of cores that were used until now: by the machine, by this process; and the time."""

    machine: float
    own: float
    at: float

    @classmethod
    def now(cls) -> _Used:
        times = psutil.cpu_times()
        waiting = times.idle + getattr(times, "iowait", 0.0)
        # on Linux guests' time is part of user's
        every = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        return cls(every - waiting, time.process_time(), time.monotonic())

    def by_others(self, before: _Used) -> float:
        """Return how many cores other processes have used since."""
        used = (self.machine - before.machine) - (self.own - before.own)
        return max(0.0, used / max(self.at - before.at, 1e-9))


def _opened(session: ort.InferenceSession) -> Opened:
    asked = session.get_session_options()
    return Opened(
        asked.intra_op_num_threads,
        _entry(asked, "session.intra_op.allow_spinning", "1") == "1",
        asked.enable_cpu_mem_arena,
        _entry(asked, "session.disable_prepacking", "0") == "0",
    )


def _entry(asked: ort.SessionOptions, name: str, usual: str) -> str:
    """Return an entry of a session's configuration; ``usual`` where nobody set it."""
    try:
        return str(asked.get_session_config_entry(name))
    except RuntimeError:
        return usual


def _passes(
    watch: _Watch, work: Callable[[], object], request: Mapping[str, Any]
) -> Iterator[tuple[dict[str, float], dict[str, float], float]]:
    """Yield wall and CPU time of each model's runs in a pass, and the CPU time of the pass."""
    until = time.monotonic() + request["seconds"]
    for done in range(request["most"]):
        if done >= request["least"] and time.monotonic() > until:
            return
        watch.run_ms, watch.cpu_ms, before = {}, {}, time.process_time()
        work()
        yield watch.run_ms, watch.cpu_ms, (time.process_time() - before) * 1e3


@contextmanager
def _keeping(watch: _Watch, path: Path) -> Iterator[None]:
    with path.open("wb") as kept:
        watch.kept = kept
        yield
        watch.kept = None


def _work(stage: str, opened: Any, request: Mapping[str, Any]) -> Callable[[], tuple[str, ...]]:  # noqa: ANN401 - one of four stages
    """Return what does one pass, and returns the words or tokens that came of it."""
    heard = read_wav(Path(request["sound"]).read_bytes()).at(LISTENING_HZ).samples
    text = request["text"]

    def listen() -> tuple[str, ...]:
        list(opened.stream(framed(heard)))
        return ()

    def speak() -> tuple[str, ...]:
        list(opened.stream([text]))
        return ()

    return {
        "vad": listen,
        "stt": lambda: tuple(opened.stream([heard])),
        "llm": lambda: tuple(
            str(token.id) for token in islice(opened.stream([text]), request["tokens"])
        ),
        "tts": speak,
    }[stage]
