"""Projects: what vtool.toml says, what the lock pins, and the one set of files they make."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from sources.fake_registry import Registry, wheel

from toolchain.errors import ConfigError, InputError, UnavailableError
from toolchain.sources import lock
from toolchain.sources.project import Assembly, load_project, open_target

HEAD = 'name = "app"\npipeline = "p"\nbudgets = "b"\n'
FULL = f"""{HEAD}
entries = ["src/main.ts"]
conditions = ["browser"]

[packages]
sdk = "^1.0.0"

[[input]]
path = "models/vad.onnx"
from = "pypi:models==1.0"
member = "data/vad.onnx"

[[input]]
path = "native"
from = "npm:lib@1.0.0"
member = "./"

[[input]]
path = "audio/"
from = "pypi:models==1.0"
member = "data/clips/"
role = "reference"

[dynamic]
"node_modules/sdk/**" = ["models/*"]

[voice]
anything = {{ goes = [1, 2] }}
"""


@pytest.fixture
def app(tmp_path: Path, registry: Registry) -> Path:
    """Return a locked project that uses every kind of input."""
    registry.publish("sdk", "1.4.0", {"index.js": b"s"}, dependencies={"dep": "~2.0.0"})
    registry.publish("dep", "2.0.5", {"index.js": b"d"})
    registry.publish("lib", "1.0.0", {"lib.so": b"\x7fELF"})
    files = {"data/vad.onnx": b"vad", "data/clips/a.wav": b"RIFF", "data/clips/a.txt": b"hello"}
    registry.upload("models", {"models-1.0-py3-none-any.whl": wheel(files)})
    folder = tmp_path / "app"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.ts").write_text("import 'sdk'")
    for hidden in (".env", "build/old.js", "node_modules/sdk/stale.js", "src/.DS_Store"):
        (folder / hidden).parent.mkdir(parents=True, exist_ok=True)
        (folder / hidden).write_text("secret")
    (folder / "vtool.toml").write_text(FULL)
    lock.write_lock(folder, lock.lock(load_project(folder)))
    return folder


def shown(assembly: Assembly) -> dict[str, bytes]:
    return {name: file.path.read_bytes() for name, file in assembly.tree.files.items()}


def test_a_project_is_its_sources_packages_and_inputs(app: Path) -> None:
    opened = open_target(str(app))
    assert [n for n in opened.tree.files if not n.endswith("package.json")] == [
        "models/vad.onnx",
        "native/lib.so",
        "node_modules/dep/index.js",
        "node_modules/sdk/index.js",
        "src/main.ts",
    ]
    assert shown(opened)["models/vad.onnx"] == b"vad"
    assert list(opened.reference.files) == ["audio/a.txt", "audio/a.wav"]
    assert set(opened.roots) == {
        "src/main.ts",
        "models/vad.onnx",
        "native/lib.so",
        "native/package.json",
    }
    assert opened.install == {
        "node_modules/dep": "pkg:npm/dep@2.0.5",
        "node_modules/sdk": "pkg:npm/sdk@1.4.0",
        "native": "pkg:npm/lib@1.0.0",
    }
    assert opened.project is not None
    assert opened.project.voice == {"anything": {"goes": [1, 2]}}
    assert opened.project.dynamic == {"node_modules/sdk/**": ("models/*",)}


def test_a_second_assembly_needs_no_network_and_is_the_same(
    app: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_target(str(app))
    registry.asked.clear()
    monkeypatch.setenv("VTOOL_OFFLINE", "1")
    assert open_target(str(app)) == first
    assert registry.asked == []


def test_locking_twice_gives_the_same_bytes_and_no_address(app: Path, registry: Registry) -> None:
    before = (app / "vtool.lock").read_bytes()
    lock.write_lock(app, lock.lock(load_project(app)))
    assert (app / "vtool.lock").read_bytes() == before
    text = before.decode()
    assert registry.base not in text
    assert "http" not in text
    rows = tomllib.loads(text)["package"]
    assert [row["address"] for row in rows] == [
        "pkg:npm/dep@2.0.5",
        "pkg:npm/lib@1.0.0",
        "pkg:npm/sdk@1.4.0",
        "pkg:pypi/models@1.0",
    ]
    assert rows[3]["file"] == "models-1.0-py3-none-any.whl"
    assert rows[3]["integrity"].startswith("sha256:")


def test_a_read_lock_is_the_written_one(app: Path) -> None:
    project = load_project(app)
    assert lock.read_lock(project) == lock.lock(project)


def test_a_newer_release_changes_nothing_until_it_is_locked(app: Path, registry: Registry) -> None:
    first = open_target(str(app))
    registry.publish("sdk", "1.5.0", {"index.js": b"new"})
    assert open_target(str(app)) == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('sdk = "^1.0.0"', 'sdk = "^1.1.0"'),
        ('sdk = "^1.0.0"', ""),
        ("npm:lib@1.0.0", "npm:lib@1.0.1"),
    ],
)
def test_a_lock_that_answers_another_question_is_refused(app: Path, old: str, new: str) -> None:
    (app / "vtool.toml").write_text(FULL.replace(old, new))
    with pytest.raises(ConfigError, match=r"does not match vtool\.toml") as caught:
        open_target(str(app))
    assert caught.value.hint == f"run `vtool lock {app}`"


def test_a_missing_lock_says_how_to_get_one(app: Path) -> None:
    (app / "vtool.lock").unlink()
    with pytest.raises(ConfigError, match="there is no") as caught:
        open_target(str(app))
    assert caught.value.hint == f"run `vtool lock {app}`"


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("format = 1", "format = 2", "has format 2, not 1"),
        ('install = ["node_modules/dep"]', 'install = ["../dep"]', "is not a path inside"),
        ('integrity = "sha256:', 'integrity = "md5:', "is not an integrity"),
        ("pkg:npm/dep@2.0.5", "dep", "is not a package address"),
        ("format = 1", "format = [", "vtool.lock"),
        ("requested", "wanted", "requested"),
    ],
)
def test_a_lock_edited_into_nonsense_is_refused(app: Path, old: str, new: str, fact: str) -> None:
    path = app / "vtool.lock"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        open_target(str(app))
    assert fact in str(caught.value)
    assert str(app / "vtool.lock") in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("name =", "nmae = 1\nname =", "nmae"),
        ('name = "app"', "name = 1", "name: "),
        ("entries = [", "entries = [1, ", "entries 1"),
        ('"src/main.ts"', '"../main.ts"', "'../main.ts' is not a path inside the project"),
        ('"models/vad.onnx"', '"/etc/passwd"', "'/etc/passwd' is not a path inside"),
        ('"data/vad.onnx"', '"../vad.onnx"', "'../vad.onnx' is not a path inside"),
        ("pypi:models==1.0", "pypi:models", "pypi:models has no version"),
        ("pypi:models==1.0", "models", "'models' is not a package address"),
        ('role = "reference"', 'role = "spare"', "input 3: role"),
        ("[[input]]", "[[inputs]]", "inputs"),
    ],
)
def test_a_wrong_vtool_toml_is_refused_with_its_key(
    app: Path, old: str, new: str, fact: str
) -> None:
    (app / "vtool.toml").write_text(FULL.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        open_target(str(app))
    assert fact in str(caught.value)
    assert str(caught.value).startswith(str(app / "vtool.toml"))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("data/vad.onnx", "data/none.onnx", "pypi:models==1.0 has no member 'data/none.onnx'"),
        ("data/clips/", "clips/", "has no member 'clips/'"),
        ("models/vad.onnx", "src/main.ts", "src/main.ts of src/main.ts is there already"),
    ],
)
def test_an_input_that_does_not_fit_is_a_wrong_request(
    app: Path, old: str, new: str, fact: str
) -> None:
    (app / "vtool.toml").write_text(FULL.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        open_target(str(app))
    assert fact in str(caught.value)


def test_named_sources_are_all_that_is_read(tmp_path: Path, cache: Path) -> None:
    for name in ("src/a.js", "src/deep/b.js", "assets/c.png", "notes.md", "srcs/d.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "vtool.toml").write_text(f'{HEAD}sources = ["src", "assets/c.png"]\n')
    assert list(open_target(str(tmp_path)).tree.files) == [
        "assets/c.png",
        "src/a.js",
        "src/deep/b.js",
    ]
    (tmp_path / "vtool.toml").write_text(HEAD)
    assert len(open_target(str(tmp_path)).tree.files) == 5
    del cache


def test_a_project_without_packages_needs_no_lock(tmp_path: Path) -> None:
    (tmp_path / "vtool.toml").write_text(HEAD)
    (tmp_path / "a.js").write_text("1")
    opened = open_target(str(tmp_path))
    assert list(opened.tree.files) == ["a.js"]
    assert opened.install == {}


def test_a_lock_is_written_whole_or_not_at_all(app: Path) -> None:
    if os.geteuid() == 0:  # root may write anywhere: put a folder in the way instead
        (app / "vtool.lock").unlink()
        (app / "vtool.lock").mkdir()
    else:
        app.chmod(0o555)
    try:
        with pytest.raises(UnavailableError, match=r"cannot write .*vtool\.lock"):
            lock.write_lock(app, lock.Lock(1, (), ()))
        assert [p.name for p in app.glob(".vtool.lock*")] == []
    finally:
        app.chmod(0o755)


def test_a_folder_is_all_its_files_but_version_control(tmp_path: Path, cache: Path) -> None:
    for name in ("a.js", ".hidden", ".git/config", "sub/.hg/x", "sub/b.js"):
        (tmp_path / "t" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "t" / name).write_text(name)
    opened = open_target(str(tmp_path / "t"))
    assert list(opened.tree.files) == [".hidden", "a.js", "sub/b.js"]
    assert (opened.roots, opened.install, opened.project) == ((), {}, None)
    del cache


def test_links_in_a_folder_stay_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    (folder / "real").mkdir(parents=True)
    (folder / "real" / "x.so.1").write_text("code")
    (folder / "x.so").symlink_to("real/x.so.1")
    (folder / "alias").symlink_to("real")
    (folder / "loop").symlink_to(".")
    assert list(open_target(str(folder)).tree.files) == ["real/x.so.1", "x.so"]
    (folder / "out").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="out is a link out of the folder"):
        open_target(str(folder))


@pytest.mark.parametrize("make", ["pipe", "dead link", "not utf-8"])
def test_what_is_no_file_in_a_folder_is_refused(tmp_path: Path, make: str) -> None:
    (tmp_path / "a.js").write_text("1")
    if make == "pipe":
        os.mkfifo(tmp_path / "pipe")
    elif make == "dead link":
        (tmp_path / "dead").symlink_to("nowhere")
    else:
        with open(os.fsencode(tmp_path) + b"/\xff.js", "wb"):  # noqa: PTH123 - Path takes no bytes
            pass
    with pytest.raises(InputError) as caught:
        open_target(str(tmp_path))
    assert caught.value.hint
    str(caught.value).encode()  # what is shown can be shown


@pytest.mark.parametrize(
    ("target", "kind", "fact"),
    [
        ("", ConfigError, "the target is empty"),
        ("no/such/thing", InputError, "there is nothing at no/such/thing"),
        ("npm:", ConfigError, "is not a package address"),
        ("npm:../a@1.0.0", ConfigError, "is not a package address"),
        ("npm:@a@1.0.0", ConfigError, "is not a package address"),
        ("npm:a b@1.0.0", ConfigError, "is not a package address"),
        ("npm:a@1 0", ConfigError, "is not a package address"),
        ("pypi:a@1.0", ConfigError, "is not a package address"),
        ("pypi:a==", ConfigError, "is not a package address"),
        ("pkg:npm", ConfigError, "is not a package address"),
        ("https://example.org/a.tgz", ConfigError, "is not a package address"),
    ],
)
def test_a_target_that_is_none_is_said_in_one_line(
    target: str, kind: type[Exception], fact: str
) -> None:
    with pytest.raises(kind) as caught:
        open_target(target)
    assert fact in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "npm:NAME@VERSION" in caught.value.hint  # type: ignore[attr-defined]  # both have one


def test_an_empty_folder_is_a_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file in"):
        open_target(str(tmp_path))


def test_a_single_file_is_a_tree_of_one(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    (tmp_path / "npm:a@1").write_bytes(b"y")
    assert list(open_target(str(tmp_path / "model.onnx")).tree.files) == ["model.onnx"]
    assert list(open_target(str(tmp_path / "npm:a@1")).tree.files) == ["npm:a@1"]
