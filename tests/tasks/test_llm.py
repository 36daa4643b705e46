"""What the guard of language models compares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import application
import numpy as np
import onnx
import pytest
import tiny_gguf
from onnx import numpy_helper

from toolchain.errors import ConfigError, InputError
from toolchain.execution.cache import ActionCache
from toolchain.formats import model_metadata
from toolchain.formats.onnx_runner import Array, Watched, open_runner
from toolchain.passes.import_gguf import ImportGguf
from toolchain.quantization.cost import Tally
from toolchain.tasks.base import Limit, Score, Split, Task, make_task
from toolchain.tasks.llm import Llm, Questions, Vocabulary
from toolchain.tasks.questions import texts
from toolchain.tasks.questions.choices import leads

TINY = ImportGguf(0).rewrite(tiny_gguf.written(*tiny_gguf.llama()))
PROMPTS = {split: [[1 + n, 2, 3 + number] for n in range(3)] for number, split in enumerate(Split)}


@cache
def drawn() -> Task:
    return make_task({"family": "llm"}, {})


def score(model: bytes, split: Split = Split.SEARCH) -> Score:
    asked = drawn().reference(open_runner(TINY), split)
    return drawn().score(open_runner(model), asked, split)


def louder(by: float) -> bytes:
    """Return the tiny model with its scales off by up to a share of them, seeded."""
    model = onnx.load_from_string(TINY)
    generator = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if tensor.name.endswith("scales"):
            scales = numpy_helper.to_array(tensor)
            off = 1 + by * generator.standard_normal(scales.shape)
            changed = (scales * off).astype(scales.dtype)
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    data: bytes = model.SerializeToString()
    return data


@pytest.mark.parametrize("split", Split)
def test_a_model_chooses_what_it_chooses(split: Split) -> None:
    found = score(TINY, split)
    assert (found.error, found.agreement) == (0.0, 1.0)
    assert found.positions > 0


def test_changed_scales_diverge_and_more_of_it_more() -> None:
    little, much = score(louder(0.01)), score(louder(0.5))
    assert 0 < little.error < much.error
    assert drawn().limit == Limit(error=0.02, agreement=0.97)
    assert drawn().limit.problem(much)


def test_a_margin_of_nothing_compares_everywhere() -> None:
    task = make_task({"family": "llm", "margin": 0.0}, {})
    asked = task.reference(open_runner(TINY), Split.SEARCH)
    found = task.score(open_runner(louder(0.3)), asked, Split.SEARCH)
    assert found.agreement == pytest.approx(found.details["agreement everywhere"], abs=0.02)
    assert found.details["share decided"] > 0.98


def answering(folder: Path) -> Llm:
    chosen: Llm = drawn()  # type: ignore[assignment]  # it is one
    return Llm(chosen.options, Vocabulary(PROMPTS, end=-1), ActionCache(folder))


def test_answers_are_kept_and_another_model_does_not_get_them(tmp_path: Path) -> None:
    tallies = [Tally(), Tally(), Tally()]
    models = zip((TINY, TINY, louder(0.5)), tallies, strict=True)
    runners = [Watched(open_runner(model), tally) for model, tally in models]
    kept = [answering(tmp_path).reference(runner, Split.SEARCH) for runner in runners]
    tokens = [[a.tokens for a in answers] for answers in kept]  # type: ignore[attr-defined]  # answers of the task
    assert tokens[0] == tokens[1] != tokens[2]
    first, again, other = (tally.runs for tally in tallies)
    assert first == other > 90
    assert again == 6


def test_calibration_asks_the_same_whatever_was_asked_before(tmp_path: Path) -> None:
    """What passes through the model then decides the bytes of the result."""
    asked: list[list[Mapping[str, Array]]] = [[], []]
    for fed in asked:
        runner = Watched(open_runner(TINY), lambda feeds, _, fed=fed: fed.append(feeds))  # type: ignore[misc]  # bound now
        answering(tmp_path).reference(runner, Split.CALIBRATION)
    first, again = ([feeds["input_ids"].tolist() for feeds in fed] for fed in asked)
    assert first == again
    assert len(first) > 90


def test_a_damaged_cache_is_asked_anew(tmp_path: Path) -> None:
    tokens = []
    for _ in range(2):
        answers = answering(tmp_path).reference(open_runner(TINY), Split.SEARCH)
        tokens.append([a.tokens for a in answers])  # type: ignore[attr-defined]  # answers of the task
        for entry in tmp_path.rglob("*.json"):
            entry.write_text("{", "utf-8")
    assert tokens[0] == tokens[1]


def test_the_end_of_an_answer_is_compared_too(tmp_path: Path) -> None:
    task = answering(tmp_path)
    (one, *_) = task.reference(open_runner(TINY), Split.SEARCH)  # type: ignore[misc]  # answers of the task
    later = next(t for t in one.tokens if one.tokens.index(t) > 1)
    ending = Llm(task.options, Vocabulary(PROMPTS, end=later), ActionCache(tmp_path))
    (cut, *_) = ending.reference(open_runner(TINY), Split.SEARCH)  # type: ignore[misc]  # answers of the task
    length = one.tokens.index(later)
    assert cut.tokens == one.tokens[:length]
    assert len(cut.logits) == length + 1
    assert len(one.logits) == len(one.tokens) == 32


def test_only_decided_places_count_for_the_agreement() -> None:
    found = {}
    for margin in (0.0, 0.3):
        task = make_task({"family": "llm", "margin": margin}, {})
        asked = task.reference(open_runner(TINY), Split.CONFIRMATION)
        found[margin] = task.score(open_runner(louder(0.1)), asked, Split.CONFIRMATION)
    assert found[0.3].agreement > found[0.0].agreement
    assert found[0.3].positions < found[0.0].positions
    assert found[0.3].error == found[0.0].error


def test_free_answers_are_a_detail_of_the_confirmation(tmp_path: Path) -> None:
    task = answering(tmp_path)
    asked = task.reference(open_runner(TINY), Split.CONFIRMATION)
    same = task.score(open_runner(TINY), asked, Split.CONFIRMATION)
    other = task.score(open_runner(louder(0.5)), asked, Split.CONFIRMATION)
    assert same.details["same answers"] == 1.0
    assert other.details["same answers"] < 1.0


def test_what_is_no_language_model_is_refused() -> None:
    vad = open_runner(application.unoptimized()["models/silero_vad.onnx"])
    with pytest.raises(InputError, match="takes input_ids and past"):
        drawn().reference(vad, Split.SEARCH)


def test_smollm2_is_asked_in_chatml_with_its_own_vocabulary() -> None:
    files = application.unoptimized()
    task = make_task({"family": "llm", "tokenizer": "models/smollm2.gguf"}, files)
    vocabulary: Vocabulary = task.vocabulary  # type: ignore[attr-defined]  # of this task
    metadata = model_metadata.read(files["models/smollm2.gguf"], "models/smollm2.gguf")
    tokens = json.loads(metadata["tokenizer.ggml.tokens"])
    (first, *_) = vocabulary.prompts[Split.CONFIRMATION]
    spelled = "".join(tokens[t] for t in first).replace("Ġ", " ").replace("Ċ", "\n")
    assert spelled == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nHow does a bicycle stay upright?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokens[vocabulary.end] == "<|im_end|>"


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"tokenizer": "nowhere"}, ConfigError, "names nowhere"),
        ({"tokenizer": "models/silero_vad.onnx"}, InputError, "no tokenizer.ggml.model"),
        ({"tokenizer": "models/moonshine/tokenizer.bin"}, InputError, "ONNX"),
        ({"temperature": 0.7}, ConfigError, "task llm: temperature"),
    ],
)
def test_a_wrong_request_is_named(
    options: dict[str, object], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        make_task({"family": "llm", **options}, application.unoptimized())


def test_no_question_is_in_two_splits() -> None:
    asked = texts.read("llm", Questions)
    every = [*asked.calibration, *asked.search, *asked.confirmation]
    assert len({q.casefold() for q in every}) == len(every) >= 25


def test_the_lead_is_between_the_first_two() -> None:
    found = leads(np.array([[1.0, 5.0, 3.0], [7.0, 7.0, 0.0]], np.float32))
    assert found.tolist() == [2.0, 0.0]
