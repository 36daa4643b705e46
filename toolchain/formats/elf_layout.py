"""Where ranges of an old file go in a new one when some of it is left out.

Every block keeps its offset modulo its alignment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Block:
    """A range of the old file that moves as a whole, by a multiple of ``align``."""

    start: int
    end: int
    align: int
    in_memory: bool = False
    new: int = -1

    @property
    def new_end(self) -> int:
        """The offset behind it in the new file."""
        return self.new + self.end - self.start

    def placed(self, lowest: int) -> Block:
        """Return it at the first offset from ``lowest`` on that its alignment allows."""
        return replace(self, new=lowest + (self.start - lowest) % self.align)


def merged(blocks: Iterable[Block]) -> list[Block]:
    """Unite blocks that overlap; an empty one joins the block it touches. Sorted by start."""
    found: list[Block] = []
    for block in sorted(blocks, key=lambda b: (b.start, -b.end)):
        last = found[-1] if found else None
        empty = block.start == block.end
        if last is None or block.start > last.end or (block.start == last.end and not empty):
            found.append(block)
        else:
            found[-1] = Block(
                last.start,
                max(last.end, block.end),
                max(last.align, block.align),  # powers of two: the larger is a multiple
                in_memory=last.in_memory or block.in_memory,
            )
    return found


def inside(offset: int, blocks: Iterable[Block]) -> bool:
    """Return whether the byte at ``offset`` lies in one of ``blocks``."""
    return any(b.start <= offset < b.end for b in blocks)


def laid_out(blocks: Sequence[Block], tables: Sequence[Block], fixed: int) -> list[Block]:
    """Give each block its new offset, ``tables`` last; all before ``fixed`` stays.

    What is in memory keeps its order. What is not goes into gaps or to the end, or keeps its
    order as well, whichever makes the smaller file.
    """
    memory_first = _laid_out(blocks, tables, fixed, {b for b in blocks if b.in_memory})
    in_order = _laid_out(blocks, tables, fixed, set(blocks))
    return min(in_order, memory_first, key=lambda placed: max(b.new_end for b in placed))


def _laid_out(
    blocks: Sequence[Block], tables: Sequence[Block], fixed: int, ordered: set[Block]
) -> list[Block]:
    placed: dict[int, Block] = {}
    cursor = fixed
    for i, block in enumerate(blocks):
        if block.start < fixed or block in ordered:
            placed[i] = block.placed(block.start if block.start < fixed else cursor)
            cursor = max(cursor, placed[i].new_end)
    taken = sorted((b for b in placed.values() if b.new_end > fixed), key=lambda b: b.new)
    for i, block in enumerate((*blocks, *tables)):
        if i not in placed:
            placed[i] = _first_fit(block, taken, fixed)
            taken = sorted((*taken, placed[i]), key=lambda b: b.new)
    return [placed[i] for i in range(len(blocks) + len(tables))]


def _first_fit(block: Block, taken: Iterable[Block], lowest: int) -> Block:
    for other in taken:
        if block.placed(lowest).new_end <= other.new:
            break
        lowest = max(lowest, other.new_end)
    return block.placed(lowest)
