"""How operators read a weight: as which matrices, and which values those are multiplied with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from onnx import AttributeProto, NodeProto

from toolchain.formats.onnx_scopes import Reader
from toolchain.formats.weight_layout import Layout

_VIEWS = frozenset({"Cast", "DequantizeLinear", "Identity", "Transpose"})
_QUANTIZING = frozenset({"DynamicQuantizeLinear", "QuantizeLinear"})
_DIRECTIONS_AXES = 3  # (direction, gate * hidden, input)
_MATRIX_AXES = 2


@dataclass(frozen=True)
class Window:
    """What a convolution adds up: see the operator Conv."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]  # starts, then ends
    groups: int


@dataclass(frozen=True)
class Source:
    """Which numbers a weight's depth is multiplied with: axes of a value of the main graph.

    ``kind`` is ``last`` (the value's last axis is the depth), ``columns`` (the last but one),
    ``channels`` (the second), ``window`` (a convolution's window over the value), ``input`` or
    ``hidden`` (of a recurrent node: what it reads, and its own output one step ago).
    """

    value: str
    kind: str
    zero_point: str = ""  # of an integer value
    initial: str = ""  # hidden state before the first step
    window: Window | None = None


@dataclass(frozen=True)
class Use:
    """One node that reads the weight, directly or behind a view."""

    node: str  # the operator
    layout: Layout
    source: Source | None = None  # None: not known, or not in the main graph


def uses(shape: tuple[int, ...], readers: Sequence[Reader]) -> tuple[Use, ...]:
    """Return what is known of the nodes that read a weight of this shape, in graph order."""
    return tuple(_found(shape, tuple(range(len(shape))), readers))


def _found(
    shape: tuple[int, ...], axes: tuple[int, ...], readers: Sequence[Reader]
) -> Iterator[Use]:
    """``axes``: where each axis, as read, lies in the stored weight."""
    for reader in readers:
        node = reader.node
        if node.op_type in _VIEWS and reader.position == 0:
            behind = reader.scope.readers.get(node.output[0], [])
            perm = _ints(node, "perm") or tuple(reversed(range(len(shape))))
            turned = tuple(axes[p] for p in perm) if node.op_type == "Transpose" else axes
            yield from _found(shape, turned, behind)
        elif node.op_type in _READINGS:
            seen = _READINGS[node.op_type](node, reader.position, tuple(shape[a] for a in axes))
            if seen is not None:
                layout, source = seen
                known = _floating(source, reader) if reader.scope.is_main else None
                yield Use(node.op_type, _stored(layout, shape, axes), known)


def _floating(source: Source | None, reader: Reader) -> Source | None:
    """Return what ``source`` was before it was made integer, if that is in the graph.

    Integers of different runs have different scales.
    """
    maker = reader.scope.makers.get(source.value) if source is not None else None
    if source is None or maker is None or maker.op_type not in _QUANTIZING:
        return source
    return replace(source, value=maker.input[0], zero_point="")


def _stored(layout: Layout, shape: tuple[int, ...], axes: tuple[int, ...]) -> Layout:
    """Return ``layout``, given for the weight as read, for the weight as stored."""
    parts: list[tuple[tuple[int, ...], str]] = []
    at = 0
    for axis in axes:
        start, product = at, 1
        while at < len(layout.split) and (product < shape[axis] or at == start):
            product *= layout.split[at]
            at += 1
        parts.append((layout.split[start:at], layout.roles[start:at]))
    order = [axes.index(a) for a in range(len(axes))]
    split = tuple(n for a in order for n in parts[a][0])
    return Layout(split, "".join(parts[a][1] for a in order))


_Seen = tuple[Layout, Source | None] | None


def _product(node: NodeProto, position: int, shape: tuple[int, ...]) -> _Seen:
    """MatMul and its relatives; their weight is input 0 or 1."""
    if len(shape) != _MATRIX_AXES or position > 1:
        return None
    integer = node.op_type in ("MatMulInteger", "QLinearMatMul", "MatMulIntegerToFloat")
    zero = {"MatMulInteger": 2, "MatMulIntegerToFloat": 4, "QLinearMatMul": 2}.get(node.op_type, 0)
    if node.op_type == "QLinearMatMul":
        return Layout(shape, "dr"), None
    if position == 0:
        return Layout(shape, "rd"), Source(node.input[1], "columns") if not integer else None
    return Layout(shape, "dr"), Source(node.input[0], "last", _input(node, zero) if zero else "")


