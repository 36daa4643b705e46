"""The scenario that a project names, ready to be played."""

from __future__ import annotations

from toolchain.errors import ConfigError
from toolchain.ir import Play
from toolchain.sources.project import Assembly, plays


def play_of(assembly: Assembly) -> Play | None:
    """Return how the application of ``assembly`` is driven; None where it does not say.

    Errors:
        ConfigError: the entry is none of the project's, or the recording is not there.
    """
    project = assembly.project
    if project is None or project.scenario is None:
        return None
    asked, known = project.scenario, assembly.reference.files
    if asked.entry and asked.entry not in project.entries:
        raise ConfigError(
            f"scenario.entry: {asked.entry!r} is no entry of the project",
            hint=f"entries: {', '.join(project.entries)}",
        )
    heard = {**assembly.tree.files, **known}.get(asked.microphone)
    if asked.microphone and heard is None:
        raise ConfigError(
            f"scenario.microphone: there is no file {asked.microphone}",
            hint="name a WAV of the project, or of an [[input]]",
        )
    files = {name: file for name, file in known.items() if plays(project, name)}
    return Play(
        asked.script,
        {name: file.path for name, file in files.items()},
        entry=asked.entry,
        runs_in=asked.runs_in,
        conditions=project.conditions,
        microphone=heard.path if heard else None,
        limit_s=asked.limit_s,
        digests={n: f.digest for n, f in files.items()}
        | ({"microphone": heard.digest} if heard else {}),
    )
