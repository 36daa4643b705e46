"""What profile-guided splitting makes of onnxruntime-web: bytes, start, misses, the same answers.

    nox -s split_wasm                       all of it: some minutes; needs binaryen (apt install)
    nox -s split_wasm -- --docs             writes docs/split-wasm.md
    nox -s split_wasm -- --rounds 20        starts of each engine, interleaved (default 10)

The project is benchmarks/wasm_project: Silero VAD is profiled, Moonshine's encoder is not. brotli
is at its best level. Starts are fresh node processes, whole and split in turns: from asking for a
session to having it, with the files on this machine's disk, so without what a network saves. CPU is
of the process. In Chromium (where it is installed) a page asks both models in a window and a
worker, with one thread and two.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import chromium_page

from toolchain import build, rulebook
from toolchain.cli.show import progress
from toolchain.errors import ConfigError, VtoolError
from toolchain.formats import node_program
from toolchain.formats.compression import Codec, encode
from toolchain.harness.machine import machine
from toolchain.ir import ArtifactId, Graph, LedgerRow
from toolchain.pipeline import Pipeline
from toolchain.sources.tools import node
from toolchain.workspace import Workspace

PROJECT = Path(__file__).parent / "wasm_project"
DOCS = Path(__file__).parent.parent / "docs" / "split-wasm.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
ENGINE = "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded"
_CONDITIONS = ("onnxruntime-web-use-extern-wasm",)
_BEST = 11  # brotli
_PAGE_S = 120.0
_RUN_S = 120.0


class Subject(NamedTuple):
    """The application before or after, as files that can be run."""

    name: str
    graph: Graph
    files: Mapping[str, bytes | Path]


def main() -> None:
    """Measure and print."""
    asked = _options()
    with progress() as shown:
        workspace = Workspace.open(progress=shown)
        whole, split, row = _subjects(workspace)
        say = shown.update
        lines = [f"{row.step}: {row.proof.detail}", ""]
        lines += _sizes(workspace, whole, split)
        say("starts", 0, 0)
        lines += ["", *_starts((whole, split), asked.rounds)]
        lines += ["", *_misses((whole, split))]
        say("browser", 0, 0)
        lines += ["", *_browser((whole, split))]
    text = "\n".join(lines)
    print(text)
    if asked.docs:
        _write_docs(text, row)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def _subjects(workspace: Workspace) -> tuple[Subject, Subject, LedgerRow]:
    """Return the application with its whole and its split engine, and what the ledger says."""
    assembly, loaded = build.load(str(PROJECT), workspace)
    steps = rulebook.pipeline("split", PROJECT)
    pipeline = Pipeline(
        workspace.store,
        workspace.cache,
        workspace.executor,
        workspace.progress,
        assembly.reference.files,
    )
    whole = pipeline.run(loaded.graph, steps[:1])
    result = pipeline.run(loaded.graph, steps)
    row = result.ledger[-1]
    if not row.kept:
        raise ConfigError(f"{row.step}: {row.proof.detail}", hint="see docs/split-wasm.md")
    reference = {name: file.path for name, file in assembly.reference.files.items()}
    more = {p.relative_to(PROJECT).as_posix(): p for p in PROJECT.glob("*/*") if p.is_file()}

    def subject(name: str, graph: Graph) -> Subject:
        contents = node_program.contents(graph.files.values(), workspace.store)
        return Subject(name, graph, {**more, **reference, **contents})

    return subject("whole", whole.graph), subject("split", result.graph), row


def _sizes(workspace: Workspace, whole: Subject, split: Subject) -> Iterator[str]:
    yield f"{'module':34}{'raw':>12}{'brotli':>11}"
    rows = [("whole", whole.graph, f"{ENGINE}.wasm"), ("primary", split.graph, f"{ENGINE}.wasm")]
    parts = sorted(n for n in split.graph.files if n.startswith(f"{ENGINE}.deferred"))
    rows += [(n.rpartition(".threaded.")[2].rpartition("/")[2], split.graph, n) for n in parts]
    script = f"{ENGINE}.mjs"
    rows += [("script, whole", whole.graph, script), ("script, split", split.graph, script)]
    packed = []
    for name, graph, file in rows:
        data = workspace.store.get(graph.artifacts[ArtifactId(file)].digest)
        packed.append(len(encode(data, Codec.BROTLI, _BEST)))
        yield f"{name.removeprefix('ort-wasm-simd-threaded.'):34}{len(data):12,}{packed[-1]:11,}"
    yield f"the primary module's brotli bytes: {packed[1] / packed[0] - 1:+.1%}"


def _run(subject: Subject, program: str) -> Any:  # noqa: ANN401 - JSON
    done = node_program.run(
        node(), program, subject.files, conditions=_CONDITIONS, timeout_s=_RUN_S
    )
    if done.code:
        raise VtoolError(f"{program} fails: {done.complaint}")
    return json.loads(done.printed)


def _starts(subjects: Iterable[Subject], rounds: int) -> Iterator[str]:
    subjects = list(subjects)
    found: dict[str, list[Mapping[str, float]]] = {s.name: [] for s in subjects}
    for number in range(rounds):
        for subject in subjects if number % 2 else reversed(subjects):
            found[subject.name].append(_run(subject, "measure/start.mjs"))
    yield f"{'start, median of ' + str(rounds):34}{'CPU ms':>12}{'wall ms':>11}"
    for name, runs in found.items():
        middle = [statistics.median(run[key] for run in runs) for key in ("cpuMs", "wallMs")]
        yield f"{name:34}{middle[0]:12,.0f}{middle[1]:11,.0f}"


def _misses(subjects: Iterable[Subject]) -> Iterator[str]:
    yield f"{'another model':34}{'misses':>12}{'wall ms':>11}  of it loading parts"
    for subject in subjects:
        run = _run(subject, "measure/miss.mjs")
        loading = ", ".join(f"{ms:.0f} ms" for ms in run["loadMs"]) or "-"
        yield f"{subject.name:34}{run['misses']:12}{run['wallMs']:11,.0f}  {loading}"


def _browser(subjects: Iterable[Subject]) -> Iterator[str]:
    browser = chromium_page.chromium()
    if browser is None:
        yield "Chromium is not installed: not run in a browser"
        return
    yield f"{'Chromium':34}{'profiled':>12}{'other':>11}  answers"
    first: list[str] = []
    for subject in subjects:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            node_program.lay_out(folder, subject.files)
            for where in ("window", "worker"):
                for threads in (1, 2):
                    page = f"browser/page.html?where={where}&threads={threads}"
                    found = chromium_page.answer_of(browser, folder, page, timeout_s=_PAGE_S)
                    if "error" in found:
                        raise VtoolError(f"{subject.name}, {where}, {threads}: {found['error']}")
                    first = first or found["lines"]
                    same = "as the first" if found["lines"] == first else "OTHER"
                    label = f"{subject.name}, {where}, {threads} thread{'s' * (threads > 1)}"
                    rest = found["misses"] - found["profiled"]
                    yield f"{label:34}{found['profiled']:12}{rest:11}  {same}"


def _write_docs(text: str, row: LedgerRow) -> None:
    here = machine()
    load = f", load {here.load:.1f} at the end" if here.load is not None else ""
    about = f"{here.cpu}, {here.cores} cores{load}; {datetime.now(UTC).date().isoformat()}."
    made = f"The pass took {row.seconds:.0f} s, proof included."
    before, _, rest = DOCS.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    body = f"{BEGIN}\n\n{about} {made}\n\n```\n{text}\n```\n\n{END}"
    DOCS.write_text(f"{before}{body}{after}", "utf-8")


if __name__ == "__main__":
    try:
        main()
    except VtoolError as error:
        sys.exit(f"error: {error}\n hint: {error.hint}" if error.hint else f"error: {error}")