def _gemm(node: NodeProto, position: int, shape: tuple[int, ...]) -> _Seen:
    if position == 1:
        kind = "columns" if _int(node, "transA", 0) else "last"
        return Layout(shape, "rd" if _int(node, "transB", 0) else "dr"), Source(node.input[0], kind)
    if position == 0:
        kind = "last" if _int(node, "transB", 0) else "columns"
        return Layout(shape, "dr" if _int(node, "transA", 0) else "rd"), Source(node.input[1], kind)
    return None


def _fused_product(node: NodeProto, position: int, shape: tuple[int, ...]) -> _Seen:
    if len(shape) != _MATRIX_AXES or position != 1:
        return None
    kind = "columns" if _int(node, "transA", 0) else "last"
    return Layout(shape, "rd" if _int(node, "transB", 0) else "dr"), Source(node.input[0], kind)


def _conv(node: NodeProto, position: int, shape: tuple[int, ...]) -> _Seen:
    where = 3 if node.op_type == "QLinearConv" else 1
    if position != where or len(shape) <= _MATRIX_AXES:
        return None
    groups = _int(node, "group", 1)
    layout = Layout((groups, shape[0] // groups, *shape[1:]), "gr" + "d" * (len(shape) - 1))
    kernel = shape[2:]
    ones = (1,) * len(kernel)
    pads = _ints(node, "pads") or (0,) * (2 * len(kernel))
    if _text(node, "auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        pads = tuple((k - 1) // 2 for k in kernel) + tuple(k // 2 for k in kernel)
    strides = _ints(node, "strides") or ones
    window = Window(kernel, strides, _ints(node, "dilations") or ones, pads, groups)
    if node.op_type == "QLinearConv":
        return layout, None
    zero = _input(node, 2) if node.op_type == "ConvInteger" else ""
    return layout, Source(node.input[0], "window", zero, window=window)


def _conv_transpose(node: NodeProto, position: int, shape: tuple[int, ...]) -> _Seen:
    if position != 1 or len(shape) <= _MATRIX_AXES:
        return None
    groups = _int(node, "group", 1)
    layout = Layout((groups, shape[0] // groups, *shape[1:]), "gd" + "r" * (len(shape) - 1))
    return layout, Source(node.input[0], "channels", window=Window((), (), (), (), groups))


def _recurrent(node: NodeProto, position: int, shape: tuple[int, ...]) -> _Seen:
    if len(shape) != _DIRECTIONS_AXES or position not in (1, 2):
        return None
    if position == 1:
        return Layout(shape, "grd"), Source(node.input[0], "input")
    if node.output[0] == "" or _text(node, "direction", "forward") != "forward":
        return Layout(shape, "grd"), None
    return Layout(shape, "grd"), Source(node.output[0], "hidden", initial=_input(node, 5))


def _gather(node: NodeProto, position: int, shape: tuple[int, ...]) -> _Seen:
    axis = _int(node, "axis", 0) % max(len(shape), 1)
    if position != 0 or len(shape) != _MATRIX_AXES or axis != 0:
        return None
    return Layout(shape, "rd"), None


_READINGS: dict[str, Callable[[NodeProto, int, tuple[int, ...]], _Seen]] = {
    "MatMul": _product,
    "MatMulInteger": _product,
    "MatMulIntegerToFloat": _product,
    "DynamicQuantizeMatMul": _product,
    "QLinearMatMul": _product,
    "FusedMatMul": _fused_product,
    "Gemm": _gemm,
    "FusedGemm": _gemm,
    "Conv": _conv,
    "FusedConv": _conv,
    "ConvInteger": _conv,
    "QLinearConv": _conv,
    "ConvTranspose": _conv_transpose,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Gather": _gather,
}


def _attribute(node: NodeProto, name: str) -> AttributeProto | None:
    return next((a for a in node.attribute if a.name == name), None)


def _ints(node: NodeProto, name: str) -> tuple[int, ...]:
    found = _attribute(node, name)
    return tuple(found.ints) if found is not None else ()


def _int(node: NodeProto, name: str, default: int) -> int:
    found = _attribute(node, name)
    return int(found.i) if found is not None else default


def _text(node: NodeProto, name: str, default: str) -> str:
    found = _attribute(node, name)
    return found.s.decode("utf-8", "replace") if found is not None else default


def _input(node: NodeProto, position: int) -> str:
    return node.input[position] if position < len(node.input) else ""
