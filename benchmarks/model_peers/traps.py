"""The known traps: what a peer's output did here, and what vtool does instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model_peers.rows import VTOOL, Probe, Row


@dataclass(frozen=True)
class Trap:
    """One line of the table."""

    name: str
    theirs: str
    ours: str


Find = Callable[[str, str], Row | None]


def traps(rows: Sequence[Row], probes: Sequence[Probe]) -> list[Trap]:
    """Return all traps, with what was measured in this run."""

    def find(model: str, tool: str) -> Row | None:
        return next((r for r in rows if (r.model, r.tool) == (model, tool)), None)

    probed = {probe.trap: probe.words for probe in probes}
    return [
        Trap(
            "Dynamic int8 on Silero",
            f"silero_vad 16 kHz: {_said(find, 'silero_vad 16 kHz', 'dynamic int8')}",
            "Weights are coded one by one within the detector's own limit, activations stay"
            f" float32: {_said(find, 'silero_vad', VTOOL)}",
        ),
        Trap(
            "Gather quantized with the rest",
            f"minilm, all operators: {_said(find, 'minilm', 'dynamic int8')}; MatMul alone:"
            f" {_said(find, 'minilm', 'dynamic int8 MatMul')}. smollm2, all operators:"
            f" {_said(find, 'smollm2', 'dynamic int8')}; MatMul alone:"
            f" {_said(find, 'smollm2', 'dynamic int8 MatMul')}",
            "An embedding gets its own step in the same search, by what it costs the task; minilm:"
            f" {_said(find, 'minilm', VTOOL)}",
        ),
        Trap(
            "int8 vocoder (Conv)",
            f"piper joe: {_said(find, 'piper joe', 'dynamic int8')}; static:"
            f" {_said(find, 'piper joe', 'static int8')}",
            "The codes are what travels; the convolutions that run are float32:"
            f" {_said(find, 'piper joe', VTOOL)}",
        ),
        Trap(
            "Rounded zero points in 4-bit blocks",
            f"smollm2: with zero points {_said(find, 'smollm2', 'blocks 4 asymmetric')}; without"
            f" {_said(find, 'smollm2', 'blocks 4')}",
            "import-gguf keeps the file's own blocks and adds each block's minimum apart, exactly:"
            f" {_said(find, 'smollm2', VTOOL)}",
        ),
        Trap(
            "Prepacking off",
            probed.get("prepacking off", "not measured"),
            "A setting is measured on the target before it is taken, and none that takes more than"
            " 1.05 of the latency is.",
        ),
        Trap(
            "fp16 converters on If and RandomNormalLike",
            f"silero_vad: {_said(find, 'silero_vad', 'fp16')}; piper joe:"
            f" {_said(find, 'piper joe', 'fp16')}",
            "Half precision is how weights are stored, with a cast behind each; no operator changes"
            " its type. What does not load is dropped before anybody sees it.",
        ),
        Trap(
            "4-bit blocks in WebAssembly",
            probed.get("4-bit in wasm", "not measured"),
            "The format is chosen for each target by what was measured there.",
        ),
    ]


def _said(find: Find, model: str, tool: str) -> str:
    row = find(model, tool)
    if row is None:
        return "not measured"
    if row.made.failed:
        return f"tool fails ({row.made.failed[:80]})"
    if row.scored is None:
        return "not asked"
    if row.scored.stage:
        return f"{row.scored.stage} ({row.scored.words[:120]})"
    said = f"error {row.scored.error:.3g} {row.scored.unit}, {row.scored.agreement:.1%} the same"
    if row.taken and not row.taken.failed:
        said += f", {row.taken.latency_ratio:.2f} times the latency"
    return f"{said}, download {row.made.download_bytes / 1e6:.2f} MB"
