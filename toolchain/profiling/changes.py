"""What could be changed about an application: each change with the edit that applies it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolchain.execution.local import available_cores
from toolchain.harness.examining import Application
from toolchain.harness.scenario import APART, IN_TURN, SIDE_BY_SIDE, Scenario
from toolchain.voice.stage import FRAME_MS

_FRAME_MS = round(FRAME_MS)
_PLACEMENTS = {
    IN_TURN: "all stages in one thread",
    SIDE_BY_SIDE: "a thread for each stage",
    APART: "a process for each stage",
}


@dataclass(frozen=True)
class Change:
    """An application that differs in one thing."""

    what: str
    how: str  # the command or the edit
    application: Application
    scenario: Scenario
    starts: bool = False  # whether it may change how the application starts, or its memory


def changes(application: Application, scenario: Scenario) -> Iterator[Change]:
    """Yield the changes of settings that are worth a trial; the result of passes comes elsewhere.

    Not among them: ``max_tokens`` and ``silence_ms``, whose price is what an assistant says and
    whom it interrupts, which no clip of a few seconds can show.
    """
    for placement, what in _PLACEMENTS.items():
        if placement != scenario.placement:
            yield _numbered(application, scenario, "placement", placement, what)
    if scenario.whole_answers:
        what = "answers are spoken clause by clause"
        yield _numbered(application, scenario, "whole_answers", 0, what)
    yield from _silences(application, scenario)
    yield from _language(application, scenario)


def _silences(application: Application, scenario: Scenario) -> Iterator[Change]:
    after_ms = scenario.answer_after_ms
    other_ms = _FRAME_MS if after_ms > _FRAME_MS else 2 * _FRAME_MS
    if other_ms <= scenario.sure_silence_ms:
        what = f"the answer is prepared after {other_ms} ms of silence, not {after_ms}"
        yield _numbered(application, scenario, "answer_after_ms", other_ms, what)
    sure_ms = scenario.sure_silence_ms - _FRAME_MS
    if sure_ms >= after_ms:
        what = f"{sure_ms} ms of silence end a whole sentence, not {scenario.sure_silence_ms}"
        yield _numbered(application, scenario, "sure_silence_ms", sure_ms, what)


def _language(application: Application, scenario: Scenario) -> Iterator[Change]:
    table = application.voice["llm"]
    if table["adapter"] != "llama":
        return
    from toolchain.voice.llama import Options  # noqa: PLC0415 - opens onnxruntime

    used = Options(**{k: v for k, v in table.items() if k != "adapter"})
    for threads in sorted({1, available_cores()} - {used.threads}):
        what = f"the language model computes in {threads} threads, not {used.threads}"
        yield _spoken(application, scenario, {"threads": threads}, what)
    if not used.prefix:
        what = "the system message is computed once, when the model is opened"
        yield replace(_spoken(application, scenario, {"prefix": True}, what), starts=True)


def _numbered(
    application: Application, scenario: Scenario, name: str, value: int, what: str
) -> Change:
    edit = f'[[number]]\nname = "{name}"\nvalue = {value}\nwhy = "measured by vtool profile"'
    how = f"in the project's rules/scenarios/single-turn.toml (a copy of vtool's own):\n{edit}"
    return Change(
        what, how, application, replace(scenario, **{name: value}), starts=name == "placement"
    )


def _spoken(
    application: Application, scenario: Scenario, options: Mapping[str, Any], what: str
) -> Change:
    table = {**application.voice["llm"], **options}
    lines = "\n".join(f"{name} = {str(value).lower()}" for name, value in options.items())
    changed = replace(application, voice={**application.voice, "llm": table})
    return Change(what, f"in vtool.toml:\n[voice.llm]\n{lines}", changed, scenario)


def of_result(application: Application, scenario: Scenario, target: str, result: Path) -> Change:
    """Return the change to the models that ``vtool optimize`` made; ``application`` is theirs."""
    name = result.as_posix() if not result.is_absolute() else result.name
    where = target if not Path(target).is_absolute() else Path(target).name
    return Change(
        "the models that vtool optimize made",
        f"vtool optimize {where} -o {name}\nvtool run {where} --result {name}",
        application,
        scenario,
        starts=True,
    )
