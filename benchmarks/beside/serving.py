"""The process that is measured: opens one model in Python, and answers line by line.

The first line opens: ``{"run": "stage", "stage", "voice", "files"}`` one of vtool's stages, as the
harness does; ``{"run": "faster-whisper", "folder", "compute", "threads"}`` the peer. Then each line
is a clip (``{"clip": path}``), a prompt (as ``answering.mjs``) or, for vtool's language model,
texts to spell (``{"spell": [...]}``). It imports nothing that the model would not need.
"""

# ruff: noqa: PLC0415 - a contestant's memory is its own: nothing of the other is imported

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

Answer = Callable[[Mapping[str, Any]], dict[str, Any]]


def serve() -> None:
    """Answer until there are no more lines."""
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not get between our lines

    def say(message: Mapping[str, Any]) -> None:
        line.write(json.dumps(message) + "\n")
        line.flush()

    opening = json.loads(sys.stdin.readline())
    start = time.perf_counter()
    answer = _OPENERS[opening["run"]](opening)
    say({"load_ms": 1000 * (time.perf_counter() - start)})
    for request in sys.stdin:
        say(answer(json.loads(request)))


def _stage(opening: Mapping[str, Any]) -> Answer:
    from toolchain.voice import pipeline
    from toolchain.voice.engine import one_heap

    one_heap()  # as the harness's process does
    files = {name: Path(path) for name, path in opening["files"].items()}
    stage = pipeline.load_stage(opening["voice"], opening["stage"], files)
    return (
        _hears(lambda clip: next(stage.stream([clip])))
        if opening["stage"] == "stt"
        else (_answers(stage))
    )


def _faster_whisper(opening: Mapping[str, Any]) -> Answer:
    from faster_whisper import WhisperModel

    model = WhisperModel(
        opening["folder"],
        device="cpu",
        compute_type=opening["compute"],
        cpu_threads=opening["threads"],
        local_files_only=True,
    )

    def hear(clip: Any) -> str:  # noqa: ANN401 - an array
        segments, _ = model.transcribe(
            clip,
            language="en",
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
        )
        return " ".join(segment.text.strip() for segment in segments)

    return _hears(hear)


_OPENERS: Mapping[str, Callable[[Mapping[str, Any]], Answer]] = {
    "stage": _stage,
    "faster-whisper": _faster_whisper,
}


def _hears(hear: Callable[[Any], str]) -> Answer:
    from toolchain.formats.audio import read_wav
    from toolchain.voice.stage import LISTENING_HZ

    def answer(request: Mapping[str, Any]) -> dict[str, Any]:
        samples = read_wav(Path(request["clip"]).read_bytes()).at(LISTENING_HZ).samples
        cpu, start = time.process_time(), time.perf_counter()
        text = hear(samples)
        total, used = time.perf_counter() - start, time.process_time() - cpu
        return {"text": text, "total_ms": 1000 * total, "cpu_ms": 1000 * used}

    return answer


def _answers(llm: Any) -> Answer:  # noqa: ANN401 - a stage
    from toolchain.voice.decoder import Past

    endless = replace(llm, template=replace(llm.template, stops=frozenset()))

    def answer(request: Mapping[str, Any]) -> dict[str, Any]:
        if "spell" in request:
            return _spelled(llm, request["spell"])
        limited = replace(endless, options=replace(llm.options, max_tokens=request["count"]))
        past = llm.system if request["known"] else Past()
        cpu, start = time.process_time(), time.perf_counter()
        tokens, first = [], 0.0
        for token, _ in limited.continued(request["prompt"], past):
            first = first or time.perf_counter() - start
            tokens.append(token)
        total, used = time.perf_counter() - start, time.process_time() - cpu
        times = {"first_ms": first, "total_ms": total, "cpu_ms": used}
        return {"tokens": tokens, **{name: 1000 * seconds for name, seconds in times.items()}}

    return answer


def _spelled(llm: Any, texts: list[str]) -> dict[str, Any]:  # noqa: ANN401 - a stage
    return {
        "system": llm.template.message("system", llm.options.system),
        "prompts": [llm.asked(text) for text in texts],
        "stops": sorted(llm.template.stops),
    }
