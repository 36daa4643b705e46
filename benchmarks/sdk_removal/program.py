"""Compiles the fixture SDK as packages are published, bundles it whole, and runs it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdk_removal.labels import Sdk, published

from toolchain.errors import ToolError
from toolchain.formats.esbuild import Build, Esbuild, Loaded, Plugin
from toolchain.sources.tools import node

RUN_LIMIT_S = 60  # ours: a run takes 0.1 s; run.mjs gives up after 20
# The imports stay as written, so that a module that is only loaded for its effects is loaded
_SYNTAX = '--tsconfig-raw={"compilerOptions":{"verbatimModuleSyntax":true}}'
_COMPILE = ("--format=esm", "--target=es2022", "--jsx=automatic", _SYNTAX)
# Everything that a module says is kept, whatever packages and comments claim about effects
_WHOLE = (
    "--bundle",
    "--format=esm",
    "--platform=node",
    "--splitting",
    "--outdir=out",
    "--ignore-annotations",
    "--tree-shaking=false",
    "--target=es2022",
    "--jsx=automatic",
    _SYNTAX,
)


def publish(sdk: Sdk, out: Path, esbuild: Esbuild) -> Path:
    """Compile each TypeScript file on its own, as packages are published; return ``out``.

    Errors:
        ToolError: a file does not compile.
    """
    shutil.copytree(sdk.folder, out, ignore=shutil.ignore_patterns("labels.json"))
    for path in [*out.rglob("*.ts"), *out.rglob("*.tsx")]:
        done = esbuild.transform(path.read_bytes(), *_COMPILE, f"--loader={path.suffix[1:]}")
        if done.errors:
            raise ToolError(f"{path.relative_to(out)} does not compile: {done.errors[0].text}")
        path.unlink()
        Path(published(str(path))).write_bytes(done.outputs[0].data)
    for path in (out / "node_modules").rglob("package.json"):
        text = path.read_text("utf-8")
        path.write_text(text.replace(".tsx", ".js").replace(".ts", ".js"), "utf-8")
    return out


@dataclass(frozen=True)
class Edited(Plugin):
    """Answers esbuild with edited files; paths are relative to ``folder``, contents TypeScript."""

    folder: Path
    files: Mapping[str, bytes]
    name = "edited"
    load_filter = r"\.(js|cjs)$"

    def load(self, path: str) -> Loaded | None:
        """Return the edited file."""
        relative = Path(path).relative_to(self.folder).as_posix()
        data = self.files.get(relative)
        return None if data is None else Loaded(data, "js" if relative.endswith("cjs") else "tsx")


def names_files(sdk: Sdk, consumer: str) -> dict[str, str]:
    """Return the files that a consumer loads by address: published path, and how."""
    live = {item.id for item in sdk.items() if item.labels[consumer] not in {"dead", "type-only"}}
    return {published(one.path): one.how for one in sdk.loaded if one.by in live}


def bundle_whole(  # noqa: PLR0913 - a bundle is of something, somewhere, with something
    sdk: Sdk,
    consumer: str,
    tree: Path,
    out: Path,
    esbuild: Esbuild,
    *,
    edits: Mapping[str, bytes] | None = None,
) -> str:
    """Write one program with all its modules into ``out``; return the first error, if any."""
    edits = edits or {}
    extras = names_files(sdk, consumer)
    entries = {"main": f"consumers/{consumer}/main.js"}
    copies = []
    for path, how in extras.items():
        if how == "worker" and ".classic." not in path:
            entries[Path(path).name.removesuffix(".js")] = path
        elif how == "asset" or ".classic." in path:
            copies.append(path)
    plugin = Edited(tree.resolve(), edits) if edits else None
    done = esbuild.build(Build(tree.resolve(), entries, _WHOLE, plugin))
    if done.errors:
        return done.errors[0].text
    _emit(out, ((Path(o.path).name, o.data) for o in done.outputs))
    _emit(out, ((Path(p).name, edits.get(p, (tree / p).read_bytes())) for p in copies))
    return ""


def _emit(out: Path, files: Iterable[tuple[str, bytes]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, data in files:
        (out / name).write_bytes(data)


def run(tree: Path, program: Path) -> str:
    """Run a program in node and return what it printed, with its exit code as the last line."""
    try:
        done = subprocess.run(
            [node(), tree / "run.mjs", program],
            capture_output=True,
            text=True,
            timeout=RUN_LIMIT_S,
            check=False,
            cwd=program.parent,
        )
    except subprocess.TimeoutExpired:
        return "no end"
    return f"{done.stdout}exit {done.returncode}\n"
