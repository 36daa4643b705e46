"""Serves the files of a folder on this machine alone, as a page needs them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

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


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve ``folder`` and yield the origin, as ``http://127.0.0.1:40000``; links are followed."""
    handler = partial(_Handler, directory=str(folder))
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
