"""``vtool run`` ended from outside, or asked for what cannot be: said at once, and nothing left."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
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
        (["--scenario", "../scenarios/soak"], ("no scenario '../scenarios/soak'", "single-turn")),
        (["--repeats", "0"], ("--repeats",)),
        (["--repeats", "many"], ("--repeats", "not a whole number")),
        (["--repeats", "99999999999999999999"], ("--repeats", "10000")),
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
        ("value = 50", "value = 9999999999", ("repeats is 9999999999", "at most 1,000,000")),
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
        ("[voice.tts]", "[voice.tts]\nspeed = nan", ("voice.tts: speed is nan", "0.25 to 4.0")),
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


def result(folder: Path, models: dict[str, bytes], *, listed: tuple[str, ...] = ("m",)) -> Path:
    """Write what looks like a result of `vtool optimize` that lists ``listed``."""
    manifest = {"files": [{"id": name} for name in listed], "renamed": {}}
    return write(folder, {"vtool-manifest.json": json.dumps(manifest), **models})


@pytest.mark.parametrize("command", ["run", "profile"])
def test_a_damaged_package_of_a_result_is_named(tmp_path: Path, command: str) -> None:
    own = project(tmp_path / "p", {"m": "model"}, more=VOICE)
    cut = result(tmp_path / "r", {"m": b"VTMODEL1" + bytes(3)})
    vtool(command, own, "--result", cut).refuses(3, "m: the package is cut at byte 11", "again")


def test_a_result_that_lacks_a_file_is_not_whole(tmp_path: Path) -> None:
    own = project(tmp_path / "p", {"m": "model"}, more=VOICE)
    bare = result(tmp_path / "r", {}, listed=("models/hibari.vtm",))
    vtool("run", own, "--result", bare).refuses(3, "lacks models/hibari.vtm", "manifest", "again")
    vtool("bench", own, bare).refuses(3, "lacks models/hibari.vtm", "manifest", "again")


@pytest.mark.parametrize("manifest", ["", "{}", "[]", '{"files": [{}], "renamed": {}}'])
def test_what_is_no_result_is_refused_in_the_same_words_everywhere(
    tmp_path: Path, manifest: str
) -> None:
    own = project(tmp_path / "p", {"m": "model"}, more=VOICE)
    other = write(tmp_path / "r", {"vtool-manifest.json": manifest} if manifest else {"a": "b"})
    words = ("is not a result of `vtool optimize`", "no readable vtool-manifest.json")
    vtool("run", own, "--result", other).refuses(3, *words)
    vtool("bench", own, other).refuses(3, *words)


def test_what_is_no_project_is_refused_before_anything_large_is_imported(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "empty", Path("/etc/passwd"), "npm:livekit-client@2.15.7"):
        vtool("run", target).refuses(2, "is not a folder with a vtool.toml")
    script = (
        "import sys\nfrom toolchain.cli import application\n"
        "try:\n application()(['run', sys.argv[1]], standalone_mode=False)\n"
        "except Exception as error:\n print(error, 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        check=True,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.stdout.strip().endswith("vtool.toml False")


@pytest.mark.parametrize(
    ("where", "hint"),
    [("audio/a.wav", "`sources` in vtool.toml"), ("build/a.wav", "never sources")],
)
def test_a_clip_that_sources_leave_out_is_not_called_missing(
    tmp_path: Path, where: str, hint: str
) -> None:
    voice = 'sources = ["src"]\n' + VOICE.replace("a.wav", where)
    own = project(tmp_path / "p", {where: b"RIFF"}, more=voice)
    vtool("run", own).refuses(2, f"names {where}, which is there but left out", hint)
    out = tmp_path / "out"
    vtool("optimize", own, "-o", out).refuses(2, f"names {where}, which is there but left out")
