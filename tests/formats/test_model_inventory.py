"""Who owns which bytes when tensors claim the same ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from onnx import parser

from toolchain.formats import onnx_wire
from toolchain.formats.model_inventory import Inventory, StoredTensor
from toolchain.formats.part_names import unique_names


def tensor(name: str, start: int, end: int) -> StoredTensor:
    return StoredTensor(name, "uint8", (end - start,), start, end, end - start)


def test_shared_bytes_have_one_owner_and_are_no_problem() -> None:
    found = Inventory([tensor("b", 8, 16), tensor("a", 8, 16), tensor("none", 8, 8)])
    assert [t.name for t in found.ranges()] == ["b"]
    assert found.problems == []


def test_overlapping_bytes_have_one_owner_and_are_a_problem() -> None:
    found = Inventory([tensor("late", 12, 20), tensor("early", 8, 16), tensor("next", 16, 18)])
    assert [t.name for t in found.ranges()] == ["early", "next"]
    assert found.problems == ["tensor 'late' overlaps 'early'"]


ranges = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=12)


@given(ranges)
def test_owners_never_overlap(pairs: list[tuple[int, int]]) -> None:
    tensors = [tensor(str(i), at, at + size) for i, (at, size) in enumerate(pairs)]
    owners = Inventory(tensors).ranges()
    claimed = [byte for t in owners for byte in range(t.start, t.end)]
    assert len(claimed) == len(set(claimed))
    assert not tensors or bool(owners) == any(t.end > t.start for t in tensors)


@given(st.lists(st.sampled_from(["", "a", "a:2", "a:2:2", "\n", "b"])))
def test_names_are_unique_and_the_first_keeps_its_own(names: list[str]) -> None:
    unique = unique_names(names)
    assert len(set(unique)) == len(names)
    assert all(name.isprintable() and name for name in unique)
    if "a" in names:
        assert unique[names.index("a")] == "a"


def test_weights_are_booked_by_the_operators_that_read_them() -> None:
    """In branches too, and constants under the name of the value that they are read by."""
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        main (float[n, 2] x, bool on) => (float[n, 3] y)
           <float[2, 3] w = {1, 2, 3, 4, 5, 6}, float[8] left = {1, 2, 3, 4, 5, 6, 7, 8}> {
           c = Constant <value = float[3] {1, 2, 3}> ()
           h = MatMul (x, w)
           y = If (on) <
              then_branch = a () => (float[n, 3] p) { p = Add (h, c) },
              else_branch = b () => (float[n, 3] q) { t = Transpose (w) q = Abs (h) }
           >
        }"""
    )
    facts = dict(onnx_wire.inventory(memoryview(model.SerializeToString())).facts())
    assert facts["largest weights"].split("; ")[0] == "left float32[8] 46 B, read by nothing"
    assert "read by MatMul and Transpose" in facts["largest weights"]
    assert facts["weights by reader"].startswith("nothing 46 B, MatMul and Transpose")
    assert "Add " in facts["weights by reader"]
