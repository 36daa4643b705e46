"""A template's control tokens are found; the longest name that fits is meant."""

import json
from pathlib import Path

import foreign_llm
import pytest

from toolchain.errors import InputError
from toolchain.voice import chat
from toolchain.voice.tokenizer import Tokenizer, read


@pytest.fixture
def letters(tmp_path: Path) -> Tokenizer:
    document = foreign_llm.tokenizer()
    document["added_tokens"] = [{"id": 256, "content": "<a>"}, {"id": 257, "content": "<a>!"}]
    (tmp_path / "t.json").write_text(json.dumps(document), "utf-8")
    return read({"t.json": tmp_path / "t.json"}, "t.json")


def test_the_longest_control_token_is_meant(letters: Tokenizer) -> None:
    around = dict.fromkeys(chat.ROLES, ("<a><a>!x", "<a"))
    made = chat.template(letters, around)
    assert made.message("user", "<a>") == [256, 257, *b"x<a><a"]
    assert made.stops == frozenset()


def test_a_model_without_chatml_needs_a_template(letters: Tokenizer) -> None:
    with pytest.raises(InputError, match=r"no control token <\|im_start\|>") as caught:
        chat.template(letters)
    assert "<a>" in caught.value.hint
