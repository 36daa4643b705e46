"""What is asked beside the turns: our own, in no other list, and right where the answer is."""

import tomllib
from pathlib import Path

import pytest

from toolchain import resources
from toolchain.errors import ConfigError
from toolchain.harness import questions
from toolchain.harness.questions import Fact

ROOM = resources.folder("rules") / "questions"
SEVEN = Fact("How many days has a week?", ("7", "seven"), "a number")


def test_nothing_that_is_asked_was_used_to_make_models_smaller() -> None:
    fitted = {
        text
        for path in ROOM.glob("*.toml")
        if path.stem != "quality"
        for value in tomllib.loads(path.read_text("utf-8")).values()
        if isinstance(value, list)
        for text in value
        if isinstance(text, str)
    }
    asked = questions.read()
    ours = [*asked.prompts, *asked.sentences, *(fact.ask for fact in asked.fact)]
    assert len(fitted) > 50
    assert len(set(ours)) == len(ours) > 20
    assert not fitted & set(ours)


def test_every_fact_says_why_it_is_asked() -> None:
    assert all(len(fact.why.split()) > 5 for fact in questions.read().fact)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("There are 7 days in a week.", True),
        ("Seven!", True),
        ("There are 17 days.", False),
        ("Seventy.", False),
        ("", False),
    ],
)
def test_an_answer_is_right_if_it_says_the_fact_as_a_word(answer: str, right: bool) -> None:  # noqa: FBT001 - a case
    assert SEVEN.answered_by(answer) is right


def test_words_of_an_answer_count_only_in_their_order() -> None:
    fact = Fact("?", ("twenty four",), "two words")
    assert fact.answered_by("A day has twenty-four hours.") is False, "one word, spelled together"
    assert fact.answered_by("It has twenty four hours.")
    assert not fact.answered_by("four and twenty")


def test_a_projects_own_questions_come_first(tmp_path: Path) -> None:
    own = tmp_path / "rules" / "questions" / "quality.toml"
    own.parent.mkdir(parents=True)
    own.write_text('prompts = ["Who are you?"]', "utf-8")
    assert questions.read(tmp_path).prompts == ("Who are you?",)
    assert questions.read(tmp_path).fact == ()
    own.write_text('[[fact]]\nask = "What?"\nright = ["?!"]\nwhy = "no word"\n', "utf-8")
    with pytest.raises(ConfigError, match="no answer to 'What\\?' is right"):
        questions.read(tmp_path)
