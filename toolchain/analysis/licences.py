"""The licences of packages whose code ships inside other files, as one text."""

from __future__ import annotations

from collections.abc import Collection

from toolchain.analysis.packages import is_notice, package_of
from toolchain.formats.package_json import parse
from toolchain.ir import ArtifactId, Graph, Store


def licences(packages: Collection[str], graph: Graph, store: Store) -> dict[str, str]:
    """Return what ``packages`` (their folders) say of their licences, by where they say it.

    First name, version and licence of each package as its ``package.json`` states them, then the
    licence and notice files that come with them.

    Errors:
        FormatError: a ``package.json`` is not one.
    """
    files = graph.files
    texts = {}
    for package in sorted(packages):
        label = files.get(ArtifactId(f"{package}/package.json"))
        fields = parse(store.get(label.digest)).fields if label else {}
        stated = fields.get("license") or "licence not stated"
        texts[package] = f"{fields.get('name', package)} {fields.get('version', '')}: {stated}"
    for artifact in files.values():
        if is_notice(artifact) and package_of(artifact.id) in packages:
            text = store.get(artifact.digest).decode("utf-8", errors="replace")
            texts[artifact.id] = text
    return texts
