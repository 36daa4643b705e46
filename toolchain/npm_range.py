"""Ranges of versions as npm reads them."""

from __future__ import annotations

from semantic_version import NpmSpec, Version

_OPERATORS = frozenset({"<", "<=", ">", ">=", "=", "~", "~>", "^"})


def npm_range(wanted: str) -> NpmSpec | None:
    """Return the range; None for a tag. npm allows blanks after an operator, NpmSpec does not."""
    words = wanted.split()
    tight = "".join(word if word in _OPERATORS else f"{word} " for word in words)
    try:
        return NpmSpec(tight.replace("~>", "~").strip())
    except ValueError:
        return None


def real_name(name: str, wanted: str) -> tuple[str, str]:
    """Return the package's own name and range: ``npm:real@^1`` is an alias.

    >>> real_name("b", "npm:@s/a@^1"), real_name("b", "^2")
    (('@s/a', '^1'), ('b', '^2'))
    """
    if not wanted.startswith("npm:"):
        return name, wanted.strip()
    real, _at, inner = wanted.removeprefix("npm:").rpartition("@")
    return (real, inner) if real else (inner, "")


def accepts(wanted: str, version: str) -> bool | None:
    """Whether ``version`` fits the range; None where one of them is no version or range.

    >>> accepts("^1.2", "1.9.0"), accepts("^1.2", "2.0.0"), accepts("workspace:*", "1.0.0")
    (True, False, None)
    """
    spec = npm_range(wanted)
    try:
        found = Version(version)
    except ValueError:
        return None
    return bool(spec.match(found)) if spec is not None else None
