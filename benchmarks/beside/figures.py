"""What the samples say: medians, ratios of pairs with bounds, words and tokens that are wrong."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from beside.samples import Asked, Contestant, Found, Sample

from toolchain.harness.quality import token_agreement, word_error_rate
from toolchain.ir.order_statistics import interval

_SURE = 0.975  # of each bound, so that both together are wrong in 5 %


@dataclass(frozen=True)
class Ratio:
    """A figure over that of the contestant compared with: the median of the pairs, and bounds.

    A bound is None where the pairs are too few to say.
    """

    median: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Row:
    """One contestant; the medians by figure, "rtf" among them, and its ratios."""

    contestant: Contestant
    words: str  # why there is nothing else; "" where there is
    medians: Mapping[str, float]
    ratios: Mapping[str, Ratio]
    answers: int = 0  # samples
    wer: float | None = None  # of the clips' mean
    otherwise: tuple[tuple[str, str], ...] = ()  # clips heard with word errors: what was heard
    same: int | None = None  # answers with exactly the tokens of the one compared with
    agreement: float | None = None  # of the tokens, mean of the answers
    asked: int = 0


def rows(found: Found) -> list[Row]:
    """Return a row for each contestant, in order."""
    return [_row(found, one) for one in found.contestants]


def _row(found: Found, one: Contestant) -> Row:
    words = one.missing or found.failed.get(one.key, "")
    mine = [s for s in found.samples if s.key == one.key]
    if words or not mine:
        return Row(one, words or "not measured", {}, {})
    theirs = [s for s in found.samples if s.key == one.base]
    asked = {a.item: a for a in found.asked if a.stage == one.stage}
    medians, ratios = _figures(mine, theirs)
    answers = {s.item: s for s in mine if s.item}
    row = Row(one, "", medians, ratios, sum(bool(s.item) for s in mine), asked=len(asked))
    if one.stage == "stt":
        return _heard(row, asked, answers, mine)
    base = {s.item: s for s in theirs if s.item}
    return _answered(row, answers, base, found.stops)


def _figures(
    mine: Sequence[Sample], theirs: Sequence[Sample]
) -> tuple[dict[str, float], dict[str, Ratio]]:
    medians, ratios = {}, {}
    for name in dict.fromkeys(name for one in mine for name in one.figures):
        values = {(s.number, s.item): s.figures[name] for s in mine if name in s.figures}
        base = {(s.number, s.item): s.figures[name] for s in theirs if name in s.figures}
        medians[name] = statistics.median(values.values())
        pairs = [values[k] / base[k] for k in values if base.get(k)]
        if pairs:
            ratios[name] = ratio(pairs)
    return medians, ratios


def ratio(pairs: Sequence[float]) -> Ratio:
    """Return the median of ratios of pairs, and its 95 % bounds.

    >>> ratio([1.0, 2.0, 4.0])
    Ratio(median=2.0, low=None, high=None)
    """
    bounds = interval(pairs, 50, _SURE)
    return Ratio(statistics.median(pairs), bounds.low, bounds.high)


def _heard(
    row: Row, asked: Mapping[str, Asked], answers: Mapping[str, Sample], mine: Sequence[Sample]
) -> Row:
    spent = [
        s.figures["total_ms"] / 1000 / asked[s.item].seconds
        for s in mine
        if s.item and asked[s.item].seconds
    ]
    rates = {item: word_error_rate(asked[item].text, one.text) for item, one in answers.items()}
    return replace(
        row,
        medians={**row.medians, "rtf": statistics.median(spent)} if spent else row.medians,
        wer=statistics.mean(rates.values()),
        otherwise=tuple((item, answers[item].text) for item, rate in rates.items() if rate),
    )


def _answered(
    row: Row, answers: Mapping[str, Sample], base: Mapping[str, Sample], stops: Sequence[int]
) -> Row:
    pairs = [
        (until(base[item].tokens, stops), until(one.tokens, stops))
        for item, one in answers.items()
        if item in base
    ]
    return replace(
        row,
        same=sum(a == b for a, b in pairs) if pairs else None,
        agreement=statistics.mean(token_agreement(a, b) for a, b in pairs) if pairs else None,
    )


def until(tokens: Sequence[int], stops: Sequence[int]) -> tuple[int, ...]:
    """Return an answer until the token that ends it.

    >>> until([5, 6, 2, 7], [2]), until([5], [2])
    ((5, 6), (5,))
    """
    ends = [at for at, token in enumerate(tokens) if token in stops]
    return tuple(tokens[: ends[0]] if ends else tokens)
