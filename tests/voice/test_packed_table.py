"""Tables in files answer as dictionaries do; and so do hibari's, for words it has never seen."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hibari.g2p import G2P
from hibari.tts import ASSETS
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.errors import FormatError
from toolchain.voice import hibari_front
from toolchain.voice.packed_table import PackedTable, write

TEXTS = st.text(st.characters(exclude_categories=()), max_size=6)
VALUES = st.none() | st.text(max_size=5) | st.dictionaries(st.text(max_size=3), st.floats(-9, 9))


@settings(max_examples=200)
@given(table=st.dictionaries(TEXTS, VALUES, max_size=40), others=st.lists(TEXTS, max_size=20))
def test_a_table_answers_as_the_dictionary_it_was_written_from(
    table: dict[str, Any], others: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / "t"
    write(table, path)
    packed = PackedTable(path)
    assert dict(packed) == table
    assert list(packed) == list(table)
    for key in [*table, *others]:
        assert packed.get(key, 7) == table.get(key, 7)
        assert (key in packed) == (key in table)
    assert 3 not in packed


def test_a_file_that_is_no_table_or_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write({"a": 1, "b": [2]}, path)
    whole = path.read_bytes()
    for data in (b"", b"x", b"\0" * 64, whole[:-1], whole[:20], b"X" + whole[1:], whole + b" "):
        path.write_bytes(data)
        with pytest.raises(FormatError):
            PackedTable(path)


@pytest.fixture(scope="module")
def plain() -> G2P:
    return G2P(oov=False)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> G2P:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        made = hibari_front.front()
    made._oov = False
    return made


def test_every_word_of_the_dictionaries_has_the_same_entry(plain: G2P, packed: G2P) -> None:
    for name in ("golds", "silvers"):
        ours, theirs = getattr(packed.lexicon, name).d, getattr(plain.lexicon, name).d
        assert isinstance(ours, PackedTable)
        assert dict(ours) == theirs
    assert dict(packed.tagger.weights) == plain.tagger.weights
    assert dict(packed.tagger.tagdict) == plain.tagger.tagdict
    assert set(packed.tagger.vocab) == plain.tagger.vocab
    assert vars(packed).keys() == vars(plain).keys(), "another release would have other parts"


def test_sentences_are_spelled_the_same(plain: G2P, packed: G2P) -> None:
    gold = gzip.decompress((Path(ASSETS) / "lexicon_us_gold.json.gz").read_bytes())
    words = list(json.loads(gold))
    rng = random.Random(0)  # noqa: S311 - words, not secrets
    for _ in range(400):
        chosen = rng.choices(words, k=rng.randint(1, 12))
        sentence = " ".join(chosen) + rng.choice(".?!")
        assert packed(sentence) == plain(sentence), sentence
    for text in ("I read it in 1984, for $3.50.", "Dr. Smith lives.", "naïve 😀 co-op don't", ""):
        assert packed(text) == plain(text)


def test_without_a_place_for_files_the_package_reads_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: G2P
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("VTOOL_CACHE", str(blocked))
    made = hibari_front.front()
    assert isinstance(made.lexicon.golds.d, dict)  # type: ignore[attr-defined]  # a G2P
    assert made("Hello there.") == plain("Hello there.")
