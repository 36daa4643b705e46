"""Writing the result: the old or the new, never half of one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from toolchain.emit import MANIFEST, check_output, staging, write, write_atomically
from toolchain.errors import ConfigError, UnavailableError
from toolchain.ir import Artifact, ArtifactId, DirectoryStore, Edge, Graph, Kind, Relation
from toolchain.units import Bytes


def _graph(store: DirectoryStore) -> Graph:
    blobs = {"app/main.js": b"let a = 1", "app/main.js.br": b"br"}
    artifacts = {
        ArtifactId(n): Artifact(ArtifactId(n), Kind.JS, store.put(d), Bytes(len(d)))
        for n, d in blobs.items()
    }
    encodes = Edge(ArtifactId("app/main.js.br"), ArtifactId("app/main.js"), Relation.ENCODES)
    return Graph(artifacts, frozenset({encodes}), frozenset({ArtifactId("app/main.js")}))


def test_files_and_their_encodings_are_written_and_listed(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    out = tmp_path / "out"
    with staging(out) as folder:
        paths = write(_graph(store), store, folder, {})
        assert not out.exists()
        assert list(paths) == ["app/main.js"]
    assert (out / "app/main.js").read_bytes() == b"let a = 1"
    assert (out / "app/main.js.br").read_bytes() == b"br"
    assert '"app/main.js.br"' in (out / MANIFEST).read_text()


def test_a_failure_leaves_the_old_result_and_nothing_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with staging(out) as folder:
        (folder / "old").touch()
    with pytest.raises(FileNotFoundError), staging(out) as folder:
        (folder / "new" / "nowhere").touch()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    assert [p.name for p in out.iterdir()] == ["old"]


def test_the_new_result_replaces_the_old_one_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("old", "new"):
        with staging(out) as folder:
            (folder / name).touch()
    assert [p.name for p in out.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


_KILLED = """
import os, signal, sys
from pathlib import Path
from toolchain.emit import staging
with staging(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_in_the_middle_leaves_the_old_result_and_the_next_run_cleans_up(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    with staging(out) as folder:
        (folder / "old").touch()
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(out)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert [p.name for p in out.iterdir()] == ["old"]
    with staging(out) as folder:
        (folder / "new").touch()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_two_runs_into_one_folder_do_not_mix(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / f".vtool-staging-out-{os.getppid()}").mkdir()
    with pytest.raises(ConfigError, match="another vtool"), staging(out):
        pass


@pytest.mark.parametrize("place", ["project", ".", "project/build"])
def test_an_output_folder_in_or_around_the_input_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "project").mkdir()
    with pytest.raises(ConfigError):
        check_output(tmp_path / place, tmp_path / "project")


def test_a_folder_with_somebody_elses_files_is_refused_and_an_own_result_is_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="not empty"):
        check_output(tmp_path, None)
    (tmp_path / MANIFEST).touch()
    check_output(tmp_path, None)


def test_a_place_that_cannot_be_written_is_an_error_with_a_hint() -> None:
    with pytest.raises(UnavailableError, match="cannot write"):
        write_atomically(Path("/proc/nothing/report.json"), "{}")
