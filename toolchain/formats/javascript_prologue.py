"""Reads how a script begins: what must stay in front of code that is put before it."""

from __future__ import annotations

from dataclasses import dataclass

from toolchain.formats.javascript import read
from toolchain.formats.javascript_parsing import parse


@dataclass(frozen=True, slots=True)
class Prologue:
    """What a script begins with."""

    hashbang_bytes: int  # of the line ``#!...`` with its end; 0 without one
    strict: bool  # it says "use strict"
    is_esm: bool


def prologue(data: bytes) -> Prologue:
    r"""Return how a script begins.

    >>> prologue(b'#!/usr/bin/env node\n"use strict"; f()')
    Prologue(hashbang_bytes=20, strict=True, is_esm=False)
    """
    line = data.partition(b"\n")[0] + b"\n" if data.startswith(b"#!") else b""
    _, tree = parse(data)
    directives = []
    for statement in tree.root_node.named_children:
        if statement.type in {"comment", "hash_bang_line"}:
            continue
        inner = statement.named_children
        if statement.type != "expression_statement" or [n.type for n in inner] != ["string"]:
            break
        directives.append(inner[0].text)
    strict = any(text in {b'"use strict"', b"'use strict'"} for text in directives)
    return Prologue(min(len(line), len(data)), strict, read(data).is_esm)
