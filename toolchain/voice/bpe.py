"""Byte-level BPE: text to token numbers and back, from a vocabulary and its merges."""

from __future__ import annotations

import codecs
import heapq
import itertools
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from toolchain.errors import InputError

_CONTROL = 3  # token type of <|im_end|> and its like in GGUF's tokenizer.ggml.token_type
_CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
_NOT_WHITE = frozenset("\x1c\x1d\x1e\x1f")  # spaces for Python, not for Unicode's White_Space
_DIGITS_ALONE = {"smollm": True, "gpt-2": False}  # by the pre-tokenizer's name in a GGUF

_HINT = (
    "import the model from GGUF with the pass import-gguf, which keeps the tokenizer, or give its "
    "tokenizer.json: tokenizer = ..."
)


def _byte_letters() -> dict[int, str]:
    """Return the printable letter that stands for each byte in a vocabulary.

    Source: GPT-2, encoder.py, ``bytes_to_unicode``.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (b for b in range(0x100) if b not in printable)
    letters = {b: chr(b) for b in printable}
    return letters | {b: chr(0x100 + i) for i, b in enumerate(others)}


_LETTERS = _byte_letters()
_BYTES = {letter: byte for byte, letter in _LETTERS.items()}


@dataclass(frozen=True)
class Bpe:
    """A vocabulary: ``tokens`` by number, ``merges`` ("a b") by rank, ``control`` tokens.

    Text never becomes a control token: what a user says cannot end or begin a message.
    ``digits_alone``: each digit is a word by itself.
    """

    tokens: Sequence[str]
    merges: Sequence[str]
    control: frozenset[int]
    digits_alone: bool = True

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return len(self.tokens)

    @cached_property
    def controls(self) -> Mapping[str, int]:
        """The numbers of the control tokens by name."""
        return {self.tokens[number]: number for number in self.control}

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {t: i for i, t in enumerate(self.tokens) if i not in self.control}

    @cached_property
    def _ranks(self) -> dict[str, int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    def control_id(self, name: str) -> int:
        """Return the number of a control token such as ``<|im_start|>``.

        Errors:
            InputError: the vocabulary has none of that name.
        """
        return control_id(self.controls, name)

    def encode(self, text: str) -> list[int]:
        """Return the token numbers of ``text``.

        A byte that the vocabulary does not have is left out, as llama.cpp does. (SmolLM2 has no
        bytes of the planes of Unicode that nobody has assigned.) Half a surrogate pair is "?".
        """
        found = (word.encode("utf-8", "replace") for word in words(text, self.digits_alone))
        spelled = ("".join(_LETTERS[byte] for byte in word) for word in found)
        parts = (part for word in spelled for part in self._merged(word))
        return [self._ids[part] for part in parts if part in self._ids]

    def _merged(self, word: str) -> list[str]:
        """Join the neighbours that were merged first in training, until none is left.

        Cost: n log n for a word of n bytes; plain search would take minutes for 50,000.
        """
        parts = dict(enumerate(word))
        after = {at: at + 1 for at in parts}
        before = {at: at - 1 for at in parts}
        waiting = [self._pair(parts, at, at + 1) for at in range(len(word) - 1)]
        heapq.heapify(waiting)
        while waiting and waiting[0][0] < len(self.merges):
            rank, left, right = heapq.heappop(waiting)
            if after.get(left) != right or (rank, left, right) != self._pair(parts, left, right):
                continue  # one of the two was joined with somebody else
            parts[left] += parts.pop(right)
            beyond = after[left] = after.pop(right)
            if beyond in parts:
                before[beyond] = left
                heapq.heappush(waiting, self._pair(parts, left, beyond))
            if before[left] in parts:
                heapq.heappush(waiting, self._pair(parts, before[left], left))
        return list(parts.values())

    def _pair(self, parts: Mapping[int, str], left: int, right: int) -> tuple[int, int, int]:
        """Return two neighbours with the rank of their merge, the first of all ranks first."""
        never = len(self.merges)
        return self._ranks.get(f"{parts[left]} {parts[right]}", never), left, right

    def decode(self, ids: Iterable[int]) -> Iterator[str]:
        """Yield what each token adds to the text: nothing for half a character or a control token.

        Half a character at the very end is left out; so is a number beyond the vocabulary, as
        models have rows that stand for nothing.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for number in ids:
            known = number < self.size and number not in self.control
            yield decoder.decode(_spelled(self.tokens[number])) if known else ""


