"""The search: choices hold for one machine and model, change no answer, and reach onnxruntime."""

from dataclasses import replace
from pathlib import Path

import application
import numpy as np
import pytest

from toolchain.execution.cache import ActionCache
from toolchain.formats.audio import Audio, write_wav
from toolchain.formats.execution_format import applied
from toolchain.formats.onnx_builder import GraphBuilder, value
from toolchain.formats.onnx_model import serialized
from toolchain.harness.scenario import Scenario
from toolchain.harness.session_options import Rule, rule
from toolchain.harness.subject import Subject
from toolchain.harness.trying import Found, kept
from toolchain.harness.tuning import Home, Tuned, _key, tuned
from toolchain.harness.turn import Clip
from toolchain.ir import Machine, digest_of
from toolchain.progress import SILENT
from toolchain.quantization.contest import Known

HERE = Machine("x", 2, 1, "x", "3", (), load=0.1)
NAME = "vad.onnx"
WIDTH = 512  # samples of a frame


class Told:
    """Progress that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:  # noqa: ARG002
        self.said.append(what)


def detector(inner: int) -> bytes:
    """Return a model that takes a frame and gives one number, by a matrix of WIDTH times inner."""
    graph = GraphBuilder()
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((WIDTH, inner)).astype(np.float32) / WIDTH
    wide = graph.add("MatMul", "sound", graph.constant("w", weights))
    narrow = graph.constant("v", rng.standard_normal((inner, 1)).astype(np.float32) / inner)
    graph.add("MatMul", wide, narrow, outputs=["speech"])
    ports = [value("sound", np.float32, (1, WIDTH)), value("speech", np.float32, (1, 1))]
    return serialized(graph.model(ports[:1], ports[1:], {}))


def remembering(rows: int) -> bytes:
    """Return a model that reads one row of a table of 2 kB rows, told by how loud a frame is."""
    graph = GraphBuilder()
    table = np.random.default_rng(0).standard_normal((rows, WIDTH)).astype(np.float32)
    loud = graph.add("ReduceMax", graph.add("Abs", "sound"), keepdims=0)
    row = graph.add("Gather", graph.constant("t", table), graph.add("Cast", loud, to=7))
    speech = graph.add("ReduceMean", graph.add("Mul", "sound", row), keepdims=1)
    graph.add("Identity", speech, outputs=["speech"])
    ports = [value("sound", np.float32, (1, WIDTH)), value("speech", np.float32, (1, 1))]
    return serialized(graph.model(ports[:1], ports[1:], {}))


def played(folder: Path, model: bytes, quick: Scenario) -> Subject:
    (folder / NAME).write_bytes(model)
    voice = application.voice() | {"vad": {"adapter": "framewise", "model": NAME}}
    return Subject({NAME: folder / NAME}, voice, quick, SILENT)


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 4 * WIDTH).astype(np.float32)
    data = write_wav(Audio(noise, 16_000))
    (tmp_path / "noise.wav").write_bytes(data)
    return Clip("noise", str(tmp_path / "noise.wav"), "", recorded=True, digest=digest_of(data))


def only(*names: str, **numbers: float) -> Rule:
    """Return the rule with these options and numbers, and one round."""
    usual, numbers = rule(), {"rounds": 1, "pass_seconds": 0.02, **numbers}
    return replace(
        usual,
        option=tuple(one for one in usual.option if one.name in names),
        number=tuple(replace(n, value=numbers.get(n.name, n.value)) for n in usual.number),
    )


def home(folder: Path) -> Home:
    return Home(Known(ActionCache(folder / "actions"), HERE), folder)


def test_what_saves_memory_is_chosen_kept_and_reaches_onnxruntime(
    tmp_path: Path, clip: Clip, quick: Scenario
) -> None:
    """Of a table of 20 MB one row is read: where it is mapped, the rest is not in memory."""
    subject = played(tmp_path, remembering(10_000), quick)
    asked = only("mapped", most_slower=100.0, most_cpu=100.0, most_load_ms=1e6)
    found = tuned(subject, clip, home(tmp_path), rule=asked)
    assert [row.chosen for row in found.rows] == ["1 thread, mapped"], found.rows[0].why
    assert found.rows[0].bits == "the same bits"
    held = found.rows[0].held
    assert held
    assert held[0] - held[1] > 15_000_000
    again = Told()
    assert tuned(replace(subject, progress=again), clip, home(tmp_path), rule=asked) == found
    assert again.said == [], "it was searched a second time"
    seen = _seen(subject, found, tmp_path, clip)
    assert seen["opened"][NAME] == {
        "threads": 1,
        "spinning": False,
        "arena": False,
        "prepacking": True,
    }
    assert found.files[NAME].with_name(f"{found.files[NAME].name}.data").is_file()


def _seen(subject: Subject, found: Tuned, folder: Path, clip: Clip) -> dict[str, dict[str, object]]:
    request = {"job": "alone", "stage": "vad", "sound": clip.path, "text": "", "tokens": 1}
    request |= {"least": 1, "most": 1, "seconds": 0.0, "answers": str(folder / "answers")}
    seen: dict[str, dict[str, object]] = replace(subject, files=found.files, voice=found.voice).ask(
        request
    )
    return seen


def test_what_changes_answers_is_never_chosen_and_the_usual_stays(
    tmp_path: Path, clip: Clip, quick: Scenario
) -> None:
    """MatMulNBits rounds its inputs to int8 only where its weights are packed."""
    model = applied(detector(4096), "matmul-nbits-4")
    subject = played(tmp_path, model, quick)
    # whatever it takes: only its answers are against it
    any_price = {"most_slower": 1e9, "most_cpu": 1e9, "patience": 100.0, "least_bytes": 1e9}
    asked = only("prepacking", smallest_bytes=1.0, least_faster=1e9, **any_price)
    found = tuned(subject, clip, home(tmp_path), rule=asked)
    assert found.rows[0].why == "not prepacked other numbers"
    assert not found.rows[0].changed
    assert (found.files, found.voice) == (subject.files, subject.voice)


def test_the_usual_stays_where_nothing_gains(tmp_path: Path, clip: Clip, quick: Scenario) -> None:
    subject = played(tmp_path, detector(1000), quick)
    asked = only("arena", least_faster=0.0, least_bytes=50_000_000)
    found = tuned(subject, clip, home(tmp_path), rule=asked)
    assert not found.rows[0].changed
    assert found.voice == subject.voice
    small = tuned(subject, clip, home(tmp_path), rule=only("arena", smallest_bytes=1e9))
    assert small.rows == (), "a small model is not searched"


def test_a_choice_holds_for_its_machine_and_model_whatever_the_load(
    tmp_path: Path, clip: Clip, quick: Scenario
) -> None:
    subject = played(tmp_path, detector(10), quick)
    of = subject, "vad", NAME

    def key(**changed: object) -> str:
        return _key(of, clip, rule(), replace(HERE, **changed))

    here = key()
    assert here == key(load=7.0)
    assert here != key(cores=4)
    assert here != key(versions=(("onnxruntime", "9"),))
    (tmp_path / NAME).write_bytes(detector(11))
    assert here != key()


def test_a_choice_holds_for_what_is_heard_how_it_is_installed_and_by_which_rule(
    tmp_path: Path, clip: Clip, quick: Scenario
) -> None:
    subject = played(tmp_path, detector(10), quick)
    asked = {**subject.voice, "vad": {**subject.voice["vad"], "sessions": {"x.onnx": {}}}}
    here = _key((subject, "vad", NAME), clip, rule(), HERE)
    others = [
        _key((subject, "vad", NAME), replace(clip, digest=digest_of(b"")), rule(), HERE),
        _key((subject, "vad", NAME), clip, only("arena"), HERE),
        _key((replace(subject, voice=asked), "vad", NAME), clip, rule(), HERE),
    ]
    (tmp_path / f"{NAME}.session.json").write_text('{"prepacking": false}')
    others.append(_key((subject, "vad", NAME), clip, rule(), HERE))
    (tmp_path / f"{NAME}.data").write_bytes(b"weights")
    others.append(_key((subject, "vad", NAME), clip, rule(), HERE))
    assert len({here, *others}) == 6


@pytest.mark.parametrize("damage", [[], {"options": None}, {"options": {"threads": "2"}}, 3, "x"])
def test_a_damaged_entry_of_the_cache_is_a_miss(damage: object) -> None:
    assert kept(damage, Found) is None


def test_a_model_that_the_project_has_set_is_left_alone(
    tmp_path: Path, clip: Clip, quick: Scenario
) -> None:
    subject = played(tmp_path, detector(1000), quick)
    subject.voice["vad"]["sessions"] = {NAME: {"threads": 1}}
    assert tuned(subject, clip, home(tmp_path)) == Tuned(subject.files, subject.voice, ())
