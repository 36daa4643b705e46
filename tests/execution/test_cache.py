"""The action cache: what is found again, and what must not be."""

import sys
from pathlib import Path

import pytest

from toolchain.execution import cache
from toolchain.execution.cache import ActionCache, action_key, source_digest


def test_a_document_comes_back_as_it_was(tmp_path: Path) -> None:
    actions = ActionCache(tmp_path)
    key = action_key("read", "code", {"b": 1, "a": 2})
    assert actions.get(key) is None
    actions.put(key, {"x": [1, "é"]})
    assert actions.get(key) == {"x": [1, "é"]}


def test_a_damaged_entry_counts_as_none(tmp_path: Path) -> None:
    actions = ActionCache(tmp_path)
    key = action_key("read")
    actions.put(key, {"x": 1})
    entry = next(tmp_path.rglob("*.json"))
    entry.write_text(entry.read_text()[:3])
    assert actions.get(key) is None


def test_a_full_disk_costs_the_cache_and_not_the_run() -> None:
    ActionCache(Path("/dev/full/actions")).put(action_key("read"), {"x": 1})


def test_the_order_of_options_does_not_change_a_key_but_every_input_does() -> None:
    assert action_key("a", {"x": 1, "y": 2}) == action_key("a", {"y": 2, "x": 1})
    assert len({action_key("a", 1), action_key("a", 2), action_key("b", 1)}) == 3


def test_an_edit_in_a_format_forgets_the_pass_that_uses_it_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wasm, graph = "toolchain.passes.strip_wasm", "toolchain.gate"
    before = source_digest(wasm), source_digest(graph)
    real = cache._source
    monkeypatch.setattr(
        cache,
        "_source",
        lambda m: real(m) + ("# edited\n" if m == "toolchain.formats.wasm" else ""),
    )
    source_digest.cache_clear()
    try:
        assert source_digest(wasm) != before[0]
        assert source_digest(graph) == before[1]
    finally:
        source_digest.cache_clear()


@pytest.mark.parametrize(
    "line", ["from .inner import f", "from acme_cached import inner", "import acme_cached.inner"]
)
def test_an_edit_in_what_a_foreign_plugin_imports_forgets_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    package = tmp_path / "acme_cached"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a_pass.py").write_text(f"{line}\n")
    (package / "inner.py").write_text("f = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    digests = []
    for text in ("f = 1\n", "f = 2\n"):
        (package / "inner.py").write_text(text)
        for cached in (source_digest, cache._source, cache._imports):
            cached.cache_clear()
        digests.append(source_digest("acme_cached.a_pass"))
    assert digests[0] != digests[1]
    for name in [m for m in sys.modules if m.startswith("acme_cached")]:
        del sys.modules[name]
