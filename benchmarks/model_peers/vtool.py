"""vtool's own row: its pipeline for a model alone, with the model's own task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from model_peers import asking, feeds

from toolchain import rulebook
from toolchain.errors import InputError
from toolchain.formats.execution_format import applied
from toolchain.formats.materializer import materialize
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass, GuardedPass, Step, make_pass
from toolchain.quantization import targets
from toolchain.quantization.choosing import choose
from toolchain.quantization.contest import Contest

_KINDS = {".onnx": Kind.ONNX, ".ort": Kind.ORT, ".gguf": Kind.GGUF}


def optimized(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the package of ``source`` to ``package`` and the model that it gives to ``out``.

    Where the format allows, the result holds the limit in a format that is fast on this machine.
    Steps that the model names come first, then those of the pipeline ``model`` that fit its kind.
    A step whose result is larger is left out, as the pipeline does.
    """
    source = Path(request["source"])
    data, kind = source.read_bytes(), _KINDS[source.suffix]
    files = {name: Path(path) for name, path in request["files"].items()}
    done, notes = [], []
    for step in (*_own(request), *rulebook.pipeline("model")):
        options = dict(step.options)
        if "task" in options:
            formats = [form.name for form in targets.load("native-cpu").format[1:]]
            options |= {"task": request["task"], "formats": formats}
        one = make_pass(step.run, options)
        if not isinstance(one, ArtifactPass) or kind not in one.kinds:
            continue
        try:
            if isinstance(one, GuardedPass):
                rewritten = one.rewrite_for(data, files)
                made, note = rewritten.data, rewritten.note
            else:
                made, note = one.rewrite(data), ""
        except InputError as error:
            notes.append(f"{step.run}: {error}")
            continue
        if made == data or (len(made) >= len(data) and not one.pays_in_bytes):
            notes += [f"{step.run}: {note}"] if note else []
            continue
        data, kind = made, one.produces or kind
        done.append(step.run)
    if kind is Kind.PACKAGE:
        Path(request["package"]).write_bytes(data)
        data = materialize(data)
    Path(request["out"]).write_bytes(data)
    return {"done": done, "notes": notes}


def _own(request: Mapping[str, Any]) -> list[Step]:
    return [Step(run, "", options) for run, options in request["steps"]]


def placed(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``candidate`` to ``out`` as it runs best on this machine; return format and setting.

    A format that changes numbers has to keep the task's limit beside ``model``.
    """
    data = Path(request["candidate"]).read_bytes()
    contest = Contest(targets.load("native-cpu"), feeds.few(Path(request["feeds"])))

    def accepts(changed: bytes) -> bool:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "changed.onnx"
            path.write_bytes(changed)
            return asking.scored({**request, "candidate": str(path)}).get("problem") == ""

    choice = choose(data, contest, accepts=accepts)
    Path(request["out"]).write_bytes(applied(data, choice.format))
    return {"format": choice.format, "setting": choice.setting.name}
