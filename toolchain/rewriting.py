"""Rewrites one file and proves the result before it is kept; runs in a worker process."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from toolchain import plugins
from toolchain.errors import InputError, UnusableError
from toolchain.ir import Digest, DirectoryStore, ModelSearch, Proof
from toolchain.passes.base import ArtifactPass, GuardedPass, make_pass
from toolchain.tables import check
from toolchain.units import Bytes, Seconds

UNCHANGED = "nothing to do"


@dataclass(frozen=True, slots=True)
class Work:
    """One file for one pass, as a worker gets it."""

    key: Digest
    step: str
    options: dict[str, Any]
    path: str
    store: str
    neighbours: dict[str, str]  # file name -> path of each library that it links, directly or not
    files: dict[str, str]  # name -> path of what the model's task may read


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    kept: bool
    digest: Digest
    size: Bytes
    seconds: Seconds
    proof: Proof
    cached: bool = False
    search: ModelSearch | None = None

    @classmethod
    def of(cls, document: dict[str, Any], *, cached: bool) -> Outcome:
        """Return the outcome that a cache keeps as ``document``."""
        return replace(check(document, cls, where="the cache"), cached=cached)


def rewrite(work: Work) -> Outcome:
    """Rewrite one file and prove the result; runs in a worker process."""
    start = time.perf_counter()
    made = make_pass(work.step, work.options)
    assert isinstance(made, ArtifactPass)  # noqa: S101 - for the type checker; the caller chose it
    before = Path(work.path).read_bytes()
    store = DirectoryStore(Path(work.store))
    files = {name: Path(path) for name, path in work.files.items()}
    try:
        if isinstance(made, GuardedPass):
            rewritten = made.rewrite_for(before, files)
        else:
            rewritten = made.rewritten(before)
    except UnusableError:
        raise
    except InputError as error:
        return replace(failed(made.proof, str(error)), seconds=_since(start))
    after = rewritten.data
    if after == before:
        return replace(
            failed(made.proof, rewritten.note or UNCHANGED, holds=True), seconds=_since(start)
        )
    if len(after) >= len(before) and not made.pays_in_bytes:
        why = f"the result would be {len(after) - len(before)} bytes larger"
        return replace(failed(made.proof, why, holds=True), seconds=_since(start))
    options = {**asdict(made), "neighbours": work.neighbours, "files": work.files}
    proof = plugins.find("verify", made.proof).prove(before, after, options)
    if not proof.holds:
        return replace(failed(made.proof, ""), proof=proof, seconds=_since(start))
    return Outcome(
        kept=True,
        digest=store.put(after),
        size=Bytes(len(after)),
        seconds=_since(start),
        proof=proof,
        search=rewritten.search,
    )


def failed(proof: str, why: str, *, holds: bool = False) -> Outcome:
    """Return the outcome of a file that stays as it is; ``holds`` where that is no fault."""
    return Outcome(
        kept=False,
        digest=Digest(""),
        size=Bytes(0),
        seconds=Seconds(0),
        proof=Proof(proof, holds, why),
    )


def _since(start: float) -> Seconds:
    return Seconds(round(time.perf_counter() - start, 3))
