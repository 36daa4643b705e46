"""Puts a profile into ``reports/profile.html``: one self-contained page, openable from disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolchain import resources
from toolchain.ir.profile import Profile
from toolchain.render.html import filled, inert
from toolchain.render.profile_json import document

_DIGITS = 5  # of a number on the page; profile.json has them all


def page(profile: Profile, template: Path | None = None) -> str:
    """Return the page with ``profile`` in place of its sample data.

    Errors:
        VtoolError: the template has no place for data.
        ValueError: a number is not finite.
    """
    return filled(template or resources.folder("reports") / "profile.html", data(profile))


def data(profile: Profile) -> str:
    """Return ``profile`` as JSON that may stand inside ``<script>``, whatever its texts hold."""
    text = json.dumps(
        _short(document(profile)), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return inert(text)


def _short(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_short(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if abs(value) < 10**_DIGITS else round(value)
    return value
