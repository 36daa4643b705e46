"""Which operators a model needs of its runtime, and the file that says so to onnxruntime's build.

The file has one line for each domain and opset: ``ai.onnx;17;Add,Conv``. A build with it
(``--include_ops_by_config``) holds the kernels of these operators only.

Source: onnxruntime, docs/Reduced_Operator_Kernel_build.md.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import onnxruntime
from onnx import ModelProto, defs
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from toolchain.errors import InputError
from toolchain.formats import onnx_model, ort_model
from toolchain.formats.onnx_session import RUNTIME_ERRORS, reason
from toolchain.formats.ort_to_onnx import to_onnx

_ONNX = "ai.onnx"
_FIELDS = 3  # of a line
_NO_END = 2**31 - 1  # of the opsets that a kernel serves


class Operator(NamedTuple):
    """An operator in the opset that a model imports."""

    domain: str  # "ai.onnx" for ONNX's own
    opset: int
    name: str


class Needs(NamedTuple):
    """What a model needs of a runtime."""

    operators: frozenset[Operator]
    refusal: str = ""  # why the installed onnxruntime does not load it; empty if it does


def required(data: bytes) -> Needs:
    """Return the operators that onnxruntime needs to open and run an ONNX or ORT model.

    Those in the file, since constants are folded while it loads, and those that the optimizer
    puts in their place (up to its level "extended"; the layout level depends on the processor).
    Of a model that the installed onnxruntime refuses, only those in the file are known.

    Errors:
        InputError: ``data`` is neither.
    """
    is_ort = data[4:8] == ort_model.IDENTIFIER
    model = to_onnx(data) if is_ort else onnx_model.load(data)
    named = _operators(model)
    if is_ort:
        return Needs(named)
    try:
        return Needs(named | _operators(_optimized(data)))
    except InputError as refused:
        return Needs(named, str(refused))


def _operators(model: ModelProto) -> frozenset[Operator]:
    opsets = {o.domain or _ONNX: o.version for o in model.opset_import}
    own = {(f.domain, f.name) for f in model.functions}
    return frozenset(
        Operator(node.domain or _ONNX, opsets.get(node.domain or _ONNX, 1), node.op_type)
        for node in onnx_model.nodes(model)
        if (node.domain, node.op_type) not in own
    )


def _optimized(data: bytes) -> ModelProto:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory(prefix="vtool-") as folder:
        path = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except RUNTIME_ERRORS as error:
            raise InputError(f"onnxruntime cannot load the model: {reason(error)}") from error
        return onnx_model.load(path.read_bytes())


def written(operators: Iterable[Operator]) -> str:
    r"""Return the lines of a configuration file, sorted.

    >>> written([Operator("ai.onnx", 17, "Mul"), Operator("ai.onnx", 17, "Add")])
    'ai.onnx;17;Add,Mul\n'
    """
    lines: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for operator in operators:
        lines[operator.domain, operator.opset].add(operator.name)
    return "".join(
        f"{domain};{opset};{','.join(sorted(names))}\n"
        for (domain, opset), names in sorted(lines.items())
    )


def read(text: str) -> frozenset[Operator]:
    """Return the operators that a configuration file lists.

    Errors:
        InputError: a line is neither a comment nor ``domain;opset,opset;name,name``.
    """
    found = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith(("#", "!")):
            continue
        fields = line.strip().split(";")
        opsets = fields[1].split(",") if len(fields) == _FIELDS else []
        if not opsets or not all(o.isascii() and o.isdecimal() for o in opsets):
            raise InputError(
                f"line {number} of the operators' configuration is not domain;opset;names",
                hint="ai.onnx;17;Add,Conv",
            )
        names = fields[2].partition("{")[0] if "{" in fields[2] else fields[2]
        found |= {
            Operator(fields[0], int(opset), name.strip())
            for opset in opsets
            for name in names.split(",")
            if name.strip()
        }
    return frozenset(found)


def lacking(needed: Iterable[Operator], built: Iterable[Operator]) -> list[Operator]:
    """Return the operators that a runtime built with the list ``built`` has no kernel for, sorted.

    A kernel serves a range of opsets: one built for opset 13 may be the one for 17. Operators
    that have no kernel at all (onnxruntime replaces them by what they are made of) are not told.
    """
    ranges = _kernels()
    there = {(o.domain, o.name, r) for o in built for r in _serving(o, ranges)}
    return sorted(
        o
        for o in set(needed)
        if (found := _serving(o, ranges)) and not there & {(o.domain, o.name, r) for r in found}
    )


def lacked(needed: Iterable[Operator], names: Iterable[str]) -> list[Operator]:
    """Return the operators of ``needed`` that a target's list of ``names`` has, sorted.

    A name stands for one version of an operator, as ONNX's own changelog writes it
    (``RandomNormal-22``), or for all of them (``ai.onnx.preview.training:Adam``).

    >>> lacked([Operator("ai.onnx", 21, "Abs"), Operator("ai.onnx", 12, "Abs")], ["Abs-13"])
    [Operator(domain='ai.onnx', opset=21, name='Abs')]
    """
    listed = set(names)
    return sorted(o for o in set(needed) if listed & {called(o.domain, o.name), versioned(o)})


def called(domain: str, name: str) -> str:
    """Return an operator's name in a target's list: ``domain:Name`` outside of ONNX's own."""
    return name if domain in {"", _ONNX} else f"{domain}:{name}"


def versioned(operator: Operator) -> str:
    """Return ``Name-VERSION``: the opset that brought the definition which is in force."""
    name = called(operator.domain, operator.name)
    domain = "" if operator.domain == _ONNX else operator.domain
    try:
        schema = defs.get_schema(operator.name, operator.opset, domain)
    except defs.SchemaError:  # of a domain that ONNX does not define
        return name
    return f"{name}-{schema.since_version}"


Ranges = Mapping[tuple[str, str], frozenset[tuple[int, int]]]


def _kernels() -> Ranges:
    """Return the opsets that each kernel of the installed onnxruntime serves."""
    found: defaultdict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
    for kernel in runtime.get_all_opkernel_def():
        if kernel.provider == "CPUExecutionProvider":
            first, last = kernel.version_range
            found[kernel.domain or _ONNX, kernel.op_name].add((first, last))
    return {key: frozenset(value) for key, value in found.items()}


def registered(schema: defs.OpSchema) -> bool:
    """Return whether the installed onnxruntime has a kernel for this version of an operator.

    One without an end serves the version that it was written for alone: onnxruntime does not trust
    it with a definition that came later. Those without a kernel may still run, as functions do.
    """
    since = schema.since_version
    known = _kernels().get((schema.domain or _ONNX, schema.name), frozenset())
    return any(first == since or first < since <= last < _NO_END for first, last in known)


def _serving(operator: Operator, ranges: Ranges) -> list[tuple[int, int]]:
    """Return the kernel that an opset chooses: the newest that is not newer than it."""
    known = ranges.get((operator.domain, operator.name), frozenset())
    return [max((r for r in known if r[0] <= operator.opset), default=(0, 0))] if known else []
