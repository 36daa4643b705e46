"""The proof of import-gguf: what it accepts and what it must not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import tiny_gguf
from onnx import ModelProto, numpy_helper

from toolchain.passes.import_gguf import ImportGguf
from toolchain.verify import same_tokens

TINY = tiny_gguf.written(*tiny_gguf.llama())
IMPORTED = ImportGguf().rewrite(TINY)


def imported() -> ModelProto:
    return onnx.load_from_string(IMPORTED)


def tensor(model: ModelProto, name: str) -> onnx.TensorProto:
    return next(t for t in model.graph.initializer if t.name == name)


def refused(model: ModelProto) -> str:
    proof = same_tokens.prove(TINY, model.SerializeToString(), {})
    assert not proof.holds
    return proof.detail


@pytest.mark.parametrize("level", [0, 4])
def test_what_the_pass_makes_is_accepted(level: int) -> None:
    proof = same_tokens.prove(TINY, ImportGguf(level).rewrite(TINY), {})
    assert proof.holds, proof.detail
    assert "128 positions" in proof.detail
    assert "first choice 100.0% the same" in proof.detail


@pytest.mark.parametrize("kind", ["Q5_0", "Q6_K", "Q4_K", "F16"])
def test_other_formats_are_accepted_and_one_changed_number_in_them_is_found(kind: str) -> None:
    sizes = {"layers": 1, "hidden": 256, "inner": 256}
    data = tiny_gguf.written(*tiny_gguf.llama(**sizes, kinds={"*": kind}))
    after = ImportGguf(0).rewrite(data)
    proof = same_tokens.prove(data, after, {})
    assert proof.holds, proof.detail
    model = onnx.load_from_string(after)
    down = [t for t in model.graph.initializer if t.name.startswith("blk.0.ffn_down")]
    changed = bytearray(down[-1].raw_data)  # floats, scales or minima
    changed[-1] ^= 0x04
    down[-1].raw_data = bytes(changed)
    assert not same_tokens.prove(data, model.SerializeToString(), {}).holds


def test_one_changed_code_is_found() -> None:
    model = imported()
    codes = tensor(model, "blk.0.ffn_down.weight.codes")
    data = bytearray(codes.raw_data)
    data[100] ^= 0x0F
    codes.raw_data = bytes(data)
    assert "exact arithmetic" in refused(model)


def test_rounded_minima_are_found() -> None:
    model = imported()
    for name in ("attn_qkv", "ffn_gate_up"):
        minima = tensor(model, f"blk.1.{name}.minima")
        scales = numpy_helper.to_array(tensor(model, f"blk.1.{name}.scales")).astype(np.float32)
        exact = numpy_helper.to_array(minima).astype(np.float32)
        rounded = (np.round(exact / scales) * scales).astype(np.float16)
        minima.raw_data = rounded.tobytes()
    assert "exact arithmetic" in refused(model)


def test_a_wrong_rotary_base_is_found() -> None:
    model = imported()
    tensor(model, "rope.frequencies").raw_data = np.ones((1, 8), np.float32).tobytes()
    assert "exact arithmetic" in refused(model)


def test_a_cache_that_forgets_is_found() -> None:
    """With an empty past nothing is wrong: only the tokens that come one by one tell."""
    model = imported()
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "nothing"))
    for node in model.graph.node:
        node.input[:] = ["forgotten" if name == "past.1.value" else name for name in node.input]
    forget = onnx.helper.make_node("Mul", ["past.1.value", "nothing"], ["forgotten"])
    model.graph.node.insert(0, forget)
    assert "exact arithmetic" in refused(model)


def test_rough_arithmetic_is_found_although_the_weights_are_right() -> None:
    """One huge activation in each block leaves level 4 no steps for the other 31."""
    metadata, tensors = tiny_gguf.llama()
    for one in tensors:
        if one.name == "output_norm.weight":
            one.numbers[::32] = 1000
        if one.name == "token_embd.weight":
            one.numbers[:, ::32] = 0  # and counts for nothing
    data = tiny_gguf.written(metadata, tensors)
    assert same_tokens.prove(data, ImportGguf(0).rewrite(data), {}).holds
    proof = same_tokens.prove(data, ImportGguf(4).rewrite(data), {})
    assert not proof.holds
    assert "as shipped the model chooses other tokens" in proof.detail


def test_a_lost_tokenizer_is_found() -> None:
    model = imported()
    kept = [p for p in model.metadata_props if p.key != "tokenizer.ggml.tokens"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    assert "metadata" in refused(model)


@pytest.mark.parametrize("after", [b"", b"broken", TINY])
def test_what_cannot_be_read_does_not_hold(after: bytes) -> None:
    assert not same_tokens.prove(TINY, after, {}).holds


def test_an_original_that_cannot_be_read_does_not_hold() -> None:
    assert not same_tokens.prove(b"broken", IMPORTED, {}).holds
