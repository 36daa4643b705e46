"""A registry on the loopback interface that answers as it is told, and an empty cache."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sources.fake_registry import Registry


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Registry]:
    """Yield a registry that npm's and pip's settings point at."""
    del cache  # only that it is empty
    fake = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.asked.append(self.path)
            fake.headers.append(dict(self.headers))
            answer = fake.answers.get(self.path)
            if answer is None:
                self.send_error(404)
            else:
                answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fake.base = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        monkeypatch.setenv("npm_config_registry", fake.base)
        monkeypatch.setenv("npm_config_userconfig", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", f"{fake.base}/simple/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv("VTOOL_TIMEOUT_S", "1")
        yield fake
        fake.stop.set()
        server.shutdown()
        thread.join(10)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache folder that vtool uses."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("VTOOL_CACHE", str(folder))
    monkeypatch.delenv("VTOOL_OFFLINE", raising=False)
    return folder
