"""Writes findings about unused code: one a package, the largest first, the rest counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from toolchain.ir import ArtifactId, Finding, Graph, Severity, Store
from toolchain.program import reasons
from toolchain.program.usage import ModuleUse, Saved, State, Use, usage
from toolchain.units import Bytes, show_bytes

_ADVICE = "remove them, or run the pass tree-shake"
_UNNAMED = "(statement)"
_SHOWN = 3  # ours: names in a message, which is one or two lines; the evidence holds all of them


@dataclass(frozen=True, slots=True)
class Piece:
    """One unused thing: where it is, what it is called, and what goes with it."""

    where: str
    name: str
    size: int

    @property
    def line(self) -> str:
        """Return the piece as a line of evidence."""
        size = show_bytes(self.size) if self.size else "only a name, no code goes"
        return f"{self.where}{f' {self.name}' if self.name else ''}: {size}"


def pieces(module: str, uses: Iterable[Use]) -> list[Piece]:
    """Return what is dead among the exports or declarations of a module."""
    dead = (use for use in uses if use.state is State.DEAD)
    return [Piece(f"{module}:{use.line}", use.name or _UNNAMED, use.size) for use in dead]


def dead(check: str, package: str, what: str, advice: str, found: Dead) -> Finding:
    """Return the finding about what is dead in a package. ``what`` is "module" or the like."""
    listed = sorted(found.pieces, key=lambda p: (-p.size, p.where, p.name))
    saved = f"{show_bytes(found.saved.raw)} ({show_bytes(found.saved.gzip)} with gzip)"
    is_code = found.saved.raw > 0
    names = [p.where if p.name in {"", _UNNAMED} else p.name for p in listed[:_SHOWN]]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return Finding(
        check=check,
        where=ArtifactId(package),
        message=f"{counted(len(listed), what)} nobody needs, "
        f"{saved if is_code else 'names only, no code goes'}: {', '.join(names)}{more}",
        advice=advice,
        cost=Bytes(found.saved.raw),
        severity=Severity.WARNING if is_code else Severity.NOTE,
        evidence=tuple(p.line for p in listed),
    )


@dataclass(frozen=True, slots=True)
class Dead:
    """What is dead in a package, and what goes with all of it."""

    pieces: Sequence[Piece]
    saved: Saved


def unknown(
    check: str, package: str, what: str, whys: Iterable[tuple[str, str]]
) -> Iterator[Finding]:
    """Yield notes about what nobody can tell in a package: one for each thing to do about it.

    ``whys`` are places and reasons.
    """
    by_advice: dict[str, list[tuple[str, str]]] = {}
    for where, why in whys:
        advice = reasons.advice(why, is_foreign="node_modules" in package.split("/"))
        by_advice.setdefault(advice, []).append((where, why))
    for advice, found in sorted(by_advice.items()):
        (where, why), more = found[0], len(found) - 1
        others = f"; {more} more like it" if more else ""
        yield Finding(
            check=check,
            where=ArtifactId(package),
            message=f"nobody can tell whether {counted(len(found), what)} "
            f"{'are' if more else 'is'} needed: {where}: {why}{others}",
            advice=advice,
            severity=Severity.NOTE,
            evidence=tuple(f"{where}: {why}" for where, why in found),
        )


def unused(
    check: str, graph: Graph, store: Store, of: Callable[[ModuleUse], tuple[Sequence[Use], Saved]]
) -> Iterator[Finding]:
    """Yield what is dead, and what nobody knows, among ``of`` the modules that are needed.

    ``of`` gives the exports or declarations of a module, and what goes with the dead ones;
    ``check`` is ``unused-export`` or the like.
    """
    found = usage(graph, store)
    what = check.removeprefix("unused-")
    findings = []
    for package, modules in found.packages.items() if found else ():
        live = [(m.module, *of(m)) for m in modules if m.state is State.LIVE]
        dead_pieces = [p for module, uses, _ in live for p in pieces(module, uses)]
        if dead_pieces:
            saved = sum((saved for _, _, saved in live), Saved())
            findings.append(dead(check, package, what, _ADVICE, Dead(dead_pieces, saved)))
        whys = [
            (f"{module}:{use.line}", use.why)
            for module, uses, _ in live
            for use in uses
            if use.state is State.UNKNOWN
        ]
        findings += unknown(check, package, what, whys)
    yield from largest_first(findings)


def largest_first(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings by what they cost; those that cost nothing known last."""
    yield from sorted(findings, key=lambda f: (-(f.cost or 0), f.cost is None, f.where))


def counted(count: int, what: str) -> str:
    """Write a count with its noun.

    >>> counted(1, "export"), counted(2, "export")
    ('1 export', '2 exports')
    """
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
