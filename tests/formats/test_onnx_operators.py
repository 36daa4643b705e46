"""Names of operators in a target's list, and that the list of the installed runtime is true."""

from __future__ import annotations

import pytest
from onnx import defs

from toolchain.formats.onnx_operators import Operator, lacked, registered, versioned
from toolchain.quantization import targets

LISTED = [(target, name) for target in targets.names() for name in targets.load(target).lacks]


def schema(name: str) -> defs.OpSchema:
    operator, _, since = name.rpartition("-")
    domain, _, short = operator.rpartition(":")
    found = defs.get_schema(short, int(since), domain)
    assert found.since_version == int(since)
    return found


@pytest.mark.parametrize(("target", "name"), LISTED)
def test_what_a_target_lacks_is_a_version_that_onnx_defines(target: str, name: str) -> None:
    assert schema(name).name in name, target


@pytest.mark.parametrize("name", targets.load("native-cpu").lacks)
def test_the_installed_runtime_has_no_kernel_for_what_it_lacks(name: str) -> None:
    assert not registered(schema(name))


@pytest.mark.parametrize("name", ["Abs-13", "RandomNormal-1", "RoiAlign-16", "ai.onnx.ml:Scaler-1"])
def test_the_installed_runtime_has_a_kernel_for_the_usual(name: str) -> None:
    assert registered(schema(name))


@pytest.mark.parametrize(
    ("opset", "is_lacked"), [(10, False), (21, False), (22, True), (24, True), (28, True)]
)
def test_a_version_is_in_force_from_its_opset_on(opset: int, *, is_lacked: bool) -> None:
    needed = [Operator("ai.onnx", opset, "RoiAlign")]
    assert lacked(needed, ["RoiAlign-22"]) == (needed if is_lacked else [])


def test_a_name_without_a_version_stands_for_all_of_them() -> None:
    needed = [Operator("own", 1, "Twice"), Operator("ai.onnx", 21, "Twice")]
    assert lacked(needed, ["own:Twice"]) == needed[:1]


def test_an_operator_that_onnx_does_not_define_has_no_version() -> None:
    assert versioned(Operator("com.microsoft", 1, "FusedConv")) == "com.microsoft:FusedConv"
