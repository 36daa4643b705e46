"""vtool's speech and language stages beside peers: the same sound, the same GGUF, the same tokens.

    nox -s voice_peers                       everything on build/vtool/voice-app; after `make demo`
    nox -s voice_peers -- --rounds 1         shorter; --only stt or llm is one of the two tables
    nox -s voice_peers -- --json out.json    raw samples and the machine; --docs writes the page
    nox -s voice_peers -- --known out.json --docs       the page from samples taken before

Each round opens every contestant anew, in a process of its own and in random order, lets each
answer everything once without counting, and then everything again: clip by clip, all contestants
in random order, so that a busy minute meets them all. Peers: faster-whisper on Whisper tiny.en,
node-llama-cpp on the GGUF that the application's language model is made from. Their packages and
weights are pinned in ``pyproject.toml`` (group ``voice-peers``) and ``benchmarks/beside``. Who
cannot take part has a row that says why.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

_RESULT = Path(__file__).parents[1] / "build" / "vtool" / "voice-app"
_DOCS = Path(__file__).parents[1] / "docs" / "voice-peers.md"
_ROUNDS = 5


def main() -> None:
    """Measure and print."""
    if sys.argv[1:] == ["--child"]:  # before anything is imported: its memory is the model's
        from beside import serving  # noqa: PLC0415

        serving.serve()
        return
    asked = _options()
    from beside import page  # noqa: PLC0415
    from beside.samples import Found  # noqa: PLC0415

    from toolchain.errors import VtoolError  # noqa: PLC0415
    from toolchain.tables import check, dump  # noqa: PLC0415

    try:
        if asked.known:
            document = json.loads(asked.known.read_text("utf-8"))
            found = check(document, Found, where=asked.known.name)
        else:
            found = measured(asked.result.resolve(), asked.rounds, asked.only)
    except VtoolError as error:
        hint = f"\n hint: {error.hint}" if error.hint else ""
        print(f"error: {error}{hint}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    print(page.text(found))
    if asked.json:
        asked.json.write_text(json.dumps(dump(found), indent=1) + "\n", "utf-8")
    if asked.docs:
        _DOCS.write_text(page.markdown(found), "utf-8")


def measured(result: Path, rounds: int, only: str | None) -> Found:
    """Return everything of one run."""
    from beside import taking_part  # noqa: PLC0415
    from beside.rounds import Field  # noqa: PLC0415
    from beside.samples import Found  # noqa: PLC0415
    from beside.tasks import heard, prompted  # noqa: PLC0415

    from toolchain.harness.machine import machine  # noqa: PLC0415

    app, here = taking_part.application(result), machine()
    rng = random.Random(0)  # noqa: S311 - an order, not a secret
    parts, stops = [], ()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if only != "llm":
            field = Field(list(taking_part.stt(app, folder)), folder)
            parts.append((field, heard(app.clips)))
        if only != "stt":
            entries = list(taking_part.llm(app, folder))
            entries, tasks, stops = prompted(app, entries, folder)
            parts.append((Field(entries, folder), tasks))
        for field, tasks in parts:
            for number in range(rounds):
                field.round(number, tasks, rng)
    return Found(
        machine=here,
        versions=taking_part.versions(),
        rounds=rounds,
        contestants=tuple(one for field, _ in parts for one, _ in field.entries),
        asked=tuple(task.asked for _, tasks in parts for task in tasks),
        samples=tuple(one for field, _ in parts for one in field.samples),
        stops=stops,
        failed={key: words for field, _ in parts for key, words in field.failed.items()},
    )


def _options() -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="each in fresh processes")
    parser.add_argument("--only", choices=("stt", "llm"), help="one of the two tables")
    parser.add_argument("--result", type=Path, default=_RESULT, help="of vtool optimize")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    parser.add_argument("--known", type=Path, help="a file that --json wrote: measure nothing")
    parser.add_argument("--docs", action="store_true", help="write docs/voice-peers.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
