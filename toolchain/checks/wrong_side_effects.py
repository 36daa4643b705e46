"""Finds modules that act when they are loaded although their package says that none does.

What it does
    Follows what each statement does of the modules whose ``package.json`` claims ``sideEffects:
    false`` (or leaves them out of its list): a change of something global, of something that
    another module holds, output, what runs later. Only what certainly happens is reported, with its
    line; what nobody can follow is not.

Why
    Bundlers believe the claim: a module that registers a codec, patches a prototype or fills a
    table is left out where nobody imports a name of it, and the program fails only when bundled.

Advice
    Name those modules in ``sideEffects``; the finding has the list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from toolchain.formats.package_json import parse
from toolchain.ir import ArtifactId, Finding, Graph, Severity, Store
from toolchain.program.shaking import Shaking
from toolchain.program.told import counted
from toolchain.program.usage import usage

_SHOWN = 8  # ours: as in the other findings about modules


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield a finding for each package whose claim is wrong."""
    found = usage(graph, store)
    if found is None:
        return
    program, source = found.shaking.program, found.shaking.source
    wrong: dict[str, dict[str, list[str]]] = {}
    executed = found.shaking.found.executed
    imported = {target for module in executed for target in program.imported(module)}
    # what is only started by its address, a worker, runs whatever the package claims
    for module in sorted(program.quiet & executed & imported):
        home = source.home(module)
        lines = list(_noticed(found.shaking, module))
        if home is not None and lines:
            wrong.setdefault(home, {})[module] = lines
    for home, modules in sorted(wrong.items()):
        yield _finding(home, modules, source.files.read(f"{home}/package.json" if home else _OWN))


_OWN = "package.json"


def _noticed(shaken: Shaking, module: str) -> Iterator[str]:
    """Yield what the items of a module certainly do that others notice."""
    text = shaken.program.modules[module]
    for number, item in enumerate(text.items):
        effect = shaken.inspection.effect(module, number)
        if effect.proved:
            yield effect.proved
            continue
        far = sorted({(c.module, c.name) for c in effect.changes if c.module not in {"", module}})
        if far and not item.declares and (module, number) in shaken.found.items:
            line = shaken.source.files.read(module).count(b"\n", 0, item.start) + 1
            yield f"changes {far[0][1]} of {far[0][0]} at line {line}"


def _finding(home: str, modules: dict[str, list[str]], manifest: bytes) -> Finding:
    start = f"{home}/" if home else ""
    fields = parse(manifest).fields
    before = fields.get("sideEffects")
    kept = [one for one in before if isinstance(one, str)] if isinstance(before, list) else []
    acting = [f"./{module.removeprefix(start)}" for module in modules]
    evidence = [f"{module}: {line}" for module, lines in modules.items() for line in lines]
    rest = len(evidence) - _SHOWN
    more = [f"and {rest} more"] if rest > 0 else []
    listed = json.dumps(sorted({*kept, *acting}), ensure_ascii=False)
    verb = "acts" if len(modules) == 1 else "act"
    return Finding(
        check="wrong-side-effects",
        where=ArtifactId(f"{start}package.json"),
        message=f"says that loading changes nothing, but {counted(len(modules), 'module')} {verb}",
        advice=f'write "sideEffects": {listed}',
        severity=Severity.WARNING,
        evidence=(*evidence[:_SHOWN], *more),
    )
