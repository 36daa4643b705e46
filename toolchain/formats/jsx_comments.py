"""What comments say about JSX: which functions it calls, and where compilers import them from.

As esbuild reads them (https://esbuild.github.io/content-types/#jsx): in any comment of a module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

_CALLS = frozenset({"@jsx", "@jsxFrag"})


@dataclass(frozen=True, slots=True)
class JsxComments:
    """All that the comments of one module say."""

    calls: tuple[str, ...] = ()  # ``Preact`` for ``@jsx Preact.h``: what has to be in scope
    source: str = ""  # of ``@jsxImportSource``, "react" for ``@jsxRuntime automatic``


def jsx_comments(comments: Iterable[bytes]) -> JsxComments:
    """Return what ``comments``, each from its first slash, say about JSX.

    >>> jsx_comments([b"/** @jsx Preact.h @jsxFrag Fragment */"]).calls
    ('Preact', 'Fragment')
    """
    calls, source, runtime = [], "", ""
    for comment in comments:
        words = comment[2:].decode(errors="replace").replace("*", " ").split()
        for word, value in pairwise(words):
            if word in _CALLS:
                calls.append(first_name(value))
            elif word == "@jsxImportSource":
                source = source or value
            elif (word, value) == ("@jsxRuntime", "automatic"):
                runtime = "react"
    return JsxComments(tuple(dict.fromkeys(calls)), source or runtime)


def first_name(factory: str) -> str:
    """Return the name that has to be in scope: ``a`` of ``a.b``."""
    return factory.partition(".")[0]
