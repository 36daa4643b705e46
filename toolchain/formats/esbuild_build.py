"""What esbuild is asked for and what it answers: builds, plug-ins, outputs, messages."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """An error or a warning of esbuild; ``line`` counts from 1, 0 where there is no place."""

    text: str
    file: str = ""
    line: int = 0
    column: int = 0  # 0-based, in bytes
    source: str = ""  # the line of the file
    notes: tuple[str, ...] = ()

    def where(self) -> str:
        """Return ``file:line``, or an empty string where there is no place."""
        return f"{self.file}:{self.line}" if self.file else ""


@dataclass(frozen=True, slots=True)
class Resolving:
    """An import that esbuild asks a plug-in about; paths are absolute."""

    path: str
    importer: str
    kind: str  # import-statement, require-call, dynamic-import, entry-point ...
    folder: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """A plug-in's answer: the absolute path of a file, or ``external``: stays an import."""

    path: str
    external: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plug-in's answer: what to compile in place of a file, and as what."""

    contents: bytes
    loader: str


class Plugin:
    """Answers esbuild's questions from Python; ``None`` leaves a question to esbuild.

    The filters are Go regular expressions on the import as written and on the file's path.
    """

    name = "vtool"
    resolve_filter = ""
    load_filter = ""

    def resolve(self, question: Resolving) -> Resolved | None:
        """Say what an import means."""
        raise NotImplementedError(question)

    def load(self, path: str) -> Loaded | None:
        """Say what is in a file."""
        raise NotImplementedError(path)


@dataclass(frozen=True, slots=True)
class Build:
    """What to bundle. ``entries`` maps output names without extension to files in ``folder``."""

    folder: Path
    entries: Mapping[str, str]
    flags: tuple[str, ...] = ()  # as on esbuild's command line
    plugin: Plugin | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """One import of a module or output: what it leads to, and as what it was written."""

    path: str
    kind: str
    external: bool
    original: str = ""


@dataclass(frozen=True, slots=True)
class Input:
    """One module that was read."""

    size_bytes: int
    imports: tuple[Import, ...]
    form: str = ""  # "esm" or "cjs"; empty where a file is neither


@dataclass(frozen=True, slots=True)
class Output:
    """One written file: ``inputs`` maps modules to the bytes they take up in it."""

    path: str  # relative to the folder of the build
    data: bytes
    inputs: Mapping[str, int] = field(default_factory=dict)
    imports: tuple[Import, ...] = ()
    exports: tuple[str, ...] = ()
    entry: str = ""
    css: str = ""  # the output with the style sheets that it imports, which nothing loads
    map: bytes = b""  # its source map, where one was asked for; sources are relative to ``path``


@dataclass(frozen=True, slots=True)
class Result:
    """What a build or transform gave; outputs are sorted by path, and none if there are errors."""

    outputs: tuple[Output, ...]
    inputs: Mapping[str, Input]
    errors: tuple[Message, ...]
    warnings: tuple[Message, ...]


def messages(raw: list[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Read esbuild's list of errors or warnings."""
    found = []
    for one in raw:
        place = one["location"] or {"file": "", "line": 0, "column": 0, "lineText": ""}
        notes = tuple(note["text"] for note in one["notes"])
        found.append(
            Message(
                one["text"], place["file"], place["line"], place["column"], place["lineText"], notes
            )
        )
    return tuple(found)


def result(answer: Mapping[str, Any], folder: Path) -> Result:
    """Read the answer to a build in ``folder``, its metafile included."""
    meta = json.loads(answer["metafile"] or b'{"inputs": {}, "outputs": {}}')
    outputs = []
    files = {
        os.path.relpath(raw["path"], folder.resolve()).replace(os.sep, "/"): raw["contents"]
        for raw in answer["outputFiles"]
    }
    for path, data in files.items():
        if path.removesuffix(".map") != path and path.removesuffix(".map") in files:
            continue
        about = meta["outputs"].get(path, {})
        outputs.append(
            Output(
                path,
                data,
                {i: use["bytesInOutput"] for i, use in about.get("inputs", {}).items()},
                _imports(about.get("imports", [])),
                tuple(about.get("exports", ())),
                about.get("entryPoint", ""),
                css=about.get("cssBundle", ""),
                map=files.get(f"{path}.map", b""),
            )
        )
    return Result(
        tuple(sorted(outputs, key=lambda o: o.path)),
        {
            path: Input(i["bytes"], _imports(i["imports"]), i.get("format", ""))
            for path, i in meta["inputs"].items()
        },
        messages(answer["errors"]),
        messages(answer["warnings"]),
    )


def _imports(raw: list[Mapping[str, Any]]) -> tuple[Import, ...]:
    return tuple(
        Import(i["path"], i["kind"], bool(i.get("external")), i.get("original", "")) for i in raw
    )
