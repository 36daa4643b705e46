"""``vtool explain``: the documentation of a pass, a check or a proof, from its own source."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Annotated, Any

import typer

from toolchain.cli.show import JsonOption, write_json

_ROOMS = ("passes", "checks", "verify")


def explain(
    name: Annotated[
        str | None, typer.Argument(help="Name of a pass, check or proof; without it: all names.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Print what a pass, check or proof does, why, and its options.

    Examples:

      vtool explain strip-wasm

      vtool explain
    """
    import json as jsonlib
    from difflib import get_close_matches

    from toolchain import plugins
    from toolchain.errors import ConfigError

    known = {room: plugins.names(room) for room in _ROOMS}
    if name is None:
        if not write_json(jsonlib.dumps(known, indent=1) if json else "", json):
            for room, names in known.items():
                typer.echo(f"{room}:")
                typer.echo("".join(f"  {n}\n" for n in names), nl=False)
        return
    rooms = [room for room, names in known.items() if name in names]
    if not rooms:
        every = sorted({n for names in known.values() for n in names})
        near = get_close_matches(name, every, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`vtool explain` lists all names"
        raise ConfigError(f"nothing is called {name!r}", hint=hint)
    documents = [_document(room, name) for room in rooms]
    if not write_json(jsonlib.dumps(documents, indent=1) if json else "", json):
        for document in documents:
            typer.echo(f"{document['name']} ({document['room']})\n\n{document['text']}")
            for option in document["options"]:
                typer.echo(f"\noption {option['name']} = {option['default']}")


def _document(room: str, name: str) -> dict[str, Any]:
    from toolchain import plugins
    from toolchain.passes.base import pass_class

    module = plugins.find(room, name)
    options = []
    if room == "passes":
        options = [
            {"name": f.name, "default": _default(f)} for f in dataclasses.fields(pass_class(name))
        ]
    text = inspect.cleandoc(module.__doc__ or "")
    return {"name": name, "room": room, "text": text, "options": options}


def _default(option: dataclasses.Field[object]) -> str:
    if option.default is not dataclasses.MISSING:
        return repr(option.default)
    if option.default_factory is not dataclasses.MISSING:
        return repr(option.default_factory())
    return "(required)"
