"""Finds the comments in JavaScript that must stay with the code: licences and notices."""

from __future__ import annotations

from toolchain.formats.javascript import comments

_SIGNS = (b"@license", b"@preserve")
_STARTS = (b"/*!", b"//!")


def legal_comments(data: bytes) -> list[str]:
    r"""Return the legal comments of a module, each once, in order.

    Legal is what esbuild, terser and closure take for it: ``/*!``, ``//!``, ``@license`` and
    ``@preserve``.

    >>> legal_comments(b"/*! a */ let x; // @license b\n/* no */ /*! a */")
    ['/*! a */', '// @license b']
    """
    if not any(sign in data for sign in (*_SIGNS, *_STARTS)):
        return []  # most modules: not parsed
    found = (c for c in comments(data) if c.startswith(_STARTS) or any(s in c for s in _SIGNS))
    return list(dict.fromkeys(c.decode("utf-8", errors="replace").strip() for c in found))
