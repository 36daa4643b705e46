"""Plays a scenario in a page of a headless Chromium and tells everything that was seen of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from toolchain.errors import ConfigError, ToolError
from toolchain.formats.devtools import Devtools, Event, browser
from toolchain.formats.loopback import served
from toolchain.formats.playing_node import PLAIN, Manner, Played
from toolchain.ir import Observation

_HERE = Path(__file__).parent
PAGE_FILES = tuple(_HERE / name for name in ("disturbing.js", "observing.js", "playing_page.html"))
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_START_S = 30.0  # ours: it takes half a second; a busy machine many
SETTLE_S = 1.0  # ours: what happens in the second after the result counts as well
_BINDING = "vtoolRecord"
_PAGE = "vtool-play.html"
_WORKERS = frozenset({"worker", "shared_worker", "service_worker", "worklet", "audio_worklet"})
_SILENT = frozenset({"network", "violation"})  # told otherwise, or about time
_BAD_STATUS = 400
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    # nothing but this machine: an application that asks the network is told that there is none
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@dataclass(frozen=True, slots=True)
class Chromium:
    """A browser on this machine."""

    program: Path
    version: str


@cache
def find_chromium() -> Chromium | None:
    """Return the Chromium or Chrome in ``PATH``; None if there is none that starts.

    Not on Windows, where a process gets no pipes by number.
    """
    if sys.platform == "win32":
        return None
    for name in _NAMES:
        found = shutil.which(name)
        if found is None:
            continue
        try:
            done = subprocess.run(
                [found, "--version"], capture_output=True, text=True, check=True, timeout=_START_S
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return Chromium(Path(found), done.stdout.strip())
    return None


def play_in_page(  # noqa: PLR0913 - a page of something, heard by something, for so long
    chromium: Chromium,
    folder: Path,
    start: tuple[str, str],
    limit_s: float,
    *,
    wav: Path | None = None,
    manner: Manner = PLAIN,
) -> Played:
    """Play a script on an entry (``start``, both files in ``folder``) in a new page.

    ``wav`` is what the page's microphone hears once. Texts hold addresses of ``folder``.
    Observations of the page are in order; those of workers, and failed requests, follow.

    Errors:
        ConfigError: the script is no scenario.
        ToolError: Chromium does not start or does not answer.
    """
    (folder / _PAGE).write_bytes((_HERE / "playing_page.html").read_bytes())
    flags = [*_FLAGS, *_unsafe()]
    if wav is not None:
        flags.append(f"--use-file-for-fake-audio-capture={wav}%noloop")
    script, entry = start
    with (
        served(folder, manner.disturbed) as origin,
        browser(chromium.program, [*flags, "about:blank"], limit_s=limit_s + _START_S) as devtools,
    ):
        page = _Page(devtools, manner)
        page.open(f"{origin}/{_PAGE}?{urlencode({'script': f'/{script}', 'entry': entry})}")
        seen = tuple(page.watch(time.monotonic() + limit_s))
        counted = json.loads(json.dumps(page.counted()).replace(origin, folder.resolve().as_uri()))
    if any(one.kind == "wrong scenario" for one in seen):
        raise ConfigError(
            f"scenario.script: {script}: its default export is not a function",
            hint="export default async (entry, report) => { ... } (docs/behaviour.md)",
        )
    here = folder.resolve().as_uri()
    texts = (Observation(o.stream, o.kind, o.text.replace(origin, here)) for o in seen)
    return Played(tuple(texts), tuple(counted))


def _unsafe() -> list[str]:
    """Return what Chromium asks for where there can be no sandbox: it refuses to run as root."""
    return ["--no-sandbox"] if os.geteuid() == 0 else []


@dataclass
class _Page:
    """A page and its workers, watched while it plays."""

    devtools: Devtools
    manner: Manner
    session: str = ""
    workers: list[str] = field(default_factory=list)  # their sessions
    addresses: dict[str, str] = field(default_factory=dict)  # of requests
    apart: list[Observation] = field(default_factory=list)
    ended: bool = False

    def open(self, address: str) -> None:
        """Open a page in which everything is seen from the start."""
        target = self.devtools.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.devtools.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Inspector"):
            self.devtools.call(f"{domain}.enable", self.session)
        self._attach_workers(self.session)
        self._count(self.session)
        self.devtools.call("Runtime.addBinding", self.session, name=_BINDING)
        source = _observer(self.manner.disturbed)
        self.devtools.call("Page.addScriptToEvaluateOnNewDocument", self.session, source=source)
        self.devtools.call("Page.navigate", self.session, url=address)

    def counted(self) -> list[Mapping[str, Any]]:
        """Return the coverage documents of the page and of the workers that are still there."""
        documents = []
        for session in [self.session, *self.workers] if self.manner.coverage else ():
            try:
                documents.append(self.devtools.call("Profiler.takePreciseCoverage", session))
            except ToolError:  # a worker that has ended
                continue
        return documents

    def _count(self, session: str) -> None:
        if self.manner.coverage:
            self.devtools.send("Profiler.enable", session)
            self.devtools.send(
                "Profiler.startPreciseCoverage", session, callCount=False, detailed=True
            )

    def watch(self, until: float) -> Iterator[Observation]:
        """Yield what the page does until it has ended, or ``until``; then what happened beside."""
        for event in self.devtools.events(until):
            yield from self._main(event)
            if self.ended:
                break
        for event in self.devtools.events(time.monotonic() + SETTLE_S) if self.ended else ():
            yield from self._main(event)
        yield from self.apart
        text = "the page ended" if self.ended else "did not come in time"
        yield Observation("process", "exit", text)

    def _main(self, event: Event) -> Iterator[Observation]:
        if event.method == "Runtime.bindingCalled" and event.params["name"] == _BINDING:
            kind, *texts = json.loads(event.params["payload"])
            if event.session != self.session:
                self.apart.append(Observation("worker", kind, " ".join(texts)))
            elif kind == "end":
                self.ended = True
            else:
                yield Observation("main", kind, " ".join(texts))
        elif event.method == "Page.javascriptDialogOpening":
            yield Observation("main", "dialog", str(event.params["message"]))
            self.devtools.send("Page.handleJavaScriptDialog", event.session, accept=True)
        elif event.method == "Inspector.targetCrashed":
            self.ended = True
            yield Observation("main", "crash", "the page crashed")
        else:
            self._beside(event)

    def _beside(self, event: Event) -> None:
        params = event.params
        if event.method == "Target.attachedToTarget":
            self._watch_worker(params)
        elif event.method == "Log.entryAdded":
            self._log(params["entry"])
        elif event.method.startswith("Network."):
            self._request(event.method.removeprefix("Network."), params)

    def _request(self, what: str, params: Any) -> None:  # noqa: ANN401 - JSON
        key = params.get("requestId", "")
        if what == "requestWillBeSent":
            self.addresses[key] = params["request"]["url"]
        elif what == "responseReceived" and params["response"]["status"] >= _BAD_STATUS:
            self._failed(params["response"]["url"], str(params["response"]["status"]))
        elif what == "loadingFailed" and not params.get("canceled"):
            self._failed(self.addresses.get(key, "an address"), params["errorText"])

    def _failed(self, address: str, why: str) -> None:
        self.apart.append(Observation("requests", "failed request", f"{address} {why}"))

    def _log(self, entry: Any) -> None:  # noqa: ANN401 - JSON
        if entry["source"] not in _SILENT and entry["level"] in {"warning", "error"}:
            kind = f"browser {entry['level']}"
            self.apart.append(Observation("requests", kind, str(entry["text"])))

    def _attach_workers(self, session: str) -> None:
        self.devtools.send(
            "Target.setAutoAttach",
            session,
            autoAttach=True,
            waitForDebuggerOnStart=True,
            flatten=True,
        )

    def _watch_worker(self, params: Any) -> None:  # noqa: ANN401 - JSON
        """Let a new worker start once everything in it is seen; none of the answers is awaited."""
        session = params["sessionId"]
        if params["targetInfo"]["type"] in _WORKERS:
            self.workers.append(session)
            self._count(session)
            self.devtools.send("Network.enable", session)
            self.devtools.send("Runtime.enable", session)
            self.devtools.send("Runtime.addBinding", session, name=_BINDING)
            self._attach_workers(session)
            script = _observer(self.manner.disturbed)
            self.devtools.send("Runtime.evaluate", session, expression=script)
        self.devtools.send("Runtime.runIfWaitingForDebugger", session)


def _observer(disturbed: int) -> str:
    """Return a script that makes the page and its workers tell what they do, and answers late."""
    observing = (_HERE / "observing.js").read_text("utf-8")
    disturbing = (_HERE / "disturbing.js").read_text("utf-8").rstrip().removesuffix(";")
    late = f"{disturbing}({disturbed});" if disturbed else ""
    return f"""{{
  const tell = globalThis.{_BINDING};
  delete globalThis.{_BINDING};
  const record = (...parts) => tell(JSON.stringify(parts));
  const plain = {observing.rstrip().removesuffix(";")}(record);
  globalThis[Symbol.for("vtool.observing")] = {{ record, plain }};
  {late}
}}"""
