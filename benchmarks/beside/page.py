"""The tables: 80 columns for a terminal, and the page docs/voice-peers.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from beside.figures import Ratio, Row, rows
from beside.samples import Found

Cell = Callable[[Row], str]
Column = tuple[str, Cell]

BUSY = 0.5
"""Load of the last minute above which other work is told: half a core of two. Ours."""
_TITLES = {"stt": "Speech to text", "llm": "Language model"}
_MB = 1e6


def text(found: Found) -> str:
    """Return everything for a terminal of 80 columns."""
    lines = [f"{found.machine.cpu}, {found.machine.cores} cores; {_busy(found)}"]
    for stage, some in _grouped(found).items():
        table = [[head for head, _ in _TEXT[stage]]]
        table += [_cells(row, _TEXT[stage]) for row in some if not row.words]
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        lines += ["", f"{_TITLES[stage]}, {_counted(found, some)}"]
        for line in table:
            first, *rest = (cell.rjust(w) for cell, w in zip(line, widths, strict=True))
            lines.append("  ".join([first.strip().ljust(widths[0]), *rest]))
        lines += [
            f"{row.contestant.key}: unavailable: {row.words}"[:80] for row in some if row.words
        ]
    return "\n".join(
        [*lines, "", "x: of vtool's figure, median of pairs; ready: from process start"]
    )


def markdown(found: Found) -> str:
    """Return the page."""
    machine = found.machine
    versions = ", ".join(f"{name} {one}" for name, one in sorted(found.versions.items()))
    lines = [_HEAD, f"{machine.cpu}, {machine.cores} cores, {machine.system}, Python "]
    lines[-1] += f"{machine.python}; {versions}. {_busy(found).capitalize()}."
    for stage, some in _grouped(found).items():
        lines += ["", f"## {_TITLES[stage]}", "", _WORDS[stage].format(tokens=found.tokens), ""]
        columns = _PAGE[stage]
        lines += [_line([head for head, _ in columns]), _line(["---"] * len(columns))]
        for row in some:
            cells = _cells(row, columns)
            if row.words:
                cells = [*cells[:2], f"unavailable: {row.words}", *[""] * (len(columns) - 3)]
            lines.append(_line(cells))
        lines += ["", f"{_counted(found, some).capitalize()}."]
        if otherwise := _otherwise(some):
            lines += ["", "Heard with word errors:", ""]
            lines += [f"- {item}: {words}" for item, words in otherwise]
    return "\n".join(lines) + "\n"


_HEAD = """# vtool's stages beside peers

Written by `nox -s voice_peers -- --docs`, after `make demo`; every figure is measured by it.

Each contestant works in a process of its own, opened anew in every round. All answer the same,
clip by clip, in random order, after an uncounted answer. Times are medians; a ratio is the
contestant over vtool's stage with the same threads, the median of the pairs (same round, same
clip), with 95 % bounds where the pairs are enough: above 1, the contestant takes more. CPU time is
of all threads until the answer is there; threads that spin on behind it are not counted. *Peak* is
the most memory of the process that ever was resident, with the interpreter (Python, Node) and
mapped files. *Ready* is from the creation of the process until the model is open.
"""

_WORDS = {
    "stt": """The project's reference clips and its spoken questions, each as one utterance.
Moonshine's work grows with the sound; Whisper hears 30 s however short the clip is. Greedy, no
timestamps. The word error rate is the mean of the clips, with jiwer's normalization as in the
harness: "7" and "seven" are different words, so below the table is what was heard with errors.
*vtool whisper* is vtool's adapter on the same weights as float32 ONNX, not optimized. vtool's
speech stages compute in one thread, whichever they are compared with.""",
    "llm": """The same prompts as tokens, greedy, {tokens} tokens each; tokens that end an answer
are chosen like all others. *First* is the time to the first token when the system message is known
(as in the application), *whole* when it is computed too; *a token* is each further one. *Same
answers* are those whose tokens up to their end are exactly vtool's with the same threads.""",
}


def _grouped(found: Found) -> dict[str, list[Row]]:
    every = rows(found)
    stages = dict.fromkeys(row.contestant.stage for row in every)
    return {stage: [r for r in every if r.contestant.stage == stage] for stage in stages}


def _otherwise(some: Sequence[Row]) -> list[tuple[str, str]]:
    """Return what was heard with word errors, by clip, with who heard it."""
    who: dict[tuple[str, str], list[str]] = {}
    for row in some:
        for heard in row.otherwise:
            who.setdefault(heard, []).append(row.contestant.key)
    return [(item, f'"{words}" ({"; ".join(names)})') for (item, words), names in who.items()]


