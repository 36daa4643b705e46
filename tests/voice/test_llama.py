"""The language model answers, stops, and is asked for its choices."""

import itertools
from pathlib import Path

import application
import pytest

from toolchain.errors import InputError
from toolchain.voice import pipeline
from toolchain.voice.stage import Llm

QUESTION = "What is the capital of France?"


def test_it_knows_the_capital_of_france_and_stops_by_itself(llm: Llm) -> None:
    assert "".join(t.text for t in llm.stream([QUESTION])) == "The capital of France is Paris."


def test_questions_are_answered_without_memory_of_each_other(llm: Llm) -> None:
    one = [t.id for t in llm.stream([QUESTION])]
    assert [t.id for t in llm.stream([QUESTION, QUESTION])] == one + one


def test_tokens_come_one_by_one(llm: Llm) -> None:
    first = list(itertools.islice(llm.stream(["Tell me a very long story."]), 2))
    assert len(first) == 2
    assert all(t.text for t in first)


def test_an_endless_answer_ends_at_the_cap(files: dict[str, Path]) -> None:
    table = application.voice()
    table["llm"]["max_tokens"] = 3
    capped = pipeline.load_stage(table, "llm", files)
    assert len(list(capped.stream(["Count to one hundred."]))) == 3


def test_choices_at_its_own_answer_are_its_answer(llm: Llm) -> None:
    answer = [t.id for t in llm.stream([QUESTION])]
    assert llm.choices(QUESTION, answer) == answer


def test_a_wrong_token_changes_only_what_follows(llm: Llm) -> None:
    answer = [t.id for t in llm.stream([QUESTION])]
    wrong = [answer[0], answer[0], *answer[2:]]
    chosen = llm.choices(QUESTION, wrong)
    assert chosen[:2] == answer[:2]
    assert chosen != answer


def test_the_system_message_matters(files: dict[str, Path], llm: Llm) -> None:
    table = application.voice()
    table["llm"]["system"] = "You are a pirate. Answer with a long story about the sea."
    other = pipeline.load_stage(table, "llm", files)
    question = "Who are you?"  # an open one: the capital of France is Paris for a pirate too
    assert [t.id for t in other.stream([question])] != [t.id for t in llm.stream([question])]


def test_a_model_that_is_no_language_model_is_refused(files: dict[str, Path]) -> None:
    table = application.voice()
    table["llm"]["model"] = table["vad"]["model"]
    with pytest.raises(InputError, match="fit no adapter") as caught:
        pipeline.load_stage(table, "llm", files)
    assert "past.N.key" in caught.value.hint
