"""Targets are data: what is wrong in one is said before anything is measured."""

from pathlib import Path

import pytest

from toolchain import resources
from toolchain.errors import ConfigError
from toolchain.quantization import targets

OWN = resources.folder("rules") / "targets" / "native-cpu.toml"


@pytest.mark.parametrize("name", targets.names())
def test_the_weights_of_a_target_sum_to_one(name: str) -> None:
    numbers = targets.load(name).numbers
    weights = (numbers.latency_weight, numbers.load_weight, numbers.memory_weight)
    assert sum(weights) + numbers.size_weight == pytest.approx(1)
    assert max(weights) == numbers.latency_weight


@pytest.mark.parametrize("name", targets.names())
def test_every_format_and_setting_of_a_target_has_a_reason(name: str) -> None:
    target = targets.load(name)
    for one in (*target.format, *target.setting, *target.number):
        assert len(one.why) > 20


def test_an_unknown_target_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="no target 'phone'") as caught:
        targets.load("phone")
    assert caught.value.hint == "targets: native-cpu, web-wasm"


def test_a_project_has_targets_of_its_own_which_come_first(tmp_path: Path) -> None:
    folder = tmp_path / "rules" / "targets"
    folder.mkdir(parents=True)
    text = OWN.read_text("utf-8").replace("value = 90", "value = 7")
    (folder / "native-cpu.toml").write_text(text, "utf-8")
    (folder / "kiosk.toml").write_text(text, "utf-8")
    assert targets.load("native-cpu", tmp_path).numbers.seconds == 7
    assert targets.load("kiosk", tmp_path).name == "kiosk"
    assert "kiosk" in targets.names(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"matmul-integer"', '"matmul-int3"', "no format 'matmul-int3'"),
        ('name = "folded"', 'name = "int8-weights"', "the first format is not 'folded'"),
        ('name = "rounds"', 'name = "turns"', "rounds: this key is missing"),
        ('"onnxruntime"', '"onnxruntime-web"', "package do not fit"),
        ("external = true", "external = 1", "true or false"),
    ],
)
def test_a_wrong_target_is_refused_when_it_is_read(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    folder = tmp_path / "rules" / "targets"
    folder.mkdir(parents=True)
    text = OWN.read_text("utf-8")
    assert old in text
    (folder / "wrong.toml").write_text(text.replace(old, new), "utf-8")
    with pytest.raises(ConfigError, match=complaint):
        targets.load("wrong", tmp_path)
