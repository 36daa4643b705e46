# ruff: noqa: RUF001 - phonetic letters are meant
"""espeak-ng says how words sound, or says in one line why it cannot."""

import sys
import time
from pathlib import Path

import pytest
import real

from toolchain.errors import ConfigError, ToolError
from toolchain.voice import espeak


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the library of the wheel be found, and no program."""
    monkeypatch.syspath_prepend(real.folder("pypi:espeakng-loader==0.2.4"))
    monkeypatch.setenv("PATH", str(tmp_path))


def program(folder: Path, lines: str) -> None:
    path = folder / "espeak-ng"
    path.write_text(f"#!/bin/sh\n{lines}\n", "utf-8")
    path.chmod(0o755)


@pytest.mark.usefixtures("wheel")
def test_words_become_ipa() -> None:
    assert espeak.phonemes("Hello world", "en-us") == "həlˈoʊ wˈɜːld"
    assert espeak.phonemes("Bonjour", "fr") == "bɔ̃ʒˈuʁ"


@pytest.mark.usefixtures("wheel")
def test_a_change_of_language_leaves_no_marks() -> None:
    said = espeak.phonemes("Он сказал hello world", "ru")
    assert "(" not in said
    assert "en" not in said


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("[[h@l'oU]] you", "h@l'oU you"),
        ("\x01200Phello", "200Phello"),
        ("hello\0 world", "hello world"),
        ("<voice>hello", "voice hello"),
        ("hello \ud800", "hello"),
        ("-v hello", "- v hello"),
    ],
    ids=["phonemes", "command", "nul", "ssml", "surrogate", "option"],
)
def test_what_is_said_is_text_and_no_command(text: str, same: str) -> None:
    assert espeak.phonemes(text, "en-us") == espeak.phonemes(same, "en-us")


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize("text", ["", " ", "\0", "[[]]"])
def test_nothing_to_say_is_nothing(text: str) -> None:
    assert not espeak.phonemes(text, "en-us")


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize("voice", ["xx-nope", "", "-x", "../en"])
def test_a_voice_that_is_not_there_is_named(voice: str) -> None:
    with pytest.raises(ConfigError, match="has no voice"):
        espeak.phonemes("hello", voice)


def test_without_espeak_the_way_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ConfigError, match="needs espeak-ng") as caught:
        espeak.phonemes("hello", "en-us")
    assert "voice-toolchain[piper]" in caught.value.hint


@pytest.mark.usefixtures("wheel")
def test_the_program_is_taken_before_the_wheel_and_asked_on_its_standard_input(
    tmp_path: Path,
) -> None:
    program(tmp_path, 'read said; echo "$6 $said"; echo next')
    assert espeak.phonemes("Hello", "en-us") == "en-us Hello next"


@pytest.mark.usefixtures("wheel")
def test_the_program_is_told_words_only(tmp_path: Path) -> None:
    """It would take [[h@l'oU]] for phonemes in its own letters, and < for SSML."""
    program(tmp_path, 'read said; echo "$said"')
    said = espeak.phonemes("a [[h@l'oU]] \x01200P <voice>b", "en-us")
    assert said.split() == ["a", "h@l'oU", "200P", "voice", "b"]


FAILURES = {
    "killed": ("kill -9 $$", "failed with -9"),
    "an error": ("echo 'no data' >&2; exit 4", "failed with 4: no data"),
    "never ends": ("while :; do :; done", "does not answer: TimeoutExpired"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_program_that_fails_is_an_error_in_one_line(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, fact = FAILURES[what]
    program(tmp_path, lines)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(espeak, "_TIMEOUT_S", 0.5)
    start = time.monotonic()
    with pytest.raises(ToolError, match=fact) as caught:
        espeak.phonemes("hello", "en-us")
    assert time.monotonic() - start < 45
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("wheel")
def test_two_thousand_words_are_said_in_bounded_time() -> None:
    start = time.monotonic()
    said = espeak.phonemes("very " * 2_000 + "long", "en-us")
    assert said.count("vˈɛɹi") == 2_000
    assert time.monotonic() - start < 60
