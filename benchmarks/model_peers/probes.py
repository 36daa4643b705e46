"""Two traps that no tool's file shows: a setting of the session, and another runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from model_peers import catalogue
from model_peers.bench import Run
from model_peers.rows import Probe, Taken
from model_peers.sidebyside import compared

from toolchain.errors import VtoolError
from toolchain.execution.cache import action_key
from toolchain.formats.execution_format import applied
from toolchain.passes.import_gguf import ImportGguf
from toolchain.quantization import targets

_WEB = "web-wasm"
_TRAPS = ("prepacking off", "4-bit in wasm")


def probed(run: Run) -> tuple[Probe, ...]:
    """Measure both; what cannot be measured says why."""
    found = []
    for trap, probe in zip(_TRAPS, (_prepacking, _web), strict=True):
        try:
            figures = probe(run)
        except VtoolError as error:
            found.append(Probe(trap, "", {}, f"not measured: {error}"))
            continue
        words = "; ".join(
            f"{name}: {taken.failed or f'{taken.latency_ratio:.1f} times the latency'}"
            for name, taken in figures.items()
        )
        ratios = {n: t.latency_ratio for n, t in figures.items() if not t.failed}
        found.append(Probe(trap, "", ratios, words))
        run.kept.cache.put(action_key("probe", trap), found[-1])
    return tuple(found)


def known(run: Run) -> tuple[Probe, ...]:
    """Return what was measured last."""
    found = [run.kept.known(action_key("probe", trap), Probe) for trap in _TRAPS]
    return tuple(probe for probe in found if probe)


def _prepacking(run: Run) -> dict[str, Taken]:
    """Run the language model on its own 4-bit blocks, and with a setting or a level wrong."""
    model = next(m for m in run.catalogue.model if m.name == "smollm2")
    data = catalogue.shipped(model).read_bytes()
    usual = targets.load("native-cpu").setting[0]
    unpacked = replace(usual, name="prepacking off", prepacking=False)
    feeds = run.feeds(model)
    with TemporaryDirectory(dir=run.kept.home) as folder:
        good, level = Path(folder) / "level4.onnx", Path(folder) / "level0.onnx"
        good.write_bytes(ImportGguf(accuracy_level=4).rewrite(data))
        level.write_bytes(ImportGguf(accuracy_level=0).rewrite(data))
        return {
            "smollm2 with prepacking off": compared(feeds, (good, usual), (good, unpacked)),
            "with accuracy level 0": compared(feeds, (good, usual), (level, usual)),
        }


def _web(run: Run) -> dict[str, Taken]:
    """Run a transformer in onnxruntime-web, in three formats beside float32."""
    model = next(m for m in run.catalogue.model if m.name == "minilm")
    original = run.original(model)
    usual = targets.load(_WEB).setting[0]
    feeds = run.feeds(model)
    found = {}
    with TemporaryDirectory(dir=run.kept.home) as folder:
        for name in ("matmul-nbits-4", "matmul-nbits-8", "matmul-integer"):
            path = Path(folder) / f"{name}.onnx"
            path.write_bytes(applied(original.read_bytes(), name))
            pair = (original, usual), (path, usual)
            found[f"minilm in wasm as {name}"] = compared(feeds, *pair, target=_WEB)
    return found
