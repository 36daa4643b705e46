"""A scenario gives every number with its reason, and refuses what cannot be played."""

from dataclasses import MISSING, fields, replace
from pathlib import Path

import pytest

from toolchain import resources, tables
from toolchain.errors import ConfigError
from toolchain.harness import scenario
from toolchain.harness.scenario import KINDS, Scenario, ScenarioFile

ROOM = resources.folder("rules") / "scenarios"


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.toml")), ids=lambda p: p.stem)
def test_every_number_of_every_scenario_has_a_reason(path: Path) -> None:
    file = tables.load(path, ScenarioFile)
    numbers, kind = file.number, KINDS[file.plays]
    required = {f.name for f in fields(kind) if f.default is MISSING}
    assert required <= {n.name for n in numbers} <= {f.name for f in fields(kind)}
    assert all(len(n.why.split()) >= 5 for n in numbers)


def test_silences_are_whole_frames() -> None:
    manner = scenario.load("single-turn").manner
    assert (manner.silence_frames, manner.sure_frames, manner.answer_frames) == (8, 5, 1)


def test_the_projects_own_scenario_comes_first(tmp_path: Path) -> None:
    text = (ROOM / "single-turn.toml").read_text("utf-8")
    (tmp_path / "rules" / "scenarios").mkdir(parents=True)
    own = tmp_path / "rules" / "scenarios" / "single-turn.toml"
    own.write_text(text.replace("value = 12", "value = 7"), "utf-8")
    assert scenario.load("single-turn", tmp_path).repeats == 7
    assert scenario.load("single-turn").repeats == 12
    own.write_text(text.replace('name = "repeats"', 'name = "repeat"'), "utf-8")
    with pytest.raises(ConfigError, match="repeat"):
        scenario.load("single-turn", tmp_path)


def test_a_scenario_nobody_wrote_is_an_error_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no scenario 'nope'") as caught:
        scenario.load("nope")
    assert "single-turn" in caught.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        {"repeats": 0},
        {"warm_up": -1},
        {"warm_starts": 0},
        {"timeout_s": 0},
        {"silence_ms": 15},
        {"answer_after_ms": 10},
        {"answer_after_ms": 300},
        {"sure_silence_ms": 288},
        {"placement": 3},
        {"first_chars": 10},
        {"quiet_db": -1},
        {"placement": -1},
        {"sure_silence_ms": 32, "answer_after_ms": 64},
    ],
)
def test_what_cannot_be_played_is_refused(wrong: dict[str, int], quick: Scenario) -> None:
    assert scenario.checked(quick) is quick
    with pytest.raises(ConfigError):
        scenario.checked(replace(quick, **wrong))  # type: ignore[arg-type]  # all are ints


def test_who_asks_for_repeats_gets_so_many_and_starts_in_proportion() -> None:
    usual = scenario.load("single-turn")
    assert isinstance(usual, Scenario)
    assert usual.repeated(None) is usual
    one = usual.repeated(1)
    assert (one.repeats, one.warm_starts, one.looks) == (1, 3, 1)
    assert usual.repeated(24).warm_starts == 72
    quick = one.baseline
    assert (quick.repeats, quick.warm_starts) == (1, 3), "the baseline is never played more often"
