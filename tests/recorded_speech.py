"""The recordings that guards of listening models ask with in tests."""

from functools import cache
from pathlib import Path

import real

_CLIPS = "pytest_audioeval/samples/audio"
_LONG = ("two_cities.wav", "beckett.wav", "endgame_nagg_nell.wav")


@cache
def recordings() -> dict[str, Path]:
    """Return clips in nine languages with their texts, and three long English recordings."""
    folder = real.folder("pypi:pytest-audioeval==0.1.3") / _CLIPS
    found = {f"speech/{p.relative_to(folder).as_posix()}": p for p in folder.rglob("*.*")}
    for name in _LONG:
        found[f"speech/{name}"] = real.file(
            "pypi:moonshine-voice==0.0.73", f"moonshine_voice/assets/{name}"
        )
    return found
