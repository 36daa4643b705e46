"""Compares what was seen of two programs, and leaves out only what no two runs agree on.

The first program is played twice. A text that was seen alike both times must be seen of the second
program, as often and in the same place. Texts that differ in their digits alone ("ready in 12 ms")
are compared without digits; what still differs between two runs of one program cannot be used, and
is named. What workers say, and requests that fail, are compared without their order, which nobody
promises.

Order is what all runs of the first program agree on: of two texts that came in either order, either
may be first in the second program; all others must be in theirs. Runs whose answers came late by
chance (``disturbed``) show which order is promised and which is only what happened.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest

from toolchain.ir import Observation

Seen = tuple[Observation, ...]

_STREAMS = ("main", "worker", "requests", "process")
_UNORDERED = frozenset({"worker", "requests"})  # who is first is chance
_SHOWN = 160  # characters of a text in a sentence
_FRAME = re.compile(r"\n\s+at .*")  # V8's stack frames: where code lies is what a bundler changes
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two programs were compared by.

    ``difference`` is the first one of each stream, empty if there is none; ``compared`` counts
    observations by kind; ``unknown`` names what differed between two runs of the first program.
    ``only_order`` says that the same was seen and that its order alone is different.
    """

    difference: str
    compared: Mapping[str, int]
    unknown: tuple[str, ...]
    only_order: bool = False


def placed(seen: Iterable[Observation], bases: Collection[str], moved: Collection[str]) -> Seen:
    """Return ``seen`` less what must differ between two builds of one program.

    ``bases`` are the addresses of the folder, which become ``/``; addresses of the modules
    ``moved``, relative to it, become ``<code>``. Stack frames are left out.
    """
    start = "|".join(re.escape(b) for b in sorted(bases, key=len, reverse=True))
    address = re.compile(rf"(?:{start})([^\s\"'`)<>,]*)")
    found = []
    for one in seen:
        text = _FRAME.sub("", one.text)
        text = address.sub(lambda match: _place(match[1], moved), text)
        found.append(Observation(one.stream, one.kind, text))
    return tuple(found)


def _place(path: str, moved: Collection[str]) -> str:
    name = re.sub(r"(?::\d+){1,2}$", "", path)
    return "<code>" if name.partition("?")[0] in moved else f"/{path}"


def compare(first: Seen, again: Seen, other: Seen, disturbed: Sequence[Seen] = ()) -> Comparison:
    """Compare ``other`` with ``first``; ``again`` and ``disturbed`` are more runs of the first."""
    differences: list[str] = []
    compared: Counter[str] = Counter()
    unknown: list[str] = []
    only_order = True
    for stream in _STREAMS:
        seen, twice, new, *late = (
            [o for o in s if o.stream == stream] for s in (first, again, other, *disturbed)
        )
        usable = _usable(seen, twice)
        before, more, after, *others = (usable.tokens(one) for one in (seen, twice, new, *late))
        unknown += usable.doubts()
        compared.update(kind for kind, _ in before)
        different = _in_any_order(before, after)
        if different and stream not in _UNORDERED and before == more:
            different = _in_order(before, after)  # says more: what came instead
        if different:
            only_order = False
        elif stream not in _UNORDERED:
            runs = [run for run in (before, more, *others) if Counter(run) == Counter(before)]
            different = _out_of_order(runs, after)
            if any(run != before for run in runs):
                unknown.append(f"some of the order of {stream}")
        differences += [different] if different else []
    only_order = only_order and bool(differences)
    told = "; ".join(differences)
    return Comparison(told, dict(sorted(compared.items())), tuple(unknown), only_order)


_Token = tuple[str, str]  # kind and text


def _masked(one: Observation) -> _Token:
    return one.kind, _NUMBER.sub("#", one.text)


def _head(token: _Token) -> _Token:
    """Return kind and first word: the name of an event, who prints a line."""
    return token[0], token[1].partition(" ")[0]


