"""Takes a report page apart as a browser would, and runs its pure functions in node."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from toolchain.sources import tools

_NODE_TIMEOUT_S = 60.0  # one call takes 50 ms; a busy machine some seconds


@dataclass
class Script:
    """One ``<script>`` with its attributes and text."""

    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """What a page holds: its tags in order, its scripts and its styles."""

    source: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    scripts: list[Script] = field(default_factory=list)
    style: str = ""
    _open: str = ""

    def __post_init__(self) -> None:
        HTMLParser.__init__(self, convert_charrefs=True)
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append(Script(dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Leave a tag."""
        self._open = "" if tag == self._open else self._open

    def handle_data(self, data: str) -> None:
        """Note what a script or a style says."""
        if self._open == "script":
            self.scripts[-1].text += data
        elif self._open == "style":
            self.style += data

    def script(self, name: str) -> Script:
        """Return the one script with the id ``name``."""
        [found] = [s for s in self.scripts if s.attributes.get("id") == name]
        return found

    @property
    def data(self) -> Any:  # noqa: ANN401 - JSON
        """The JSON inside the page."""
        return json.loads(self.script("vtool-data").text)


def in_node(pure: str, expression: str, value: object = None) -> Any:  # noqa: ANN401 - JSON
    """Return ``expression`` as node evaluates it after ``pure``, with ``given`` as ``value``."""
    program = (
        f"{pure}\nconst given = JSON.parse(require('fs').readFileSync(0, 'utf8'));\n"
        f"process.stdout.write(JSON.stringify({expression}));"
    )
    done = subprocess.run(
        [str(tools.node()), "-e", program],
        input=json.dumps(value),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_NODE_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
