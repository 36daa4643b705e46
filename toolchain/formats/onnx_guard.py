"""Tries a model in a process of its own, with limits: it may crash onnxruntime, or never end.

Whoever opens a model trusts two large libraries with it. Found by trying: ``onnx`` writes out the
values of a Range or the sizes of a ConstantOfShape while it infers shapes, however many they are;
onnxruntime inlines functions that call functions until memory ends; a Loop may count to 2 ** 63.
None of these can be stopped from inside the process. So: try first, here, then trust.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import InputError, UnusableError
from toolchain.units import Bytes, Seconds, show_bytes

_STAGES = {
    "start": "reading it",
    "shapes": "inferring its shapes",
    "load": "loading it in onnxruntime",
    "run": "running it in onnxruntime",
}


@dataclass(frozen=True)
class Limits:
    """What a model may take to be loaded and run once on the smallest inputs that it accepts."""

    seconds: Seconds
    memory: Bytes  # of address space


# Ours: SmolLM2-135M takes 3.3 s and a voice of 63 MB 2.3 s, on one core of a busy machine.
_LIMITS = Limits(Seconds(60), Bytes(8 * 2**30))


def examine(model: Path, limits: Limits = _LIMITS) -> None:
    """Load and run a model, ONNX or ORT, in a child process.

    A model that runs with none of the made-up inputs is fine: nobody asked what it is for.

    Errors:
        UnusableError: it is refused, crashes, takes too long or too much memory; the message says
            while doing what.
        InputError: it is no model.
    """
    command = [sys.executable, "-P", "-m", __name__, str(model)]  # -P: no module of the user's
    command += [str(limits.seconds), str(limits.memory)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=limits.seconds, check=False)
    except subprocess.TimeoutExpired as error:
        what = f"takes longer than {limits.seconds:g} s"
        raise _unusable(what, _stages(error.stdout or b"")) from error
    stages = _stages(done.stdout)
    last = stages[-1] if stages else {}
    if "refused" in last:
        raise (UnusableError if last["unusable"] else InputError)(
            last["refused"], hint=last.get("hint", "")
        )
    if "memory" in last:
        raise _unusable(f"needs more than {show_bytes(limits.memory)} of memory", stages)
    if done.returncode or last != {"stage": "done"}:
        raise _unusable(_death(done.returncode), stages)


def _stages(output: bytes) -> list[dict[str, str]]:
    """Return what the child said; a library's own words between are skipped."""
    lines = output.splitlines()
    return [json.loads(line) for line in lines if line.startswith(b'{"') and line.endswith(b'"}')]


def _unusable(what: str, stages: list[dict[str, str]]) -> UnusableError:
    reached = [one["stage"] for one in stages if "stage" in one]
    doing = _STAGES[reached[-1] if reached else "start"]
    return UnusableError(
        f"the model {what} while {doing}",
        hint="it is damaged or made to do harm; leave it out",
    )


def _death(code: int) -> str:
    if code < 0:
        return f"ends the process ({signal.Signals(-code).name})"
    return f"ends the process (exit code {code})"


def _main(path: str, seconds: str, memory: str) -> None:
    """Run in the child."""
    _limit(int(float(seconds)) + 1, int(memory))
    try:
        _try(Path(path))
        _say(stage="done")
    except MemoryError:
        _say(memory="exceeded")
    except InputError as error:
        if "bad_alloc" in str(error) or "Failed to allocate memory" in str(error):
            _say(memory="exceeded")
        else:
            unusable = "yes" if isinstance(error, UnusableError) else ""
            _say(refused=str(error), unusable=unusable, hint=error.hint)


def _limit(seconds: int, memory: int) -> None:
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _try(path: Path) -> None:
    _say(stage="start")
    from onnx.shape_inference import (  # noqa: PLC0415 - under the limits, which are set by now
        InferenceError,
        infer_shapes,
    )

    from toolchain.formats import onnx_model, ort_model  # noqa: PLC0415 - as above
    from toolchain.formats.onnx_functions import refuse_bombs  # noqa: PLC0415 - as above
    from toolchain.formats.onnx_probes import probes  # noqa: PLC0415 - as above
    from toolchain.formats.onnx_session import session  # noqa: PLC0415 - as above

    data = path.read_bytes()
    if data[4:8] != ort_model.IDENTIFIER:
        model = onnx_model.load(data)
        refuse_bombs(model)
        _say(stage="shapes")
        try:
            infer_shapes(model, data_prop=True)
        except InferenceError:
            pass  # sizes contradict one another: onnxruntime has the last word
        except (RuntimeError, ValueError) as error:
            raise InputError(f"onnx cannot infer the shapes of the model: {error}") from error
        del model
    _say(stage="load")
    opened = session(data)
    _say(stage="run")
    try:
        probes(opened, {}, {}, limit=1)
    except InputError as error:
        if "allocate" in str(error):
            raise


def _say(**line: str) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
