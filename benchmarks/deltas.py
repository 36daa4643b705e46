"""What a delta against the last release is worth: two real releases that follow each other.

    nox -s deltas                               all pairs: two minutes
    nox -s deltas -- --pair three               one pair; repeatable
    nox -s deltas -- --json out.json            the figures as JSON; --docs writes docs/deltas.md

Each folder in benchmarks/deltas is a pair of projects, old and new, locked. Both go through the
pipeline `web` of `vtool optimize`, the new one with --previous. brotli: the size of its brotli 11
sibling, what everybody else downloads; dcz: of the delta. Seconds of encoding and milliseconds of
decoding are CPU time of one thread, brotli 11 and then dcz as the pass writes it; decoding is the
best of five, and what is decoded is compared with the file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from toolchain import build
from toolchain.errors import ConfigError, VtoolError
from toolchain.formats.compression import SHIPPING, Codec, decode, encode
from toolchain.formats.compression_dictionary import decode_delta, encode_delta
from toolchain.formats.compression_effort import delta_ladder
from toolchain.harness.machine import machine
from toolchain.ir import Report
from toolchain.tables import dump, table
from toolchain.workspace import Workspace

_HERE = Path(__file__).parent
_PAIRS = _HERE / "deltas"
_DOCS = _HERE.parent / "docs" / "deltas.md"
_BEGIN = "<!-- written by nox -s deltas: begin -->"
_END = "<!-- written by nox -s deltas: end -->"
_DECODED = 5
_HEAD = (
    "| releases | file | bytes | brotli | dcz | less | encoding, s | decoding, ms |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
)


@table
class Row:
    """One file of a release that changed."""

    pair: str
    releases: str
    file: str
    size: int
    brotli: int
    delta: int | None  # None: not kept
    encoding_s: tuple[float, float]  # brotli, dcz
    decoding_ms: tuple[float, float]

    @property
    def less(self) -> float:
        """The share of brotli's bytes that the delta takes off."""
        return 1 - (self.delta or self.brotli) / self.brotli


def main() -> None:
    """Measure and print."""
    asked = _options()
    known = sorted(p.name for p in _PAIRS.iterdir() if p.is_dir())
    unknown = set(asked.pair or ()) - set(known)
    if unknown:
        raise ConfigError(
            f"there is no pair {unknown.pop()!r}", hint=f"there are {', '.join(known)}"
        )
    with tempfile.TemporaryDirectory() as name:
        found = [row for pair in asked.pair or known for row in _rows(pair, Path(name))]
    text = "\n".join([_HEAD, *map(_line, found)])
    print(text)
    here = machine()
    if asked.json:
        document = {"machine": dump(here), "rows": dump(found)}
        asked.json.write_text(json.dumps(document, indent=1), "utf-8")
    if asked.docs:
        load = f", load {here.load:.1f} at the end" if here.load is not None else ""
        about = f"{here.cpu}, {here.cores} cores{load}; {datetime.now(UTC).date().isoformat()}."
        before, _, rest = _DOCS.read_text("utf-8").partition(_BEGIN)
        after = rest.partition(_END)[2]
        _DOCS.write_text(f"{before}{_BEGIN}\n\n{about}\n\n{text}\n\n{_END}{after}", "utf-8")


def _rows(pair: str, work: Path) -> Iterator[Row]:
    """Yield the files of a pair's new release that changed, the largest first."""
    workspace = Workspace.open()
    old, new = work / pair / "old", work / pair / "new"
    for out, last in ((old, None), (new, old)):
        _say(f"{pair}: {out.name} release")
        request = build.Request(str(_PAIRS / pair / out.name), out, harness=False, previous=last)
        build.optimize(request, workspace, _keep)
    names = [json.loads((out / "report.json").read_text("utf-8"))["target"] for out in (old, new)]
    files = json.loads((new / "vtool-headers.json").read_text("utf-8"))["files"]
    for one in sorted(files, key=lambda f: -max(r["size"] for r in f["representations"])):
        forms = {r["headers"].get("Content-Encoding", ""): r for r in one["representations"]}
        if "dcz" in forms:
            releases = f"{names[0]}, {names[1].rpartition(' ')[2]}"
            yield _row(pair, releases, forms, _Pair(old, new))


def _keep(report: Report, folder: Path) -> None:
    (folder / "report.json").write_text(json.dumps({"target": report.target}), "utf-8")


@table
class _Pair:
    old: Path
    new: Path


def _row(pair: str, releases: str, forms: dict[str, dict[str, str]], work: _Pair) -> Row:
    data = (work.new / forms[""]["file"]).read_bytes()
    delta = (work.new / forms["dcz"]["file"]).read_bytes()
    brotli = (work.new / forms["br"]["file"]).read_bytes()
    dictionary = next(
        content
        for content in (p.read_bytes() for p in sorted(work.old.rglob("*")) if p.is_file())
        if _decodes(delta, content, data)
    )
    level = delta_ladder()[0].zstd
    return Row(
        pair=pair,
        releases=releases,
        file=forms[""]["file"],
        size=len(data),
        brotli=len(brotli),
        delta=len(delta),
        encoding_s=(
            _seconds(lambda: encode(data, Codec.BROTLI, SHIPPING.brotli)),
            _seconds(lambda: encode_delta(data, dictionary, level)),
        ),
        decoding_ms=(
            1000 * _best(lambda: decode(brotli, Codec.BROTLI, len(data))),
            1000 * _best(lambda: decode_delta(delta, dictionary, len(data))),
        ),
    )


def _decodes(delta: bytes, dictionary: bytes, data: bytes) -> bool:
    try:
        return decode_delta(delta, dictionary, len(data)) == data
    except VtoolError:
        return False


def _seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def _best(work: Callable[[], object]) -> float:
    return min(_seconds(work) for _ in range(_DECODED))


def _line(row: Row) -> str:
    encoding = ", ".join(f"{s:.2f}" for s in row.encoding_s)
    decoding = ", ".join(f"{ms:.1f}" for ms in row.decoding_ms)
    cells = (
        row.releases,
        row.file,
        f"{row.size:,}",
        f"{row.brotli:,}",
        f"{row.delta:,}" if row.delta else "-",
        f"{row.less:.1%}",
        encoding,
        decoding,
    )
    return f"| {' | '.join(cells)} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pair", action="append", help="a folder in benchmarks/deltas; repeatable")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--docs", action="store_true", help="write docs/deltas.md anew")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except VtoolError as error:
        sys.exit(f"error: {error}\n hint: {error.hint}")
