"""Text to phonemes by espeak-ng: the program on the PATH, or the library that a wheel brings."""

from __future__ import annotations

import shutil
import subprocess
import sys
import unicodedata
from importlib.util import find_spec
from pathlib import Path

from toolchain.errors import ConfigError, ToolError

_TIMEOUT_S = 20  # ours: a clause takes 10 ms, a wheel's library 40 ms to start
_PACKAGE = "espeakng_loader"
_CHILD = Path(__file__).with_name("espeak_child.py")
_MARKUP = frozenset("[]<>")  # [[ begins phonemes in espeak's own letters, < may begin SSML


def phonemes(text: str, voice: str) -> str:
    """Return how ``voice`` says ``text``, in IPA; a clause after the other, without punctuation.

    In a process of its own: a crash or an endless loop there ends nothing here, and the library
    is under another licence (GPL 3).

    Errors:
        ConfigError: espeak-ng is not installed, or has no such voice.
        ToolError: it failed or ran out of time.
    """
    try:
        done = subprocess.run(
            _command(voice),
            input=_plain(text).encode("utf-8", "replace"),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(
            f"espeak-ng does not answer: {type(error).__name__}",
            hint="run it alone: espeak-ng -q --ipa 'Hello'",
        ) from error
    if b"voice does not exist" in done.stderr:
        raise ConfigError(
            f"espeak-ng has no voice {voice!r}", hint="espeak-ng --voices lists those it has"
        )
    if done.returncode:
        what = " ".join(done.stderr.decode("utf-8", "replace").split())[-200:]
        raise ToolError(
            f"espeak-ng failed with {done.returncode}: {what}",
            hint="run it alone: espeak-ng -q --ipa 'Hello'",
        )
    spoken = done.stdout.decode("utf-8", "replace")
    return " ".join(_without_flags(line) for line in spoken.splitlines()).strip()


def _command(voice: str) -> list[str]:
    """Return what prints the phonemes of its standard input."""
    if program := shutil.which("espeak-ng"):
        return [program, "-q", "--ipa", "-b", "1", "-v", voice, "--stdin"]
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            "a Piper voice needs espeak-ng for its phonemes",
            hint="apt-get install espeak-ng, or pip install 'voice-toolchain[piper]'",
        )
    folder = Path(found.submodule_search_locations[0])
    library = next((p for p in folder.glob("*espeak-ng.*") if p.suffix in _LIBRARIES), folder)
    data = folder / "espeak-ng-data"
    # isolated, without site-packages: starts in 20 ms instead of 60
    return [sys.executable, "-I", "-S", str(_CHILD), str(library), str(data), voice]


_LIBRARIES = frozenset({".so", ".dylib", ".dll"})


def _plain(text: str) -> str:
    """Return ``text`` as words only: no markup, no control characters (which are commands)."""
    return "".join(
        " " if c in _MARKUP or unicodedata.category(c) in {"Cc", "Cs"} else c for c in text
    )


def _without_flags(line: str) -> str:
    """Drop what espeak-ng writes where it changes the language: "(en)" and "(fr)"."""
    kept, inside = [], False
    for char in line:
        inside = char == "(" or (inside and char != ")")
        kept.append("" if inside or char == ")" else char)
    return "".join(kept).strip()
