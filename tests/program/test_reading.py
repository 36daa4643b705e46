"""Reading a program in one process or in several: each text once, and the same comes of it."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator

import pytest
import shaking

from toolchain.execution.local import LocalPool
from toolchain.ir import Digest, MemoryStore
from toolchain.program.program import Program
from toolchain.program.reading import POOL_BYTES, read_summary
from toolchain.program.source import Source

_COUNT = 40
_FILLED = "x" * (POOL_BYTES // 20)  # so that processes are started for the modules of one


def _files() -> dict[str, str]:
    """Return a program: one module names all others, and each of those the next, some twice."""
    files = {f"m{n}.mjs": "".join(_lines(n)) for n in range(_COUNT)}
    names = "".join(f"import './m{n}.mjs';" for n in range(0, _COUNT, 2))
    copies = {"copy.mjs": files["m3.mjs"], "late.mjs": files["m0.mjs"]}
    return {"main.mjs": names, **copies, **files}


def _lines(number: int) -> Iterator[str]:
    if number + 1 < _COUNT:
        yield f"import {{ f{number + 1} as next }} from './m{number + 1}.mjs';\n"
    else:
        yield "import { f0 as next } from './late.mjs';\n"
    yield f"// {_FILLED}\n"
    yield f"export function f{number}(a = b) {{ next(a.d); import('./copy.mjs'); }}\n"


def _program(pool: LocalPool | None) -> Program:
    graph, store = shaking.graph_of(_files())
    source = Source(graph, store, frozenset(), pool)
    return source.program(["main.mjs"])


@pytest.mark.parametrize("workers", [1, 3])
def test_a_program_is_the_same_however_many_processes_read_it(workers: int) -> None:
    alone, together = _program(None), _program(LocalPool(workers))
    assert len(alone.modules) == _COUNT + 3
    assert list(together.modules.items()) == list(alone.modules.items())
    assert together.targets == alone.targets
    assert list(together.addresses.items()) == list(alone.addresses.items())


class _Counting:
    """A store that counts how often something is asked of it."""

    def __init__(self, inner: MemoryStore) -> None:
        self.inner = inner
        self.asked: Counter[Digest] = Counter()

    def put(self, data: bytes) -> Digest:
        return self.inner.put(data)

    def get(self, digest: Digest) -> bytes:
        self.asked[digest] += 1
        return self.inner.get(digest)

    def __contains__(self, digest: object) -> bool:
        return digest in self.inner


@pytest.mark.parametrize("pool", [None, LocalPool(2)])
def test_modules_with_the_same_text_are_read_once(pool: LocalPool | None) -> None:
    graph, store = shaking.graph_of(_files())
    counting = _Counting(store)
    program = Source(graph, counting, frozenset(), pool).program(["main.mjs"])
    assert program.modules["copy.mjs"] is program.modules["m3.mjs"]  # it waited for the other
    assert program.modules["late.mjs"] is program.modules["m0.mjs"]  # it came afterwards
    assert set(counting.asked.values()) == {1}


def test_what_a_worker_sends_is_what_was_read() -> None:
    text = "import a, * as b from 'c'; export * from 'd'; export { a as e }; f(await import('g'));"
    summary = read_summary(text.encode())
    assert pickle.loads(pickle.dumps(summary)) == summary  # noqa: S301 - made here
