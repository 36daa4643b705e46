"""Temporary folders go with vtool, also where it is ended while they are made or removed."""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path

import pytest
from cli.project import project, start

from toolchain.temporary import remove_all, temporary_folder


@pytest.mark.alone  # it looks for a moment that a busy machine may hide
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_that_keep_coming_leave_no_folder(tmp_path: Path, number: signal.Signals) -> None:
    names = [f"m{n}.js" for n in range(800)]
    modules = {f"src/{name}": f"export const a = {len(name)};" for name in names}
    imports = "".join(f"import './{name}';\n" for name in names)
    own = project(tmp_path / "p", {**modules, "src/main.js": imports})
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = start("profile", own, TMPDIR=str(temporary))
    deadline = time.monotonic() + 60
    while not any(temporary.glob("vtool-code-*")) and time.monotonic() < deadline:
        time.sleep(0.002)
    if process.poll() is not None:
        pytest.fail(f"it ended before it laid out its code: {process.communicate(timeout=60)[1]}")
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(number)
        time.sleep(0.002)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert [line for line in said.splitlines() if line.startswith("error:")] == [
        "error: interrupted"
    ]
    # onnxruntime 1.32 itself writes its telemetry's session id there when it is imported
    assert {path.name for path in temporary.iterdir()} <= {".ses"}


def test_what_a_block_could_not_remove_any_more_is_removed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder() as folder:
        (Path(folder) / "file").write_text("mine", "utf-8")
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        remove_all()
        assert not list(tmp_path.iterdir())
