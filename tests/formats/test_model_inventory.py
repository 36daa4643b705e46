"""Who owns which bytes when tensors claim the same ones."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from onnx import parser

from toolchain.formats import onnx_wire
from toolchain.formats.model_inventory import Inventory, Scope, StoredTensor
from toolchain.formats.part_names import unique_names


def tensor(name: str, start: int, end: int) -> StoredTensor:
    return StoredTensor(name, "uint8", (end - start,), start, end, end - start)


def test_shared_bytes_have_one_owner_and_are_no_problem() -> None:
    found = Inventory([tensor("b", 8, 16), tensor("a", 8, 16), tensor("none", 8, 8)])
    assert [t.name for t in found.ranges()] == ["b"]
    assert found.problems == []


def test_the_owner_of_shared_bytes_is_read_by_all_their_readers() -> None:
    one, other = Scope(), Scope()
    one.of("a").note("MatMul", "/proj")
    other.of("b").note("Gather", "/embed")
    twins = [
        replace(tensor("a", 8, 16), readers=one.of("a")),
        replace(tensor("b", 8, 16), readers=other.of("b")),
    ]
    (owner,) = Inventory(twins).ranges()
    assert ("read by", "MatMul /proj, Gather /embed") in owner.facts()
    assert ("read by", "MatMul /proj") in twins[0].facts()


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


def read_by(text: str) -> list[tuple[str, str]]:
    """Return name and readers of each tensor of a model in file order."""
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21, "us" : 1]> {text}')
    owners = onnx_wire.inventory(memoryview(model.SerializeToString())).ranges()
    return [(t.name, dict(t.facts())["read by"]) for t in owners]


def test_the_first_three_readers_are_named_and_the_rest_is_counted() -> None:
    nodes = "\n".join(f"[n{i}] y{i} = Mul (w, w)" for i in range(5))
    (found,) = read_by(f"main () => (float[1] y4) <float[1] w = {{1}}> {{ {nodes} }}")
    assert found == ("w", "Mul n0, Mul n1, Mul n2 and 2 more")


def test_an_output_is_a_reader_and_who_has_none_is_read_by_nothing() -> None:
    model = "main () => (float[1] y) <float[1] y = {1}, float[1] left = {2}> { }"
    assert dict(read_by(model)) == {"y": "output y", "left": "nothing"}


def test_equal_names_in_two_branches_are_two_tensors_with_readers_of_their_own() -> None:
    model = """main (float[1] x, bool on) => (float[1] y) <float[1] shared = {5}> {
        y = If (on) <
           then_branch = a () => (float[1] p) <float[1] w = {1}> {
              h = Add (x, w) p = Mul (h, shared)
           },
           else_branch = b () => (float[1] q) <float[1] w = {2}> { q = Sub (shared, w) }
        >
    }"""
    assert sorted(read_by(model)) == [
        ("shared", "Mul to p, Sub to q"),
        ("w", "Add to h"),
        ("w", "Sub to q"),
    ]


def test_a_value_of_a_branch_is_not_the_one_of_that_name_outside() -> None:
    """ONNX forbids to write such a model; one that exists anyway gets no false readers."""
    model = """main (float[1] x, bool on) => (float[1] y) <float[1] h = {5}> {
        y = If (on) <
           then_branch = a () => (float[1] p) { h = Abs (x) p = Neg (h) },
           else_branch = b () => (float[1] q) { q = Exp (x) }
        >
    }"""
    assert read_by(model) == [("h", "nothing")]


def test_a_function_reads_only_its_own_values() -> None:
    model = """main (float[1] x) => (float[1] y) <float[1] w = {5}> { y = us.f (x) }
        <domain: "us", opset_import: ["" : 21]> f (x) => (y) {
            w = Constant <value = float[1] {1}> () y = Add (x, w)
        }"""
    assert sorted(read_by(model)) == [("w", "Add to y"), ("w", "nothing")]


def test_a_tensor_in_a_node_is_read_by_the_node_unless_it_is_a_constant() -> None:
    model = """main (int64[1] s) => (float[n] y) {
        z = ConstantOfShape <value = float[1] {1}> (s)
        c = Constant <value = float[1] {2}> ()
        y = Add (z, c)
    }"""
    assert read_by(model) == [("z", "ConstantOfShape to z"), ("c", "Add to y")]


def test_every_operator_is_counted() -> None:
    kinds = [
        "Abs",
        "Neg",
        "Exp",
        "Log",
        "Sqrt",
        "Ceil",
        "Floor",
        "Sin",
        "Cos",
        "Tan",
        "Relu",
        "Erf",
        "Sign",
    ]
    nodes = "\n".join(f"y{kind} = {kind} (x)" for kind in kinds)
    model = (
        f'<ir_version: 10, opset_import: ["" : 21]> g (float[1] x) => (float[1] yAbs) {{ {nodes} }}'
    )
    data = parser.parse_model(model).SerializeToString()
    counts = dict(onnx_wire.inventory(memoryview(data)).facts())["operators"]
    assert counts == "13: " + ", ".join(f"{kind} 1" for kind in sorted(kinds))
