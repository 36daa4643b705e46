"""Cuts an answer that is still being written into clauses, so that speech starts at the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

LEAST_CHARS = 10
"""A clause has at least as many characters: "Yes," alone would be spoken as a whole sentence and be
over before the next is ready. Ours."""

MOST_CHARS = 60
"""Without punctuation, a clause ends at a space before this many characters (about 4 s of speech):
first audio does not wait for the end of a long sentence. Ours."""

FIRST_CHARS = 32
"""As ``MOST_CHARS``, of the first clause (about 2 s of speech): somebody waits for it, and while it
is heard the next one is made. Ours, by `nox -s ablation`."""

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
    held, most = "", FIRST_CHARS
    for piece in pieces:
        ready, held = split(held + piece, most)
        most = MOST_CHARS if ready else most
        yield from ready
    if held := held.strip():
        yield held


def split(text: str, most: int = MOST_CHARS) -> tuple[list[str], str]:
    """Return the clauses of ``text`` that are certain, and the rest, which may still grow.

    ``most`` characters are allowed to the first of them, ``MOST_CHARS`` to the others.

    >>> split("Paris is the capital, I th")
    (['Paris is the capital,'], 'I th')
    >>> split("The moon is a mysterious and fascin", FIRST_CHARS)
    (['The moon is a mysterious and'], 'fascin')
    """
    ready: list[str] = []
    rest = text.lstrip()
    while cut := _cut(rest, MOST_CHARS if ready else most):
        ready.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return ready, rest


def _cut(text: str, most: int) -> int:
    """Return where the first clause of ``text`` ends; 0 while that is not known."""
    for at in range(LEAST_CHARS, min(len(text), most + 1)):
        if text[at] == "\n" or (text[at].isspace() and _stops(text, at)):
            return at
    if len(text) <= most:
        return 0
    space = max(text.rfind(blank, LEAST_CHARS, most) for blank in " \t\n")
    return space if space > 0 else most  # one endless word: cut inside it


def _stops(text: str, at: int) -> bool:
    """Whether what lies before ``at`` ends in punctuation, quotes and brackets aside."""
    while at and text[at - 1] in _CLOSERS:
        at -= 1
    return at > 0 and text[at - 1] in _STOPS
