"""English text to the token numbers of BERT's vocabulary."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import InputError

_INSIDE = "##"  # begins a piece that continues a word
_LONGEST = 100  # letters; longer words are unknown, as in BERT's tokenization.py
_START, _END, _UNKNOWN = "[CLS]", "[SEP]", "[UNK]"


@dataclass(frozen=True)
class WordPiece:
    """A vocabulary: piece to number."""

    ids: dict[str, int]
    lower: bool

    def encode(self, text: str) -> list[int]:
        """Return the numbers of ``text`` between [CLS] and [SEP].

        Words are cut at spaces and around punctuation, then greedily into the longest pieces that
        the vocabulary has. Source: Devlin et al., BERT (2018), tokenization.py; Chinese characters,
        which it sets apart, do not occur in our questions.
        """
        pieces = [piece for word in self._words(text) for piece in self._pieces(word)]
        return [self.ids[p] for p in (_START, *pieces, _END)]

    def _words(self, text: str) -> Iterator[str]:
        if self.lower:
            plain = unicodedata.normalize("NFD", text.lower())
            text = "".join(c for c in plain if unicodedata.category(c) != "Mn")
        spaced = "".join(f" {c} " if _is_punctuation(c) else c for c in text)
        yield from spaced.split()

    def _pieces(self, word: str) -> list[str]:
        found: list[str] = []
        at = 0
        while at < len(word) <= _LONGEST:
            lead = _INSIDE if at else ""
            ends = range(len(word), at, -1)
            end = next((e for e in ends if lead + word[at:e] in self.ids), None)
            if end is None:
                return [_UNKNOWN]
            found.append(lead + word[at:end])
            at = end
        return found or [_UNKNOWN]


def _is_punctuation(char: str) -> bool:
    ascii_symbol = char.isascii() and char.isprintable() and not char.isalnum() and char != " "
    return ascii_symbol or unicodedata.category(char).startswith("P")


def read(path: Path, name: str) -> WordPiece:
    """Read Hugging Face's ``tokenizer.json``.

    Errors:
        InputError: no such file, or another kind of tokenizer.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        model = document["model"]
        ids = {str(piece): int(number) for piece, number in model["vocab"].items()}
        lower = bool((document.get("normalizer") or {}).get("lowercase", True))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{name} is no tokenizer.json: {error!r}", hint="give the one of the model"
        ) from error
    missing = [token for token in (_START, _END, _UNKNOWN) if token not in ids]
    if model.get("type", "WordPiece") != "WordPiece" or missing:
        raise InputError(
            f"{name}: a tokenizer of the kind {model.get('type')} without {', '.join(missing)}",
            hint="WordPiece is what we read; without tokenizer =, made-up tokens are asked",
        )
    return WordPiece(ids, lower)
