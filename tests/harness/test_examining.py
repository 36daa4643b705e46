"""Faster but wrong is seen: damaged models break the budgets that the sound ones meet."""

from pathlib import Path

import application
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from rounded_model import coarser

from toolchain import rulebook
from toolchain.gate import judge
from toolchain.harness import examining
from toolchain.harness.examining import Application, Likeness, compared, examined
from toolchain.harness.questions import Fact, Questions
from toolchain.harness.scenario import Scenario
from toolchain.ir import State, Verdict

ASKED = Questions(
    prompts=("Give me one reason to learn to swim.",),
    sentences=("Please shut the gate behind you.",),
    fact=(
        Fact("How many hours are there in a day?", ("24",), "a number"),
        Fact("What is the opposite of hot?", ("cold",), "a word"),
    ),
)


def scaled(model: Path, factor: float) -> bytes:
    """Return a language model with the scales of its blocks off by a random share, seeded."""
    loaded = onnx.load(model)
    rng = np.random.default_rng(0)
    for tensor in loaded.graph.initializer:
        if tensor.name.endswith("scales"):
            scales = numpy_helper.to_array(tensor)
            drawn = rng.normal(1, factor, scales.shape)
            tensor.CopyFrom(
                numpy_helper.from_array((scales * drawn).astype(scales.dtype), tensor.name)
            )
    data: bytes = loaded.SerializeToString()
    return data


def verdicts(found: Likeness) -> dict[str, Verdict]:
    names = {m.name for m in found.measures}
    pack = [b for b in rulebook.budgets("web-voice") if b.measure in names]
    return {v.budget.measure: v for v in judge(found.measures, pack)}


@pytest.fixture(scope="module")
def sound(files: dict[str, Path]) -> Application:
    return Application(files, application.voice())


@pytest.fixture(scope="module")
def damaged(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Application:
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "llm.onnx").write_bytes(scaled(files["models/smollm2.gguf"], 0.1))
    (folder / "tts.onnx").write_bytes(coarser(files["models/hibari.onnx"].read_bytes(), 16))
    wrong = {
        "models/smollm2.gguf": folder / "llm.onnx",
        "models/hibari.onnx": folder / "tts.onnx",
    }
    return Application(files | wrong, application.voice(), "after")


def test_an_application_is_like_itself(sound: Application, quick: Scenario, tmp_path: Path) -> None:
    found = compared(sound, sound, ASKED, quick, cache=tmp_path)
    values = {m.name: (m.unit, m.samples) for m in found.measures}
    assert values == {
        "quality.llm_exact": ("ratio", (1.0, 1.0)),
        "quality.llm_kl": ("nats", (0.0,)),
        "quality.llm_top1": ("ratio", (1.0,)),
        "quality.tts_log_mel": ("dB", (0.0,)),
        "quality.tts_length": ("ratio", (0.0,)),
    }
    assert [m.name for m in found.baseline] == ["quality.llm_exact"]
    assert found.notes == ()
    assert {v.state for v in verdicts(found).values()} == {State.MET}
    assert len(verdicts(found)) == 5, "each of them has a budget"


def test_damaged_models_break_the_budgets_of_likeness_and_of_facts(
    sound: Application, damaged: Application, quick: Scenario, tmp_path: Path
) -> None:
    found = compared(sound, damaged, ASKED, quick, cache=tmp_path)
    states = {name: v.state for name, v in verdicts(found).items()}
    broken = {name for name, state in states.items() if state is State.BROKEN}
    assert broken >= {"quality.llm_kl", "quality.llm_top1", "quality.tts_log_mel"}
    assert "quality.llm_exact" in broken
    assert any("the language model says" in note for note in found.notes)
    assert all(note.startswith("after: ") for note in found.notes)


def test_alone_only_facts_are_asked(sound: Application, quick: Scenario, tmp_path: Path) -> None:
    wrong = Fact("How many hours are there in a day?", ("25",), "a number that is not right")
    found = examined(sound, Questions(fact=(ASKED.fact[1], wrong)), quick, cache=tmp_path)
    assert [m.samples for m in found.measures] == [(1.0, 0.0)]
    (note,) = found.notes
    assert "24" in note
    assert note.endswith("not 25")
    assert not any(m.name.endswith(examining.COMPARED) for m in found.measures)
    nothing = examined(sound, Questions(), quick, cache=tmp_path)
    assert nothing == Likeness(())
