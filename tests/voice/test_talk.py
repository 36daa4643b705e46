"""Conversations with the language model: what was kept is known, what was not is not."""

import itertools
from dataclasses import replace
from pathlib import Path

import application
import pytest

from toolchain.voice import pipeline
from toolchain.voice.decoder import Past
from toolchain.voice.llama import Llama, Talk
from toolchain.voice.stage import Dialogue

NAME = "My name is Ada. Please remember it."
ASKED = "What is my name?"


@pytest.fixture(scope="module")
def model(files: dict[str, Path]) -> Llama:
    opened = pipeline.load_stage(application.voice(), "llm", files)
    assert isinstance(opened, Llama)
    return opened


def said(dialogue: Dialogue, question: str, *, keep: bool = True) -> str:
    answer = "".join(token.text for token in dialogue.reply(question))
    if keep:
        dialogue.keep()
    return answer


def known(talk: Talk) -> tuple[int, ...]:
    """Return the tokens that the next question is put after."""
    if talk._tidying:
        talk._tidying.join()
    return (*talk._past.tokens, *talk._owed)


def test_an_answer_is_the_one_that_the_whole_conversation_computed_at_once_has(
    model: Llama,
) -> None:
    talk = model.talk()
    said(talk, NAME)
    whole = [*known(talk), *model.asked(ASKED)]
    at_once = [token for token, _ in model.continued(whole, Past())]
    answer = [t.id for t in talk.reply(ASKED)]
    assert answer == at_once
    assert answer != [t.id for t in model.stream([ASKED])], "alone it would be another"


def test_what_is_known_is_the_template_around_every_message(model: Llama) -> None:
    talk, written = model.talk(), [*model.system.tokens]
    for question in (NAME, ASKED):
        answer = list(talk.reply(question))
        talk.keep()
        written += model.asked(question)
        written += [t.id for t in answer]
        written += model.template.closing("assistant")
    assert known(talk) == tuple(written)


def test_an_answer_that_is_not_kept_leaves_no_trace(model: Llama) -> None:
    talk = model.talk()
    before = known(talk)
    first = said(talk, NAME, keep=False)
    assert known(talk) == before
    assert said(talk, NAME, keep=False) == first


def test_of_an_interrupted_answer_what_was_drawn_is_kept(model: Llama) -> None:
    talk = model.talk()
    reply = talk.reply("Tell me a long story about the sea.")
    drawn = [t.id for t in itertools.islice(reply, 3)]
    reply.close()
    talk.keep()
    closing = len(model.template.closing("assistant"))
    assert list(known(talk)[-closing - 3 : -closing]) == drawn
    assert said(talk, ASKED), "and the conversation goes on"


def test_keeping_nothing_or_twice_changes_nothing(model: Llama) -> None:
    talk = model.talk()
    talk.keep()
    assert known(talk) == model.system.tokens
    said(talk, NAME)
    once = known(talk)
    talk.keep()
    assert known(talk) == once


def test_the_oldest_exchanges_are_forgotten_before_the_history_is_full(model: Llama) -> None:
    history = 160
    short = replace(model, options=replace(model.options, history=history, max_tokens=8))
    talk = short.talk()
    lengths = []
    for number in range(12):
        assert said(talk, f"Say the number {number}.")
        lengths.append(len(known(talk)))
        assert known(talk)[: len(model.system.tokens)] == model.system.tokens
    assert max(lengths) <= history
    assert any(b < a for a, b in itertools.pairwise(lengths)), "something was forgotten"
    newest = short.asked("Say the number 11.")
    assert any(
        list(known(talk)[at : at + len(newest)]) == newest for at in range(len(known(talk)))
    ), "the newest exchange never is"


def test_a_question_longer_than_the_history_is_answered_without_a_past(model: Llama) -> None:
    short = replace(model, options=replace(model.options, history=64, max_tokens=4))
    talk = short.talk()
    said(talk, NAME)
    assert said(talk, "Please count to one hundred for me. " * 12, keep=False)


def test_the_system_message_can_be_computed_with_every_question(
    model: Llama, files: dict[str, Path]
) -> None:
    table = application.voice()
    table["llm"]["prefix"] = False
    each_time = pipeline.load_stage(table, "llm", files)
    question = "What is the capital of France?"
    assert [t.id for t in each_time.stream([question])] == [t.id for t in model.stream([question])]
