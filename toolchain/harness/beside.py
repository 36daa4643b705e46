"""What is measured beside the turns, in processes of its own: memory by part, facts, likeness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from toolchain.harness.examining import Application, Likeness, compared, examined
from toolchain.harness.questions import Questions
from toolchain.harness.scenario import Listening
from toolchain.harness.turn import Clip
from toolchain.harness.weighing import weighed
from toolchain.progress import SILENT, Progress


def beside(
    application: Application,
    said: tuple[Sequence[Clip], Questions],
    scenario: Listening,
    *,
    cache: Path,
    progress: Progress = SILENT,
) -> Likeness:
    """Return what one application takes and knows; ``said`` are its clips and what it is asked."""
    clips, asked = said
    weights = weighed(application, clips, scenario, cache=cache, progress=progress)
    found = examined(application, asked, scenario, cache=cache, progress=progress)
    return replace(found, measures=(*weights, *found.measures))


def beside_both(
    both: tuple[Application, Application],
    said: tuple[Sequence[Clip], Questions],
    scenario: Listening,
    *,
    cache: Path,
    progress: Progress = SILENT,
) -> Likeness:
    """Return the same of two applications, before and after, and how far apart they are."""
    (before, after), (clips, asked) = both, said
    came = weighed(before, clips, scenario, cache=cache, progress=progress, arena=False)
    ships = weighed(after, clips, scenario, cache=cache, progress=progress)
    found = compared(before, after, asked, scenario, cache=cache, progress=progress)
    return replace(found, measures=(*ships, *found.measures), baseline=(*came, *found.baseline))
