r"""Finds absolute paths of the machine that built a file, inside of that file.

What it does
    Looks in scripts, WebAssembly and native libraries for paths below a home or build folder:
    ``/home/NAME/``, ``/Users/NAME/``, ``/root/``, ``C:\Users\NAME\`` and the folders of hosted
    builds. Reports each file once, with up to three different paths, the user's name replaced.

Why
    Such a path tells who built the file and how the disk is laid out, makes builds differ from
    machine to machine, and as a library's search path it is a way to load a stranger's code.

Advice
    Compile with ``-ffile-prefix-map=$PWD=.`` (Rust: ``--remap-path-prefix``), link without RUNPATH,
    and strip debug data. esbuild and webpack: build with relative paths.

Not reported
    ``/home/web_user``, a constant in every script that Emscripten writes; addresses on the web
    (``https://host/home/...``); paths of fewer than two folders below the user's.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.analysis.reachability import reachable
from toolchain.ir import Finding, Graph, Kind, Severity, Store

_KINDS = frozenset({Kind.JS, Kind.WASM, Kind.ELF, Kind.MACHO, Kind.PE})

_HOMES = (b"/home/", b"/Users/", b":\\Users\\", b":\\\\Users\\\\", b":/Users/")
_BUILDS = (b"/root/", b"/__w/", b":\\a\\", b":\\\\a\\\\")  # a container; hosted runners' checkouts
_NOBODY = frozenset({b"web_user"})  # Emscripten's invented user: src/library_wasi.js, HOME

_PATH_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@~/\\")
_LONGEST = 400  # ours: bytes read of one path
_SHOWN = 3  # different paths a file; one would do to prove it, three show what leads to them
_DEPTH = 2  # names below the user's folder


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield one finding for each file with such a path; files that no root reaches do not ship."""
    used = reachable(graph) if graph.roots else graph.artifacts.keys()
    for name, artifact in graph.files.items():
        if artifact.kind not in _KINDS or name not in used:
            continue
        found = build_paths(store.get(artifact.digest))
        if found:
            yield Finding(
                check="embedded-build-path",
                where=name,
                message=f"holds a path of the machine that built it: {found[0]}",
                advice="build with a prefix map and without RUNPATH, and strip debug data",
                severity=Severity.WARNING,
                evidence=found,
            )


def build_paths(data: bytes) -> tuple[str, ...]:
    r"""Return up to three different build paths in ``data``, user names replaced, sorted.

    >>> build_paths(b"\0/home/ann/work/app/main.cc\0https://x.org/home/ann/work/app/b.js")
    ('/home/<user>/work/app/main.cc',)
    """
    found: set[str] = set()
    for prefix in (*_HOMES, *_BUILDS):
        at = data.find(prefix)
        while at >= 0 and len(found) < _SHOWN:
            path = _path_at(data, at, prefix)
            if path:
                found.add(path)
            at = data.find(prefix, at + len(prefix))
    return tuple(sorted(found))


def _path_at(data: bytes, at: int, prefix: bytes) -> str:
    """Return the path whose ``prefix`` is at ``at``, its user replaced; '' if it is none."""
    drive = prefix.startswith(b":")
    start = at - 1 if drive else at
    if start < 0 or (drive and not data[start : start + 1].isalpha()) or _goes_on(data, start):
        return ""
    end = at + len(prefix)
    while end < min(len(data), at + _LONGEST) and data[end] in _PATH_BYTES:
        end += 1
    below = data[at + len(prefix) : end].replace(b"\\\\", b"\\").replace(b"\\", b"/")
    user, *rest = (below if prefix in _HOMES else b"x/" + below).split(b"/")
    if user in _NOBODY or not user or len([r for r in rest if r]) < _DEPTH:
        return ""
    shown = [b"<user>", *rest] if prefix in _HOMES else rest
    head = data[start : at + len(prefix)].replace(b"\\\\", b"\\")
    separator = b"\\" if b"\\" in prefix else b"/"
    return (head + separator.join(shown)).decode("ascii")


def _goes_on(data: bytes, start: int) -> bool:
    """Whether the path is the tail of something longer, unless that is ``file://``."""
    before = data[max(0, start - 8) : start]
    if before.endswith((b"file://", b"file:///")):
        return False
    if before[-1:] == b":" and before[-2:-1].isalpha():
        before = before[:-2]  # a drive letter; but a list of folders has longer words before ":"
        return not before or before[-1] not in _PATH_BYTES
    return bool(before) and before[-1] in _PATH_BYTES
