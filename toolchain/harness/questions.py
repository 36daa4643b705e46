"""What is asked beside the turns, to see that faster is not wrong; from ``rules/questions``."""

from __future__ import annotations

from pathlib import Path

from toolchain import resources
from toolchain.errors import ConfigError
from toolchain.tables import load, table
from toolchain.tasks.questions.texts import words


@table
class Fact:
    """A question with one right answer; ``right`` are the ways to say it."""

    ask: str
    right: tuple[str, ...]
    why: str

    def answered_by(self, answer: str) -> bool:
        """Return whether ``answer`` says it, case and punctuation aside.

        >>> fact = Fact("How many days has a week?", ("7", "seven"), "a number")
        >>> fact.answered_by("There are 7 days."), fact.answered_by("There are 17, or 70.")
        (True, False)
        """
        said = words(answer)
        return any(_holds(said, words(one)) for one in self.right)


def _holds(said: tuple[str, ...], sought: tuple[str, ...]) -> bool:
    starts = range(len(said) - len(sought) + 1)
    return bool(sought) and any(said[at : at + len(sought)] == sought for at in starts)


@table
class Questions:
    """``prompts`` for language models, ``sentences`` for voices, and facts."""

    prompts: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    fact: tuple[Fact, ...] = ()


def read(project: Path | None = None) -> Questions:
    """Return the questions; the project's own ``rules/questions/quality.toml`` comes first.

    Errors:
        ConfigError: a key is wrong or unknown, or a fact has no right answer.
    """
    place = Path("questions") / "quality.toml"
    own = project / "rules" / place if project else None
    path = own if own and own.is_file() else resources.folder("rules") / place
    found = load(path, Questions)
    for fact in found.fact:
        if not any(words(one) for one in fact.right):
            raise ConfigError(
                f"{path}: no answer to {fact.ask!r} is right",
                hint="give `right` the ways to say it, in words or digits",
            )
    return found
