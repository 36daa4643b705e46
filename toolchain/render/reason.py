"""Why an artifact is there, as text: the chain from a root, one step a line."""

from __future__ import annotations

from toolchain.analysis.why import Why
from toolchain.units import show_bytes


def as_text(reason: Why) -> str:
    """Return the chain and the retained size for a terminal."""
    sizes = f"{show_bytes(reason.size)} itself, {show_bytes(reason.retained)} retained"
    lines = [f"{reason.artifact}: {sizes}"]
    lines += (
        [", ".join(f"{name} {text}" for name, text in reason.facts.items())] if reason.facts else []
    )
    if reason.root is None:
        return "\n".join([*lines, "no root reaches it by a name that is known"])
    if not reason.chain:
        return "\n".join([*lines, "it is a root: vtool.toml or the package itself names it"])
    lines.append(f"root  {reason.root}")
    at = reason.root
    for edge in reason.chain:
        at = edge.target if edge.source == at else edge.source  # a sibling is needed backwards
        lines.append(f"  {edge.relation} -> {at}")
    return "\n".join(lines)
