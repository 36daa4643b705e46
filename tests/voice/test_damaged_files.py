"""Files beside a model, damaged in any way: read, or an error that names the file; nothing else."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import application
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from toolchain.errors import ConfigError, InputError
from toolchain.voice import piper_config
from toolchain.voice.engine import Session, _as_installed, open_model
from toolchain.voice.moonshine import read_pieces
from toolchain.voice.tokenizer import read

TOKENIZER = {
    "added_tokens": [{"id": 3, "content": "<|im_end|>", "special": True}],
    "normalizer": None,
    "pre_tokenizer": {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel"}],
    },
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
}
PIPER = {
    "audio": {"sample_rate": 22_050},
    "espeak": {"voice": "en-us"},
    "inference": {"noise_scale": 0.6, "length_scale": 1, "noise_w": 0.8},
    "speaker_id_map": {"ada": 0},
    "phoneme_map": {"c": ["a", "b"]},
    "phoneme_id_map": {"_": [0], "^": [1], "$": [2], "a": [3], "b": [4, 5]},
}
OPTIONS = {"graph_optimization_level": "all", "enable_mem_pattern": False, "prepacking": False}
Json: TypeAlias = object
Use = Callable[[Path], None]
WILD: list[object] = [
    None,
    True,
    -1,
    10**30,
    2**31,
    1e308,
    float("nan"),
    "x",
    "",
    [],
    {},
    [1],
    {"a": 1},
    [[1]],
]


def places(value: Json, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield at
    inside = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else inside:
        yield from places(inner, (*at, key))


def wrong(document: Json) -> Iterator[bytes]:
    """Yield the document with each of its values replaced by what nobody expects, or left out."""
    for at in places(document):
        for wild in [*WILD, ...]:
            copy = [json.loads(json.dumps(document))]
            inner: dict[str | int, object] = copy  # type: ignore[assignment]  # or a list
            for key in (0, *at)[:-1]:
                inner = inner[key]  # type: ignore[assignment]  # a dict or a list
            if wild is ...:
                del inner[(0, *at)[-1]]
            else:
                inner[(0, *at)[-1]] = wild
            yield json.dumps(copy[0] if copy else None).encode()


def broken(document: Json) -> st.SearchStrategy[bytes]:
    """Return the text of the document with some bytes changed, and cut off somewhere."""
    whole = json.dumps(document).encode()
    change = st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255))

    def changed(made: tuple[list[tuple[int, int]], int]) -> bytes:
        data = bytearray(whole)
        for at, value in made[0]:
            data[at] = value
        return bytes(data[: made[1]])

    return st.tuples(st.lists(change, max_size=4), st.integers(0, len(whole))).map(changed)


def tokenize(path: Path) -> None:
    made = read({"t.json": path}, "t.json")
    assert made.size < 20_000_000
    list(made.decode(made.encode("ab a1 <|im_end|>")))


def spell(path: Path) -> None:
    sounds = piper_config.read(path, "t.json")
    assert sounds.sentence("ac").shape[0] == 1
    assert 1_000 <= sounds.rate_hz <= 768_000


def with_options(path: Path) -> None:
    model = application.unoptimized()["models/silero_vad.onnx"]
    link = path.with_name("m.onnx")
    if not link.exists():
        link.symlink_to(model)
    path.replace(path.with_name("m.onnx.session.json"))
    _as_installed(link, ort.SessionOptions(), "t.json", Session())


CASES = pytest.mark.parametrize(
    ("document", "use"),
    [(TOKENIZER, tokenize), (PIPER, spell), (OPTIONS, with_options)],
    ids=["tokenizer.json", "piper", "session.json"],
)


def tried(data: bytes, folder: Path, use: Use) -> None:
    path = folder / "t.json"
    path.write_bytes(data)
    with contextlib.suppress(InputError, ConfigError):  # any other exception fails the test
        use(path)


@CASES
def test_a_wrong_value_anywhere_is_an_error_we_know(
    tmp_path: Path, document: Json, use: Use
) -> None:
    for data in (*wrong(document), b"", b"\xff\xfe", b"[" * 100_000):
        tried(data, tmp_path, use)


@CASES
def test_bytes_changed_anywhere_are_an_error_we_know(
    tmp_path: Path, document: Json, use: Use
) -> None:
    @seed(16_000)
    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(broken(document))
    def check(data: bytes) -> None:
        tried(data, tmp_path, use)

    check()


def test_a_tokenizer_with_a_number_beyond_all_vocabularies_takes_no_memory(tmp_path: Path) -> None:
    vast = json.loads(json.dumps(TOKENIZER))
    vast["model"]["vocab"]["a"] = 2**33
    path = tmp_path / "t.json"
    path.write_text(json.dumps(vast), "utf-8")
    with pytest.raises(InputError, match=r"t\.json is no tokenizer"):
        read({"t.json": path}, "t.json")


def test_damaged_session_options_are_named_and_can_be_deleted(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.symlink_to(application.unoptimized()["models/silero_vad.onnx"])
    (tmp_path / "m.onnx.session.json").write_text('{"graph_optimization_level": "most"}', "utf-8")
    with pytest.raises(InputError, match=r"session options beside models/m\.onnx") as caught:
        open_model({"models/m.onnx": model}, "models/m.onnx")
    assert "m.onnx.session.json" in caught.value.hint


@seed(16_000)
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_pieces_are_whole_or_refused(data: bytes) -> None:
    with contextlib.suppress(InputError):
        assert sum(map(len, read_pieces(data))) <= len(data)