def _counted(found: Found, some: Sequence[Row]) -> str:
    answers = max((row.answers for row in some), default=0)
    asked = max((row.asked for row in some), default=0)
    return f"{found.rounds} rounds of {asked} answers: {answers} samples each"


def _busy(found: Found) -> str:
    load = found.machine.load
    if load is None:
        return "load unknown"
    beside = "other work ran on it: figures are rough" if load > BUSY else "quiet"
    return f"load before {load:.2f}, {beside}"


def _cells(row: Row, columns: Sequence[Column]) -> list[str]:
    return [cell(row) for _, cell in columns]


def _name(row: Row) -> str:
    return row.contestant.name


def _threads(row: Row) -> str:
    return str(row.contestant.threads)


def _figure(name: str, form: str, by: float = 1.0) -> Cell:
    def cell(row: Row) -> str:
        return format(row.medians[name] / by, form) if name in row.medians else ""

    return cell


def _times(name: str) -> Cell:
    def cell(row: Row) -> str:
        return f"{row.ratios[name].median:.2f}" if name in row.ratios else ""

    return cell


def _bounded(name: str) -> Cell:
    def cell(row: Row) -> str:
        if row.contestant.key == row.contestant.base:
            return "1" if name in row.ratios else ""
        return bounded(row.ratios[name]) if name in row.ratios else ""

    return cell


def bounded(ratio: Ratio) -> str:
    """Return a ratio with its bounds, as far as they are known.

    >>> bounded(Ratio(1.5, 1.25, 2.0)), bounded(Ratio(1.5, None, 2.0))
    ('1.50 (1.25 to 2.00)', '1.50')
    """
    if ratio.low is None or ratio.high is None:
        return f"{ratio.median:.2f}"
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _same(row: Row) -> str:
    return "" if row.same is None else f"{row.same}/{row.asked}"


_WHO: tuple[Column, ...] = (("who", _name), ("thr", _threads))
_SIZE: tuple[Column, ...] = (
    ("MB", _figure("peak_bytes", ".0f", _MB)),
    ("x", _times("peak_bytes")),
)
_TEXT: Mapping[str, tuple[Column, ...]] = {
    "stt": (
        *_WHO,
        ("WER%", lambda row: _percent(row.wer)),
        ("ms", _figure("total_ms", ".0f")),
        ("x", _times("total_ms")),
        ("RTF", _figure("rtf", ".3f")),
        ("cpu", _figure("cpu_ms", ".0f")),
        *_SIZE,
        ("ready", _figure("ready_ms", ".0f")),
    ),
    "llm": (
        *_WHO,
        ("first", _figure("first_ms", ".0f")),
        ("x", _times("first_ms")),
        ("whole", _figure("whole_first_ms", ".0f")),
        ("x", _times("whole_first_ms")),
        ("token", _figure("token_ms", ".1f")),
        ("x", _times("token_ms")),
        *_SIZE,
        ("same", _same),
    ),
}
_PEAK: tuple[Column, ...] = (
    ("peak MB", _figure("peak_bytes", ".0f", _MB)),
    ("ratio", _bounded("peak_bytes")),
    ("ready ms", _figure("ready_ms", ".0f")),
)
_PAGE: Mapping[str, tuple[Column, ...]] = {
    "stt": (
        ("contestant", _name),
        ("threads", _threads),
        ("weights", lambda row: row.contestant.what),
        ("WER %", lambda row: _percent(row.wer)),
        ("ms a clip", _figure("total_ms", ".0f")),
        ("ratio", _bounded("total_ms")),
        ("real-time factor", _figure("rtf", ".3f")),
        ("CPU ms", _figure("cpu_ms", ".0f")),
        ("ratio", _bounded("cpu_ms")),
        *_PEAK,
    ),
    "llm": (
        ("contestant", _name),
        ("threads", _threads),
        ("weights", lambda row: row.contestant.what),
        ("first ms", _figure("first_ms", ".1f")),
        ("ratio", _bounded("first_ms")),
        ("whole ms", _figure("whole_first_ms", ".1f")),
        ("ratio", _bounded("whole_first_ms")),
        ("ms a token", _figure("token_ms", ".2f")),
        ("ratio", _bounded("token_ms")),
        ("CPU ms an answer", _figure("cpu_ms", ".0f")),
        ("ratio", _bounded("cpu_ms")),
        *_PEAK,
        ("same answers", _same),
        ("same tokens %", lambda row: _percent(row.agreement)),
    ),
}


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(one.replace("|", "/").replace("\n", " ") for one in texts) + " |"
