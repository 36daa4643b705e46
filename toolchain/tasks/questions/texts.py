"""The texts in ``rules/questions/``: what is asked of models that read."""

from __future__ import annotations

from typing import TypeVar

from toolchain.resources import folder
from toolchain.tables import load, table

T = TypeVar("T")


@table
class Texts:
    """One list for each split; nothing is in two of them."""

    calibration: tuple[str, ...]
    search: tuple[str, ...]
    confirmation: tuple[str, ...]


def read(family: str, kind: type[T]) -> T:
    """Return the texts of a family, which are of ``kind``: ``Texts``, or more than that."""
    return load(folder("rules") / "questions" / f"{family}.toml", kind)


def words(text: str) -> tuple[str, ...]:
    """Return the words of ``text``, case and punctuation aside.

    >>> words("Yes -- it's 7 o'clock.")
    ('yes', 'its', '7', 'oclock')
    """
    plain = "".join(c for c in text.lower() if c.isalnum() or c.isspace())
    return tuple(plain.split())
