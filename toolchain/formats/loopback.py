"""Serves the files of a folder on this machine alone, as a page needs them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

# A module is refused under another type, and WebAssembly is not compiled while it loads
_TYPES = MappingProxyType(
    {
        "": "application/octet-stream",
        ".css": "text/css",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".cjs": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".mjs": "text/javascript; charset=utf-8",
        ".wasm": "application/wasm",
        ".wav": "audio/wav",
    }
)
# https://html.spec.whatwg.org/: without these a page has no SharedArrayBuffer, so no wasm threads
_HEADERS = (
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
_SILENCE_S = 30.0  # ours: a connection over which nothing comes for so long is given up
_LATEST_S = 0.04  # ours: as late as disturbing.js makes other answers


@contextmanager
def served(folder: Path, disturbed: int = 0) -> Iterator[str]:
    """Serve ``folder`` and yield the origin, as ``http://127.0.0.1:40000``; links are followed.

    ``disturbed``, a seed, makes each answer late by another time.
    """
    late = random.Random(disturbed) if disturbed else None  # noqa: S311 - no secret
    handler = partial(_Handler, late, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(_SILENCE_S)


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = dict(_TYPES)  # noqa: RUF012 - as the class above has it
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE_S

    def __init__(self, late: random.Random | None, *rest: Any, **named: Any) -> None:  # noqa: ANN401
        self.late = late
        super().__init__(*rest, **named)  # which answers at once

    def do_GET(self) -> None:
        """Answer, late where that is asked for."""
        if self.late is not None:
            time.sleep(self.late.uniform(0, _LATEST_S))
        super().do_GET()

    def end_headers(self) -> None:
        for name, value in _HEADERS:
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: object) -> None:
        """Answer as for a file that is not there: no page asks for a list of files."""
        del path
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing: what fails is seen by the page."""
