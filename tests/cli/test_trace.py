"""A stack trace of the optimized program names the lines that somebody wrote."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cli.project import BUNDLE, project, vtool

from toolchain.sources.tools import node

MAIN = """\
import "../limits";
const unused = (level: number): number => level + 1;

/** Listens; the address stands before the place that is looked for. */
export async function listen(level: number): Promise<void> {
  const at = new URL("../../models/a.bin", import.meta.url); if (level > 9) throw tooLoud(at.href);
  const { answer } = await import("../answer");
  answer(level);
}

function tooLoud(here: string): Error {
  return new RangeError(`too loud: ${here.length > 0}`);
}
"""
ANSWER = """\
enum Kind { Short, Long }

export function answer(level: number): never {
  const kind = level > 1 ? Kind.Long : Kind.Short;
  throw new TypeError(`no answer ${kind}`);
}
"""
FILES = {
    "src/deep/main.ts": MAIN,
    "src/answer.ts": ANSWER,
    "src/limits.ts": "export const limits = { most: 9 };\n",
    "models/a.bin": "model",
    "package.json": '{"type": "module"}',
}
SHAKE = "".join(
    f'[[step]]\nrun = "{one}"\nwhy = "less"\n' for one in ("tree-shake", "drop-unreachable")
)
OPTIONS = 'options = { sourcemap = true, candidates = ["esbuild", "rolldown", "rollup+swc"] }\n'
STEPS = (
    SHAKE
    + BUNDLE.replace('"bundle-js"\n', f'"bundle-js"\n{OPTIONS}')
    + ('[[step]]\nrun = "compress"\nwhy = "small"\n')
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trace")
    app = project(folder / "app", FILES, steps=STEPS, more="")
    manifest = app / "vtool.toml"
    manifest.write_text(manifest.read_text("utf-8").replace("main.js", "deep/main.ts"))
    assert vtool("optimize", app, "-o", folder / "out").code == 0
    return folder / "out"


def _stack(result: Path, level: int) -> str:
    script = (
        f"import({json.dumps((result / 'app' / 'main.js').as_uri())})"
        f".then((m) => m.listen({level})).catch((e) => console.log(e.stack));"
    )
    done = subprocess.run(
        [node(), "--no-warnings", "-e", script],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize(
    ("level", "place", "code"),
    [
        (10, "src/deep/main.ts", "tooLoud(at"),
        (10, "src/deep/main.ts", "new RangeError"),
        (2, "src/answer.ts", "new TypeError"),
        (2, "src/deep/main.ts", "answer(level)"),
    ],
)
def test_each_frame_is_the_line_and_column_that_threw_or_called(
    result: Path, tmp_path: Path, level: int, place: str, code: str
) -> None:
    stack = tmp_path / "stack.txt"
    stack.write_text(_stack(result, level))
    assert place not in stack.read_text("utf-8")
    ran = vtool("trace", result, stack)
    assert ran.code == 0
    lines = FILES[place].splitlines()
    line = next(n for n, text in enumerate(lines, 1) if code in text)
    found = [f for f in ran.out.splitlines() if f"{place}:{line}:" in f]
    assert found, ran.out
    column = int(found[0].rstrip(")").rpartition(":")[2])
    assert lines[line - 1][column - 1 :].startswith(code), ran.out
    assert ran.out.splitlines()[0] == stack.read_text("utf-8").splitlines()[0]


def test_maps_are_no_part_of_what_ships(result: Path) -> None:
    manifest = json.loads((result / "vtool-manifest.json").read_text("utf-8"))
    shipped = {one["id"] for one in manifest["files"]}
    shipped |= {e["id"] for one in manifest["files"] for e in one["encodings"]}
    maps = {path.relative_to(result).as_posix() for path in result.rglob("*.map*")}
    assert {one["map"] for one in manifest["maps"]} == maps
    assert len(maps) == 2
    assert all(name.startswith("source-maps/app/") for name in maps)
    assert not shipped & maps
    for name in shipped:
        assert b"sourceMappingURL" not in (result / name).read_bytes()
    report = json.loads((result / "report.json").read_text("utf-8"))
    assert not [f for f in report["files"] if f["id"].endswith(".map")]


def test_a_script_without_a_map_is_named(tmp_path: Path, result: Path) -> None:
    out = tmp_path / "out"
    (out / "app").mkdir(parents=True)
    manifest = json.loads((result / "vtool-manifest.json").read_text("utf-8"))
    others = [one for one in manifest["maps"] if one["script"] != "app/main.js"]
    for one in others:
        (out / one["map"]).parent.mkdir(parents=True, exist_ok=True)
        (out / one["map"]).write_bytes((result / one["map"]).read_bytes())
    (out / "vtool-manifest.json").write_text(json.dumps({**manifest, "maps": others}))
    stack = tmp_path / "stack.txt"
    stack.write_text(_stack(result, 10))
    ran = vtool("trace", out, stack)
    assert ran.code == 0
    assert ran.out == stack.read_text() + "note: app/main.js has no source map\n"


def test_a_folder_without_maps_says_how_to_get_them(tmp_path: Path, result: Path) -> None:
    vtool("trace", tmp_path, result / "report.json").refuses(2, "no result of vtool optimize")
    app = project(tmp_path / "app")
    assert vtool("optimize", app, "-o", tmp_path / "out").code == 0
    vtool("trace", tmp_path / "out", result / "report.json").refuses(2, "sourcemap = true")
    vtool("trace", result, tmp_path / "gone.txt").refuses(3, "gone.txt")
    manifest = tmp_path / "out" / "vtool-manifest.json"
    manifest.write_text('{"maps": [{"script": "app/main.js", "map": "source-maps/gone.map"}]}')
    vtool("trace", tmp_path / "out", result / "report.json").refuses(3, "not complete")
    manifest.write_text("[]")
    vtool("trace", tmp_path / "out", result / "report.json").refuses(3, "damaged")
