"""vtool's speech and language stages beside peers: the same sound, the same GGUF, the same tokens.

    nox -s voice_peers                       everything on build/vtool/voice-app; after `make demo`
    nox -s voice_peers -- --rounds 1         shorter; --tokens 8 too, --only stt or llm one table
    nox -s voice_peers -- --json out.json    raw samples and the machine; --docs writes the page
    nox -s voice_peers -- --known out.json --docs       the page from samples taken before

Each round opens every contestant anew, in a process of its own and in random order, lets each
answer once without counting, and then everything: clip by clip, all contestants in random order,
so that a busy minute meets them all. Peers: faster-whisper on Whisper tiny.en,
node-llama-cpp on the GGUF that the application's language model is made from. Their packages and
weights are pinned in ``pyproject.toml`` (group ``voice-peers``) and ``benchmarks/beside``. Who
cannot take part has a row that says why.
"""

# ruff: noqa: PLC0415 - a contestant imports as little as it can: its memory is its own

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

_RESULT = Path(__file__).parents[1] / "build" / "vtool" / "voice-app"
_DOCS = Path(__file__).parents[1] / "docs" / "voice-peers.md"
_ROUNDS = 5
_TOKENS = 40  # max_tokens of the reference application


def main() -> None:
    """Measure and print."""
    if sys.argv[1:] == ["--child"]:  # before anything is imported: its memory is the model's
        from beside import serving

        serving.serve()
        return
    asked = _options()
    from beside import page
    from beside.measuring import Request, measured
    from beside.samples import Found

    from toolchain.errors import VtoolError
    from toolchain.tables import check, dump

    try:
        if asked.known:
            document = json.loads(asked.known.read_text("utf-8"))
            found = check(document, Found, where=asked.known.name)
        else:
            found = measured(
                Request(asked.result.resolve(), asked.rounds, asked.tokens, asked.only)
            )
    except VtoolError as error:
        hint = f"\n hint: {error.hint}" if error.hint else ""
        print(f"error: {error}{hint}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    print(page.text(found))
    if asked.json:
        asked.json.write_text(json.dumps(dump(found), indent=1) + "\n", "utf-8")
    if asked.docs:
        _DOCS.write_text(page.markdown(found), "utf-8")


def _options() -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="each in fresh processes")
    parser.add_argument("--tokens", type=int, default=_TOKENS, help="of each answer")
    parser.add_argument("--only", choices=("stt", "llm"), help="one of the two tables")
    parser.add_argument("--result", type=Path, default=_RESULT, help="of vtool optimize")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    parser.add_argument("--known", type=Path, help="a file that --json wrote: measure nothing")
    parser.add_argument("--docs", action="store_true", help="write docs/voice-peers.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
