"""Who takes part, with which weights and settings, and how each is started."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from beside.samples import Contestant, Way

from toolchain import trial
from toolchain.emit import MANIFEST
from toolchain.errors import InputError, VtoolError
from toolchain.harness.scenario import Scenario
from toolchain.harness.subject import Subject, spoken_clips, subject
from toolchain.harness.turn import Clip
from toolchain.progress import SILENT
from toolchain.sources.project import open_target
from toolchain.sources.tools import node
from toolchain.voice.runnable import data_files
from toolchain.workspace import Workspace

HERE = Path(__file__).parent
_PROJECT = HERE.parents[1] / "fixtures" / "voice-app"
_GGUF = "models/smollm2.gguf"
_WHISPER = "whisper-tiny.en"
_LLAMA = "node_modules/node-llama-cpp/package.json"
MOONSHINE, SMOLLM = "vtool moonshine", "vtool llama"
NODE_LLAMA = "node-llama-cpp"
THREADS = (1, 2)
"""Of the machine that the budgets are for: two cores."""

Entry = tuple[Contestant, Way]


@dataclass(frozen=True)
class Application:
    """The reference application as `vtool optimize` made it, and what is said to it."""

    subject: Subject
    voice: Mapping[str, Any]
    clips: tuple[Clip, ...]

    def way(self, stage: str, threads: int) -> Way:
        """Return how one of its stages is started; only the language model's threads differ."""
        voice = dict(self.voice)
        if stage == "llm":
            voice["llm"] = {**voice["llm"], "threads": threads}
        files = {name: str(self.subject.files[name]) for name in self.subject.names()}
        return python({"run": "stage", "stage": stage, "voice": voice, "files": files})

    def megabytes(self, stage: str) -> str:
        """Return how large the models of a stage are as they run, weights beside them too."""
        named = [n for n in self.voice[stage].values() if isinstance(n, str)]
        models = [self.subject.files[n] for n in named if n in self.subject.files]
        return _megabytes([part for one in models for part in data_files(one)])


def _megabytes(paths: Iterable[Path]) -> str:
    return f"{sum(path.stat().st_size for path in paths) / 1e6:.0f} MB"


def python(opening: Mapping[str, Any]) -> Way:
    """Return the way of a contestant in Python."""
    script = str(HERE.parent / "voice_peers.py")
    return Way((sys.executable, script, "--child"), opening)


def application(result: Path) -> Application:
    """Open the reference application and a result of it, and speak its questions.

    Errors:
        InputError: there is no result, or a file of it is wrong.
    """
    workspace = Workspace.open()
    given = str(_PROJECT)
    _, files, voice = trial.application(given, None, workspace)
    scenario = trial.scenario_of("single-turn", None, given)
    original, _ = subject(files, voice, scenario, workspace.root, (SILENT, ""))
    clips = spoken_clips(original, workspace.root)
    return Application(*_result(result, scenario, workspace), clips)


def _result(
    result: Path, scenario: Scenario, workspace: Workspace
) -> tuple[Subject, Mapping[str, Any]]:
    if not (result / MANIFEST).is_file():
        raise InputError(
            f"{result.name} is not a result of `vtool optimize`", hint="make demo, or --result OUT"
        )
    _, files, voice = trial.application(str(_PROJECT), result, workspace)
    return subject(files, voice, scenario, workspace.root, (SILENT, ""))[0], voice


