"""Writes the turns of a profile as Chrome trace JSON, which Perfetto and chrome://tracing open.

One process a clip, all beginning at 0; one thread a stage, and one more for what was prepared and
thrown away. Moments are instant events, memory and the probability of speech are counters.

Source: Trace Event Format, docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
(phases X, i, C and M; microseconds).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from toolchain.ir.profile import Profile
from toolchain.ir.timeline import Lane, Span, Timeline

_US = 1000.0  # in a ms
_THROWN = len(Lane)  # added to a lane's thread for work that was thrown away
_NAMES = {
    Lane.SAID: "user speaks",
    Lane.VAD: "VAD",
    Lane.STT: "STT",
    Lane.LLM: "LLM",
    Lane.TTS: "TTS",
    Lane.HEARD: "answer is heard",
}


def trace(profile: Profile) -> str:
    """Return the turns of ``profile`` as JSON text; no turns are an empty trace."""
    timelines = profile.runtime_profile.timelines if profile.runtime_profile else ()
    events = [e for number, one in enumerate(timelines, 1) for e in _turn(one, number)]
    about = {"target": profile.target, "vtool": profile.version, "cpu": profile.machine.cpu}
    document = {"displayTimeUnit": "ms", "otherData": about, "traceEvents": events}
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")


def _turn(turn: Timeline, pid: int) -> Iterator[dict[str, Any]]:
    yield _meta("process_name", pid, 0, name=f"turn {turn.clip}")
    yield _meta("process_sort_index", pid, 0, sort_index=pid)
    for tid, name in sorted({(_thread(s), _thread_name(s)) for s in turn.spans}):
        yield _meta("thread_name", pid, tid, name=name)
        yield _meta("thread_sort_index", pid, tid, sort_index=tid)
    for span in turn.spans:
        yield {
            "ph": "X",
            "cat": span.lane.value if span.kept else f"{span.lane.value},thrown away",
            "name": _title(span),
            "pid": pid,
            "tid": _thread(span),
            "ts": span.start_ms * _US,
            "dur": max(0.0, span.ms) * _US,
            "args": _arguments(span),
        }
        if span.probability is not None:
            yield _counter("speech", pid, span.end_ms, probability=span.probability)
    for moment in turn.moments:
        yield {
            "ph": "i",
            "s": "p",  # a line through the whole process
            "cat": "moment",
            "name": moment.what,
            "pid": pid,
            "tid": 0,
            "ts": moment.at_ms * _US,
            "args": {"text": moment.text} if moment.text else {},
        }
    for one in turn.memory:
        yield _counter("memory", pid, one.at_ms, resident_bytes=one.size_bytes)


def _thread(span: Span) -> int:
    return 1 + list(Lane).index(span.lane) + (0 if span.kept else _THROWN)


def _thread_name(span: Span) -> str:
    return _NAMES[span.lane] + ("" if span.kept else " (thrown away)")


def _title(span: Span) -> str:
    if span.what == "token":
        return f"token {span.text!r}"
    return span.what


def _arguments(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {"text": span.text} if span.text else {}
    if span.probability is not None:
        found["probability"] = span.probability
    return found


def _meta(what: str, pid: int, tid: int, **arguments: str | int) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0, "args": arguments}


def _counter(name: str, pid: int, at_ms: float, **values: float) -> dict[str, Any]:
    return {"ph": "C", "name": name, "pid": pid, "tid": 0, "ts": at_ms * _US, "args": values}
