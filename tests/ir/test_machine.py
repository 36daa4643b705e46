"""Two machines differ in what makes them fast, not in what the minute brings."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from toolchain.ir import Machine

HERE = Machine(
    "EPYC",
    2,
    8_000,
    "Linux x86_64",
    "3.11.7",
    (("onnxruntime", "1.23.2"), ("numpy", "2.3")),
    governor="performance",
    limits=(("cpu", 2.0),),
    load=0.4,
)


@given(st.one_of(st.none(), st.floats(0, 100)))
def test_load_makes_no_other_machine(load: float | None) -> None:
    busy = replace(HERE, load=load)
    assert HERE.differences(busy) == ()
    assert busy == HERE


def test_every_thing_that_differs_is_named_with_both_values() -> None:
    other = replace(
        HERE,
        cpu="Xeon",
        python="3.12.1",
        versions=(("onnxruntime", "1.24.0"), ("numpy", "2.3")),
        governor="powersave",
        limits=(),
    )
    assert HERE.differences(other) == (
        "cpu EPYC and Xeon",
        "python 3.11.7 and 3.12.1",
        "governor performance and powersave",
        "limits cpu 2 and none",
        "onnxruntime 1.23.2 and 1.24.0",
    )


def test_what_one_report_does_not_know_is_no_difference() -> None:
    old = replace(HERE, governor=None, limits=None, load=None, versions=(("numpy", "2.3"),))
    assert HERE.differences(old) == old.differences(HERE) == ()
