"""``vtool optimize --previous`` on real projects: two releases, and what is none."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

from cli.project import project, snapshot, vtool, write

from toolchain.formats.compression_dictionary import decode_delta

_RANDOM = random.Random(7)  # noqa: S311 - a fixed seed makes the same test every time
_CODE = "".join(
    f"export const f{_RANDOM.getrandbits(40):x} = (a) => a + '{_RANDOM.getrandbits(90):x}';\n"
    for _ in range(300)
)
_STEPS = "".join(f'[[step]]\nrun = "{p}"\nwhy = "x"\n' for p in ("bundle-js", "compress"))


def _release(folder: Path, more: str) -> Path:
    main = f'{_CODE}export const {more} = 1;\nexport const later = () => import("./later.js");\n'
    later = f"{_CODE.replace('f', 'g', 40)}export const {more} = 1;\n"
    return project(folder, {"src/main.js": main, "src/later.js": later}, steps=_STEPS)


def test_two_releases_from_the_command_line(tmp_path: Path) -> None:
    one, two = _release(tmp_path / "one", "first"), _release(tmp_path / "two", "second")
    old, new = tmp_path / "1.0", tmp_path / "1.1"
    assert vtool("optimize", one, "-o", old).code == 0
    assert not list(old.rglob("*.dcz"))
    ran = vtool("optimize", two, "-o", new, "--previous", old)
    assert ran.code == 0, ran.err
    assert "update.download" in ran.out
    files = json.loads((new / "vtool-headers.json").read_text())["files"]
    told = {f["path"]: f for f in files}
    deltas = [
        f["representations"][0] for f in files if f["representations"][0]["file"][-4:] == ".dcz"
    ]
    assert len(deltas) == 2  # main.js, and the chunk whose name has another hash
    by_digest = {f"{p.name}": p for p in old.rglob("*.js")}
    main = told["app/main.js"]["representations"][0]
    data = (new / main["file"]).read_bytes()
    plain = (new / "app/main.js").read_bytes()
    assert decode_delta(data, by_digest["main.js"].read_bytes(), len(plain)) == plain
    assert len(data) < 1000 < (new / "app/main.js.br").stat().st_size
    chunk = next(f for name, f in told.items() if "later-" in name)
    assert chunk["headers"]["Use-As-Dictionary"] == 'match="later-*.js"'
    _replaces_itself(two, old, new)


def _replaces_itself(two: Path, old: Path, new: Path) -> None:
    """Check that the last release may be what ``-o`` replaces, lie in an archive, be the same."""
    wanted = {n: d for n, d in snapshot(new).items() if not n.startswith("report")}
    archive = shutil.make_archive(str(old), "gztar", old)
    assert vtool("optimize", two, "-o", old, "--previous", old).code == 0
    assert {n: d for n, d in snapshot(old).items() if not n.startswith("report")} == wanted
    again = old.with_name("again")
    assert vtool("optimize", two, "-o", again, "--previous", archive).code == 0
    assert {n: d for n, d in snapshot(again).items() if not n.startswith("report")} == wanted
    same = old.with_name("same")
    ran = vtool("optimize", two, "-o", same, "--previous", new)
    assert ran.code == 0
    assert not list(same.rglob("*.dcz"))


def test_what_is_no_release_is_refused_before_any_work(tmp_path: Path) -> None:
    app = project(tmp_path / "app")
    out = tmp_path / "out"
    vtool("optimize", app, "-o", out, "--previous", tmp_path / "none").refuses(2, "no previous")
    empty = write(tmp_path / "empty", {"a.js": "1"})
    vtool("optimize", app, "-o", out, "--previous", empty).refuses(3, "no result", "-o")
    assert not out.exists()
