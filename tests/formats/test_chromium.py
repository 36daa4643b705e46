"""A page in Chromium is seen whole: what it and its workers say, and what they ask in vain."""

from __future__ import annotations

import os
import time
from contextlib import closing
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path

import pytest

from toolchain.errors import ConfigError, ToolError
from toolchain.formats import chromium
from toolchain.formats.chromium import find_chromium, play_in_page
from toolchain.formats.coverage import scripts
from toolchain.formats.devtools import browser
from toolchain.formats.loopback import served
from toolchain.formats.playing_node import Manner
from toolchain.ir import Observation

needs_chromium = pytest.mark.skipif(
    find_chromium() is None, reason="there is no Chromium in PATH: apt-get install chromium"
)
LIMIT_S = 60


def _play(folder: Path, *, limit_s: float = LIMIT_S, **files: str) -> list[str]:
    """Play ``s`` on ``e``; return kinds and texts, the folder left out."""
    for name, text in files.items():
        (folder / f"{name}.js").write_text(text)
    found = find_chromium()
    assert found is not None
    played = play_in_page(found, folder, ("s.js", "e.js"), limit_s)
    return [_line(one, folder) for one in played.observations]


def _line(one: Observation, folder: Path) -> str:
    return f"{one.stream} {one.kind} {one.text}".replace(folder.as_uri(), "").rstrip()


@needs_chromium
def test_a_page_is_seen_with_its_workers_requests_and_errors(tmp_path: Path) -> None:
    script = """
    export default async (entry, report) => {
      const app = await import(entry);
      report("ready", app.value, crossOriginIsolated, import.meta.url);
      console.warn("careful", { a: [1n, -0, undefined] });
      Promise.reject(new RangeError("left alone"));
      await fetch("/gone.bin");
      const worker = new Worker("/w.js");
      return new Promise((resolve) => (worker.onmessage = (event) => resolve(event.data)));
    };
    """
    worker = "console.error('from below'); postMessage(new Float32Array([1, 2]));"
    seen = _play(tmp_path, s=script, e="export const value = 'v';", w=worker)
    assert [line for line in seen if line.startswith("main")] == [
        "main event ready v true /s.js",
        'main console.warn careful {"a": [1n, -0, undefined]}',
        "main unhandled rejection RangeError: left alone",
        "main result Float32Array of 8 bytes b82facd8: 1, 2",
    ]
    assert "worker console.error from below" in seen
    assert "requests failed request /gone.bin 404" in seen
    assert seen[-1] == "process exit the page ended"


@needs_chromium
def test_a_page_that_does_not_end_and_one_that_hangs_are_left_in_time(tmp_path: Path) -> None:
    for number, body in enumerate(("await new Promise(() => 0);", "for (;;);")):
        folder = tmp_path / str(number)
        folder.mkdir()
        start = time.monotonic()
        script = f"export default async () => {{ {body} }};"
        seen = _play(folder, limit_s=2, s=script, e="")
        assert seen[-1] == "process exit did not come in time"
        assert time.monotonic() - start < LIMIT_S


@needs_chromium
def test_what_of_a_page_and_its_worker_ran_is_counted(tmp_path: Path) -> None:
    files = {
        "s": "export default async (entry) => { (await import(entry)).used();"
        " return new Promise((done) => (new Worker('/w.js').onmessage = done)); }",
        "e": "export function used() { return 1; }\nexport function unused() { return 2; }",
        "w": "function heard() { postMessage(1); }\nfunction deaf() {}\nheard();",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.js").write_text(text)
    found = find_chromium()
    assert found is not None
    played = play_in_page(found, tmp_path, ("s.js", "e.js"), LIMIT_S, manner=Manner(coverage=True))
    ran = {
        (Path(script.url).name, function.name): function.ran
        for document in played.coverage
        for script in scripts(document)
        for function in script.functions
    }
    assert ran["e.js", "used"]
    assert not ran["e.js", "unused"]
    assert ran["w.js", "heard"]
    assert not ran["w.js", "deaf"]


@needs_chromium
def test_a_page_asks_nobody_outside(tmp_path: Path) -> None:
    script = "export default () => fetch('https://example.org/').catch((e) => e.name);"
    seen = _play(tmp_path, s=script, e="")
    assert seen[0] == "main result TypeError"
    assert "requests failed request https://example.org/ net::ERR_NAME_NOT_RESOLVED" in seen


@needs_chromium
def test_a_script_that_is_no_scenario_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="default export is not a function"):
        _play(tmp_path, s="export const a = 1;", e="")


def test_a_program_that_is_no_browser_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be started"), browser(tmp_path, [], limit_s=5):
        pass
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with (
        pytest.raises(ToolError, match="ended by itself"),
        browser(program, [], limit_s=5) as devtools,
    ):
        devtools.call("Browser.getVersion")


def test_a_browser_that_is_silent_is_given_up_and_ended(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60 <&3 >&4\n")
    program.chmod(0o755)
    with (
        pytest.raises(ToolError, match=r"did not answer Browser\.getVersion"),
        browser(program, [], limit_s=1) as devtools,
    ):
        devtools.call("Browser.getVersion")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_absence_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find_chromium.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chromium.find_chromium() is None
    find_chromium.cache_clear()


def test_files_are_served_as_modules_and_wasm_and_nothing_above_them(tmp_path: Path) -> None:
    (tmp_path / "above.txt").write_text("secret")
    folder = tmp_path / "www"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.mjs", "b.wasm", "c.cjs"):
        (folder / name).write_text("x")
    (folder / "linked.bin").symlink_to(tmp_path / "above.txt")
    with served(folder) as origin:
        found, headers, _ = _get(origin, "/a.mjs?x=1")
        assert (found, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert _get(origin, "/b.wasm")[1]["Content-Type"] == "application/wasm"
        assert _get(origin, "/linked.bin")[2] == b"secret"  # we laid the link out ourselves
        for wrong in ("/../above.txt", "/%2e%2e/above.txt", "/sub/", "/gone"):
            assert _get(origin, wrong)[0] == 404


def _get(origin: str, path: str) -> tuple[int, Message, bytes]:
    with closing(HTTPConnection(origin.removeprefix("http://"), timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.msg, answer.read()
