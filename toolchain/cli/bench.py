"""``vtool bench``: does B take more CPU time than A; and can the clock here be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from toolchain.cli.show import MOST_REPEATS, JsonOption, progress, write_json

if TYPE_CHECKING:  # numpy is imported when the command runs
    from toolchain.harness.bench import Plan
    from toolchain.ir import State
    from toolchain.sides import BenchRequest


def bench(
    baseline: Annotated[
        str | None,
        typer.Argument(
            metavar="A", help="A project, or a result of `vtool optimize`: the baseline."
        ),
    ] = None,
    candidate: Annotated[
        str | None, typer.Argument(metavar="B", help="The other one, which must not take more.")
    ] = None,
    scenario: Annotated[str, typer.Option(help="A file in rules/scenarios that plays turns.")] = (
        "single-turn"
    ),
    project: Annotated[
        str | None, typer.Option(help="Whose results A and B are, where neither is a project.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="The share of CPU time that B may add.")] = 0.05,
    rounds: Annotated[int, typer.Option(help="Rounds until the first verdict.")] = 10,
    most: Annotated[int, typer.Option(help="Rounds at most, where it is inconclusive.")] = 40,
    repeats: Annotated[
        int,
        typer.Option(
            min=1, max=MOST_REPEATS, help="Plays of each clip in a round; the least counts."
        ),
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the order and of the bounds.")] = 0,
    instructions: Annotated[
        bool, typer.Option("--instructions", help="Count instructions with valgrind instead.")
    ] = False,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Test the clock of this machine; A may be left out.")
    ] = False,
    windows: Annotated[int, typer.Option(help="Windows of each kind in the self-test.")] = 100,
    neighbours: Annotated[int, typer.Option(help="Busy processes beside the self-test.")] = 2,
    json: JsonOption = None,
) -> None:
    """Play the same clips through A and B in turn, and judge the CPU time.

    Exit codes: 0 B takes at most the tolerance more, 1 it takes more, 5 that cannot be told.

    With --self-test: 0 no false alarm and +10 % is found, 1 not so, 5 too few windows.

    Examples:

      vtool bench fixtures/voice-app build/vtool/voice-app

      vtool bench fixtures/voice-app build/vtool/voice-app --tolerance 0.02 --most 80

      vtool bench fixtures/voice-app build/vtool/voice-app --instructions

      vtool bench --self-test
    """
    from toolchain import gate, sides
    from toolchain.errors import ConfigError
    from toolchain.harness.bench import Plan

    plan = Plan(rounds, most, repeats, tolerance, seed)
    if self_test:
        if candidate is not None:
            raise ConfigError(
                "--self-test compares a project with itself", hint="leave B out, and perhaps A"
            )
        if instructions:
            raise ConfigError(
                "--self-test is of the clock, which --instructions does without",
                hint="ask for one of them",
            )
        state = _tested(baseline, (windows, neighbours), plan, json)
    elif baseline is None or candidate is None:
        raise ConfigError(
            "two applications are needed, A and B",
            hint="name a project and a result of `vtool optimize`, or ask for --self-test",
        )
    else:
        asked = sides.BenchRequest(baseline, candidate, scenario, project)
        state = _counted(asked, json) if instructions else _compared(asked, plan, json)
    raise typer.Exit(gate.exit_code_of([state]))


def _compared(asked: BenchRequest, plan: Plan, json: str | None) -> State:
    from toolchain import sides
    from toolchain.render import comparison
    from toolchain.workspace import Workspace

    with progress() as bars:
        found = sides.bench(asked, plan, Workspace.open(progress=bars))
    if not write_json(comparison.document(found) if json else "", json):
        comparison.print_comparison(found)
    return found.state


def _counted(asked: BenchRequest, json: str | None) -> State:
    from toolchain import sides
    from toolchain.ir import State
    from toolchain.render import comparison
    from toolchain.workspace import Workspace

    with progress() as bars:
        counts = sides.instructions(asked, Workspace.open(progress=bars))
    if not write_json(comparison.document(counts) if json else "", json):
        comparison.print_counts(*counts)
    return State.MET  # nothing is judged


def _tested(project: str | None, size: tuple[int, int], plan: Plan, json: str | None) -> State:
    from toolchain import sides
    from toolchain.render import comparison
    from toolchain.workspace import Workspace

    with progress() as bars:
        found = sides.check_clock(project, *size, plan, Workspace.open(progress=bars))
    if not write_json(comparison.document(found) if json else "", json):
        comparison.print_self_test(found)
    return found.state
