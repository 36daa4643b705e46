"""Who owns which bytes when tensors claim the same ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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
