"""Tries ways to open one model: each in fresh processes, in turn with the usual way."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np

from toolchain.errors import ConfigError, VtoolError
from toolchain.execution.cache import ActionCache, action_key
from toolchain.execution.local import available_cores
from toolchain.harness import stored
from toolchain.harness.alone import Place, Seen
from toolchain.harness.session_options import (
    Figures,
    OptionRule,
    Options,
    Rule,
    candidates,
    taken,
    together,
)
from toolchain.harness.subject import Subject
from toolchain.harness.turn import Clip
from toolchain.ir import Digest, SessionChoice
from toolchain.quantization.contest import answers_alike
from toolchain.quantization.measuring import Answers, Array
from toolchain.tables import check
from toolchain.voice.pipeline import SESSIONS
from toolchain.voice.runnable import data_files

_GRACE_S = 3.0
"""Ours: to start an interpreter on a machine that has just become busy."""

SAME, NEAR = "the same bits", "sums in another order"


@dataclass(frozen=True)
class Found:
    """How to open one model, and the row of the report."""

    options: Options | None  # None: as usual
    row: SessionChoice


@dataclass(frozen=True)
class Search:
    """One model of an application, what it is asked, and where its other forms are kept."""

    played: Subject
    stage: str
    name: str
    clip: Clip
    rule: Rule
    cache: Path
    known: ActionCache  # of what single ways have taken: a search that ran out of time goes on
    key: Digest  # of all that they depend on

    def opened(self, options: Options | None) -> Subject:
        """Return the application in which the model is opened so.

        Errors:
            UnusableError: onnxruntime cannot store it in that form.
        """
        if options is None:
            return self.played
        files, voice = dict(self.played.files), dict(self.played.voice)
        files[self.name] = stored.model(files[self.name], options.form, self.cache)
        sessions = {**voice[self.stage].get(SESSIONS, {}), self.name: asdict(options.session)}
        voice[self.stage] = {**voice[self.stage], SESSIONS: sessions}
        return Subject(files, voice, self.played.scenario, self.played.progress)

    def found(self, folder: Path, until: float) -> tuple[Found, bool]:
        """Search until the clock says ``until``; return what was found, and whether in time."""
        bench = _Bench(self, folder)
        try:
            return bench.search(until), not bench.late
        except _LateError as error:
            return self._nothing("as usual", str(error)), False
        except VtoolError as error:
            return self._nothing("as usual", f"it cannot be tried: {error}"), False

    def _nothing(self, usual: str, why: str) -> Found:
        return Found(None, SessionChoice(self.name, self.stage, usual, usual, why))


class _LateError(Exception):
    """There was no time left."""


@dataclass(frozen=True)
class _Tried:
    """What a way takes, and what speaks against its answers."""

    figures: Figures
    problem: str


@dataclass
class _Bench:
    """The processes of one search, and what they saw."""

    of: Search
    folder: Path
    usual: tuple[Seen, dict[str, list[Answers]]] | None = None
    late: bool = False  # there was no time to try all
    patience_s: float = 0.0  # with one process; 0: the scenario's

    def search(self, until: float) -> Found:
        """Return what is best of what could be tried until the clock says ``until``.

        Errors:
            VtoolError: the model does not run as usual.
            _LateError: the clock is past ``until`` before anything was tried.
        """
        if time.monotonic() > until:
            raise _LateError("there was no time left: the next run looks further")
        began = time.monotonic()
        first = self._run(None)
        self.patience_s = self.of.rule.numbers.patience * (time.monotonic() - began) + _GRACE_S
        now = Options(**asdict(first.opened[self.of.name]))
        self.usual = first, self._answers(first)
        second = self._run(None)
        if not median(first.run_ms[self.of.name]):
            return self._none(now, "the reference clip does not need it")
        if self._differs(second):
            return self._none(now, "it answers otherwise each time: ways cannot be compared")
        usual = [self._figures(one) for one in (first, second)]
        lost: dict[Options, str] = {}
        tried = self._screened(now, max(first.others_cores, second.others_cores), until, lost)
        gaining = self._gaining(now, tried, reduce(Figures.with_more, usual), lost)
        for best in dict.fromkeys([together(now, gaining), *gaining[:1]] if gaining else ()):
            row, why = self._confirmed(now, best)
            if row:
                return Found(best, row)
            lost[best] = f"when tried again {why}"
        return self._none(now, _said(now, lost), reduce(Figures.with_more, usual))

    def _screened(
        self, now: Options, others: float, until: float, lost: dict[Options, str]
    ) -> dict[Options, Figures]:
        """Return what each way takes that may be taken; note in ``lost`` why others may not.

        ``others`` is how many cores other processes use. At least one new way is tried, or on a
        slow machine the search would never end.
        """
        tried: dict[Options, Figures] = {}
        ways = 0
        for one in candidates(now, self._asked(), available_cores()):
            known = self._known(one) is not None
            if not one.threaded_as(now) and others > self.of.rule.numbers.most_others:
                lost[one] = f"not tried: others use {others:.1f} cores of this machine"
            elif ways and time.monotonic() > until and not known:
                self.late = True
                lost[one] = "not tried: there was no time left"
            else:
                ways += not known
                self._try(one, tried, lost)
        return tried

    def _try(self, one: Options, tried: dict[Options, Figures], lost: dict[Options, str]) -> None:
        """Note what ``one`` takes, or why it may not be taken."""
        known = self._known(one)
        if known is None:
            try:
                seen = self._run(one)
            except VtoolError as error:  # perhaps of what else the machine did: not remembered
                lost[one] = f"does not run: {error}"
                return
            known = _Tried(self._figures(seen), self._differs(seen))
            self.of.known.put(self._key(one), known)
        lost[one] = known.problem
        if not known.problem:
            tried[one] = known.figures

    def _known(self, one: Options) -> _Tried | None:
        return kept(self.of.known.get(self._key(one)), _Tried)

    def _key(self, one: Options) -> Digest:
        return action_key("session options, one way", self.of.key, one)

    def _asked(self) -> list[OptionRule]:
        """Return the options that are tried: none that the table of the stage sets.

        A model whose weights lie beside it is mapped already.
        """
        of = self.of
        set_already = set(of.played.voice[of.stage])
        if len(data_files(of.played.files[of.name])) > 1:
            set_already.add("mapped")
        return [one for one in of.rule.option if one.name not in set_already]

    def _gaining(
        self,
        now: Options,
        tried: Mapping[Options, Figures],
        usual: Figures,
        lost: dict[Options, str],
    ) -> list[Options]:
        """Return what is better than usual, best first; note in ``lost`` why others are not."""
        rule, gains = self.of.rule, {}
        for one, figures in tried.items():
            wall = not one.threaded_as(now)
            lost[one] = rule.refusal(figures, usual, wall=wall)
            gain = rule.gain(figures, usual, self.of.stage, wall=wall)
            if not lost[one] and max(gain) > 0:
                gains[one] = gain
            elif not lost[one]:
                lost[one] = "gains nothing"
        return sorted(gains, key=lambda one: gains[one], reverse=True)

    def _confirmed(self, now: Options, best: Options) -> tuple[SessionChoice | None, str]:
        """Return the row of ``best`` if it is better when all is measured anew, or why not."""
        rule, bits, wall = self.of.rule, SAME, not best.threaded_as(now)
        usual, new = [], []
        for _ in range(int(rule.numbers.rounds)):
            usual.append(self._figures(self._run(None)))
            try:
                seen = self._run(best)
            except VtoolError as error:
                return None, f"does not run: {error}"
            if problem := self._differs(seen):
                return None, problem
            bits = bits if self._same_bits(seen) else NEAR
            new.append(self._figures(seen))
        before, after = reduce(Figures.with_more, usual), reduce(Figures.with_more, new)
        if problem := rule.refusal(after, before, wall=wall):
            return None, problem
        if max(rule.gain(after, before, self.of.stage, wall=wall)) <= 0:
            return None, "it gained nothing"
        if wall and max(taken(b, a, wall=True) for a, b in zip(usual, new, strict=True)) > 1:
            return None, "it was not faster in each round"
        row = SessionChoice(
            self.of.name,
            self.of.stage,
            now.words,
            best.words,
            _gained(after, before, wall=wall),
            bits,
            (median(before.run_ms), median(after.run_ms)),
            (median(before.load_ms), median(after.load_ms)),
            (int(before.held), int(after.held)),
            (int(before.most), int(after.most)),
        )
        return row, ""

    def _none(self, now: Options, why: str, usual: Figures | None = None) -> Found:
        row = SessionChoice(self.of.name, self.of.stage, now.words, now.words, why)
        if usual is not None:
            run_ms, load_ms = median(usual.run_ms), median(usual.load_ms)
            held, most = int(usual.held), int(usual.most)
            row = replace(
                row,
                run_ms=(run_ms, run_ms),
                load_ms=(load_ms, load_ms),
                held=(held, held),
                most=(most, most),
            )
        return Found(None, row)

    def _run(self, options: Options | None) -> Seen:
        """Let a fresh process play the stage with the model opened so.

        Errors:
            VtoolError: it does not run, or takes much longer than the usual one.
        """
        subject, numbers = self.of.opened(options), self.of.rule.numbers
        request = {
            "job": "alone",
            "stage": self.of.stage,
            "sound": self.of.clip.path,
            "text": self.of.clip.text,
            "tokens": int(numbers.tokens),
            "least": int(numbers.least_passes),
            "most": int(numbers.most_passes),
            "seconds": numbers.pass_seconds,
            "answers": str(self.folder / "answers"),
        }
        patience = math.ceil(self.patience_s) or subject.scenario.timeout_s
        subject = replace(subject, scenario=replace(subject.scenario, timeout_s=patience))
        return check(subject.ask(request), Seen, where="the voice application")

    def _figures(self, seen: Seen) -> Figures:
        name = self.of.name
        return Figures(
            seen.run_ms[name],
            seen.cpu_ms[name],
            seen.pass_cpu_ms,
            (seen.load_ms[name],),
            (seen.resident,),
            () if seen.peak is None else (seen.peak,),
        )

    def _same_bits(self, seen: Seen) -> bool:
        assert self.usual  # noqa: S101 - set by the first run
        return seen.answers == self.usual[0].answers

    def _differs(self, seen: Seen) -> str:
        """Return in what the answers of the stage are other than usual; "" for sums' last bits."""
        assert self.usual  # noqa: S101 - set by the first run
        usual, answers = self.usual
        if seen.said != usual.said:
            return "another answer"
        if self._same_bits(seen):
            return ""
        ours = self._answers(seen)
        if ours.keys() != answers.keys() or not all(
            answers_alike(ours[n], answers[n]) for n in ours
        ):
            return "other numbers"
        return ""

    def _answers(self, seen: Seen) -> dict[str, list[Answers]]:
        data = (self.folder / "answers").read_bytes()
        return {
            name: [
                {str(n): _array(place, data) for n, place in enumerate(places)}
                for places in one.runs
            ]
            for name, one in seen.answers.items()
        }


_Kind = TypeVar("_Kind")


def kept(document: object, kind: type[_Kind]) -> _Kind | None:
    """Return what the cache holds; None where there is nothing, or it is damaged."""
    if document is None:
        return None
    try:
        return check(document, kind, where="the cache")
    except ConfigError:
        return None


def _array(place: Place, data: bytes) -> Array:
    kind, shape, offset = place
    return np.frombuffer(data, kind, math.prod(shape), offset).reshape(shape)


def _said(now: Options, lost: Mapping[Options, str]) -> str:
    """Return why each way lost, in one line."""
    return "; ".join(f"{one.against(now)} {why}" for one, why in lost.items() if why)


def _gained(after: Figures, before: Figures, *, wall: bool) -> str:
    """Say what is better: "0.62 times the wall time; 12.1 MB less held, 3.0 MB less at most"."""
    time_ = taken(after, before, wall=wall)
    held, most = before.held - after.held, before.most - after.most
    clock = "wall" if wall else "CPU"
    return f"{time_:.2f} times the {clock} time; {_less(held)} held, {_less(most)} at most"


def _less(saved: float) -> str:
    return f"{abs(saved) / 1e6:.1f} MB {'less' if saved >= 0 else 'more'}"
