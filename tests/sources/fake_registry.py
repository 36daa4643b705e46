"""What a test registry serves: packages it packs, and every way to answer wrongly."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


def tgz(files: Mapping[str, bytes], top: str = "package/") -> bytes:
    """Pack ``files`` as npm does."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(top + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue(), mtime=0)


def wheel(files: Mapping[str, bytes]) -> bytes:
    """Pack ``files`` as a wheel."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@dataclass
class Registry:
    """Plays npm and PyPI; ``answers`` by path, ``asked`` in order."""

    base: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    npm: dict[str, Any] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def serve(self, path: str, body: bytes, *, promised_bytes: int | None = None) -> None:
        """Answer ``path`` with ``body``, of which the header may promise more."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.send_header("Content-Length", str(promised_bytes or len(body)))
            request.end_headers()
            request.wfile.write(body)

        self.answers[path] = answer

    def status(self, path: str, code: int) -> None:
        """Answer ``path`` with nothing but a status."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(code)
            request.send_header("Content-Length", "0")
            request.end_headers()

        self.answers[path] = answer

    def stall(self, path: str) -> None:
        """Send half an answer for ``path``, then nothing until the test ends."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.send_header("Content-Length", "1000")
            request.end_headers()
            request.wfile.write(b"x" * 500)
            request.wfile.flush()
            self.stop.wait(60)

        self.answers[path] = answer

    def publish(
        self,
        name: str,
        version: str,
        files: Mapping[str, bytes] | None = None,
        **manifest: Any,  # noqa: ANN401 - JSON
    ) -> str:
        """Add a version to npm; return the path of its tarball."""
        own = {"package.json": json.dumps({"name": name, "version": version}).encode()}
        body = tgz({**own, **(files or {})})
        path = f"/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
        integrity = f"sha512-{base64.b64encode(hashlib.sha512(body).digest()).decode()}"
        dist = {"tarball": f"{self.base}{path}", "integrity": integrity}
        document = self.npm.setdefault(name, {"name": name, "dist-tags": {}, "versions": {}})
        document["versions"][version] = {"dist": dist, **manifest}
        document["dist-tags"]["latest"] = version
        self.serve(path, body)
        self.serve(f"/{name.replace('/', '%2F')}", json.dumps(document).encode())
        return path

    def upload(self, name: str, files: Mapping[str, bytes]) -> None:
        """Add files, by file name, to the package ``name`` of PyPI."""
        entries = []
        for file, body in files.items():
            self.serve(f"/files/{file}", body)
            sha256 = hashlib.sha256(body).hexdigest()
            entries.append(
                {"filename": file, "url": f"../../files/{file}", "hashes": {"sha256": sha256}}
            )
        self.serve(f"/simple/{name}/", json.dumps({"files": entries}).encode())
