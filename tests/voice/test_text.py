"""Clauses come early, lose nothing, and are neither too short nor too long."""

from hypothesis import given
from hypothesis import strategies as st

from toolchain.voice.text import FIRST_CHARS, LEAST_CHARS, MOST_CHARS, clauses, split

texts = st.text(st.sampled_from("ab  .,!?\n\"')3é"), max_size=300)
pieces = st.lists(st.text(st.sampled_from('ab  .,!\n"3'), max_size=12))


def squeezed(text: str) -> str:
    return "".join(text.split())


@given(pieces)
def test_every_character_is_spoken_once_and_in_order(parts: list[str]) -> None:
    assert squeezed("".join(clauses(parts))) == squeezed("".join(parts))


@given(texts)
def test_it_does_not_matter_how_the_text_arrives(text: str) -> None:
    assert list(clauses(text)) == list(clauses([text]))


@given(texts)
def test_no_clause_is_too_long_and_none_but_the_last_too_short(text: str) -> None:
    found = list(clauses([text]))
    assert all(0 < len(c) <= MOST_CHARS for c in found)
    assert all(len(c) <= FIRST_CHARS for c in found[:1])
    assert all(
        len(c) >= LEAST_CHARS - 2 for c in found[:-1] if "\n" not in text and "  " not in text
    )


def test_the_first_clause_is_ready_before_the_answer_is() -> None:
    ready, rest = split("The capital of France is Paris, which lies")
    assert ready == ["The capital of France is Paris,"]
    assert rest == "which lies"


def test_a_full_stop_inside_a_number_ends_nothing() -> None:
    assert list(clauses(["It takes about 3.5 hours."])) == ["It takes about 3.5 hours."]


def test_punctuation_before_a_closing_quote_ends_a_clause() -> None:
    assert list(clauses(['He said "good morning." Then'])) == ['He said "good morning."', "Then"]


def test_yes_alone_is_not_a_clause() -> None:
    assert list(clauses(["Yes, I can do that. Now"])) == ["Yes, I can do that.", "Now"]


def test_a_word_is_not_cut_where_there_is_a_space() -> None:
    words = "these words have no punctuation at all but go on and on and on and on until the end"
    assert " ".join(clauses([words])) == words
