"""Rewrites a stack trace of scripts that were built to the places in their sources.

Understands what every engine has in common: an address, a line and a column, both from 1, as
``address:line:column`` at the end of a frame. All other text stays.

>>> from toolchain.formats.sourcemap import parse
>>> a = parse(b'{"version": 3, "sources": ["src/a.ts"], "names": [], "mappings": "AAEA"}')
>>> traced("at f (https://x.org/v1/app/main.js?b=2:1:7)", {"app/main.js": a})
'at f (src/a.ts:3:1)'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from toolchain.formats.sourcemap import Place, SourceMap

# The address of a frame: after "(", "@", or a space; it may hold "(" itself only percent-encoded
_FRAME = re.compile(r"([^\s()@]+):(\d+):(\d+)(?=\)?\s*$)", re.MULTILINE)


def traced(text: str, maps: Mapping[str, SourceMap]) -> str:
    """Return ``text`` with the places of scripts in ``maps``, by path, as places in their sources.

    A script is found by the end of its address: by its path, else by its name if that is the only
    one so. What no map knows stays as it is.
    """
    return _FRAME.sub(lambda frame: _frame(frame, maps), text)


def _frame(frame: re.Match[str], maps: Mapping[str, SourceMap]) -> str:
    found = _map(frame[1], maps)
    place = found.original(int(frame[2]) - 1, int(frame[3]) - 1) if found else None
    return _shown(place) if place else frame[0]


def _map(address: str, maps: Mapping[str, SourceMap]) -> SourceMap | None:
    path = unquote(address.partition("?")[0].partition("#")[0])
    whole = [m for name, m in maps.items() if path == name or path.endswith(f"/{name}")]
    if len(whole) == 1:
        return whole[0]
    last = path.rpartition("/")[2]
    alike = [m for name, m in maps.items() if name.rpartition("/")[2] == last]
    return alike[0] if len(alike) == 1 and not whole else None


def _shown(place: Place) -> str:
    return f"{place.source}:{place.line + 1}:{place.column + 1}"
