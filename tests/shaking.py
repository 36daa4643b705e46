"""Runs programs in node, unbundled, before and after tree shaking, and compares what they print."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, MemoryStore, Relation
from toolchain.passes.tree_shake import TreeShake
from toolchain.sources.tools import node
from toolchain.units import Bytes

Files = Mapping[str, str]

# Loads each program, calls what it exports as `run`, and writes what both print
_RUNNER = """
import { writeFileSync } from "node:fs";
const [, , out, ...folders] = process.argv;
const found = [];
process.on("unhandledRejection", () => {});
const log = console.log;
for (const folder of folders) {
  const lines = [];
  console.log = (...words) => lines.push(words.join(" "));
  const before = new Set(Object.getOwnPropertyNames(globalThis));
  try {
    const main = await import(`${folder}/main.mjs`);
    await main.run?.();
  } catch (error) {
    lines.push(`fails: ${error.name}: ${error.message}`);
  }
  await new Promise((resolve) => setImmediate(resolve));
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    if (!before.has(name)) delete globalThis[name];
  }
  found.push(lines);
}
console.log = log;
writeFileSync(out, JSON.stringify(found));
process.exit(0);
"""
_NAMED = re.compile(r"""(?:from|import|import\(|require\()\s*["']\./([^"']+)["']""")
_LAZY = re.compile(r"""import\(\s*["']\./([^"']+)["']""")


def graph_of(files: Files) -> tuple[Graph, MemoryStore]:
    """Return files as a graph: edges are what generated text names; ``main.mjs`` is the root."""
    store = MemoryStore()
    artifacts: dict[ArtifactId, Artifact] = {}
    edges: set[Edge] = set()
    for path, text in files.items():
        name, data = ArtifactId(path), text.encode()
        kind = Kind.JSON if path.endswith(".json") else Kind.JS
        artifacts[name] = Artifact(name, kind, store.put(data), Bytes(len(data)))
        folder = f"{path.rpartition('/')[0]}/".lstrip("/")
        lazy = set(_LAZY.findall(text))
        for target in set(_NAMED.findall(text)):
            relation = Relation.LAZY if target in lazy else Relation.IMPORT
            edges.add(Edge(name, ArtifactId(folder + target), relation))
    return Graph(artifacts, frozenset(edges), frozenset({ArtifactId("main.mjs")})), store


def shaken(files: Files) -> dict[str, str]:
    """Return the files of a program after the pass."""
    graph, store = graph_of(files)
    after = TreeShake().apply(graph, store)
    return {str(n): store.get(a.digest).decode() for n, a in after.files.items()}


def printed(programs: Sequence[Files], folder: Path) -> list[list[str]]:
    """Return what each program prints in node."""
    folders = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, files in enumerate(programs):
        home = folder / str(number)
        for path, text in files.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text, "utf-8")
        folders.append(str(home))
    runner = folder / "runner.mjs"
    runner.write_text(_RUNNER, "utf-8")
    out = folder / "printed.json"
    subprocess.run(
        [node(), runner, out, *folders], check=True, timeout=120, stdin=subprocess.DEVNULL
    )
    lines: list[list[str]] = json.loads(out.read_text("utf-8"))
    return lines


def differences(programs: Sequence[Files], folder: Path) -> list[str]:
    """Return where programs print something else after the pass, with what they print.

    Programs that fail by themselves are left out: what is thrown is assumed to be no effect.
    """
    before = printed(programs, folder / "before")
    after = printed([shaken(files) for files in programs], folder / "after")
    works = [not any(line.startswith("fails: ") for line in lines) for lines in before]
    assert sum(works) > len(works) * 0.9, "most programs fail by themselves"
    return [
        f"program {number} of {folder.name}: {_first_difference(old, new)}"
        for number, (old, new) in enumerate(zip(before, after, strict=True))
        if works[number] and old != new
    ]


def _first_difference(old: list[str], new: list[str]) -> str:
    for was, became in zip([*old, "(the end)"], [*new, "(the end)"], strict=False):
        if was != became:
            return f"{was} became {became}"
    return "one is longer"
