"""Between TOML or JSON text and frozen dataclasses: one validator for all of them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform

from toolchain.errors import ConfigError

T = TypeVar("T")

# pydantic speaks of Python; who writes TOML knows these words
_WORDS = {
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "dataclass_type": "should be a table of keys",
    "extra_forbidden": "unknown key",
    "mapping_type": "should be a table of keys",
    "dict_type": "should be a table of keys",
    "missing": "this key is missing",
    "string_type": "should be text in quotes",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "int_parsing": "should be a whole number",
    "finite_number": "should be a finite number",
    "unexpected_keyword_argument": "unknown key",
}


@dataclass_transform(frozen_default=True)
def table(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen dataclass that refuses unknown keys when read by ``load``."""
    cls.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]  # pydantic reads it
    return dataclass(frozen=True)(cls)


def load(path: Path, kind: type[T]) -> T:
    """Read the TOML or JSON file at ``path`` as a ``kind``.

    Errors:
        ConfigError: no such file, not TOML/JSON, an unknown key, or a value of the wrong type.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no file {path}",
            hint="create it (docs/project.md shows how) or correct the path",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", hint="it must be a UTF-8 text file"
        ) from error
    try:
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}", hint="correct the syntax at that place") from error
    return check(data, kind, where=str(path))


def check(data: object, kind: type[T], *, where: str) -> T:
    """Return ``data`` as a ``kind``; ``where`` names its origin in errors.

    Errors:
        ConfigError: an unknown key, a missing one, or a value of the wrong type.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - 0.2 s, only where used

    try:
        # as JSON: strict (no "40" for a number), and yet an array may become a tuple
        return TypeAdapter(kind).validate_json(json.dumps(data, default=str), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = ": ".join(filter(None, (where, _place(first["loc"]), _words(first))))
        raise ConfigError(said, hint=_hint(first)) from error


def _place(steps: Iterable[str | int]) -> str:
    """Write the way to a value; people count from one.

    >>> _place(("step", 0, "why")), _place(("voice", "stt", "model"))
    ('step 1: why', 'voice.stt.model')
    """
    text = ""
    for step in steps:
        after_number = text[-1:].isdigit()
        if isinstance(step, int):
            text += f" {step + 1}"
        else:
            text += f"{': ' if after_number else '.' if text else ''}{step}"
    return text


def _words(problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    kind, given = problem["type"], problem["input"]
    if kind in {"tuple_type", "list_type"}:
        is_one = isinstance(given, str | int | float)
        return f"should be an array{f', as in [{json.dumps(given)}]' if is_one else ''}"
    if kind in {"literal_error", "enum"}:
        return f"should be {problem['ctx']['expected']}"
    said = str(problem["msg"]).removeprefix("Value error, ").replace("Input should", "should")
    return _WORDS.get(kind, said)


def _hint(problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    if problem["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        return f"remove or correct the key {problem['loc'][-1]!r}"
    if problem["type"] == "missing":
        return f"add the key {problem['loc'][-1]!r}"
    if isinstance(problem["input"], dict):  # what was read as a whole
        return "correct the value that is named"
    return f"the value given is {json.dumps(problem['input'])}"[:200]


def dump(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return ``value`` (dataclasses, enums, tuples, mappings) as plain JSON data."""
    from pydantic_core import to_jsonable_python  # noqa: PLC0415 - only where used

    return to_jsonable_python(value)
