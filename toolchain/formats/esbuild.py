"""Bundle and transform JavaScript with esbuild's native binary, driven over its pipes; no node.

The binary runs as a service (``esbuild --service=VERSION --ping``). Errors in the JavaScript are
values (``Message``); a service that is dead, silent or talks nonsense is a ``ToolError``.
"""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from toolchain.errors import ConfigError, FormatError, ToolError
from toolchain.formats.esbuild_build import (
    Build,
    Loaded,
    Message,
    Output,
    Plugin,
    Resolved,
    Resolving,
    Result,
    messages,
    result,
)
from toolchain.formats.esbuild_packets import WORD_BYTES, Packet, Value, decode, encode

VERSION = "0.28.2"  # the service refuses another one, so the pinned binary and this go together
_TIMEOUT_SECONDS = 120.0  # ours: 10,000 modules take 2 s (shared/facts), the rest is a busy machine
_STOP_SECONDS = 5.0
_READ_BYTES = 1 << 20

__all__ = [
    "VERSION",
    "Build",
    "Esbuild",
    "Loaded",
    "Message",
    "Output",
    "Plugin",
    "Resolved",
    "Resolving",
    "Result",
    "service",
]


@contextmanager
def service(binary: Path, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> Iterator[Esbuild]:
    """Run esbuild for the length of a ``with`` block; each answer is awaited ``timeout_seconds``.

    Errors:
        ToolError: it cannot be started, or is of another version.
    """
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                [binary, f"--service={VERSION}", "--ping"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env={},
            )
        except OSError as error:
            raise ToolError(
                f"esbuild cannot be started: {error.strerror}", hint="install the pinned tools anew"
            ) from error
        try:
            yield Esbuild(process, complaints, timeout_seconds)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with suppress(BrokenPipeError):
                pipe.close()  # the end of its input is esbuild's signal to leave
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_STOP_SECONDS)


class Esbuild:
    """A running service. Used by one thread, one request at a time."""

    def __init__(
        self, process: subprocess.Popen[bytes], complaints: IO[bytes], timeout_seconds: float
    ) -> None:
        self._process = process
        self._complaints = complaints
        self._timeout_seconds = timeout_seconds
        self._deadline = time.monotonic() + timeout_seconds
        self._input = cast("IO[bytes]", process.stdin).fileno()
        self._output = cast("IO[bytes]", process.stdout).fileno()
        self._buffer = bytearray()
        self._requests = 0
        os.set_blocking(self._input, False)
        os.set_blocking(self._output, False)
        version = self._receive().decode("utf-8", errors="replace")
        if version != VERSION:
            raise ToolError(
                f"esbuild is version {version[:40]!r}, not {VERSION}",
                hint="install the pinned tools anew",
            )

    def build(self, build: Build) -> Result:
        """Bundle; nothing is written to disk.

        Errors:
            ToolError: the service died, answered nonsense or ran out of time.
        """
        plugin = build.plugin
        message: dict[str, Value] = {
            "command": "build",
            "key": self._requests,
            "entries": [[out, f"./{path}"] for out, path in build.entries.items()],
            "flags": ["--log-level=silent", "--log-limit=0", "--metafile", *build.flags],
            "write": False,
            "stdinContents": None,
            "stdinResolveDir": None,
            "absWorkingDir": str(build.folder),
            "nodePaths": [],
            "context": False,
        }
        if plugin:
            message["plugins"] = [_registration(plugin)]
        return result(self._ask(message, plugin), build.folder)

    def transform(self, source: bytes, *flags: str) -> Result:
        """Compile one file on its own; flags as on the command line (``--loader=tsx``).

        Errors:
            ToolError: the service died, answered nonsense or ran out of time.
        """
        flags = ("--log-level=silent", "--log-limit=0", *flags)
        answer = self._ask(
            {"command": "transform", "flags": flags, "inputFS": False, "input": source}, None
        )
        errors = messages(answer["errors"])
        code = Output("<stdout>", cast("str", answer["code"]).encode())
        return Result(() if errors else (code,), {}, errors, messages(answer["warnings"]))

    def _ask(self, message: Mapping[str, Value], plugin: Plugin | None) -> Mapping[str, Any]:
        """Send a request and answer esbuild's own until the answer is here."""
        number, self._requests = self._requests, self._requests + 1
        self._deadline = time.monotonic() + self._timeout_seconds
        self._send(Packet(number, request=True, value=message))
        while True:
            packet = self._packet()
            if packet.request:
                answer = _answer(cast("Mapping[str, Any]", packet.value), plugin)
                self._send(Packet(packet.id, request=False, value=answer))
            elif packet.id == number and isinstance(packet.value, Mapping):
                if "error" in packet.value:
                    raise ConfigError(
                        f"esbuild refuses the request: {packet.value['error']!s}",
                        hint="correct the options of the pass that asks for it",
                    )
                return packet.value

    def _packet(self) -> Packet:
        try:
            return decode(self._receive())
        except FormatError as error:
            raise ToolError(f"esbuild answers nonsense: {error}") from error

    def _send(self, packet: Packet) -> None:
        data = memoryview(encode(packet))
        while data:
            self._wait(writing=True)
            try:
                data = data[os.write(self._input, data) :]
            except OSError as error:
                raise self._dead() from error

    def _receive(self) -> bytes:
        while True:
            if len(self._buffer) >= WORD_BYTES:
                end = WORD_BYTES + int.from_bytes(self._buffer[:WORD_BYTES], "little")
                if len(self._buffer) >= end:
                    body = bytes(self._buffer[WORD_BYTES:end])
                    del self._buffer[:end]
                    return body
            self._wait(writing=False)
            data = os.read(self._output, _READ_BYTES)
            if not data:
                raise self._dead()
            self._buffer += data

    def _wait(self, *, writing: bool) -> None:
        left = max(0.0, self._deadline - time.monotonic())
        reads, writes = ([], [self._input]) if writing else ([self._output], [])
        if not any(select.select(reads, writes, [], left)):
            self._process.kill()
            raise ToolError(
                f"esbuild did not answer within {self._timeout_seconds:g} s",
                hint="the machine may be overloaded; run it again",
            )

    def _dead(self) -> ToolError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        self._complaints.seek(0)
        lines = self._complaints.read(_READ_BYTES).decode("utf-8", errors="replace").splitlines()
        why = lines[0] if lines else f"exit code {self._process.returncode}"
        return ToolError(f"esbuild died: {why}", hint="install the pinned tools anew")


def _registration(plugin: Plugin) -> Value:
    def hook(number: int, pattern: str) -> Value:
        return [{"id": number, "filter": pattern, "namespace": ""}] if pattern else []

    return {
        "name": plugin.name,
        "onStart": False,
        "onEnd": False,
        "onResolve": hook(1, plugin.resolve_filter),
        "onLoad": hook(2, plugin.load_filter),
    }


def _answer(question: Mapping[str, Any], plugin: Plugin | None) -> Value:
    command = question.get("command")
    if command == "on-resolve" and plugin:
        resolved = plugin.resolve(
            Resolving(
                question["path"], question["importer"], question["kind"], question["resolveDir"]
            )
        )
        return {"id": 1, "path": resolved.path, "external": resolved.external} if resolved else {}
    if command == "on-load" and plugin:
        loaded = plugin.load(question["path"]) if question["namespace"] == "file" else None
        return {"id": 2, "contents": loaded.contents, "loader": loaded.loader} if loaded else {}
    return {"errors": [], "warnings": []}  # on-start, on-end and ping want no more
