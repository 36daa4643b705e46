"""Writes a ``Profile`` as JSON text and reads it back: ``profile.json`` and ``--json``."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from toolchain.errors import InputError
from toolchain.ir.profile import PROFILE_VERSION, Profile

SCHEMA_ID = f"urn:vtool:profile:{PROFILE_VERSION}"
_ADAPTER = TypeAdapter(Profile)


def document(profile: Profile) -> dict[str, Any]:
    """Return ``profile`` as plain JSON data; what is unknown or empty is left out."""
    found: dict[str, Any] = _ADAPTER.dump_python(profile, mode="json", exclude_defaults=True)
    return {"schema_version": profile.schema_version, **found}


def write(profile: Profile) -> str:
    """Return ``profile`` as JSON text.

    Errors:
        ValueError: a sample is not a finite number, which JSON cannot say.
    """
    text = json.dumps(document(profile), ensure_ascii=False, allow_nan=False, indent=1)
    return text.encode("utf-8", "replace").decode("utf-8") + "\n"


def parse(data: str | bytes, *, where: str) -> Profile:
    """Return the profile in ``data``; ``where`` names its origin in errors.

    Errors:
        InputError: it is no profile of this ``schema_version``.
    """
    hint = f"this vtool reads profiles of schema_version {PROFILE_VERSION}"
    try:
        found = _ADAPTER.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "top level"
        raise InputError(
            f"{where}: {place}: {first['msg'].removeprefix('Value error, ')}", hint=hint
        ) from error
    if found.schema_version != PROFILE_VERSION:
        raise InputError(f"{where} has schema_version {found.schema_version}", hint=hint)
    return found


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that ``reports/profile.schema.json`` publishes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **_ADAPTER.json_schema(),
        "title": "vtool profile",
    }
