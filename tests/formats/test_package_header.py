"""Hostile packages: damaged anywhere, headers that lie, streams that burst."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import coded_models
import hostile
import numpy as np
import pytest
from onnx import numpy_helper

from toolchain.errors import FormatError
from toolchain.formats import package_header
from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.compression import Codec, decode, encode
from toolchain.formats.materializer import materialize
from toolchain.formats.model_package import Effort, pack, unpack

RNG = np.random.default_rng(1)
CODES = RNG.integers(-7, 8, (64, 40)).astype(np.int8)
STEPS = RNG.normal(0, 1, (64, 1)).astype(np.float32)
MODEL = coded_models.built(
    [
        numpy_helper.from_array(np.zeros((64, 40), np.float32), "w"),
        numpy_helper.from_array(np.arange(3000, dtype=np.float32), "exact"),
        numpy_helper.from_array(np.arange(90, dtype=np.int8), "small"),
    ]
)
PACKAGE = pack(
    MODEL,
    {0: CodedTensor(CODES, (64, 40), "float32", (STEPS,), STEPS)},
    effort=Effort.FAST,
)
WHOLE = materialize(PACKAGE)


def test_damaged_packages_are_refused_wherever_the_damage_is() -> None:
    count = 300
    assert hostile.refusals(materialize, hostile.flips(PACKAGE, count), _is_whole) > count * 0.97
    assert (
        hostile.refusals(materialize, hostile.overwrites(PACKAGE, count), _is_whole) > count * 0.97
    )
    head = package_header.read(PACKAGE).starts[0]
    assert hostile.refusals(materialize, hostile.flips(PACKAGE, 200, end=head), _is_whole) > 190


def test_cut_packages_and_longer_ones_are_refused() -> None:
    for size in (*range(60), *range(60, len(PACKAGE), 97), len(PACKAGE) - 1):
        with pytest.raises(FormatError) as raised:
            materialize(PACKAGE[:size])
        assert 0 <= raised.value.offset <= size
    with pytest.raises(FormatError, match="followed by other bytes"):
        materialize(PACKAGE + b"\0")


def rewritten(change: Callable[[Any], object]) -> bytes:
    """Return the package with its header changed."""
    opened = package_header.read(PACKAGE)
    start = package_header.HEADER_START
    size = int.from_bytes(PACKAGE[12:16], "little")
    header = json.loads(decode(PACKAGE[start : opened.starts[0]], Codec.BROTLI, size))
    header = change(header) or header
    text = json.dumps(header).encode()
    packed = encode(text, Codec.BROTLI, 5)
    sizes = len(packed).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    return PACKAGE[:8] + sizes + packed + PACKAGE[opened.starts[0] :]


def test_a_header_that_is_written_again_is_read() -> None:
    assert materialize(rewritten(lambda _: None)) == WHOLE


def _numbers(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    """Return the paths of all values in a header."""
    if isinstance(node, dict):
        return [p for key, value in node.items() for p in _numbers(value, (*path, key))]
    if isinstance(node, list):
        return [path] + [p for i, value in enumerate(node) for p in _numbers(value, (*path, i))]
    return [path]


def _taken_apart(data: bytes) -> bytes:
    unpack(data)
    return materialize(data)


def _is_whole(model: bytes, _: bytes) -> None:
    assert model == WHOLE


def test_no_lie_in_a_header_is_believed() -> None:
    header: list[Any] = []
    rewritten(header.append)
    lies = (-1, 0, 1, 7, 2**31, 2**80, 1.5, None, "x", [])
    refused = 0
    for path in _numbers(header[0]):
        if path[0] == "formats":
            continue
        for lie in lies:

            def change(root: Any, path: tuple[Any, ...] = path, lie: object = lie) -> None:  # noqa: ANN401 - JSON
                for step in path[:-1]:
                    root = root[step]
                root[path[-1]] = lie

            damaged = rewritten(change)
            refused += hostile.refusals(_taken_apart, iter([damaged]), _is_whole)
    assert refused > 400


def test_a_chunk_that_nothing_is_made_of_is_refused() -> None:
    def hide(header: Any) -> None:  # noqa: ANN401 - JSON
        header["chunks"].append([0, 0, 1, 1, 0, 0])
        header["digests"] += hashlib.sha256(b"").hexdigest()

    with pytest.raises(FormatError, match="nothing is made of one"):
        materialize(rewritten(hide))


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[" * 100_000, b"[]", b"null", b"1" * 5000, b'{"chunks":[]}', b"\xff\xfe"],
    ids=["empty", "open", "deep", "list", "null", "digits", "other", "not-utf8"],
)
def test_headers_that_are_none_are_refused(text: bytes) -> None:
    packed = encode(text, Codec.BROTLI, 5)
    sizes = len(packed).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    with pytest.raises(FormatError, match=r"header is (not understood|wrong)"):
        materialize(b"VTMODEL1" + sizes + packed)


def test_a_bomb_takes_no_more_memory_than_its_header_says() -> None:
    bomb = encode(bytes(200_000_000), Codec.BROTLI, 5)

    def inflate(header: Any) -> None:  # noqa: ANN401 - JSON
        header["chunks"][-1][5] = len(bomb)
        header["chunks"][-1][0] = 1

    opened = package_header.read(PACKAGE)
    whole = rewritten(inflate)
    last = opened.header.chunks[-1].encoded
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            materialize(whole[: len(whole) - last] + bomb)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_header_may_not_be_a_bomb_either() -> None:
    packed = encode(bytes(1 << 26), Codec.BROTLI, 5)
    sizes = len(packed).to_bytes(4, "little") + (1 << 26).to_bytes(4, "little")
    with pytest.raises(FormatError, match="a header of 67108864 bytes at byte 12"):
        materialize(b"VTMODEL1" + sizes + packed)
