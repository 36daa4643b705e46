"""Matrix products in float32: blocks of 4 and 8 bits (MatMulNBits) unpacked into matrices."""

from __future__ import annotations

from onnx import ModelProto, NodeProto

from toolchain.formats.onnx_builder import MICROSOFT
from toolchain.formats.onnx_constants import Scope
from toolchain.formats.onnx_products import Writer, product_of, rewritten


def with_matmul_float(model: ModelProto) -> bool:
    """Write every product on blocks as MatMul of float32; False: there was none.

    The weights are the same numbers, in eight times the memory. It is for runtimes that have no
    kernel for blocks and unpack them again for every token.
    """

    def rewrite(node: NodeProto, scope: Scope, writer: Writer) -> bool:
        if node.domain != MICROSOFT or (product := product_of(node, scope)) is None:
            return False
        output = node.output[0]
        stored = writer.constant(f"{node.input[1]}.float", product.weights)
        if not product.bias:
            writer.add("MatMul", [product.activations, stored], output)
            return True
        total = writer.free(f"{output}.total")
        writer.add("MatMul", [product.activations, stored], total)
        writer.add("Add", [total, product.bias], output)
        return True

    return rewritten(model, lambda: rewrite)
