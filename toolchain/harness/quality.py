"""Beside speed: whether the words are right, and how far two variants agree."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from toolchain.errors import ConfigError

_SPEECH = 0.5  # Silero's threshold; what counts is on which side of it a frame lies


def word_error_rate(said: str, heard: str) -> float:
    """Return wrong, missing and added words over the words said; case and punctuation aside.

    Normalization is jiwer's: lower case, contractions written out, no punctuation. "7" and "seven"
    are different words. Of nothing said, anything heard is an error rate of 1.

    >>> word_error_rate("It's seven.", "it is 7")
    0.3333333333333333

    Errors:
        ConfigError: the jiwer package is not installed.
    """
    if find_spec("jiwer") is None:
        raise ConfigError(
            "word error rates need the jiwer package", hint="pip install 'voice-toolchain[voice]'"
        )
    import jiwer  # noqa: PLC0415 - an extra, and 0.2 s

    plain = jiwer.Compose(
        [
            jiwer.ToLowerCase(),
            jiwer.ExpandCommonEnglishContractions(),
            jiwer.RemovePunctuation(),  # type: ignore[no-untyped-call]  # its signature is bare
            jiwer.RemoveMultipleSpaces(),
            jiwer.Strip(),
            jiwer.ReduceToListOfListOfWords(),
        ]
    )
    if not any(plain([said])):
        return float(any(plain([heard])))
    return float(jiwer.wer(said, heard, reference_transform=plain, hypothesis_transform=plain))


def token_agreement(reference: Sequence[int], other: Sequence[int]) -> float:
    """Return the share of two answers' tokens that is the same, in order (the longer one is whole).

    The longest common subsequence over the longer answer: one token that differs costs one token,
    also when it shifts those after it.

    >>> token_agreement([1, 2, 3, 4], [1, 3, 4]), token_agreement([], [])
    (0.75, 1.0)
    """
    if not reference and not other:
        return 1.0
    row = [0] * (len(other) + 1)
    for a in reference:
        diagonal = 0
        for at, b in enumerate(other, 1):
            diagonal, row[at] = (
                row[at],
                diagonal + 1 if a == b else max(row[at], row[at - 1]),
            )
    return row[-1] / max(len(reference), len(other))


def share_equal(reference: Sequence[int], other: Sequence[int]) -> float:
    """Return the share of places at which two sequences of one length hold the same.

    >>> share_equal([1, 2, 3, 4], [1, 2, 3, 9])
    0.75
    """
    same = sum(a == b for a, b in zip(reference, other, strict=True))
    return same / len(reference) if reference else 1.0


def frame_agreement(reference: Sequence[float], other: Sequence[float]) -> float:
    """Return the share of frames on which two VADs decide the same.

    Only frames that both were played are compared: when a turn ends depends also on how soon its
    transcript was there. A VAD that hears speech go on decides otherwise on frames that both heard.

    >>> frame_agreement([0.9, 0.8, 0.1, 0.1], [0.9, 0.2, 0.1, 0.1, 0.1])
    0.75
    """
    pairs = list(zip(reference, other, strict=False))
    same = sum((a >= _SPEECH) == (b >= _SPEECH) for a, b in pairs)
    return same / max(1, len(pairs))
