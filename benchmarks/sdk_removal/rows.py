"""The rows of the removal table: what each bundler made of each consumer of the fixture SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdk_removal import bundling
from sdk_removal.labels import Sdk, generate
from sdk_removal.program import publish, run
from sdk_removal.rate import Removed, removal, weigh

from toolchain.formats.compression import SHIPPING, Codec, encode
from toolchain.formats.esbuild import service
from toolchain.sources.tools import tool

NOTHING = Removed(0, 0)


@dataclass(frozen=True, slots=True)
class Row:
    """One bundler, one consumer."""

    consumer: str
    bundler: str
    problem: str = ""  # it did not bundle: nothing else counts
    removed: Removed = NOTHING
    inside: Removed = NOTHING  # in modules of which something is needed
    by_construct: Mapping[str, Removed] | None = None
    lost: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()  # what the program says that the unbundled one does not
    files: int = 0
    size_bytes: int = 0
    brotli_bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Bench:
    """The SDK as generated and as published, and what each item weighs."""

    sdk: Sdk
    tree: Path
    sizes: Mapping[str, int]
    work: Path


def open_bench(work: Path, *, scale: int, seed: int) -> Bench:
    """Generate, publish and weigh the SDK in ``work``."""
    sdk = generate(work / "sdk", scale=scale, seed=seed)
    with service(tool("esbuild")) as esbuild:
        tree = publish(sdk, work / "published", esbuild)
        return Bench(sdk, tree, weigh(sdk, esbuild), work)


def rows(
    bench: Bench,
    bundlers: Mapping[str, bundling.Bundler],
    consumers: Sequence[str],
    say: Callable[[str], None],
) -> list[Row]:
    """Bundle and judge each consumer with each bundler."""
    made = []
    for consumer in consumers:
        expected = run(bench.tree, bench.tree / "consumers" / consumer / "main.js")
        for name, bundler in bundlers.items():
            say(f"{consumer}: {name}")
            made.append(_row(bench, consumer, name, bundler, expected))
    return made


def _row(bench: Bench, consumer: str, name: str, bundler: bundling.Bundler, expected: str) -> Row:
    out = bench.work / "out" / consumer / name
    bundle = bundling.bundle(bundler, bench.sdk, bench.tree, consumer, out)
    if bundle.problem:
        return Row(consumer, name, bundle.problem, seconds=bundle.seconds)
    judged = removal(bench.sdk.items(), bench.sizes, bundle.files, consumer)
    heard = run(bench.tree, out / bundler.program)
    return Row(
        consumer,
        name,
        removed=judged.overall,
        inside=judged.inside,
        by_construct=judged.by_construct,
        lost=judged.lost,
        kept=judged.kept,
        differs=differences(expected, heard),
        files=len(bundle.files),
        size_bytes=sum(map(len, bundle.files.values())),
        brotli_bytes=sum(
            len(encode(data, Codec.BROTLI, SHIPPING.brotli)) for data in bundle.files.values()
        ),
        seconds=round(bundle.seconds, 2),
    )


def differences(expected: str, heard: str) -> tuple[str, ...]:
    r"""Return the lines of ``expected`` that were not said, cut to what they are about.

    >>> differences('["enum a",1]\\\nexit 0\\\n', '["enum a",2]\\\nexit 0\\\n')
    ('enum a',)
    """
    said = set(heard.splitlines())
    return tuple(
        line.split('"')[1] if line.startswith('["') else line
        for line in expected.splitlines()
        if line not in said
    )
