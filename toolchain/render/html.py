"""Puts a report into a page of ``reports/``: one self-contained file, openable from disk."""

from __future__ import annotations

import json
from pathlib import Path

from toolchain import resources
from toolchain.errors import VtoolError
from toolchain.ir import Report
from toolchain.render.columns import columns
from toolchain.render.flatten import document

_START = '<script type="application/json" id="vtool-data"'
_END = "</script>"
_NOT_SHOWN = {"digest"}  # 64 characters a file that nobody reads on a page


def page(report: Report, template: Path | None = None) -> str:
    """Return ``template`` (``reports/report.html``) with ``report`` in place of its sample data.

    Errors:
        VtoolError: the template has no ``<script type="application/json" id="vtool-data">``, or
            the report holds a number that is not finite.
    """
    return filled(template or resources.folder("reports") / "report.html", data(report))


def filled(template: Path, text: str) -> str:
    """Return the page ``template`` with the JSON ``text``, which must be inert, as its data.

    Errors:
        VtoolError: it has no ``<script type="application/json" id="vtool-data">``.
    """
    page_text = template.read_text("utf-8")
    before, start, rest = page_text.partition(_START)
    _, end, after = rest.partition(_END)
    if not start or not end:
        raise VtoolError(
            f"{template.name} has no place for data",
            hint=f"a page needs {_START}>{{}}{_END}, see docs/report.md",
        )
    return f"{before}{start}>{text}{end}{after}"


def data(report: Report) -> str:
    """Return ``report`` as JSON that may stand inside ``<script>``, whatever its names hold.

    Files and artifacts are columns (see ``columns``), everything else is as in ``report.json``.
    """
    found = document(report)
    shown = [{k: v for k, v in row.items() if k not in _NOT_SHOWN} for row in found["files"]]
    try:
        text = json.dumps(
            {**found, "files": columns(shown), "artifacts": columns(found["artifacts"])},
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
    except ValueError as error:
        raise VtoolError(
            "the report holds a number that is not finite",
            hint="a measure or budget is NaN or infinite: leave it out where it was not measured",
        ) from error
    return inert(text)


def inert(text: str) -> str:
    r"""Return JSON ``text`` in which nothing ends a script, opens a comment or breaks a line.

    >>> inert('"</script>"')
    '"\\u003c/script>"'
    """
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return text.encode("utf-8", "replace").decode("utf-8")
