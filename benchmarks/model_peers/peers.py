"""The tools that vtool is measured beside, each as its own documentation calls it.

Runs in a process of its own (``convert.py``). Imports a tool only when it is used, so that a
tool's memory is its own.
"""

# ruff: noqa: PLC0415 - so that the memory of a process is that of the one tool it runs

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Feeds = Sequence[Mapping[str, Any]]
Convert = Callable[[Path, Path, Feeds], None]


@dataclass(frozen=True)
class Peer:
    """One mode of one tool; ``call`` is what a user would write."""

    package: str
    call: str
    convert: Convert

    @property
    def version(self) -> str:
        """The installed version, or nothing."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return ""


def _onnxsim(source: Path, target: Path, feeds: Feeds) -> None:
    import onnx
    import onnxsim

    del feeds
    onnx.save(onnxsim.simplify(onnx.load(source))[0], target)


def _onnxsim_int8(source: Path, target: Path, feeds: Feeds) -> None:
    import onnx
    import onnxsim

    del feeds
    simple = onnxsim.simplify(onnx.load(source))[0]
    # the second one drops the float32 weights that the first leaves in the file
    onnx.save(onnxsim.simplify(onnxsim.quantize_weight_only(simple))[0], target)


def _onnxslim(source: Path, target: Path, feeds: Feeds) -> None:
    import onnxslim

    del feeds
    onnxslim.slim(str(source), str(target))


def _onnxscript(source: Path, target: Path, feeds: Feeds) -> None:
    import onnx
    import onnxscript.optimizer

    del feeds
    onnx.save(onnxscript.optimizer.optimize(onnx.load(source)), target)


def _onnxruntime(level: str) -> Convert:
    def convert(source: Path, target: Path, feeds: Feeds) -> None:
        import onnxruntime

        del feeds
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = str(target)
        options.intra_op_num_threads = 1
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])

    return convert


def _dynamic(**options: Any) -> Convert:  # noqa: ANN401 - onnxruntime's own options
    def convert(source: Path, target: Path, feeds: Feeds) -> None:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        del feeds
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, **options)

    return convert


def _static(source: Path, target: Path, feeds: Feeds) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.rows: Iterator[Mapping[str, Any]] = iter(feeds)

        def get_next(self) -> Mapping[str, Any] | None:
            return next(self.rows, None)

    quantize_static(source, target, Reader())


def _nbits(bits: int, *, symmetric: bool) -> Convert:
    def convert(source: Path, target: Path, feeds: Feeds) -> None:
        import onnx
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        del feeds
        quantizer = MatMulNBitsQuantizer(
            onnx.load(source), bits=bits, block_size=32, is_symmetric=symmetric, accuracy_level=4
        )
        quantizer.process()
        quantizer.model.save_model_to_file(str(target))

    return convert


def _fp16(source: Path, target: Path, feeds: Feeds) -> None:
    import onnx
    from onnxconverter_common import float16

    del feeds
    onnx.save(float16.convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


def _olive(source: Path, target: Path, feeds: Feeds) -> None:
    from olive.workflows import run

    del feeds
    run(
        {
            "input_model": {"type": "ONNXModel", "model_path": str(source)},
            "passes": {"quantize": {"type": "OnnxDynamicQuantization"}},
            "output_dir": str(target.parent / "olive"),
        }
    )
    next((target.parent / "olive").rglob("*.onnx")).replace(target)


PEERS: Mapping[str, Peer] = {
    "onnxsim": Peer("onnxsim", "simplify", _onnxsim),
    "onnxsim int8": Peer("onnxsim", "simplify, quantize_weight_only, simplify", _onnxsim_int8),
    "onnxslim": Peer("onnxslim", "slim", _onnxslim),
    "onnxscript": Peer("onnxscript", "optimizer.optimize", _onnxscript),
    "ort basic": Peer(
        "onnxruntime", "optimized_model_filepath, basic", _onnxruntime("ORT_ENABLE_BASIC")
    ),
    "ort extended": Peer(
        "onnxruntime", "optimized_model_filepath, extended", _onnxruntime("ORT_ENABLE_EXTENDED")
    ),
    "dynamic int8": Peer("onnxruntime", "quantize_dynamic, all operators", _dynamic()),
    "dynamic int8 MatMul": Peer(
        "onnxruntime",
        "quantize_dynamic, MatMul, per channel",
        _dynamic(op_types_to_quantize=["MatMul"], per_channel=True),
    ),
    "static int8": Peer(
        "onnxruntime", "quantize_static, QDQ, calibration data of the task", _static
    ),
    "blocks 4": Peer(
        "onnxruntime", "MatMulNBitsQuantizer, 4 bits, blocks of 32", _nbits(4, symmetric=True)
    ),
    "blocks 4 asymmetric": Peer(
        "onnxruntime", "the same with zero points", _nbits(4, symmetric=False)
    ),
    "blocks 8": Peer(
        "onnxruntime", "MatMulNBitsQuantizer, 8 bits, blocks of 32", _nbits(8, symmetric=True)
    ),
    "fp16": Peer("onnxconverter-common", "convert_float_to_float16, keep_io_types", _fp16),
    "olive": Peer("olive-ai", "OnnxDynamicQuantization", _olive),
}


def missing(peer: Peer) -> bool:
    """Return whether the tool is not installed."""
    return not peer.version
