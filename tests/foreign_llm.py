"""Rewrites an imported language model as other exporters would have written it.

What an exporter adds is not only taken but tested: fed with a wrong mask, wrong positions or a
wrong branch, the model gives no numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import tiny_gguf
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from toolchain.passes.import_gguf import ImportGguf
from toolchain.voice.bpe import _LETTERS

CONTROLS = ("<|im_start|>", "<|im_end|>", "<|user|>", "<|bot|>")


@dataclass(frozen=True)
class Style:
    """How an exporter writes a model; the defaults are what an import from GGUF gives."""

    past: str = "past"
    present: str = "present"
    half: bool = False  # keys and values in float16
    mask: bool = False
    positions: bool = False
    branch: bool = False  # use_cache_branch
    keep: bool = False  # num_logits_to_keep
    cached: bool = True


def tiny() -> ModelProto:
    """Return a small llama graph of seeded numbers with a row for each token of ``tokenizer``."""
    metadata, tensors = tiny_gguf.llama(vocabulary=256 + len(CONTROLS))
    return onnx.load_from_string(ImportGguf().rewrite(tiny_gguf.written(metadata, tensors)))


def tokenizer() -> dict[str, object]:
    """Return a tokenizer.json: a token for each byte, without merges, and ChatML's."""
    return {
        "model": {"type": "BPE", "vocab": {c: b for b, c in _LETTERS.items()}, "merges": []},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "added_tokens": [
            {"id": 256 + number, "content": name, "special": True}
            for number, name in enumerate(CONTROLS)
        ],
    }


def written(model: ModelProto, style: Style) -> bytes:
    """Return a copy of ``model`` in another style."""
    changed = ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    checks = list(_checks(graph, style))
    if style.keep:
        _keep(graph)
    if style.half:
        _half(graph)
    if not style.cached:
        _uncached(graph)
    _poison(graph, checks)
    for node in graph.node:
        node.input[:] = [_renamed(n, style.past, style.present) for n in node.input]
        node.output[:] = [_renamed(n, style.past, style.present) for n in node.output]
    for one in [*graph.input, *graph.output, *graph.initializer]:
        one.name = _renamed(one.name, style.past, style.present)
    return changed.SerializeToString()


def _renamed(name: str, past: str, present: str) -> str:
    if name.startswith("past."):
        return past + name.removeprefix("past")
    return present + name.removeprefix("present") if name.startswith("present.") else name


def _add(graph: onnx.GraphProto, *nodes: NodeProto) -> None:
    """Put nodes before all others: they read inputs only."""
    old = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *old])


def _checks(graph: onnx.GraphProto, style: Style) -> list[str]:
    """Add the inputs of a style; return the names of what is true if they were fed right."""
    node, value = helper.make_node, helper.make_tensor_value_info
    for name, number in (("zero", 0), ("one", 1)):
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [], [number]))
    lengths = [
        node("Shape", ["past.0.key"], ["f_past1"], start=2, end=3),
        node("Squeeze", ["f_past1"], ["f_past"]),
        node("Shape", ["input_ids"], ["f_new1"], start=1, end=2),
        node("Squeeze", ["f_new1"], ["f_new"]),
        node("Add", ["f_past", "f_new"], ["f_total"]),
    ]
    found, nodes = [], []
    if style.mask:
        graph.input.append(value("attention_mask", TensorProto.INT64, [1, "total_length"]))
        nodes += [
            node("ReduceSum", ["attention_mask"], ["f_sum"], keepdims=0),
            node("Equal", ["f_sum", "f_total"], ["f_mask_right"]),
        ]
        found.append("f_mask_right")
    if style.positions:
        graph.input.append(value("position_ids", TensorProto.INT64, [1, "sequence_length"]))
        nodes += [
            node("Range", ["f_past", "f_total", "one"], ["f_range"]),
            node("Sub", ["position_ids", "f_range"], ["f_off"]),
            node("Abs", ["f_off"], ["f_far"]),
            node("ReduceSum", ["f_far"], ["f_wrong"], keepdims=0),
            node("Equal", ["f_wrong", "zero"], ["f_positions_right"]),
        ]
        found.append("f_positions_right")
    if style.branch:
        graph.input.append(value("use_cache_branch", TensorProto.BOOL, [1]))
        nodes += [
            node("Greater", ["f_past", "zero"], ["f_later"]),
            node("Equal", ["use_cache_branch", "f_later"], ["f_branch_right"]),
        ]
        found.append("f_branch_right")
    _add(graph, *lengths, *nodes)
    return found


def _keep(graph: onnx.GraphProto) -> None:
    """Replace the optional ``logits_from`` by the ``num_logits_to_keep`` of other exports."""
    _drop(graph.initializer, {"logits_from"})
    _drop(graph.input, {"logits_from"})
    graph.input.append(helper.make_tensor_value_info("num_logits_to_keep", TensorProto.INT64, []))
    axes = numpy_helper.from_array(np.array([0]), "f_axis")
    graph.initializer.append(axes)
    _add(
        graph,
        helper.make_node("Neg", ["num_logits_to_keep"], ["f_negative"]),
        helper.make_node("Unsqueeze", ["f_negative", "f_axis"], ["logits_from"]),
    )


def _half(graph: onnx.GraphProto) -> None:
    wide = []
    for one in graph.input:
        if one.name.startswith("past."):
            one.type.tensor_type.elem_type = TensorProto.FLOAT16
            wide.append(helper.make_node("Cast", [one.name], [f"wide {one.name}"], to=1))
    for node in graph.node:
        node.input[:] = [
            f"wide {n}" if n.startswith("past.") and node.op_type != "Shape" else n
            for n in node.input
        ]
        node.output[:] = [f"wide {n}" if n.startswith("present.") else n for n in node.output]
    _add(graph, *wide)
    for one in graph.output:
        if one.name.startswith("present."):
            one.type.tensor_type.elem_type = TensorProto.FLOAT16
            graph.node.append(
                helper.make_node("Cast", [f"wide {one.name}"], [one.name], to=TensorProto.FLOAT16)
            )


def _uncached(graph: onnx.GraphProto) -> None:
    for one in graph.input:
        if one.name.startswith("past."):
            sizes = one.type.tensor_type.shape.dim
            shape = [1, sizes[1].dim_value, 0, sizes[3].dim_value]
            graph.initializer.append(helper.make_tensor(one.name, TensorProto.FLOAT, shape, []))
    _drop(graph.input, {i.name for i in graph.input if i.name.startswith("past.")})
    _drop(graph.output, {o.name for o in graph.output if o.name.startswith("present.")})


def _drop(entries: object, names: set[str]) -> None:
    for one in [e for e in entries if e.name in names]:  # type: ignore[attr-defined]
        entries.remove(one)  # type: ignore[attr-defined]


def _poison(graph: onnx.GraphProto, checks: list[str]) -> None:
    """Make the logits no numbers unless all ``checks`` are true."""
    graph.initializer.append(helper.make_tensor("f_nan", TensorProto.FLOAT, [], [float("nan")]))
    for number, check in enumerate(checks):
        name = f"f_logits{number}"
        for node in graph.node:
            node.output[:] = [name if n == "logits" else n for n in node.output]
        graph.node.append(helper.make_node("Where", [check, name, "f_nan"], ["logits"]))
