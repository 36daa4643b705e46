"""Says how a server sends a result: which file for which request, and with which headers.

Written as ``vtool-headers.json`` beside the manifest (docs/deltas.md). Names and meanings are those
of RFC 9842, Compression Dictionary Transport: section 2.1 ``Use-As-Dictionary``, 2.2
``Available-Dictionary``, 6.2 ``Vary``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from toolchain.analysis.succession import place
from toolchain.formats.compression import SUFFIX
from toolchain.formats.compression_dictionary import DCZ, dictionary_of
from toolchain.ir import Artifact, ArtifactId, Graph, Relation, Store

HEADERS = "vtool-headers.json"
_VERSION = 1
_VARY = "accept-encoding, available-dictionary"
_DICTIONARY_LEAST_BYTES = 1000  # as the passes compress and delta: less is one packet anyway
_LITERAL = "-._~!$&'@,;=+*:()"  # what URLs have in a path without percent signs
_PATTERN = frozenset("+*:(){}?")  # of these, what means something in a URL pattern


def headers(graph: Graph, store: Store) -> dict[str, Any]:
    """Return the document: for every file its representations, the smallest first.

    A server sends the first one whose ``requires`` are all in the request.
    """
    others: dict[ArtifactId, list[tuple[Artifact, dict[str, str]]]] = {}
    for edge in sorted(graph.edges):
        sibling = graph.artifacts[edge.source]
        if edge.relation is Relation.ENCODES:
            others.setdefault(edge.target, []).append((sibling, _encoded(edge.source)))
        elif edge.relation is Relation.DELTA:
            asked = _against(store.get(sibling.digest))
            others.setdefault(edge.target, []).append((sibling, asked))
    return {
        "headers_version": _VERSION,
        "files": [_file(a, others.get(i, [])) for i, a in graph.files.items()],
    }


def pattern(name: str) -> str:
    r"""Return the URL pattern that later releases of the file ``name`` match, beside it.

    >>> pattern("app/chunk-3ZB2RMEH.js"), pattern("a/très (1).js")
    ('chunk-*.js', 'tr%C3%A8s%20\\(1\\).js')
    """
    where = place(name)
    start, end = _literal(where.start), _literal(where.end or "")
    return start if where.end is None else f"{start}*{end}"


def _file(file: Artifact, others: Iterable[tuple[Artifact, dict[str, str]]]) -> dict[str, Any]:
    forms = [(file, dict[str, str]()), *others]
    sent = {"Vary": _VARY}
    if file.size >= _DICTIONARY_LEAST_BYTES:
        sent = {"Use-As-Dictionary": f"match={_quoted(pattern(file.id))}", **sent}
    return {
        "path": file.id,
        "headers": sent,
        "representations": [
            _representation(one, asked) for one, asked in sorted(forms, key=_by_size)
        ],
    }


def _by_size(form: tuple[Artifact, dict[str, str]]) -> tuple[int, str]:
    return form[0].size, form[0].id


def _representation(form: Artifact, asked: dict[str, str]) -> dict[str, Any]:
    sent = {"Content-Encoding": asked["Accept-Encoding"]} if asked else {}
    return {"file": form.id, "size": form.size, "requires": asked, "headers": sent}


def _encoded(sibling: ArtifactId) -> dict[str, str]:
    codec = next(c for c, suffix in SUFFIX.items() if sibling.endswith(suffix))
    return {"Accept-Encoding": codec.value}


def _against(delta: bytes) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(dictionary_of(delta))).decode()
    return {"Accept-Encoding": DCZ, "Available-Dictionary": f":{digest}:"}


def _literal(text: str) -> str:
    return "".join(f"\\{c}" if c in _PATTERN else c for c in quote(text, safe=_LITERAL))


def _quoted(text: str) -> str:
    """Return ``text`` as a string of a structured header field (RFC 9651, section 3.3.3)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