def stt(app: Application, folder: Path) -> Iterator[Entry]:
    """Yield the speech models; what has to be written first goes to ``folder``."""
    what = f"Moonshine tiny.en, optimized, {app.megabytes('stt')}"
    base = Contestant(MOONSHINE, "stt", 1, f"{MOONSHINE}, 1", what)
    yield base, app.way("stt", 1)
    weights = open_target(str(HERE)).reference.files
    shared = {name.removeprefix(f"{_WHISPER}/"): file.path for name, file in weights.items()}
    way = _whisper_onnx(shared, folder / "onnx")
    size = _megabytes((folder / "onnx").glob("*.onnx"))
    what = f"Whisper tiny.en, float32 ONNX, {size}, the decoder twice"
    yield Contestant("vtool whisper", "stt", 1, base.key, what), way
    laid = folder / "ctranslate2"
    laid.mkdir()
    for name, path in shared.items():
        (laid / name).symlink_to(path)
    missing = "" if find_spec("faster_whisper") else "not installed; nox -s voice_peers brings it"
    for compute in ("int8", "float32"):
        for threads in THREADS:
            what = (
                f"Whisper tiny.en, {_megabytes(shared.values())} float16, as {compute}, CTranslate2"
            )
            name = f"faster-whisper {compute}"
            opening = {"run": "faster-whisper", "folder": str(laid), "compute": compute}
            yield (
                Contestant(name, "stt", threads, base.key, what, missing),
                python({**opening, "threads": threads}),
            )


def _whisper_onnx(weights: Mapping[str, Path], folder: Path) -> Way:
    """Write the same weights as ONNX, and return vtool's adapter on them."""
    sys.path.append(str(HERE.parents[1] / "tests"))
    import onnx  # noqa: PLC0415 - only here
    import whisper_models as models  # type: ignore[import-not-found] # noqa: PLC0415 - the writer of the tests

    folder.mkdir()
    sizes, stored = models.TINY_EN, models.stored(weights["model.bin"].read_bytes())
    made = {
        "encoder": models.encoder(sizes, stored),
        "decoder": models.decoder(sizes, stored),
        "decoder_with_past": models.decoder(sizes, stored, cached=True),
    }
    files = {f"{name}.onnx": str(folder / f"{name}.onnx") for name in made}
    for name, model in made.items():
        onnx.save(model, files[f"{name}.onnx"])
    options = {name: f"{name}.onnx" for name in made} | {"tokenizer": "tokenizer.json"}
    files["tokenizer.json"] = str(weights["tokenizer.json"])
    table = {"stt": {"adapter": "whisper", **options}}
    return python({"run": "stage", "stage": "stt", "voice": table, "files": files})


def llm(app: Application, folder: Path) -> Iterator[Entry]:
    """Yield the language models; node-llama-cpp is laid out in ``folder``."""
    for threads in THREADS:
        what = f"SmolLM2-135M from the GGUF, optimized, {app.megabytes('llm')}, onnxruntime"
        yield (
            Contestant(SMOLLM, "llm", threads, f"{SMOLLM}, {threads}", what),
            app.way("llm", threads),
        )
    missing = _no_node_llama()
    if not missing:
        for name, file in open_target(str(HERE)).tree.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.path, target)
        shutil.copy(HERE / "answering.mjs", folder)
    gguf = open_target(str(_PROJECT)).tree.files[_GGUF].path
    for threads in THREADS:
        what = f"the GGUF itself, Q4_1, {_megabytes([gguf])}, llama.cpp, context 2048"
        command = ("node",) if missing else (str(node()), str(folder / "answering.mjs"))
        yield (
            Contestant(NODE_LLAMA, "llm", threads, f"{SMOLLM}, {threads}", what, missing),
            Way(command, {"model": str(gguf), "threads": threads}),
        )


def _no_node_llama() -> str:
    """Return why node-llama-cpp cannot take part; "" where it can."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return "the pinned binary is for Linux x86_64"
    try:
        node()
    except VtoolError as error:
        return str(error)
    return ""


def versions() -> dict[str, str]:
    """Return the versions of the peers and of what they run on."""
    found = {"node-llama-cpp": _locked("node-llama-cpp")}
    for package in ("onnxruntime", "faster-whisper", "ctranslate2", "jiwer"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _locked(package: str) -> str:
    lines = (HERE / "vtool.lock").read_text("utf-8").splitlines()
    mark = f"pkg:npm/{package}@"
    return next(line.partition(mark)[2].rstrip('"') for line in lines if mark in line)
