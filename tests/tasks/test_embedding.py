"""What the guard of models that turn text into vectors sees."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser
from rounded_model import rounded

from toolchain.errors import ConfigError, InputError
from toolchain.formats.onnx_runner import open_runner
from toolchain.tasks.base import Limit, Score, Split, make_task
from toolchain.tasks.questions import texts, wordpiece
from toolchain.tasks.questions.wordpiece import WordPiece

ROOT = Path(__file__).parents[2]
HIDDEN, INNER, WORDS, LAYERS = 16, 32, 100, 2


@cache
def exporter() -> ModuleType:
    """Return the benchmark's script that writes BERT models as ONNX."""
    spec = importlib.util.spec_from_file_location("minilm", ROOT / "benchmarks" / "minilm.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["minilm"] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


@cache
def tiny() -> bytes:
    generator = np.random.default_rng(0)

    def matrix(*shape: int) -> np.ndarray:
        return (generator.standard_normal(shape) * shape[-1] ** -0.5).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": matrix(WORDS, HIDDEN) * 4,
        "embeddings.position_embeddings.weight": matrix(64, HIDDEN),
        "embeddings.token_type_embeddings.weight": matrix(2, HIDDEN),
    }
    sizes = {
        "attention.self.query": (HIDDEN, HIDDEN),
        "attention.self.key": (HIDDEN, HIDDEN),
        "attention.self.value": (HIDDEN, HIDDEN),
        "attention.output.dense": (HIDDEN, HIDDEN),
        "intermediate.dense": (INNER, HIDDEN),
        "output.dense": (HIDDEN, INNER),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        norms += [f"{prefix}attention.output.LayerNorm", f"{prefix}output.LayerNorm"]
        for name, (rows, columns) in sizes.items():
            weights[f"{prefix}{name}.weight"] = matrix(rows, columns)
            weights[f"{prefix}{name}.bias"] = np.zeros(rows, np.float32)
    for name in norms:
        weights[f"{name}.weight"] = np.ones(HIDDEN, np.float32)
        weights[f"{name}.bias"] = np.zeros(HIDDEN, np.float32)
    data: bytes = exporter().bert(weights, layers=LAYERS, heads=4)
    return data


def score(model: bytes, split: Split = Split.SEARCH, **options: object) -> Score:
    task = make_task({"family": "embedding", "vocabulary": WORDS, **options}, {})
    return task.score(open_runner(model), task.reference(open_runner(tiny()), split), split)


@pytest.mark.parametrize("split", Split)
def test_a_model_keeps_its_own_vectors(split: Split) -> None:
    found = score(tiny(), split)
    assert found.error == pytest.approx(0.0, abs=1e-12)
    assert found.agreement == 1.0


def test_fewer_levels_turn_the_vectors_and_then_change_neighbours() -> None:
    fine, coarse = score(rounded(tiny(), 127)), score(rounded(tiny(), 2))
    assert 0 < fine.error < 0.006 < coarse.error
    assert coarse.agreement < fine.agreement
    limit = make_task({"family": "embedding"}, {}).limit
    assert limit == Limit(error=0.006)  # neighbours of made-up texts are chance
    assert limit.problem(coarse)


def test_int8_word_vectors_without_a_step_for_each_are_refused() -> None:
    """The known trap: one step for a whole table of words whose sizes differ."""
    generator = np.random.default_rng(1)
    table = generator.standard_normal((WORDS, HIDDEN)) * 10 ** generator.uniform(-3, 1, (WORDS, 1))
    flat = ", ".join(f"{x:.8f}" for x in table.astype(np.float32).ravel())

    def gather(step: float) -> bytes:
        text = f"""<ir_version: 8, opset_import: ["" : 17]>
        main (int64[1, n] input_ids) => (float[1, n, {HIDDEN}] y)
            <float[{WORDS}, {HIDDEN}] w = {{{flat}}}, float s = {{{step}}}> {{
            codes = Div (w, s) whole = Round (codes) coarse = Mul (whole, s)
            y = Gather (coarse, input_ids) }}"""
        data: bytes = parser.parse_model(text).SerializeToString()
        return data

    task = make_task({"family": "embedding", "vocabulary": WORDS, "pooling": "first"}, {})
    asked = task.reference(open_runner(gather(1e-6)), Split.SEARCH)
    whole = task.score(open_runner(gather(float(np.abs(table).max()) / 127)), asked, Split.SEARCH)
    assert task.limit.problem(whole)


ADDED = """<ir_version: 8, opset_import: ["" : 17]>
main (int64[1, n] input_ids, float[1, n, h] x) => (float[1, n, h] last_hidden_state)
    <int64 word = {%d}, float[1] one = {1}> {
    is_said = Equal (input_ids, word)
    times = Cast <to = 1> (is_said)
    some = ReduceMax <keepdims = 0> (times)
    here = Equal (some, one)
    added = Where (here, off, none)
    last_hidden_state = Add (x, added)
}"""


def spoiled(number: float, word: int) -> bytes:
    """Return the tiny model with ``number`` for one of the numbers of texts that say ``word``."""
    graph = (model := onnx.load_from_string(tiny())).graph
    graph.node[-1].output[0] = "x"
    more = parser.parse_model(ADDED % word).graph
    graph.node.extend(more.node)
    off = np.zeros(HIDDEN, np.float32)
    off[7] = number
    none = np.zeros(HIDDEN, np.float32)
    graph.initializer.extend(more.initializer)
    graph.initializer.extend(
        numpy_helper.from_array(v, n) for v, n in ((off, "off"), (none, "none"))
    )
    data: bytes = model.SerializeToString()
    return data


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_infinitely_far(number: float) -> None:
    """One of sixteen in one text of 48: as 0 it would change the mean cosine by next to nothing."""
    limit = make_task({"family": "embedding", "vocabulary": WORDS}, {}).limit
    found = score(spoiled(number, word=5))
    assert found.error == found.details["worst text"] == math.inf
    assert 0.9 < found.agreement < 1.0
    assert "error" in limit.problem(found)
    assert not limit.problem(score(spoiled(0.0, word=5)))


def test_an_original_that_is_not_finite_is_refused() -> None:
    task = make_task({"family": "embedding", "vocabulary": WORDS}, {})
    with pytest.raises(InputError, match="the original is not finite") as caught:
        task.reference(open_runner(spoiled(np.nan, word=5)), Split.SEARCH)
    assert caught.value.hint


def test_a_sequence_of_vectors_is_refused() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    main (int64[1, n] input_ids) => (seq(float[1, n]) y) {
        x = Cast <to = 1> (input_ids) y = SequenceConstruct (x) }"""
    runner = open_runner(parser.parse_model(text).SerializeToString())
    with pytest.raises(InputError, match="the output 'y' is a sequence"):
        make_task({"family": "embedding"}, {}).reference(runner, Split.SEARCH)


def test_the_first_token_can_be_taken_instead_of_the_mean() -> None:
    changed = rounded(tiny(), 4)
    assert score(changed, pooling="first").error != score(changed, pooling="mean").error


def test_an_output_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="no output 'sentence'"):
        score(tiny(), output="sentence")


def test_a_token_that_the_table_has_not_is_an_input_error() -> None:
    with pytest.raises(InputError, match="cannot run"):
        score(tiny(), vocabulary=10_000)


def test_a_model_with_another_kind_of_input_is_refused() -> None:
    text = "main (float[1, n] sound) => (float[1, n] y) { y = Neg (sound) }"
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    task = make_task({"family": "embedding"}, {})
    opened = open_runner(model.SerializeToString())
    with pytest.raises(InputError, match="what does the input 'sound' take"):
        task.reference(opened, Split.SEARCH)


PIECES = ["[UNK]", "[CLS]", "[SEP]", "un", "##believ", "##able", ",", "is", "it", "?", "cafe", "'"]
VOCABULARY = WordPiece({p: n for n, p in enumerate(PIECES)}, lower=True)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Unbelievable, is it?", ["un", "##believ", "##able", ",", "is", "it", "?"]),
        ("café", ["cafe"]),
        ("unbelieved", ["[UNK]"]),
        ("it's", ["it", "'", "[UNK]"]),
        ("x" * 101, ["[UNK]"]),
        ("", []),
    ],
)
def test_text_is_cut_into_the_longest_known_pieces(text: str, pieces: list[str]) -> None:
    assert [PIECES[n] for n in VOCABULARY.encode(text)] == ["[CLS]", *pieces, "[SEP]"]


def test_a_tokenizer_file_is_read_and_used(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    vocabulary = {p: n for n, p in enumerate([*PIECES, *"abcdefghijklmnopqrstuvwxyz"])}
    vocabulary |= {
        f"##{c}": len(vocabulary) + n for n, c in enumerate("abcdefghijklmnopqrstuvwxyz")
    }
    path.write_text(json.dumps({"model": {"type": "WordPiece", "vocab": vocabulary}}), "utf-8")
    task = make_task({"family": "embedding", "tokenizer": "t.json"}, {"t.json": path})
    asked = task.reference(open_runner(tiny()), Split.CONFIRMATION)
    assert task.score(open_runner(tiny()), asked, Split.CONFIRMATION).positions >= 90
    assert task.limit == Limit(error=0.006, agreement=0.95)


@pytest.mark.parametrize(
    "text", ["no json", "[]", '{"model": {"vocab": {"a": 1}}}', '{"model": {"vocab": ["a"]}}']
)
def test_another_kind_of_tokenizer_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"^t\.json"):
        wordpiece.read(path, "t.json")


def test_a_vocabulary_of_one_token_is_refused() -> None:
    with pytest.raises(ConfigError, match="a vocabulary of 1 token"):
        make_task({"family": "embedding", "vocabulary": 1}, {})


def test_no_sentence_is_in_two_splits() -> None:
    asked = texts.read("embedding", texts.Texts)
    every = [*asked.calibration, *asked.search, *asked.confirmation]
    assert len({s.casefold() for s in every}) == len(every)
