"""A model that can be run: names in, names out; a session, or one whose weights are replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no types
from numpy.typing import NDArray
from onnx import ModelProto

from toolchain.formats.onnx_session import run, session
from toolchain.formats.onnx_tables import table_rows

Array = NDArray[np.generic]

_INTEGERS = frozenset({"tensor(int32)", "tensor(int64)"})  # what ONNX allows to choose rows


@dataclass(frozen=True, slots=True)
class Port:
    """An input of a model: open sizes are names or None; ``type`` is onnxruntime's name.

    ``rows`` is set where its integers choose rows of a stored table, as token ids do.
    """

    name: str
    type: str  # "tensor(float)", "tensor(int64)" ...
    shape: tuple[int | str | None, ...]
    rows: int | None = None


class Runner(Protocol):
    """Anything that answers feeds with outputs."""

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What a caller feeds."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what comes back, in order."""
        ...

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return all outputs by name.

        Errors:
            InputError: an input is missing, or a shape or value does not fit.
        """
        ...


@dataclass(frozen=True)
class SessionRunner:
    """An onnxruntime session as a ``Runner``; ``model`` is what it was opened from, if known."""

    session: onnxruntime.InferenceSession
    model: bytes | Path | None = None

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What a caller feeds."""
        given = self.session.get_inputs()
        rows = self._rows if any(i.type in _INTEGERS for i in given) else {}
        return tuple(Port(i.name, i.type, tuple(i.shape), rows.get(i.name)) for i in given)

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        """Rows of the tables that inputs choose from; none where the model cannot be parsed."""
        parsed = ModelProto()
        data = self.model.read_bytes() if isinstance(self.model, Path) else self.model
        try:
            parsed.ParseFromString(data or b"")
        except DecodeError:  # ORT format, or too large
            return {}
        return table_rows(parsed)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what comes back, in order."""
        return tuple(o.name for o in self.session.get_outputs())

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return all outputs by name; feeds that the model does not know are left out."""
        return run(self.session, {n: f for n, f in feeds.items() if n in self._known})

    @cached_property
    def _known(self) -> frozenset[str]:
        """The inputs, those that have a value already (and are not in ``inputs``) too."""
        both = (self.session.get_inputs(), self.session.get_overridable_initializers())
        return frozenset(i.name for some in both for i in some)


@dataclass(frozen=True)
class Watched:
    """A runner whose questions somebody looks at, and their answers."""

    runner: Runner
    watch: Callable[[Mapping[str, Array], Mapping[str, Array]], None]  # feeds, answers

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What a caller feeds."""
        return self.runner.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what comes back, in order."""
        return self.runner.outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Answer, and show feeds and answers; what ``watch`` raises ends the asking.

        Feeds that the model refuses (a probe of another size) are not shown. A caller may go on to
        change the mapping: who keeps it copies it.
        """
        answers = self.runner.run(feeds)
        self.watch(feeds, answers)
        return answers


def open_runner(model: bytes | Path) -> SessionRunner:
    """Open a model on the CPU, one thread.

    Errors:
        UnusableError: onnxruntime refuses it.
    """
    return SessionRunner(session(model), model)
