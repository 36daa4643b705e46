"""Writes findings about unused code: one a package, the largest first, the rest counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from toolchain.ir import ArtifactId, Finding, Graph, Severity, Store
from toolchain.program.usage import ModuleUse, Saved, State, Use, usage
from toolchain.units import Bytes, show_bytes

_ADVICE = "remove them, or run the pass tree-shake"
_SHOWN = 8  # ours: lines of evidence in a finding; a report of ten packages fits on a page


@dataclass(frozen=True, slots=True)
class Piece:
    """One unused thing: where it is, what it is called, and what goes with it."""

    where: str
    name: str
    size: int

    @property
    def line(self) -> str:
        """Return the piece as a line of evidence."""
        name = f" {self.name}" if self.name else ""
        return f"{self.where}{name}: {show_bytes(self.size)}"


def pieces(module: str, uses: Iterable[Use]) -> list[Piece]:
    """Return what is dead among the exports or declarations of a module."""
    dead = (use for use in uses if use.state is State.DEAD)
    return [Piece(f"{module}:{use.line}", use.name or "(statement)", use.size) for use in dead]


def dead(check: str, package: str, what: str, advice: str, found: Dead) -> Finding:
    """Return the finding about what is dead in a package. ``what`` is "module" or the like."""
    listed = sorted((p for p in found.pieces if p.size), key=lambda p: (-p.size, p.where, p.name))
    rest = listed[_SHOWN:]
    more = [f"and {len(rest)} more: {show_bytes(sum(p.size for p in rest))}"] if rest else []
    names = len(found.pieces) - len(listed)
    if names:
        more.append(f"and {names} that {'is' if names == 1 else 'are'} only a name: no code goes")
    saved = f"{show_bytes(found.saved.raw)} ({show_bytes(found.saved.gzip)} with gzip)"
    return Finding(
        check=check,
        where=ArtifactId(package),
        message=f"{counted(len(found.pieces), what)} nobody needs: {saved}",
        advice=advice,
        cost=Bytes(found.saved.raw),
        severity=Severity.WARNING,
        evidence=(*(p.line for p in listed[:_SHOWN]), *more),
    )


@dataclass(frozen=True, slots=True)
class Dead:
    """What is dead in a package, and what goes with all of it."""

    pieces: Sequence[Piece]
    saved: Saved


def unknown(check: str, package: str, what: str, whys: Sequence[tuple[str, str]]) -> Finding:
    """Return the note about what nobody can tell in a package: ``whys`` are places and reasons."""
    rest = len(whys) - _SHOWN
    more = [f"and {rest} more"] if rest > 0 else []
    return Finding(
        check=check,
        where=ArtifactId(package),
        message=f"nobody can tell whether {counted(len(whys), what)} "
        f"{'is' if len(whys) == 1 else 'are'} needed",
        advice="say it so that a reader can see it: names as strings, ES modules, pure calls",
        severity=Severity.NOTE,
        evidence=(*(f"{where}: {why}" for where, why in whys[:_SHOWN]), *more),
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
        if whys:
            findings.append(unknown(check, package, what, whys))
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
