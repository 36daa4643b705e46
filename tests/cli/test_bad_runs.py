"""``vtool run`` ended from outside, or asked for what cannot be: said at once, and nothing left."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import psutil
import pytest
from cli.project import project, snapshot, start, vtool, write

FIXTURE = Path(__file__).parents[2] / "fixtures" / "voice-app"
APART = """
what = "a"
issued = "b"
not_counted = "c"
""" + "".join(
    f'[[number]]\nname = "{name}"\nvalue = {value}\nwhy = "x"\n'
    for name, value in {
        "repeats": 50,
        "warm_up": 0,
        "cold_starts": 0,
        "warm_starts": 1,
        "silence_ms": 256,
        "sure_silence_ms": 160,
        "answer_after_ms": 64,
        "timeout_s": 200,
        "placement": 2,
    }.items()
)
VOICE = """
[voice.vad]
adapter = "silero"
model = "m"
[voice.stt]
adapter = "moonshine"
encoder = "m"
decoder = "m"
tokenizer = "m"
[voice.llm]
adapter = "llama"
model = "m"
[voice.tts]
adapter = "hibari"
model = "m"
[voice.audio]
clips = ["a.wav"]
transcripts = ["a.txt"]
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_from_outside_leaves_no_process_and_no_file(
    tmp_path: Path, number: signal.Signals
) -> None:
    own = shutil.copytree(FIXTURE, tmp_path / "p")
    write(own, {"rules/scenarios/apart.toml": APART})
    before, temporary = snapshot(own), tmp_path / "tmp"
    temporary.mkdir()
    process = start("run", own, "--scenario", "apart", "--tune", "off", TMPDIR=str(temporary))
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("playing"):
            break
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 5, "one that plays, and four stages"
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    assert "Traceback" not in said
    gone, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert len(gone) == len(family)
    # onnxruntime 1.32 itself writes its telemetry's session id there when it is imported
    assert {path.name for path in temporary.iterdir()} <= {".ses"}
    assert snapshot(own) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--audio", "/proc/answers"], ("/proc/answers", "cannot be written")),
        (["--audio", "FILE/answers"], ("is not a folder",)),
        (["--json", "/proc/x.json"], ("/proc/x.json", "cannot be written")),
        (["--scenario", "nope"], ("no scenario 'nope'", "single-turn")),
        (["--scenario", "soak", "--repeats", "2"], ("no repeats",)),
        (["--repeats", "0"], ("--repeats",)),
    ],
    ids=" ".join,
)
def test_what_cannot_be_asked_of_a_run_is_refused_before_the_work(
    tmp_path: Path, arguments: list[str], words: tuple[str, ...]
) -> None:
    own = project(tmp_path / "p", more=VOICE)
    (tmp_path / "FILE").write_text("mine", "utf-8")
    before = snapshot(tmp_path)
    given = [a.replace("FILE", str(tmp_path / "FILE")) for a in arguments]
    vtool("run", own, *given).refuses(2, *words)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("value = 50", 'value = "many"', ("apart.toml", "number")),
        ("value = 50", "value = 2.5", ("apart.toml", "number")),
        ("value = 50", "value = -1", ("repeats is -1",)),
        ('"timeout_s"', '"patience"', ("timeout_s", "missing")),
        ('"timeout_s"', '"repeats"', ("repeats is given twice",)),
        ('why = "x"', "", ("why", "missing")),
        ('what = "a"', 'what = "a"\nplays = "songs"', ("plays",)),
        ('what = "a"', "what = = 1", ("apart.toml", "line 2")),
    ],
)
def test_a_wrong_scenario_is_refused(
    tmp_path: Path, old: str, new: str, words: tuple[str, ...]
) -> None:
    own = project(
        tmp_path / "p", {"rules/scenarios/apart.toml": APART.replace(old, new, 1)}, more=VOICE
    )
    vtool("run", own, "--scenario", "apart").refuses(2, *words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[voice.vad]", "[voice.ears]", ("voice.ears is not a stage",)),
        ('[voice.vad]\nadapter = "silero"\nmodel = "m"\n', "", ("voice.vad is missing",)),
        ('adapter = "silero"', 'adapter = "gold"', ("no adapter 'gold'", "silero")),
        ('adapter = "silero"', 'adapter = "silero"\ncolour = 1', ("colour", "unknown key")),
        ('encoder = "m"\n', "", ("encoder", "missing")),
        ('model = "m"', "model = 1", ("voice.vad", "model", "text")),
        ('transcripts = ["a.txt"]', "", ("1 clips and 0 transcripts",)),
        ('clips = ["a.wav"]\ntranscripts = ["a.txt"]', "", ("says nothing",)),
        ("[voice.audio]", "[voice.audio]\nquestions = [1]", ("questions", "text")),
    ],
)
def test_a_wrong_voice_table_is_refused(
    tmp_path: Path, old: str, new: str, words: tuple[str, ...]
) -> None:
    assert old in VOICE
    own = project(tmp_path / "p", more=VOICE.replace(old, new, 1))
    vtool("run", own).refuses(2, *words)


@pytest.mark.parametrize("damaged", ["", "{", "format = 1\n", 'format = "one"\n'])
def test_a_damaged_lock_is_refused(tmp_path: Path, damaged: str) -> None:
    own = shutil.copytree(FIXTURE, tmp_path / "p")
    (own / "vtool.lock").write_text(damaged, "utf-8")
    vtool("run", own).refuses(2, "vtool.lock")