@dataclass(frozen=True, slots=True)
class _Usable:
    """What of a stream can be compared: all but ``kinds`` and ``heads``, ``masked`` in part."""

    kinds: frozenset[str]
    heads: frozenset[_Token]
    masked: frozenset[_Token]

    def tokens(self, seen: Iterable[Observation]) -> list[_Token]:
        """Return what is compared, in order."""
        found = []
        for one in seen:
            token = _masked(one)
            if one.kind not in self.kinds and _head(token) not in self.heads:
                found.append(token if token in self.masked else (one.kind, one.text))
        return found

    def doubts(self) -> list[str]:
        """Return what is not compared, in words."""
        heads = [h for h in sorted(self.heads) if h[0] not in self.kinds]
        return [
            *(f"every {kind}" for kind in sorted(self.kinds)),
            *(f"{_shown((kind, f'{head} ...'))}" for kind, head in heads),
            *(f"the numbers in {_shown(token)}" for token in sorted(self.masked)),
        ]


def _usable(seen: Sequence[Observation], twice: Sequence[Observation]) -> _Usable:
    """Find the finest groups that two runs of one program agree on."""
    groups = [_groups(seen), _groups(twice)]
    differ = {t for t in {*groups[0], *groups[1]} if groups[0].get(t) != groups[1].get(t)}
    masked = {t for t in differ if len(groups[0].get(t, ())) == len(groups[1].get(t, ()))}
    lost = differ - masked
    heads = [{_head(t) for t in group} for group in groups]
    kinds = {kind for kind, _ in heads[0] ^ heads[1]}
    return _Usable(frozenset(kinds), frozenset(map(_head, lost)), frozenset(masked))


def _groups(seen: Iterable[Observation]) -> dict[_Token, list[str]]:
    groups: dict[_Token, list[str]] = {}
    for one in seen:
        groups.setdefault(_masked(one), []).append(one.text)
    return {token: sorted(texts) for token, texts in groups.items()}


def _in_order(before: Sequence[_Token], after: Sequence[_Token]) -> str:
    for number, (one, other) in enumerate(zip_longest(before, after), 1):
        if one != other:
            return f"observation {number} was {_shown(one)} and is {_shown(other)}"
    return ""


def _out_of_order(runs: Sequence[Sequence[_Token]], after: Sequence[_Token]) -> str:
    """Name two texts of ``after`` that are the other way round in all of ``runs``.

    All hold the same texts. Of a text that comes more than once, the first is the first in each.
    Takes time in the square of their number.
    """
    if any(run == after for run in runs):
        return ""
    if all(run == runs[0] for run in runs):
        return _in_order(runs[0], after)
    places = [_places(run, after) for run in runs]
    for one, other in combinations(range(len(after)), 2):
        if all(place[one] > place[other] for place in places):
            return (
                f"{_shown(after[one])} comes before {_shown(after[other])}, and always came after"
            )
    return ""


def _places(run: Sequence[_Token], after: Sequence[_Token]) -> list[int]:
    """Return where in ``run`` each text of ``after`` is."""
    found: dict[_Token, list[int]] = {}
    for place in range(len(run) - 1, -1, -1):
        found.setdefault(run[place], []).append(place)
    return [found[token].pop() for token in after]


def _in_any_order(before: Sequence[_Token], after: Sequence[_Token]) -> str:
    lost, new = Counter(before) - Counter(after), Counter(after) - Counter(before)
    for token in sorted(lost):
        return f"{_shown(token)} is no longer seen"
    for token in sorted(new):
        return f"{_shown(token)} is new"
    return ""


def _shown(token: _Token | None) -> str:
    if token is None:
        return "nothing"
    kind, text = token
    line = " ".join(text.split())
    more = "..." if len(line) > _SHOWN else ""
    return f"{kind} `{line[:_SHOWN]}{more}`"
