"""What a model file holds, whatever its format: tensors and their bytes, operators, facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from toolchain.formats.part_names import printable
from toolchain.units import show_bytes

_TOP = 12  # ours: operators named in the facts
_VALUES = 8  # ours: inputs or outputs named in the facts; a cache has dozens
_LARGEST = 5  # ours: weights named in the facts, with who reads them

_QUANTIZING = {
    "DynamicQuantizeLinear": "dynamic int8",
    "DynamicQuantizeMatMul": "dynamic int8",
    "DynamicQuantizeLSTM": "dynamic int8",
    "MatMulInteger": "dynamic int8",
    "MatMulIntegerToFloat": "dynamic int8",
    "ConvInteger": "dynamic int8",
    "MatMulNBits": "blocks of few bits",
    "GatherBlockQuantized": "blocks of few bits",
    "QLinearConv": "static int8",
    "QLinearMatMul": "static int8",
    "QuantizeLinear": "static int8",
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor and the bytes of the file it takes, [``start``, ``end``); none where it is empty.

    ``elements`` is 0 where what is declared and what is stored do not fit together. ``value`` is
    what nodes call it, where that is not its name.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    elements: int
    value: str = ""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A metadata entry and its bytes in the file, [``start``, ``end``)."""

    key: str
    start: int
    end: int


@dataclass(slots=True)
class Inventory:
    """Everything that reading a model file collects."""

    tensors: list[StoredTensor] = field(default_factory=list)
    operators: Counter[str] = field(default_factory=Counter)
    functions: set[str] = field(default_factory=set)  # the model's own, as operators are called
    readers: dict[str, Counter[str]] = field(
        default_factory=dict
    )  # value -> operators that read it
    opsets: dict[str, int] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)  # name, type and shape, for people
    outputs: list[str] = field(default_factory=list)
    producer: str = ""
    metadata: list[StoredEntry] = field(default_factory=list)
    external: list[str] = field(default_factory=list)  # files that hold weights, as written
    problems: list[str] = field(default_factory=list)

    def ranges(self) -> list[StoredTensor]:
        """Return the tensors that own bytes, in file order; shared and overlapping ones once."""
        owners: list[StoredTensor] = []
        for tensor in sorted(self.tensors, key=lambda t: (t.start, -t.end)):
            if tensor.end <= tensor.start:
                continue
            if owners and tensor.start < owners[-1].end:
                if (tensor.start, tensor.end) != (owners[-1].start, owners[-1].end):
                    self.problems.append(f"tensor {tensor.name!r} overlaps {owners[-1].name!r}")
                continue
            owners.append(tensor)
        return owners

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return what people ask first, by name; nothing that is not known."""
        names = self.operators.most_common()
        top = ", ".join(f"{name} {count}" for name, count in sorted(names, key=_by_count)[:_TOP])
        more = f" and {len(names) - _TOP} more" if len(names) > _TOP else ""
        found = {
            "producer": self.producer,
            "opset": ", ".join(f"{d or 'ai.onnx'} {v}" for d, v in sorted(self.opsets.items())),
            "operators": f"{self.operators.total()}: {top}{more}" if names else "",
            "inputs": _some(self.inputs),
            "outputs": _some(self.outputs),
            "parameters": f"{sum(t.elements for t in self.tensors):,}",
            "weights": _by_type(self.tensors),
            "largest weights": self._largest(),
            "weights by reader": self._by_reader(),
            "quantization": ", ".join(
                sorted({_QUANTIZING[name] for name, _ in names if name in _QUANTIZING})
            ),
            "metadata": _some(sorted(entry.key for entry in self.metadata)),
        }
        return tuple((name, text) for name, text in found.items() if text)

    def _largest(self) -> str:
        """Return the largest weights, and the operators that read them where that is known."""
        largest = sorted(self.tensors, key=lambda t: (t.start - t.end, t.name))[:_LARGEST]
        texts = []
        for tensor in largest:
            shown = value_text(tensor.name, tensor.dtype, tensor.shape)
            readers = f", read by {self._read_by(tensor)}" if self.readers else ""
            texts.append(f"{shown} {show_bytes(tensor.end - tensor.start)}{readers}")
        return "; ".join(texts)

    def _read_by(self, tensor: StoredTensor) -> str:
        found = self.readers.get(tensor.value or tensor.name, ())
        return " and ".join(sorted(map(printable, found))) or "nothing"

    def _by_reader(self) -> str:
        """Return the bytes of weights by the operators that read them, the most first."""
        sizes: Counter[str] = Counter()
        for tensor in self.tensors if self.readers else ():
            sizes[self._read_by(tensor)] += tensor.end - tensor.start
        largest = sorted(sizes.items(), key=_by_count)[:_VALUES]
        return ", ".join(f"{name} {show_bytes(size)}" for name, size in largest if size)


def value_text(name: str, dtype: str, shape: Iterable[int | str]) -> str:
    """Describe an input or output for people.

    >>> value_text("state", "float32", (2, "batch", 128))
    'state float32[2, batch, 128]'
    """
    return f"{printable(name)} {dtype}[{', '.join(printable(str(size)) for size in shape)}]"


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _some(texts: list[str]) -> str:
    shown = ", ".join(printable(text) for text in texts[:_VALUES])
    return shown + (f" and {len(texts) - _VALUES} more" if len(texts) > _VALUES else "")


def _by_type(tensors: Iterable[StoredTensor]) -> str:
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.dtype] += tensor.end - tensor.start
    largest: Mapping[str, int] = dict(sorted(sizes.items(), key=_by_count))
    return ", ".join(f"{name} {show_bytes(size)}" for name, size in largest.items() if size)
