"""Searches how each model is best opened on this machine: fresh processes, against the usual."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolchain.execution.cache import ActionCache, action_key, source_digest
from toolchain.harness import alone, session_options, stored
from toolchain.harness.session_options import Rule
from toolchain.harness.subject import Subject
from toolchain.harness.trying import Found, Search, kept
from toolchain.harness.turn import Clip
from toolchain.ir import Digest, Machine, SessionChoice
from toolchain.quantization.contest import Known
from toolchain.temporary import temporary_folder
from toolchain.voice.engine import installed_session
from toolchain.voice.pipeline import SESSIONS, STAGES
from toolchain.voice.runnable import data_files

_ORDER = ("llm", "tts", "stt", "vad")
"""Stages in the order of what there is to gain, should time run out: most weights first. Ours."""

_MODELS = {".onnx", ".ort"}


@dataclass(frozen=True, slots=True)
class Tuned:
    """An application whose models are opened as was found best."""

    files: Mapping[str, Path]
    voice: Mapping[str, Any]
    rows: tuple[SessionChoice, ...]


@dataclass(frozen=True, slots=True)
class Home:
    """Where choices are kept, for which machine, and a folder for models in other forms."""

    known: Known
    folder: Path


def tuned(
    played: Subject, clip: Clip, home: Home, *, again: bool = False, rule: Rule | None = None
) -> Tuned:
    """Return the application ``played`` with what is best here: searched once, or ``again``.

    ``clip`` is what its stages are given. A model that the table ``sessions`` of its stage names is
    left as it says. Without a ``rule`` that of ``rules`` holds.

    Errors:
        ConfigError: the rule is wrong.
        UnavailableError: the cache cannot be written.
    """
    rule = rule or session_options.rule()
    end = time.monotonic() + rule.numbers.seconds
    now, rows = played, []
    names = [(stage, name) for stage in _ORDER for name in models(played, stage, rule)]
    for number, (stage, name) in enumerate(names):
        cache = home.known.cache
        key = _key((now, stage, name), clip, rule, home.known.machine)
        one = Search(now, stage, name, clip, rule, home.folder, cache, key)
        found = None if again else kept(cache.get(key), Found)
        if found is None:
            played.progress.update(f"session options of {name}", number, len(names))
            with temporary_folder() as folder:
                ways = ActionCache(Path(folder) / "ways") if again else cache
                found, whole = replace(one, known=ways).found(
                    Path(folder), _until(end, len(names) - number)
                )
            if whole:
                cache.put(key, found)
        now = one.opened(found.options)
        rows.append(found.row)
    ordered = sorted(rows, key=lambda row: STAGES.index(row.stage))
    return Tuned(now.files, now.voice, tuple(ordered))


def _until(end: float, models: int) -> float:
    """Return until when the next of so many models may be searched: twice its equal share."""
    now = time.monotonic()
    return now + min(1.0, 2 / models) * (end - now)


def models(played: Subject, stage: str, rule: Rule) -> list[str]:
    """Return the models of ``stage`` that are worth a search and that nobody has set."""
    table = played.voice[stage]
    named = {o for o in table.values() if isinstance(o, str) and o in played.files}
    return [
        name
        for name in sorted(named - table.get(SESSIONS, {}).keys())
        if played.files[name].suffix in _MODELS
        and sum(p.stat().st_size for p in data_files(played.files[name]))
        >= rule.numbers.smallest_bytes
    ]


def _key(of: tuple[Subject, str, str], clip: Clip, rule: Rule, machine: Machine) -> Digest:
    """Return under what a choice is kept: all that it depends on; the machine without its load."""
    played, stage, name = of
    table = played.voice[stage]
    named = sorted(o for o in table.values() if isinstance(o, str) and o in played.files)
    adapter = f"toolchain.voice.{table['adapter']}"
    return action_key(
        "session options",
        [source_digest(one) for one in (__name__, alone.__name__, adapter)],
        replace(machine, load=None),
        rule,
        (stage, name, table),
        [stored.digest(played.files[one]) for one in named],
        [installed_session(played.files[one]) for one in named],
        (clip.digest, clip.text),
    )
