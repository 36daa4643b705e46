"""Let other graph optimizers try, and keep what is smaller and the same.

What it does
    Runs each of ``tools`` that is installed (onnxsim, onnxslim, onnxscript's optimizer) on the
    model in a process of its own, with limits of time and memory. A result that is not smaller
    is no result. One that does not load, gives other numbers or takes longer to load is dropped.
    The smallest of the rest is kept.

Why
    They know patterns that ``fold-constants`` does not. They also break models: of 72 runs on six
    models 19 were useful, 17 changed nothing and said they had, 17 gave larger files, 7 did not
    load, 7 gave other answers, 5 crashed.

Options
    ``tools``: which to try. ``seconds`` and ``megabytes`` (of address space): what each may take.
    ``load_ratio``: how much of the original's time to load the result may take; above 1 by what
    such measurements vary.

Keeps
    The names, types and meaning of all outputs and inputs, and every number. What is tried depends
    on what is installed: name the tools, and pin them, where results must not depend on that.

Proof
    ``same-numbers``: both models give the same outputs, run over sequences with their state. Each
    candidate passes the same comparison before it is chosen.

Source
    onnxsim 0.8, onnxslim, onnxscript. 1.2: ours; load times of the same model differ by 10 % from
    one measurement to the next. The 72 runs are of these tools and of onnxruntime's quantizers, on
    six speech and text models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from toolchain.errors import ConfigError, InputError, ToolError
from toolchain.formats import load_time, onnx_model
from toolchain.formats.onnx_candidates import TOOLS, Limits, available, candidate
from toolchain.formats.onnx_comparison import Question, same_numbers
from toolchain.formats.onnx_session import session
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass


@dataclass(frozen=True)
class SimplifyModel(ArtifactPass):
    """Try ``tools`` within ``seconds`` and ``megabytes``; keep what loads in ``load_ratio``."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.ONNX})
    proof: ClassVar[str] = "same-numbers"

    tools: tuple[str, ...] = tuple(TOOLS)
    seconds: int = 120
    megabytes: int = 4000
    load_ratio: float = 1.2

    def __post_init__(self) -> None:
        """Refuse tools that nobody knows, and limits that are none."""
        for tool in self.tools:
            if tool not in TOOLS:
                raise ConfigError(
                    f"simplify-model knows no tool {tool!r}", hint=f"tools: {', '.join(TOOLS)}"
                )
        if min(self.seconds, self.megabytes) < 1 or self.load_ratio <= 0:
            raise ConfigError(
                "a limit of simplify-model is zero or less",
                hint="seconds and megabytes are 1 or more, load_ratio is above 0",
            )

    def rewrite(self, data: bytes) -> bytes:
        """Return the smallest good candidate; ``data`` itself if no tool made it smaller.

        Errors:
            InputError: no ONNX model, weights in another file, onnxruntime cannot load it; or the
                tools gave nothing but broken models: it says what is wrong with each.
        """
        onnx_model.load(data)
        session(data)
        best = data
        wrong: list[str] = []
        for tool in self.tools:
            if not available(tool):
                continue
            try:
                made = candidate(data, tool, Limits(self.seconds, self.megabytes))
                problem = self._problem(data, made) if len(made) < len(best) else ""
            except ToolError as error:
                made, problem = data, str(error)
            except InputError as error:
                made, problem = data, f"{tool}: {error}"
            if problem:
                wrong.append(problem if tool in problem else f"{tool}: {problem}")
            elif len(made) < len(best):
                best = made
        if best is data and wrong:
            raise InputError("; ".join(wrong))
        return best

    def _problem(self, data: bytes, made: bytes) -> str:
        """Return what is wrong with a candidate; nothing if it is good."""
        same, detail = same_numbers(data, made, Question())
        if not same:
            return f"other numbers: {detail}"
        ratio = load_time.load_ratio(data, made)
        return f"takes {ratio:.2f} times as long to load" if ratio > self.load_ratio else ""
