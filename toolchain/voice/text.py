"""Cuts an answer that is still being written into clauses, so that speech starts at the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

LEAST_CHARS = 10
"""A clause has at least as many characters: "Yes," alone would be spoken as a whole sentence and be
over before the next is ready. Ours."""

MOST_CHARS = 60
"""Without punctuation, a clause ends at a space before this many characters (about 4 s of speech):
first audio does not wait for the end of a long sentence. Ours."""

_STOPS = frozenset(".!?,;:…—。！？，；：")  # noqa: RUF001 - full-width punctuation is meant
_CLOSERS = frozenset("\"'”’)]»")  # noqa: RUF001 - typographic quotes are meant


def clauses(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the clauses of the text that ``pieces`` add up to, each as soon as it is certain.

    A clause ends at punctuation that white space follows (so not inside 3.14), at a line's end, or
    where it grows too long. Every word comes out once, in order; an abbreviation ("Dr. Smith") may
    end a clause, which is heard as a short pause.

    >>> list(clauses(["Paris is the", " capital", ", I think", ". It is ", "3.5 hours away."]))
    ['Paris is the capital,', 'I think. It is 3.5 hours away.']
    """
    held = ""
    for piece in pieces:
        ready, held = split(held + piece)
        yield from ready
    if held := held.strip():
        yield held


def split(text: str) -> tuple[list[str], str]:
    """Return the clauses of ``text`` that are certain, and the rest, which may still grow.

    >>> split("Paris is the capital, I th")
    (['Paris is the capital,'], 'I th')
    """
    ready, rest = [], text.lstrip()
    while cut := _cut(rest):
        ready.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return ready, rest


def _cut(text: str) -> int:
    """Return where the first clause of ``text`` ends; 0 while that is not known."""
    for at in range(LEAST_CHARS, min(len(text), MOST_CHARS + 1)):
        if text[at] == "\n" or (text[at].isspace() and _stops(text, at)):
            return at
    if len(text) <= MOST_CHARS:
        return 0
    space = max(text.rfind(blank, LEAST_CHARS, MOST_CHARS) for blank in " \t\n")
    return space if space > 0 else MOST_CHARS  # one endless word: cut inside it


def _stops(text: str, at: int) -> bool:
    """Whether what lies before ``at`` ends in punctuation, quotes and brackets aside."""
    while at and text[at - 1] in _CLOSERS:
        at -= 1
    return at > 0 and text[at - 1] in _STOPS
