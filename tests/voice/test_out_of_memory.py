"""Memory that runs out in one model is one error that names it, not a crash; the rest goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import application
import pytest

from toolchain.voice.engine import out_of_memory, what_happened

SCRIPT = """
import json, resource, sys
from pathlib import Path
import numpy as np, psutil
from toolchain.errors import VtoolError
from toolchain.voice import llama, pipeline, remote
from toolchain.voice.watching import Watch
from toolchain.voice.clock import Clock
from toolchain.voice.engine import naming
from toolchain.voice.remote import Remote

def limited(more_mb):
    size = psutil.Process().memory_info().vms + more_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))

def opening_here(voice, files):
    limited(100)
    with naming("llm", "opening"):
        pipeline.load_stage(voice, "llm", files)

def opening_apart(voice, files):
    limited(100)
    stage = Remote("llm", voice, files)
    try:
        stage.ready()
    finally:
        stage.close()

def running_here(voice, files):
    vad = pipeline.load_stage(voice, "vad", files)
    opened = pipeline.load_stage(voice, "tts", files)
    limited(1)
    pieces = Watch(Clock(), "turn 1").pieces("tts", opened.stream(["Say this now, please. " * 20]))
    try:
        print(next(pieces))
    finally:
        assert next(vad.stream([np.zeros(512, np.float32)])) < 0.5, "another model goes on"

if __name__ == "__main__":
    voice, files = json.loads(sys.argv[2])
    try:
        globals()[sys.argv[1]](voice, {name: Path(path) for name, path in files.items()})
    except VtoolError as error:
        print(json.dumps([type(error).__name__, str(error), error.hint]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("opening_here", "models/smollm2.gguf cannot be opened: memory ran out"),
        ("opening_apart", "models/smollm2.gguf cannot be opened: memory ran out"),
        ("running_here", "stage tts failed on turn 1: memory ran out"),
    ],
)
def test_a_model_without_memory_is_named_with_what_helps(
    case: str, named: str, files: dict[str, Path], tmp_path: Path
) -> None:
    script = tmp_path / "limited.py"
    script.write_text(SCRIPT, "utf-8")
    given = [application.voice(), {name: str(path) for name, path in files.items()}]
    done = subprocess.run(
        [sys.executable, str(script), case, json.dumps(given)],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    kind, message, hint = json.loads(done.stdout.splitlines()[-1])
    assert kind == "ToolError"
    assert message.startswith(named)
    assert "smaller model" in hint


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("std::bad_alloc"),
        RuntimeError("Load model from x.onnx failed:std::bad_alloc"),
        RuntimeError("Failed to allocate memory for requested buffer of size 4"),
        RuntimeError("PosixThread pthread_create failed, error code: 12 error msg: Cannot"),
        RuntimeError("can't start new thread"),
        ImportError("numpy/random/_generator.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_all_ways_to_say_it_are_known(error: Exception) -> None:
    assert out_of_memory(error)
    assert what_happened(error).count("memory ran out") == 1


def test_other_errors_are_not_taken_for_it() -> None:
    assert not out_of_memory(RuntimeError("the model was damaged"))
    assert what_happened(KeyError("x")) == "KeyError: 'x'"
    assert what_happened(ValueError("")) == "ValueError"
