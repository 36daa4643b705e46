"""Where something was measured, and in what two such places differ."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class Machine:
    """What of a machine decides how fast it is; no host name, no path.

    None where it is not known: reports of older versions do not hold all of it, and a virtual
    machine does not show its governor.
    """

    cpu: str
    cores: int  # that the process may use
    memory_bytes: int
    system: str
    python: str
    versions: tuple[tuple[str, str], ...] = ()
    governor: str | None = None  # how Linux chooses the clock rate: "performance", "powersave"
    limits: tuple[tuple[str, float], ...] | None = None
    """Of the container: "cpu" in cores, "memory" in bytes; () where it has none."""
    load: float | None = field(default=None, compare=False)
    """Processes that wanted to run, mean of the last minute, when it was asked. It changes from
    minute to minute, so it makes no other machine."""

    def differences(self, other: Machine) -> tuple[str, ...]:
        """Return in what the two differ; () if measures of both may be compared.

        What one of them does not know is no difference, and neither is the load.

        >>> here = Machine("EPYC", 2, 8, "Linux", "3.11", governor="performance")
        >>> here.differences(Machine("EPYC", 4, 8, "Linux", "3.11"))
        ('cores 2 and 4',)
        """
        plain = [f.name for f in fields(self) if f.compare and f.name != "versions"]
        found = [
            f"{name.removesuffix('_bytes')} {_shown(one)} and {_shown(two)}"
            for name in plain
            for one, two in [(getattr(self, name), getattr(other, name))]
            if one != two and None not in {one, two}
        ]
        others = dict(other.versions)
        return (
            *found,
            *(
                f"{name} {version} and {others[name]}"
                for name, version in self.versions
                if name in others and others[name] != version
            ),
        )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{name} {amount:g}" for name, amount in value) or "none"
    return str(value)
