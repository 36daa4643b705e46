"""Reads the profile that onnxruntime writes of a session: what each node of a model took."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from toolchain.errors import InputError

_KERNEL = "_kernel_time"


@dataclass(frozen=True, slots=True)
class NodeRun:
    """One execution of a node; ``self_us`` is without the nodes that ran inside of it."""

    node: str
    operator: str
    self_us: float


@dataclass(frozen=True, slots=True)
class SessionProfile:
    """What one file says; times in microseconds."""

    load_us: float | None  # None: it was read as something that has no separate loading
    initialize_us: float
    runs_us: tuple[float, ...]  # each run as a whole
    nodes: tuple[NodeRun, ...]


def read(path: Path, since_us: float = 0.0) -> SessionProfile:
    """Return what ``path`` says of the runs that began ``since_us`` after the file.

    Errors:
        InputError: it is not a profile of onnxruntime.
    """
    try:
        events = json.loads(path.read_bytes())
        return parse(events, since_us)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path.name} is not a profile of onnxruntime: {error}",
            hint="was the process killed while it wrote it?",
        ) from error


def parse(events: Iterable[Mapping[str, Any]], since_us: float = 0.0) -> SessionProfile:
    """Return what Chrome trace ``events`` of onnxruntime say.

    A node with a body (If, Loop) lasts as long as what runs in it: its own time is the rest. Nodes
    of one thread lie in each other or apart, since one thread runs one thing at a time.

    >>> event = {"cat": "Node", "tid": 1, "args": {"op_name": "If"}, "name": "a_kernel_time"}
    >>> inner = {**event, "args": {"op_name": "Add"}, "name": "b_kernel_time", "ts": 2, "dur": 3}
    >>> [n.self_us for n in parse([{**event, "ts": 0, "dur": 10}, inner]).nodes]
    [7.0, 3.0]
    """
    load_us, initialize_us = None, 0.0
    runs, nodes = [], []
    for event in events:
        if event["cat"] == "Session":
            if event["name"].startswith("model_loading"):
                load_us = float(event["dur"])
            elif event["name"] == "session_initialization":
                initialize_us = float(event["dur"])
            elif event["name"] == "model_run" and event["ts"] >= since_us:
                runs.append(float(event["dur"]))
        elif event["cat"] == "Node" and event["name"].endswith(_KERNEL) and event["ts"] >= since_us:
            nodes.append(event)
    return SessionProfile(load_us, initialize_us, tuple(runs), tuple(_own_times(nodes)))


class _Open(NamedTuple):
    """A node whose inner nodes may still come."""

    number: int
    end_us: float


def _own_times(events: list[Mapping[str, Any]]) -> Iterator[NodeRun]:
    ordered = sorted(events, key=lambda e: (e["tid"], e["ts"], -e["dur"]))
    own = [float(event["dur"]) for event in ordered]
    around: list[_Open] = []
    thread = None
    for number, event in enumerate(ordered):
        if event["tid"] != thread:
            thread, around = event["tid"], []
        while around and event["ts"] >= around[-1].end_us:
            around.pop()
        if around:
            own[around[-1].number] -= event["dur"]
        around.append(_Open(number, event["ts"] + event["dur"]))
    for event, self_us in zip(ordered, own, strict=True):
        name = event["name"].removesuffix(_KERNEL)
        # clocks are cut to whole microseconds: many short inner nodes may seem longer than theirs
        yield NodeRun(name, event["args"]["op_name"], max(0.0, self_us))