def control_id(controls: Mapping[str, int], name: str) -> int:
    """Return the number of the control token ``name``.

    Errors:
        InputError: there is none of that name; lists those that there are.
    """
    if name not in controls:
        raise InputError(
            f"the tokenizer has no control token {name}",
            hint="its control tokens: " + (", ".join(sorted(controls)[:12]) or "none"),
        )
    return controls[name]


def _spelled(token: str) -> bytes:
    """Return the bytes of a token; one that was added as text has letters of its own."""
    try:
        return bytes(_BYTES[c] for c in token)
    except KeyError:
        return token.encode("utf-8")


def words(text: str, digits_alone: bool = True) -> Iterator[str]:  # noqa: FBT001, FBT002 - how tokenizers say it
    r"""Split ``text`` as the model's tokenizer does before merging; the parts join to ``text``.

    First every digit by itself, if they stand alone, then what lies between by GPT-2's rule
    ``'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+``.

    Source: llama.cpp, llama-vocab.cpp, pre-tokenizers "smollm" and "gpt-2"; the tests compare with
    token numbers of Hugging Face's tokenizers.
    """
    if not digits_alone:
        yield from _between_digits(text)
        return
    for number, run in itertools.groupby(text, lambda c: _class(c) == "number"):
        if number:
            yield from run
        else:
            yield from _between_digits("".join(run))


def _between_digits(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        end = at + _first_word(text, at)
        yield text[at:end]
        at = end


def _first_word(text: str, at: int) -> int:
    """Return the length of the word at ``at``, at least 1."""
    for ending in _CONTRACTIONS:
        if text.startswith(ending, at):
            return len(ending)
    lead = 1 if text[at] == " " and at + 1 < len(text) and _class(text[at + 1]) != "space" else 0
    kind = _class(text[at + lead])
    end = at + lead
    while end < len(text) and _class(text[end]) == kind:
        end += 1
    if kind == "space" and end < len(text) and end - at > 1:
        end -= 1  # the last space belongs to the word that follows
    return end - at


def _class(char: str) -> str:
    if char.isspace() and char not in _NOT_WHITE:
        return "space"
    return {"L": "letter", "N": "number"}.get(unicodedata.category(char)[0], "other")


def from_metadata(metadata: Mapping[str, str]) -> Bpe:
    """Build the vocabulary from the metadata of an imported GGUF (each value is JSON text).

    Errors:
        InputError: there is none, or it is of a kind we cannot split text for.
    """
    kind = _read(metadata, "tokenizer.ggml.model"), _read(metadata, "tokenizer.ggml.pre")
    if kind[0] != "gpt2" or kind[1] not in _DIGITS_ALONE:
        raise InputError(
            f"the language model's tokenizer is {kind[0]}/{kind[1]}",
            hint=f"known are gpt2/{', gpt2/'.join(sorted(_DIGITS_ALONE))}; for another one "
            "give the model's tokenizer.json: tokenizer = ...",
        )
    tokens = _read(metadata, "tokenizer.ggml.tokens")
    types = _read(metadata, "tokenizer.ggml.token_type")
    merges = _read(metadata, "tokenizer.ggml.merges")
    if not all(isinstance(found, list) for found in (tokens, types, merges)):
        raise InputError("the language model's vocabulary is no list of tokens", hint=_HINT)
    control = frozenset(i for i, t in enumerate(types) if t == _CONTROL)
    return Bpe(tokens, merges, control, _DIGITS_ALONE[kind[1]])


def _read(metadata: Mapping[str, str], key: str) -> Any:  # noqa: ANN401 - JSON
    if key not in metadata:
        raise InputError(f"the language model has no {key} in its metadata", hint=_HINT)
    try:
        return json.loads(metadata[key])
    except ValueError as error:
        raise InputError(f"{key} in the model's metadata is not JSON", hint=_HINT) from error
