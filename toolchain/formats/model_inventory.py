"""What a model file holds, whatever its format: tensors and their bytes, operators, facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from toolchain.formats.part_names import printable
from toolchain.units import show_bytes

_NAMED = 3  # ours: readers of a tensor named in its facts
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


@dataclass(slots=True)
class Readers:
    """The nodes and outputs that read one value: all counted by operator, the first ones named."""

    operators: Counter[str] = field(default_factory=Counter)  # an output counts as ``output``
    first: list[tuple[str, str, str]] = field(default_factory=list)  # as noted, at most three

    def note(self, operator: str, name: str, output: str = "") -> None:
        """Book a node; ``output``, its first, is for one without a name."""
        self.operators[operator] += 1
        if len(self.first) < _NAMED:
            self.first.append((operator, name, output))

    def add(self, others: Readers) -> None:
        """Book all of ``others`` as well."""
        self.operators.update(others.operators)
        self.first += others.first[: _NAMED - len(self.first)]

    @property
    def text(self) -> str:
        """The readers for people.

        >>> Readers(Counter(Gather=2, Mul=1), [("Gather", "/embed", "h"), ("Mul", "", "p")]).text
        'Gather /embed, Mul to p and 1 more'
        """
        more = self.operators.total() - len(self.first)
        named = ", ".join(_node_text(*node) for node in self.first) or "nothing"
        return f"{named} and {more} more" if more else named


@dataclass(slots=True)
class Scope:
    """Who reads which value of one graph; names are unique in it and in the graphs inside it."""

    readers: dict[str, Readers] = field(default_factory=dict)
    defined: set[str] = field(default_factory=set)  # the graph's own values

    def of(self, value: str) -> Readers:
        """Return the readers of ``value``, which others may still join."""
        return self.readers.setdefault(value, Readers())

    def define(self, value: str) -> Readers:
        """Return the readers of ``value``, which is this graph's: none outside it is meant."""
        self.defined.add(value)
        return self.of(value)

    def node(
        self, operator: str, name: str, inputs: Iterable[str], outputs: Sequence[str]
    ) -> Readers:
        """Book a node; return who reads a tensor that lies in it."""
        told = operator, name, outputs[0] if outputs else ""
        for value in dict.fromkeys(inputs):
            if value:  # empty: an input that is left out
                self.of(value).note(*told)
        for value in outputs:
            self.define(value)
        if operator == "Constant":  # hands it on
            return self.of(told[-1])
        itself = Readers()
        itself.note(*told)
        return itself

    def output(self, value: str) -> None:
        """Book an output of the graph."""
        self.of(value).note("output", value)

    def join(self, inner: Scope) -> None:
        """Book what a graph inside this one reads from outside itself."""
        for value, readers in inner.readers.items():
            if value not in inner.defined:
                self.of(value).add(readers)


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor and the bytes of the file it takes, [``start``, ``end``); none where it is empty.

    ``elements`` is 0 where what is declared and what is stored do not fit together. ``location``
    is the other file that holds the numbers, as written. ``readers`` is None where the format has
    no nodes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    elements: int
    location: str = ""
    readers: Readers | None = field(default=None, compare=False)

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return type, shape (row-major), where the numbers are if not here, and who reads them."""
        found = (("dtype", self.dtype), ("shape", shape_text(self.shape)))
        location = (("stored in", printable(self.location)),) if self.location else ()
        readers = (("read by", self.readers.text),) if self.readers is not None else ()
        return (*found, *location, *readers)

    def shared_with(self, twin: StoredTensor) -> StoredTensor:
        """Return this tensor, read by the readers of one at the same bytes as well."""
        if self.readers is None or twin.readers is None:
            return self
        both = Readers()
        both.add(self.readers)
        both.add(twin.readers)
        return replace(self, readers=both)


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
                if (tensor.start, tensor.end) == (owners[-1].start, owners[-1].end):
                    owners[-1] = owners[-1].shared_with(tensor)
                else:
                    self.problems.append(f"tensor {tensor.name!r} overlaps {owners[-1].name!r}")
                continue
            owners.append(tensor)
        return owners

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return what people ask first, by name; nothing that is not known."""
        names = sorted(self.operators.items(), key=_by_count)
        counts = ", ".join(f"{printable(name)} {count}" for name, count in names)
        found = {
            "producer": self.producer,
            "opset": ", ".join(f"{d or 'ai.onnx'} {v}" for d, v in sorted(self.opsets.items())),
            "operators": f"{self.operators.total()}: {counts}" if names else "",
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
            readers = f", read by {_operators(tensor)}" if tensor.readers is not None else ""
            texts.append(f"{shown} {show_bytes(tensor.end - tensor.start)}{readers}")
        return "; ".join(texts)

    def _by_reader(self) -> str:
        """Return the bytes of weights by the operators that read them, the most first."""
        sizes: Counter[str] = Counter()
        for tensor in self.tensors:
            if tensor.readers is not None:
                sizes[_operators(tensor)] += tensor.end - tensor.start
        largest = sorted(sizes.items(), key=_by_count)[:_VALUES]
        return ", ".join(f"{name} {show_bytes(size)}" for name, size in largest if size)


def value_text(name: str, dtype: str, shape: Iterable[int | str]) -> str:
    """Describe an input or output for people.

    >>> value_text("state", "float32", (2, "batch", 128))
    'state float32[2, batch, 128]'
    """
    return f"{printable(name)} {dtype}{shape_text(shape)}"


def shape_text(shape: Iterable[int | str]) -> str:
    """Describe a shape for people.

    >>> shape_text((2, "batch"))
    '[2, batch]'
    """
    return f"[{', '.join(printable(str(size)) for size in shape)}]"


def _node_text(operator: str, name: str, output: str) -> str:
    text = f"{operator} {name}" if name else f"{operator} to {output}" if output else operator
    return printable(text)


def _operators(tensor: StoredTensor) -> str:
    """Return the kinds of nodes that read ``tensor``."""
    found = tensor.readers.operators if tensor.readers is not None else ()
    return " and ".join(sorted(map(printable, found))) or "nothing"


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
