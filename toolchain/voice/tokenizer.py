"""Tokenizers that lie beside a model: Hugging Face's ``tokenizer.json``, or a ``vocab.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from toolchain.errors import ConfigError, InputError
from toolchain.voice.bpe import Bpe, control_id
from toolchain.voice.engine import located


class Tokenizer(Protocol):
    """Text to token numbers and back. Text never becomes a control token."""

    @property
    def size(self) -> int:
        """How many tokens there are."""
        ...

    @property
    def controls(self) -> Mapping[str, int]:
        """The numbers of the control tokens by name."""
        ...

    def control_id(self, name: str) -> int:
        """Return the number of a control token.

        Errors:
            InputError: there is none of that name.
        """
        ...

    def encode(self, text: str) -> list[int]:
        """Return the token numbers of ``text``."""
        ...

    def decode(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield what each token adds to the text: nothing for half a character or a control."""
        ...


@dataclass(frozen=True)
class Library:
    """A tokenizer of any kind, by the package tokenizers."""

    made: Any  # a tokenizers.Tokenizer
    controls: Mapping[str, int]
    size: int

    def control_id(self, name: str) -> int:
        """Return the number of a control token; see ``Tokenizer``."""
        return control_id(self.controls, name)

    def encode(self, text: str) -> list[int]:
        """Return the token numbers of ``text``, without those that would begin or end it."""
        ids: list[int] = self.made.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield what each token adds to the text."""
        from tokenizers.decoders import DecodeStream  # noqa: PLC0415 - an extra, checked by read

        stream = DecodeStream(skip_special_tokens=True)
        for number in ids:
            yield stream.step(self.made, number) or ""


def read(files: Mapping[str, Path], name: str, added: str | None = None) -> Tokenizer:
    """Read the project's file ``name``; ``added`` has the control tokens of a ``vocab.json``.

    Byte-level BPE with GPT-2's words, as SmolLM, GPT-2 and Whisper have it, we read ourselves;
    everything else is left to the package tokenizers.

    Errors:
        ConfigError: no such file, or the package tokenizers is needed and not installed.
        InputError: it is no tokenizer.
    """
    document = _document(files, name)
    try:
        if "model" not in document:
            return _vocabulary(document, _document(files, added) if added else {})
        found = _byte_level(document)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{name} is no tokenizer: its tokens and their numbers cannot be read",
            hint="give the tokenizer.json (or vocab.json) that was published with the model",
        ) from error
    return found or _by_library(located(files, name), name)


def _document(files: Mapping[str, Path], name: str) -> dict[str, Any]:
    try:
        document = json.loads(located(files, name).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{name} is not JSON: {str(error)[:100]}",
            hint="give the tokenizer.json (or vocab.json) that was published with the model",
        ) from error
    return document if isinstance(document, dict) else {"model": None}


def _vocabulary(numbers: Mapping[str, int], added: Mapping[str, int]) -> Bpe:
    """Return a vocabulary that only writes: without merges it cannot read."""
    return Bpe(_listed({**numbers, **added}), (), frozenset(int(n) for n in added.values()))


_MOST_TOKENS = 10_000_000  # forty times the largest vocabulary (Gemma 3: 262,144). Ours


def _listed(numbers: Mapping[str, int]) -> list[str]:
    """Return the tokens in order; numbers that stand for nothing are empty.

    Errors:
        ValueError: a number that no vocabulary has.
    """
    lowest, highest = min(numbers.values()), max(numbers.values())
    if lowest < 0 or highest >= _MOST_TOKENS:
        raise ValueError(f"tokens are numbered from {lowest} to {highest}")
    tokens = [""] * (1 + int(highest))
    for token, number in numbers.items():
        tokens[number] = token
    return tokens


def _byte_level(document: Mapping[str, Any]) -> Bpe | None:
    """Return byte-level BPE that splits words as GPT-2 does; None for everything else."""
    model, before = document["model"], document.get("pre_tokenizer") or {}
    steps = before.get("pretokenizers", [before])
    kinds = [step.get("type") for step in steps]
    last = steps[-1] if steps else {}
    if (
        model.get("type", "BPE") != "BPE"
        or kinds not in (["ByteLevel"], ["Digits", "ByteLevel"])
        or not all(step.get("individual_digits", True) for step in steps)
        or last.get("add_prefix_space")
        or not last.get("use_regex", True)
        or document.get("normalizer")
        or any(model.get(k) for k in ("byte_fallback", "continuing_subword_prefix", "unk_token"))
    ):
        return None
    added = {str(t["content"]): int(t["id"]) for t in document.get("added_tokens") or ()}
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    tokens = _listed({**model["vocab"], **added})
    return Bpe(tokens, merges, frozenset(added.values()), digits_alone=len(steps) > 1)


def _by_library(path: Path, name: str) -> Library:
    if find_spec("tokenizers") is None:
        raise ConfigError(
            f"{name} is a tokenizer that only the package tokenizers can read",
            hint="pip install 'voice-toolchain[tokenizers]'",
        )
    from tokenizers import Tokenizer as Reader  # noqa: PLC0415 - an extra

    try:
        made = Reader.from_file(str(path))
    except Exception as error:  # the package raises no other
        raise InputError(
            f"{name} is no tokenizer: {str(error).replace(str(path), name)[:200]}",
            hint="give the tokenizer.json that was published with the model",
        ) from error
    made.encode_special_tokens = True  # what is said stays text, also "<|im_end|>"
    added = {t.content: n for n, t in made.get_added_tokens_decoder().items() if t.special}
    return Library(made, added, made.get_vocab_size(with_added_tokens=True))
