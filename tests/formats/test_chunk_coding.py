"""Chunks: every layout gives back what it was given, and is taken where it pays."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from toolchain.errors import FormatError
from toolchain.formats import chunk_coding
from toolchain.formats.chunk_coding import Content, Effort
from toolchain.formats.compression import Codec
from toolchain.formats.package_header import FORMS, Chunk

RNG = np.random.default_rng(1)
EDGES = {2: [-32768, -129, -128, -1, 0, 127, 128, 32767], 4: [-(1 << 31), -129, 128, (1 << 31) - 1]}


@pytest.mark.parametrize("rows", [1, 2, 12, 24])
@pytest.mark.parametrize(
    ("form", "width"),
    [("plain", 1), ("plain", 2), ("plain", 8), ("halves", 1), ("centred", 2), ("centred", 4)],
)
def test_every_layout_gives_back_its_content(form: str, width: int, rows: int) -> None:
    if form == "halves":
        data = RNG.integers(-8, 8, 24).astype(np.int8).tobytes()
    elif form == "centred":
        data = np.resize(np.array(EDGES[width], f"<i{width}"), 24).tobytes()
    else:
        data = RNG.integers(0, 256, 24 * width).astype(np.uint8).tobytes()
    layout = chunk_coding._Layout(FORMS.index(form), width, rows)
    packed = chunk_coding._laid_out(data, layout)
    chunk = Chunk(0, layout.form, width, rows, len(data), len(packed))
    assert chunk_coding.decoded(chunk, packed, hashlib.sha256(data).hexdigest()) == data
    assert rows in {1, 24} or packed != chunk_coding._laid_out(data, replace(layout, rows=1))


@pytest.mark.parametrize(
    ("numbers", "form"),
    [
        (RNG.integers(-1, 2, (64, 64)).astype(np.int8), "halves"),
        (RNG.normal(0, 60, (64, 64)).astype(np.int16), "centred"),
        (RNG.integers(-99, 99, (64, 64)).astype(np.int8), "plain"),
    ],
    ids=["ternary", "16-bit", "8-bit"],
)
def test_the_form_that_pays_is_taken(numbers: np.ndarray, form: str) -> None:  # type: ignore[type-arg]  # any integers
    content = Content(numbers.tobytes(), numbers.itemsize, numbers.shape, codes=True)
    chunk, body = chunk_coding.encoded(content, Effort.FULL, (Codec.BROTLI,))
    assert FORMS[chunk.form] == form
    digest = hashlib.sha256(content.data).hexdigest()
    assert chunk_coding.decoded(chunk, body, digest) == content.data


def test_what_cannot_be_compressed_costs_no_more_than_itself() -> None:
    data = RNG.bytes(5000)
    chunk, body = chunk_coding.encoded(Content(data), Effort.FULL, (Codec.BROTLI,))
    assert (chunk.codec, body) == (0, data)


def test_other_content_than_the_digest_names_is_refused_where_it_lies() -> None:
    with pytest.raises(FormatError, match="not what its digest names at byte 77"):
        chunk_coding.decoded(Chunk(0, 0, 1, 1, 4, 4), b"junk", "0" * 64, at=77)
