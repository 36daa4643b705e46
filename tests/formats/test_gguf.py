"""Reading GGUF: against the gguf package's own reader, and on files that lie."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import hostile
import numpy as np
import pytest
import tiny_gguf
from gguf import GGUFReader
from gguf.quants import dequantize

from toolchain.errors import FormatError, InputError
from toolchain.formats import gguf, gguf_blocks
from toolchain.formats.gguf_layouts import LAYOUTS

TINY = tiny_gguf.written(*tiny_gguf.llama(layers=1, hidden=32, heads=2, inner=32, vocabulary=8))


def header(version: int = 3, tensors: int = 0, entries: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries)


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def info(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return string(name) + sizes + struct.pack("<IQ", kind, offset)


def padded(data: bytes, more: int) -> bytes:
    return data + bytes(-len(data) % 32) + bytes(more)


def test_reads_what_the_reference_reader_reads(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(TINY)
    expected = GGUFReader(path)
    model = gguf.read(TINY)
    assert [(t.name, t.type_name, t.shape, t.offset, t.size) for t in model.tensors] == [
        (t.name, t.tensor_type.name, tuple(t.shape.tolist()), t.data_offset, t.n_bytes)
        for t in expected.tensors
    ]
    fields = {k: f.contents() for k, f in expected.fields.items() if not k.startswith("GGUF.")}
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in model.metadata.items()} == fields
    for tensor, other in zip(model.tensors, expected.tensors, strict=True):
        numbers = dequantize(other.data, other.tensor_type)
        np.testing.assert_array_equal(gguf_blocks.as_float32(model, tensor), numbers)


def test_entries_and_descriptions_lie_one_after_another() -> None:
    model = gguf.read(TINY)
    at = gguf.HEADER_BYTES
    for entry in model.entries:
        assert entry.offset == at
        at += entry.size
    assert model.tensor_infos[0] == at
    assert model.tensor_infos[1] <= model.tensors[0].offset


def one_tensor(kind: str, *sizes: int) -> gguf.GgufModel:
    tensor = tiny_gguf.tensor("w", kind, *sizes)
    return gguf.read(tiny_gguf.written({"general.architecture": "x"}, [tensor]))


@pytest.mark.parametrize("kind", LAYOUTS)
def test_blocks_are_the_dequantized_numbers_to_the_last_bit(kind: str) -> None:
    model = one_tensor(kind, 768, 5)
    blocks = gguf_blocks.blocks(model, model.tensors[0])
    codes = blocks.codes
    if blocks.bits == 4:
        codes = np.stack([codes & 15, codes >> 4], -1).reshape(5, -1, blocks.block)
    assert len(np.unique(codes)) > 3
    numbers = (codes.astype(np.float32) - blocks.zero) * blocks.scales.numbers()[..., None]
    if blocks.minima is not None:
        numbers = numbers + blocks.minima.numbers()[..., None]
    expected = gguf_blocks.as_float32(model, model.tensors[0])
    assert numbers.reshape(5, 768).tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", [k for k in LAYOUTS if k.endswith("_K")])
def test_every_byte_of_a_super_block_counts_as_in_the_reference(kind: str) -> None:
    """Random bytes everywhere but in the float16 numbers: every packing rule is used."""
    model = one_tensor(kind, 256, 64)
    blocks = gguf_blocks.blocks(model, model.tensors[0])
    assert blocks.scales.fine is not None
    assert len(np.unique(blocks.scales.fine)) >= 16
    product = blocks.scales.coarse.astype(np.float64) * blocks.scales.fine.astype(np.float64)
    assert np.array_equal(product.reshape(64, -1), blocks.scales.numbers())  # nothing is rounded


def test_stacked_blocks_are_the_rows_of_both() -> None:
    model = one_tensor("Q5_K", 256, 6)
    whole = gguf_blocks.blocks(model, model.tensors[0])
    twice = gguf_blocks.stacked([whole, whole])
    assert twice.codes.shape == (12, 8, 32)
    assert np.array_equal(twice.scales.numbers()[6:], whole.scales.numbers())
    assert twice.minima is not None
    assert whole.minima is not None
    assert np.array_equal(twice.minima.numbers()[6:], whole.minima.numbers())


def test_a_matrix_without_blocks_is_named() -> None:
    model = one_tensor("F32", 32, 2)
    with pytest.raises(InputError, match=r"'w', F32, has no blocks"):
        gguf_blocks.blocks(model, model.tensors[0])


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_1", "Q6_K", "Q4_K"])
def test_numbers_that_are_none_are_named(kind: str) -> None:
    tensor = tiny_gguf.tensor("w", kind, 256, 2)
    data = bytearray(tiny_gguf.written({"general.architecture": "x"}, [tensor]))
    place = gguf.read(bytes(data)).tensors[0]
    at = place.offset + (place.size - 2 if kind in {"F32", "F16", "BF16", "Q6_K"} else 0)
    data[at : at + 2] = b"\x80\x7f" if kind in {"F32", "BF16"} else b"\x00\x7c"  # infinity
    model = gguf.read(bytes(data))
    with pytest.raises(InputError, match="'w' holds NaN or infinite numbers"):
        gguf_blocks.as_float32(model, model.tensors[0])
    if gguf_blocks.has_blocks(model.tensors[0]):
        with pytest.raises(InputError, match="'w' holds NaN or infinite numbers"):
            gguf_blocks.blocks(model, model.tensors[0])


def test_every_cut_is_an_error_with_an_offset() -> None:
    for end in range(len(TINY)):
        with pytest.raises(FormatError) as caught:
            gguf.read(TINY[:end])
        assert 0 <= caught.value.offset <= end


def test_damaged_files_give_a_model_or_an_error_with_an_offset() -> None:
    end = gguf.read(TINY).tensor_infos[1]

    def check(model: gguf.GgufModel, data: bytes) -> None:
        assert all(t.offset + t.size <= len(data) for t in model.tensors)

    assert hostile.refusals(gguf.read, hostile.flips(TINY, 1500, end=end), check) > 300
    assert hostile.refusals(gguf.read, hostile.overwrites(TINY, 500, end=end), check) > 100


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GGML" + bytes(40), "not a GGUF model at byte 0"),
        (header(1), "version 1 is not supported"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (header(tensors=2**63), "does not fit"),
        (header(entries=2**40), "does not fit"),
        (header(entries=1) + struct.pack("<Q", 2**62) + bytes(13), "does not fit"),
        (header(entries=1) + string("k") + struct.pack("<I", 99) + bytes(8), "value type 99"),
        (header(entries=1) + string("k") + struct.pack("<IIQ", 9, 4, 2**40), "does not fit"),
        (header(entries=1) + string("k") + struct.pack("<IIQ", 9, 9, 1) + bytes(20), "array of"),
        (
            header(entries=2) + 2 * (string("k") + struct.pack("<IB", 0, 1)),
            "the key 'k' appears twice at byte 38",
        ),
        (
            header(entries=1) + string("general.alignment") + struct.pack("<II", 4, 3),
            "power of two",
        ),
        (padded(header(tensors=1) + info("t", (1,) * 5), 64), "5 dimensions"),
        (padded(header(tensors=1) + info("t", (2**60, 2**60)), 64), "past the end"),
        (padded(header(tensors=1) + info("t", (1,), 0, 2**63), 64), "past the end"),
        (padded(header(tensors=1) + info("t", (1,), 0, 4), 64), "not aligned"),
        (padded(header(tensors=1) + info("t", (33,), 3), 64), "not whole Q4_1 blocks"),
        (padded(header(tensors=2) + 2 * info("t", (1,)), 64), "described twice"),
        (
            padded(header(tensors=2) + info("a", (16,)) + info("b", (1,), 0, 32), 64),
            "'b' overlaps 'a', described at byte 57",
        ),
    ],
)
def test_what_cannot_be_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        gguf.read(data)


def test_absurd_lengths_take_no_memory() -> None:
    data = header(tensors=2**63) + bytes(100)
    tracemalloc.start()
    with pytest.raises(FormatError):
        gguf.read(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_empty_tensors_and_unknown_types_are_read() -> None:
    data = padded(header(tensors=2) + info("none", (0, 4)) + info("new", (32,), 99), 64)
    none, new = gguf.read(data).tensors
    assert (none.size, none.elements) == (0, 0)
    assert (new.type_name, new.size) == ("type 99", 0)


def test_text_that_is_not_utf_8_survives() -> None:
    data = header(entries=1) + string("k") + struct.pack("<IQ", 8, 2) + b"\xff\xfe"
    value = gguf.read(data).metadata["k"]
    assert isinstance(value, str)
    assert value.encode("utf-8", "surrogateescape") == b"\xff\xfe"
