"""Opens a page of a folder in Chromium and waits for what it posts to ``/answer``."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from toolchain.errors import ToolError

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> Path | None:
    """Return the browser, None where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


class _Handler(SimpleHTTPRequestHandler):
    """Serves a folder, isolated across origins, so that pages may have threads."""

    extensions_map = {  # noqa: RUF012 - as the base class declares it
        ".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html",
        ".wasm": "application/wasm", "": "application/octet-stream",
    }  # fmt: skip

    def __init__(self, *given: Any, answers: queue.Queue[dict[str, Any]], **named: Any) -> None:  # noqa: ANN401 - the base class's
        self.answers = answers
        super().__init__(*given, **named)

    def end_headers(self) -> None:
        """Send what makes a page isolated."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def do_POST(self) -> None:
        """Take the answer of a page."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answers.put(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, queue.Queue[dict[str, Any]]]]:
    """Serve ``folder``; yield its address and the answers of its pages."""
    answers: queue.Queue[dict[str, Any]] = queue.Queue()
    handler = partial(_Handler, answers=answers, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", answers
        finally:
            server.shutdown()


def answer_of(browser: Path, folder: Path, page: str, *, timeout_s: float) -> dict[str, Any]:
    """Open ``page`` of ``folder``; return what it posts.

    Errors:
        ToolError: the browser does not start, or the page does not answer in time.
    """
    with tempfile.TemporaryDirectory() as profile, served(folder) as (address, answers):
        command = [str(browser), *_FLAGS, f"--user-data-dir={profile}", f"{address}/{page}"]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                return answers.get(timeout=timeout_s)
            except queue.Empty as error:
                raise ToolError(f"{page} does not answer in {timeout_s:g} s") from error
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
