"""Write a ``Report`` as JSON text and read it back: what ``--json`` and ``report.json`` hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from toolchain.errors import ConfigError, InputError, VtoolError
from toolchain.ir import Report
from toolchain.ir.report import SCHEMA_VERSION
from toolchain.render.document import ReportObject
from toolchain.render.flatten import document
from toolchain.render.restore import restore

SCHEMA_ID = f"urn:vtool:report:{SCHEMA_VERSION}"


def write(report: Report) -> str:
    """Return ``report`` as JSON text: one row a line, keys always in the same order.

    Errors:
        VtoolError: a sample or limit is not a finite number, which JSON cannot say.
    """
    try:
        lines = [f" {_json(key)}: {_value(value)}" for key, value in document(report).items()]
    except ValueError as error:
        raise VtoolError(
            "the report holds a number that is not finite",
            hint="a measure or budget is NaN or infinite: leave it out where it was not measured",
        ) from error
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read(path: Path) -> Report:
    """Return the report that ``write`` wrote to ``path``.

    Errors:
        ConfigError: there is no such file.
        InputError: it is not a report, or not of this ``schema_version``.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}",
            hint="name a report.json that `vtool analyze --json` or `vtool optimize` wrote",
        ) from error
    return parse(data, where=str(path))


def parse(data: str | bytes, *, where: str) -> Report:
    """Return the report in ``data``; ``where`` names its origin in errors.

    Errors:
        InputError: it is not a report, or not of this ``schema_version``.
    """
    _known_version(data, where)
    try:
        found = _ADAPTER.validate_json(data, strict=True)
    except ValidationError as error:
        raise _malformed(error, where) from error
    return restore(found)


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that ``reports/report.schema.json`` publishes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **_ADAPTER.json_schema(),
        "title": "vtool report",
    }


_ADAPTER = TypeAdapter(ReportObject)


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
    # a file name that is not UTF-8 has lone surrogates, which no encoding of JSON can carry
    return text.encode("utf-8", "replace").decode("utf-8")


def _value(value: object) -> str:
    if isinstance(value, list) and value:
        return "[\n  " + ",\n  ".join(_json(row) for row in value) + "\n ]"
    return _json(value)


def _known_version(data: str | bytes, where: str) -> None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{where} is not JSON: {error}", hint="name a report.json that vtool wrote"
        ) from error
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version is None:
        hint = "name a report.json that vtool wrote"
        if isinstance(found, dict) and str(found.get("schema", "")).startswith("urn:vtool:bench:"):
            hint = "it is of `vtool bench`, which has judged: its exit code is the verdict"
        raise InputError(f"{where} is not a vtool report: it has no schema_version", hint=hint)
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{where} has schema_version {str(version)[:20]}, this vtool reads {SCHEMA_VERSION}",
            hint="read it with the vtool that wrote it, or write it anew with this one",
        )


def _malformed(error: ValidationError, where: str) -> InputError:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"]) or "top level"
    return InputError(
        f"{where}: {place}: {first['msg'].removeprefix('Value error, ')}",
        hint="reports/report.schema.json says what may stand there; write the report anew",
    )
