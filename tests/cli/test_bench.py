"""``vtool bench`` against a hostile user, and a small self-test from end to end."""

import json
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from cli.project import COMMAND, MANIFEST, vtool, write

RESULT = '{"files": [], "renamed": {}}'
SMALL = ("--self-test", "--windows", "1", "--rounds", "6", "--most", "6", "--repeats", "1")


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ([], 2, "A and B"),
        (["only-one"], 2, "A and B"),
        (["nowhere", "nowhere"], 3, "nowhere"),
        (["a", "b", "--tolerance", "0"], 2, "tolerance"),
        (["a", "b", "--tolerance", "-0.1"], 2, "tolerance"),
        (["a", "b", "--rounds", "50", "--most", "10"], 2, "--most"),
        (["a", "b", "--self-test"], 2, "--self-test"),
        (["--self-test", "--instructions"], 2, "--instructions"),
        (["--self-test", "--tolerance", "0.1"], 2, "tolerance"),
        (["--self-test", "--windows", "0"], 2, "--windows 1 or more"),
        (["a", "b", "--tolerance", "much"], 2, "not a number"),
        (["--self-test", "--neighbours", "-1"], 2, "neighbours"),
    ],
)
def test_a_request_nobody_can_fulfil_is_refused(arguments: list[str], code: int, word: str) -> None:
    vtool("bench", *arguments).refuses(code, word)


def test_two_results_need_their_project_and_a_project_needs_a_voice(tmp_path: Path) -> None:
    result = write(tmp_path / "out", {"vtool-manifest.json": RESULT})
    vtool("bench", result, result).refuses(2, "--project")
    mute = write(tmp_path / "mute", {"vtool.toml": MANIFEST, "src/main.js": "let a = 1"})
    vtool("bench", mute, mute).refuses(2, "[voice]")


def test_a_small_self_test_says_all_its_figures_and_that_it_is_too_small(tmp_path: Path) -> None:
    target = tmp_path / "clock.json"
    done = vtool("bench", *SMALL, "--neighbours", "1", "--json", target)
    assert done.code in {1, 5}, done.err  # six rounds may miss it on a busy machine
    for word in ("false alarms", "detections", "wall", "1 busy neighbours", "bar (0 false alarms"):
        assert word in done.out
    saved = json.loads(target.read_text("utf-8"))
    assert saved["schema"] == "urn:vtool:bench:1"
    assert saved["verdict"] in {"broken", "inconclusive"}
    same, more = saved["self_test"]["windows"]
    assert (same["more"], round(more["more"], 6)) == (0.0, 0.1)
    assert len(more["comparison"]["candidate"][0]["samples"]) == 6
    assert more["comparison"]["candidate"][0]["machine"]["cpu"]


def test_an_interrupted_self_test_leaves_nobody_working() -> None:
    running = subprocess.Popen(
        [*COMMAND, "bench", "--self-test"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    family = psutil.Process(running.pid)
    deadline = time.monotonic() + 30
    while len(started := family.children(recursive=True)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    for _ in range(200):  # `timeout` and a terminal signal twice; any two steps may be between
        running.send_signal(signal.SIGTERM)
        time.sleep(0.001)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert [line for line in said.splitlines() if line.startswith(b"error:")] == [
        b"error: interrupted"
    ]
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive
