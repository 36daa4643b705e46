"""Registries that lie, stall, refuse or vanish; what they sent before stays usable."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
from packaging.tags import sys_tags
from sources.fake_registry import Registry, tgz, wheel

from toolchain.errors import ConfigError, IntegrityError, UnavailableError, VtoolError
from toolchain.progress import Progress
from toolchain.sources.project import open_target


def kept(cache: Path) -> list[Path]:
    return [p for p in cache.rglob("*") if p.is_file() and "locks" not in p.parts]


def test_a_scoped_npm_package_is_its_files_at_the_top(registry: Registry) -> None:
    registry.publish("@acme/voice", "1.2.3", {"dist/a.js": b"export {}"})
    opened = open_target("npm:@acme/voice@1.2.3")
    assert list(opened.tree.files) == ["dist/a.js", "package.json"]
    file = opened.tree.files["dist/a.js"]
    assert file.path.read_bytes() == b"export {}"
    assert file.digest == hashlib.sha256(b"export {}").hexdigest()
    assert (opened.install, opened.roots) == ({"": "pkg:npm/%40acme/voice@1.2.3"}, ())


def test_npm_packages_lose_their_first_folder_whatever_it_is_called(registry: Registry) -> None:
    path = registry.publish("a", "1.0.0")
    body = tgz({"index.js": b"1"}, top="node-a/")
    registry.serve(path, body)
    registry.npm["a"]["versions"]["1.0.0"]["dist"] = {
        "tarball": registry.base + path,
        "shasum": hashlib.sha1(body, usedforsecurity=False).hexdigest(),
    }
    registry.serve("/a", json.dumps(registry.npm["a"]).encode())
    assert list(open_target("npm:a@1.0.0").tree.files) == ["index.js"]


def test_the_wheel_for_this_interpreter_is_chosen_and_others_are_not(registry: Registry) -> None:
    best = next(iter(sys_tags()))
    mine = f"x-1.0-{best.interpreter}-{best.abi}-{best.platform}.whl"
    registry.upload(
        "x",
        {
            "x-1.0.tar.gz": b"no",
            "x-1.0-py3-none-any.whl": b"no",
            "x-1.0-cp27-cp27m-win32.whl": b"no",
            mine: wheel({"x/mine.py": b""}),
        },
    )
    assert list(open_target("pypi:x==1.0").tree.files) == ["x/mine.py"]


def test_a_file_can_be_named_although_another_suits_better(registry: Registry) -> None:
    registry.upload(
        "x", {"x-1.0-py3-none-any.whl": b"no", "x-1.0-cp27-cp27m-win32.whl": wheel({"w": b""})}
    )
    target = "pkg:pypi/x@1.0?file_name=x-1.0-cp27-cp27m-win32.whl"
    assert list(open_target(target).tree.files) == ["w"]


def test_an_index_in_html_works_too(registry: Registry) -> None:
    body = wheel({"x.py": b""})
    sha256 = hashlib.sha256(body).hexdigest()
    registry.serve("/w/x-1.0-py3-none-any.whl", body)
    registry.serve(
        "/simple/x/",
        f'<!doctype html><a href="/w/x-1.0-py3-none-any.whl#sha256={sha256}">x</a>'.encode(),
    )
    assert list(open_target("pypi:x==1.0").tree.files) == ["x.py"]


def test_a_second_open_asks_nobody(registry: Registry) -> None:
    registry.publish("a", "1.0.0")
    first = open_target("npm:a@1.0.0")
    registry.asked.clear()
    assert open_target("npm:a@1.0.0") == first
    assert registry.asked == []


@pytest.mark.parametrize("target", ["npm:a@1.0.0", "pypi:x==1.0"])
def test_a_wrong_file_is_refused_and_not_kept(registry: Registry, cache: Path, target: str) -> None:
    path = registry.publish("a", "1.0.0")
    registry.upload("x", {"x-1.0-py3-none-any.whl": wheel({"x.py": b""})})
    registry.serve(path, tgz({"index.js": b"evil"}))
    registry.serve("/files/x-1.0-py3-none-any.whl", wheel({"x.py": b"evil"}))
    with pytest.raises(IntegrityError, match="is not the promised one"):
        open_target(target)
    assert [p.parent.name for p in kept(cache)] == ["pins"]


@pytest.mark.parametrize(
    ("target", "message", "hint"),
    [
        ("npm:nobody@1.0.0", "the npm registry has no package called 'nobody'", "spelling"),
        ("pypi:nobody==1.0", "PyPI has no package called 'nobody'", "spelling"),
        ("npm:a@9.0.0", "the npm registry has no version '9.0.0' of a", "newest is npm:a@1.0.0"),
        ("pypi:x==9", "PyPI has no version '9' of x", "newest is pypi:x==1.0"),
        ("npm:a", "npm:a has no version", "newest is npm:a@1.0.0"),
        ("pypi:x", "pypi:x has no version", "newest is pypi:x==1.0"),
        ("pypi:x==one", "'one' is not a version of a Python package", "pypi:name==1.2.3"),
        ("pkg:pypi/x@1.0?file_name=y.whl", "has no file 'y.whl' of pypi:x==1.0", "x-1.0-py3"),
        ("hub:model@1", "vtool cannot open hub: addresses", "npm:NAME@VERSION"),
        ("tree:a@1", "vtool cannot open tree: addresses", "npm:NAME@VERSION"),
    ],
)
def test_what_does_not_exist_is_a_wrong_request(
    registry: Registry, target: str, message: str, hint: str
) -> None:
    registry.publish("a", "1.0.0")
    registry.upload("x", {"x-1.0-py3-none-any.whl": b"", "x-2.0rc1-py3-none-any.whl": b""})
    with pytest.raises(ConfigError) as caught:
        open_target(target)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_truncated_body_is_asked_for_again_and_then_given_up(
    registry: Registry, cache: Path
) -> None:
    path = registry.publish("a", "1.0.0")
    registry.serve(path, b"x" * 100, promised_bytes=200)
    with pytest.raises(UnavailableError, match="the connection ended in the middle"):
        open_target("npm:a@1.0.0")
    assert registry.asked.count(path) == 3
    assert [p.parent.name for p in kept(cache)] == ["pins"]


def test_a_server_that_recovers_is_not_given_up(registry: Registry) -> None:
    path = registry.publish("a", "1.0.0")
    good = registry.answers[path]
    registry.status(path, 503)
    bad = registry.answers[path]
    registry.answers[path] = lambda request: (
        bad(request) if registry.asked.count(path) < 3 else good(request)
    )
    assert list(open_target("npm:a@1.0.0").tree.files) == ["package.json"]


def test_a_stalled_server_costs_seconds_not_for_ever(registry: Registry) -> None:
    registry.stall(registry.publish("a", "1.0.0"))
    start = time.monotonic()
    with pytest.raises(UnavailableError, match="no answer within 1 s"):
        open_target("npm:a@1.0.0")
    assert time.monotonic() - start < 45


@pytest.mark.parametrize(
    ("code", "words"), [(401, "refuses access"), (403, "refuses access"), (418, "with status 418")]
)
def test_a_refusal_is_not_repeated(registry: Registry, code: int, words: str) -> None:
    registry.status("/a", code)
    with pytest.raises(UnavailableError, match=words):
        open_target("npm:a@1.0.0")
    assert registry.asked == ["/a"]


@pytest.mark.parametrize(("path", "target"), [("/a", "npm:a@1.0.0"), ("/simple/x/", "pypi:x==1.0")])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b"<html>", b'{"files": 1, "versions": 1}', b"\xff\xfe"]
)
def test_gibberish_is_never_a_traceback(
    registry: Registry, path: str, target: str, body: bytes
) -> None:
    registry.serve(path, body)
    with pytest.raises(VtoolError) as caught:
        open_target(target)
    assert caught.value.hint


def test_an_index_cannot_make_vtool_read_local_files(registry: Registry, tmp_path: Path) -> None:
    secret = tmp_path / "x-1.0-py3-none-any.whl"
    secret.write_bytes(wheel({"secret": b""}))
    sha256 = hashlib.sha256(secret.read_bytes()).hexdigest()
    entry = {"filename": secret.name, "url": secret.as_uri(), "hashes": {"sha256": sha256}}
    registry.serve("/simple/x/", json.dumps({"files": [entry]}).encode())
    with pytest.raises(UnavailableError, match="cannot be understood"):
        open_target("pypi:x==1.0")


@pytest.mark.parametrize("target", ["npm:a@1.0.0", "pypi:x==1.0"])
def test_unreachable_is_an_error_and_offline_from_the_cache_works(
    registry: Registry, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.publish("a", "1.0.0")
    registry.upload("x", {"x-1.0-py3-none-any.whl": wheel({"x.py": b""})})
    first = open_target(target)
    for name in ("npm_config_registry", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/secret-path/")  # nobody listens on port 1
    assert open_target(target) == first
    with pytest.raises(UnavailableError, match="is unreachable: no connection") as caught:
        open_target(target.replace("a@", "b@").replace("x==", "y=="))
    assert "works offline" in caught.value.hint
    assert "secret-path" not in f"{caught.value} {caught.value.hint}"


def test_offline_mode_asks_nobody(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.publish("a", "1.0.0")
    monkeypatch.setenv("VTOOL_OFFLINE", "1")
    with pytest.raises(UnavailableError, match="VTOOL_OFFLINE is set"):
        open_target("npm:a@1.0.0")
    assert registry.asked == []


def test_errors_never_show_an_address_or_a_password(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://alice:hunter2@127.0.0.1:1/inner/")
    with pytest.raises(UnavailableError) as caught:
        open_target("npm:a@1.0.0")
    shown = f"{caught.value} {caught.value.hint} {caught.value!r}"
    assert not [word for word in ("alice", "hunter2", "127.0.0.1", "inner") if word in shown]
    del registry


def test_a_password_goes_to_its_registry_and_to_no_other_place(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = registry.publish("a", "1.0.0")
    other = registry.base.replace("127.0.0.1", "localhost")
    registry.npm["a"]["versions"]["1.0.0"]["dist"]["tarball"] = other + path
    registry.serve("/a", json.dumps(registry.npm["a"]).encode())
    monkeypatch.setenv("npm_config_registry", registry.base.replace("//", "//al%40ice:pw@"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    open_target("npm:a@1.0.0")
    assert registry.asked == ["/a", path]
    assert [sent.get("Authorization") for sent in registry.headers] == [
        "Basic YWxAaWNlOnB3",
        None,
    ]


def test_npmrc_names_the_registry_of_a_scope_and_its_token(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.publish("@acme/a", "1.0.0")
    settings = tmp_path / "npmrc"
    place = registry.base.removeprefix("http:")
    settings.write_text(
        f"; ours\n@acme:registry={registry.base}/\n{place}/:_authToken=${{ACME_TOKEN}}\n"
    )
    monkeypatch.setenv("npm_config_userconfig", str(settings))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    monkeypatch.setenv("ACME_TOKEN", "t0ken")
    assert list(open_target("npm:@acme/a@1.0.0").tree.files) == ["package.json"]
    assert registry.headers[0]["Authorization"] == "Bearer t0ken"


def test_pip_conf_names_the_index(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.upload("x", {"x-1.0-py3-none-any.whl": wheel({"x.py": b""})})
    monkeypatch.delenv("PIP_INDEX_URL")
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {registry.base}/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    assert list(open_target("pypi:x==1.0").tree.files) == ["x.py"]


def test_an_address_that_is_none_is_a_wrong_setting(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "ftp://files/")
    with pytest.raises(ConfigError, match="configured for the npm registry is not an http"):
        open_target("npm:a@1.0.0")
    del registry


def test_progress_ends_at_the_whole(registry: Registry) -> None:
    registry.publish("a", "1.0.0", {"big": bytes(3_000_000)})
    seen: list[tuple[str, int, int, str]] = []

    class Told(Progress):
        def update(self, what: str, done: int, total: int, unit: str = "") -> None:
            seen.append((what, done, total, unit))

    open_target_with = open_target("npm:a@1.0.0", Told())
    assert open_target_with.tree.files["big"].size == 3_000_000
    what, done, total, unit = seen[-1]
    assert (what, unit) == ("npm:a@1.0.0", "byte")
    assert done == total > 0
