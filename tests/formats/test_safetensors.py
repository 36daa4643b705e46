"""Reading safetensors: what a file holds, and every way in which one can lie."""

from __future__ import annotations

import struct
import tracemalloc

import hostile
import numpy as np
import pytest
import real
from hypothesis import given
from hypothesis import strategies as st
from tiny_safetensors import packed, written

from toolchain.errors import FormatError
from toolchain.formats import safetensors

SAMPLE = written(
    {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "none": np.zeros((0, 4), np.float16),
        "scalar": np.array(7, np.int64),
        "\u00e9": np.array([True, False]),
    },
    {"format": "pt"},
)

shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
dtypes = st.sampled_from([np.float32, np.float16, np.int64, np.uint8, np.bool_])


@given(st.dictionaries(st.text(max_size=5), st.tuples(dtypes, shapes), max_size=6))
def test_what_was_written_is_read(
    parts: dict[str, tuple[type[np.generic], tuple[int, ...]]],
) -> None:
    arrays = {
        name: np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        for name, (dtype, shape) in parts.items()
        if name != "__metadata__"
    }
    found = safetensors.read(written(arrays))
    assert {t.name: (t.dtype, t.shape, bytes(found.raw(t))) for t in found.tensors} == {
        name: (a.dtype.name, a.shape, a.tobytes()) for name, a in arrays.items()
    }
    assert sum(t.elements for t in found.tensors) == sum(a.size for a in arrays.values())


def test_metadata_and_the_end_of_the_header_are_known() -> None:
    found = safetensors.read(SAMPLE)
    assert found.metadata == {"format": "pt"}
    assert found.header_end + 24 + 8 + 2 == len(SAMPLE)


def described(dtype: str, shape: str, start: object, end: object) -> str:
    return f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}'


GOOD = described("U8", "[4]", 0, 4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "too short at byte 0"),
        (b"1234567", "too short"),
        (struct.pack("<Q", 2**63), "a header of 9223372036854775808 bytes is too large"),
        (struct.pack("<Q", 100) + b"{}", "does not fit into the file"),
        (packed("[]", b""), "no JSON object at byte 8"),
        (packed(' {"a":1}', b""), "no JSON object at byte 8"),
        (packed('{"a":', b""), "no JSON .* at byte 16"),
        (packed('{"\u00e9":nope}', b""), "no JSON .* at byte 14"),
        (packed("{" * 100_000, b""), "no JSON|nests too deep"),
        (packed('{"a":' + "[" * 100_000, b""), "nests too deep"),
        (packed('{"a":' + "1" * 5000 + "}", b""), "the header cannot be"),
        (packed('{"a":NaN}', b""), "NaN is no size"),
        (struct.pack("<Q", 3) + b'{"\xff', "the header cannot be: 'utf-8'"),
        (packed('{"__metadata__":{"a":1}}', b""), "no table of texts"),
        (packed('{"a":7}', b""), "'a' is not described"),
        (packed('{"a":{"dtype":"U8"}}', b""), "'a' is not described"),
        (packed(f'{{"a":{described("U8", "[4.0]", 0, 4)}}}', b"abcd"), "4.0 is no size"),
        (packed(f'{{"a":{described("U8", "[true]", 0, 1)}}}', b"a"), "'a' is not described"),
        (packed(f'{{"a":{described("U8", "[-4]", 0, 4)}}}', b"abcd"), "'a' is not described"),
        (packed(f'{{"a":{described("U8", "[4]", 4, 0)}}}', b"abcd"), "outside the file"),
        (packed(f'{{"a":{described("U8", "[9]", 0, 9)}}}', b"abcd"), "outside the file"),
        (packed(f'{{"a":{described("U8", "[5]", 0, 4)}}}', b"abcd"), "not fit its 4 bytes"),
        (packed(f'{{"a":{described("F4", "[9]", 0, 4)}}}', b"abcd"), "not fit its 4 bytes"),
        (packed(f'{{"a":{described("F32", str([2**40] * 60), 0, 4)}}}', b"abcd"), "not fit"),
        (packed(f'{{"a":{GOOD},"a":{GOOD}}}', b"abcd"), "'a' is there twice"),
        (packed(f'{{"a":{GOOD},"b":{GOOD}}}', b"abcd"), "'a' and 'b' overlap"),
        (packed(f'{{"a":{GOOD}}}', b"abcdef"), "'a' and 'the end of the file' have a hole"),
        (
            packed(f'{{"a":{described("U8", "[3]", 1, 4)}}}', b"abcd"),
            "'the header' and 'a' have a hole",
        ),
    ],
)
def test_what_the_format_forbids_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        safetensors.read(data)


