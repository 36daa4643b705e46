"""Hibari's text to phonemes, with its dictionaries in files instead of in memory.

As Python dictionaries they take 102 MB and a third of a second to read (`nox -s memory`).
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime as ort

from toolchain.resources import cache_folder
from toolchain.voice.packed_table import PackedTable, write

_FORMAT = 1  # of the tables in the cache: another number, another folder
_TABLES = ("gold", "silver", "tagdict", "weights", "vocab")
_TAGS = "tags.json"


def front(oov: ort.InferenceSession | None = None) -> Callable[[str], str]:
    """Return what spells text; ``oov`` is the model for words that are in no dictionary.

    The tables are written to the user's cache once; where that cannot be, the package reads its
    dictionaries into memory.
    """
    from hibari.g2p import G2P  # noqa: PLC0415 - an extra, checked by who asks
    from hibari.g2p.oov import OOV  # noqa: PLC0415 - an extra

    rare = OOV(session=oov) if oov else None
    try:
        tables = _tables()
    except OSError:
        return G2P(oov=rare)  # type: ignore[no-any-return]  # it is callable
    return _packed(tables, rare)  # type: ignore[no-any-return]  # it is callable


def _packed(tables: Path, rare: object) -> Any:  # noqa: ANN401 - hibari's
    """Return a ``G2P`` as its constructor makes it, on tables (the package is pinned)."""
    from hibari.g2p import G2P, Lexicon, Tagger, Tokenizer  # noqa: PLC0415 - an extra
    from hibari.tts import ASSETS  # noqa: PLC0415 - an extra

    found = {name: PackedTable(tables / name) for name in _TABLES}
    exceptions = json.loads((Path(ASSETS) / "tokenizer_exceptions.json").read_text("utf-8"))
    tags = json.loads((tables / _TAGS).read_text("utf-8"))
    made = G2P.__new__(G2P)
    made.lexicon = Lexicon(found["gold"], found["silver"], british=False)
    made.tokenizer = Tokenizer(exceptions)
    made.tagger = Tagger({"tags": tags, "tagdict": found["tagdict"], "weights": found["weights"]})
    made.tagger.vocab = found["vocab"]
    made._oov, made.unk, made.british = rare, "", False  # noqa: SLF001 - as its constructor
    return made


def _tables() -> Path:
    """Return the folder with the tables of the installed package, written once.

    Errors:
        OSError: it cannot be written.
    """
    from hibari.tts import ASSETS  # noqa: PLC0415 - an extra

    home = cache_folder() / "hibari" / f"{version('hibari-tts')}-{_FORMAT}"
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=home.parent, prefix=".new-") as new:
            made = Path(new) / "tables"
            made.mkdir()
            _pack(Path(ASSETS), made)
            with contextlib.suppress(OSError):  # another process was faster
                made.rename(home)
    return home


def _pack(assets: Path, folder: Path) -> None:
    def read(name: str) -> Any:  # noqa: ANN401 - JSON
        return json.loads(gzip.decompress((assets / name).read_bytes()))

    write(read("lexicon_us_gold.json.gz"), folder / "gold")
    write(read("lexicon_us_silver.json.gz"), folder / "silver")
    tagger = read("tagger.json.gz")
    write(tagger["tagdict"], folder / "tagdict")
    write(tagger["weights"], folder / "weights")
    write(dict.fromkeys(tagger["vocab"], 1), folder / "vocab")
    (folder / _TAGS).write_text(json.dumps(tagger["tags"]), "utf-8")