def test_a_type_from_the_future_has_bytes_and_no_numbers() -> None:
    (tensor,) = safetensors.read(packed(f'{{"a":{described("Z3", "[9]", 0, 4)}}}', b"abcd")).tensors
    assert (tensor.dtype, tensor.elements, tensor.end - tensor.start) == ("Z3", 0, 4)


def test_a_name_twice_among_a_hundred_thousand_is_found_in_time() -> None:
    pairs = [f'"{i}":0' for i in range(100_000)]
    with pytest.raises(FormatError, match="'99999' is there twice"):
        safetensors.read(packed("{" + ",".join([*pairs, '"99999":0']) + "}", b""))


def test_a_header_larger_than_the_file_takes_no_memory() -> None:
    data = struct.pack("<Q", 2**24) + b"{" * 100
    tracemalloc.start()
    with pytest.raises(FormatError):
        safetensors.read(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_every_cut_is_an_error_with_an_offset() -> None:
    for end in range(len(SAMPLE)):
        with pytest.raises(FormatError) as caught:
            safetensors.read(SAMPLE[:end])
        assert 0 <= caught.value.offset <= len(SAMPLE)


def test_damaged_files_are_refused_or_accounted_for() -> None:
    def check(found: safetensors.Safetensors, data: bytes) -> None:
        assert found.header_end + sum(t.end - t.start for t in found.tensors) == len(data)
        found.copies()
        assert [found.is_half(t) for t in found.tensors]

    assert hostile.refusals(safetensors.read, hostile.flips(SAMPLE, 1500), check) > 500
    assert hostile.refusals(safetensors.read, hostile.overwrites(SAMPLE, 500), check) > 200


def test_halves_are_told_from_numbers_that_need_more() -> None:
    exact = np.array([0.5, -65504, 6e-8, np.nan, np.inf, -0.0], np.float16).astype(np.float32)
    arrays = {
        "halves": exact,
        "third": np.array([0.5, 1 / 3], np.float32),
        "large": np.array([70_000], np.float32),
        "late": np.concatenate([np.ones(2**20, np.float32), np.float32([0.1])]),
        "other": exact.astype(np.float16),
        "none": np.zeros(0, np.float32),
    }
    found = safetensors.read(written(arrays))
    assert [t.name for t in found.tensors if found.is_half(t)] == ["halves"]


def test_copies_are_tensors_of_one_type_and_shape_with_the_same_bytes() -> None:
    one = np.arange(300, dtype=np.float32)
    late = one.copy()
    late[-1] += 1
    arrays = {
        "a": one,
        "again": one,
        "shape": one.reshape(3, 100),
        "late": late,
        "late again": late,
        "none": one[:0],
        "none too": one[:0],
    }
    found = safetensors.read(written(arrays))
    assert [(t.name, first.name) for t, first in found.copies()] == [
        ("again", "a"),
        ("late again", "late"),
    ]


def test_a_real_file_is_read_to_the_last_byte() -> None:
    path = real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad_16k.safetensors")
    found = safetensors.read(path.read_bytes())
    assert found.tensors[-1].end == path.stat().st_size
    assert sum(t.elements for t in found.tensors) == 309_633
