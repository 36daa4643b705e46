"""node_modules as npm lays it out: flat where it can be, nested where versions conflict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semantic_version import NpmSpec, Version

from toolchain.errors import ConfigError
from toolchain.sources.install import layout
from toolchain.sources.npm import Document, Manifest

World = Mapping[str, Mapping[str, Mapping[str, Any]]]


def documents(world: World) -> dict[str, Document]:
    """Return a registry: name -> version -> needs, peers, spare names, bound or not."""
    found = {}
    for name, versions in world.items():
        manifests = {
            text: Manifest(
                version=Version(text),
                integrity="",
                tarball="",
                needs=entry.get("needs", {}),
                peers=entry.get("peers", {}),
                spare=frozenset(entry.get("spare", ())),
                is_bound=entry.get("bound", False),
            )
            for text, entry in versions.items()
        }
        tags = {"latest": list(versions)[-1], "beta": next(iter(versions))}
        found[name] = Document(name, manifests, tags)
    return found


def lay(world: World, **packages: str) -> dict[str, str]:
    known = documents(world)
    placed = layout(packages, known.__getitem__)
    return {folder: str(one.manifest.version) for folder, one in placed.items()}


def test_what_does_not_conflict_is_flat() -> None:
    world = {
        "a": {"1.0.0": {"needs": {"b": "^1.0.0"}}},
        "b": {"1.0.0": {}, "1.2.0": {"needs": {"c": "*"}}},
        "c": {"3.0.0": {}},
    }
    assert lay(world, a="1.0.0") == {
        "node_modules/a": "1.0.0",
        "node_modules/b": "1.2.0",
        "node_modules/c": "3.0.0",
    }


def test_only_the_version_that_conflicts_is_nested() -> None:
    world = {
        "a": {"1.0.0": {"needs": {"b": "^1"}}},
        "b": {"1.0.0": {}, "2.0.0": {}},
    }
    assert lay(world, a="1.0.0", b="2.0.0") == {
        "node_modules/a": "1.0.0",
        "node_modules/a/node_modules/b": "1.0.0",
        "node_modules/b": "2.0.0",
    }


def test_a_fitting_latest_is_preferred_to_something_newer() -> None:
    world = {"a": {"1.5.0": {}, "1.9.0": {}, "1.2.0": {}}}  # the last one is tagged latest
    assert lay(world, a="^1.0.0") == {"node_modules/a": "1.2.0"}
    assert lay(world, a=">=1.3") == {"node_modules/a": "1.9.0"}


def test_tags_aliases_and_blanks_are_understood() -> None:
    world = {
        "a": {"1.0.0": {"needs": {"old": "npm:b@^1", "b": ">= 2", "c": "beta", "d": "~> 1.0"}}},
        "b": {"1.0.0": {}, "2.0.0": {}},
        "c": {"1.0.0-beta.1": {}, "1.0.0": {}},
        "d": {"1.0.4": {}, "1.1.0": {}},
    }
    assert lay(world, a="") == {
        "node_modules/a": "1.0.0",
        "node_modules/b": "2.0.0",
        "node_modules/c": "1.0.0-beta.1",
        "node_modules/d": "1.0.4",
        "node_modules/old": "1.0.0",
    }


def test_peers_are_installed_beside_and_shared() -> None:
    world = {
        "sdk": {"0.1.0-beta.10": {}},
        "plugin": {"1.0.0": {"peers": {"sdk": ">=0.1.0-beta.0"}}},
    }
    flat = {"node_modules/plugin": "1.0.0", "node_modules/sdk": "0.1.0-beta.10"}
    assert lay(world, plugin="1.0.0") == flat
    assert lay(world, plugin="1.0.0", sdk="0.1.0-beta.10") == flat


def test_peers_that_disagree_are_refused() -> None:
    world = {
        "sdk": {"1.0.0": {}, "2.0.0": {}},
        "plugin": {"1.0.0": {"peers": {"sdk": "^1"}}},
    }
    with pytest.raises(ConfigError, match="needs sdk \\^1, which another package"):
        lay(world, plugin="1.0.0", sdk="2.0.0")


def test_what_runs_on_some_platforms_only_is_left_out_if_it_may_be() -> None:
    world = {
        "a": {"1.0.0": {"needs": {"mac": "1", "pure": "1"}, "spare": ["mac", "pure"]}},
        "mac": {"1.0.0": {"bound": True}},
        "pure": {"1.0.0": {}},
    }
    assert lay(world, a="1.0.0") == {"node_modules/a": "1.0.0", "node_modules/pure": "1.0.0"}
    assert "node_modules/mac" in lay(world, mac="1.0.0")


def test_an_optional_dependency_that_was_never_published_is_left_out() -> None:
    world = {
        "a": {"1.0.0": {"needs": {"b": "2"}, "spare": ["b"]}, "2.0.0": {"needs": {"b": "2"}}},
        "b": {"1.0.0": {}},
    }
    assert lay(world, a="1.0.0") == {"node_modules/a": "1.0.0"}
    with pytest.raises(ConfigError, match="b '2', needed by node_modules/a, fits no version"):
        lay(world, a="2.0.0")


def test_packages_that_need_each_other_come_to_an_end() -> None:
    world = {
        "a": {"1.0.0": {"needs": {"b": "1"}}},
        "b": {"1.0.0": {"needs": {"a": "2"}}},
    }
    world["a"]["2.0.0"] = {"needs": {"b": "1"}}
    placed = lay(world, a="1.0.0")
    assert placed["node_modules/b/node_modules/a"] == "2.0.0"
    assert len(placed) == 3


def test_versions_that_contradict_in_a_circle_are_refused() -> None:
    world = {
        "a": {"1.0.0": {"needs": {"b": "1"}}, "2.0.0": {"needs": {"b": "2"}}},
        "b": {"1.0.0": {"needs": {"a": "2"}}, "2.0.0": {"needs": {"a": "1"}}},
    }
    with pytest.raises(ConfigError, match="in a circle without end"):
        lay(world, a="1.0.0", b="1.0.0")


@pytest.mark.parametrize(
    ("name", "wanted", "fact"),
    [
        ("a", "^9", "fits no version in the registry"),
        ("a", "git+ssh://git@host/a.git", "neither a version, nor a range"),
        ("a", "file:../a", "neither a version, nor a range"),
        ("a", "nightly", "neither a version, nor a range"),
        ("../../evil", "1.0.0", "is not the name of a package"),
        ("a/b", "1.0.0", "is not the name of a package"),
        ("@a/../b", "1.0.0", "is not the name of a package"),
        ("a", "npm:../b@1", "is not the name of a package"),
    ],
)
def test_a_need_nobody_can_answer_says_who_has_it(name: str, wanted: str, fact: str) -> None:
    world = {"top": {"1.0.0": {"needs": {name: wanted}}}, "a": {"1.0.0": {}}}
    with pytest.raises(ConfigError, match="needed by node_modules/top") as caught:
        lay(world, top="1.0.0")
    assert fact in str(caught.value)
    assert "registry" in caught.value.hint


words = st.sampled_from("abc")
ranges = st.sampled_from(["1", "2", "^1", ">=1", "*", "1 || 2"])
worlds = st.fixed_dictionaries(
    {
        name: st.fixed_dictionaries(
            {
                version: st.fixed_dictionaries({"needs": st.dictionaries(words, ranges)})
                for version in ("1.0.0", "2.0.0")
            }
        )
        for name in "abc"
    }
)


@given(worlds, st.dictionaries(words, ranges, min_size=1))
def test_every_package_sees_a_version_that_fits(world: World, packages: dict[str, str]) -> None:
    try:
        placed = lay(world, **packages)
    except ConfigError as error:
        assert "in a circle" in str(error)  # noqa: PT017 - the one thing npm could do and we refuse
        return
    assert {f"node_modules/{name}" for name in packages} <= placed.keys()
    for folder, version in placed.items():
        name = folder.rpartition("node_modules/")[2]
        for need, wanted in world[name][version]["needs"].items():
            level = folder
            while f"{level}/node_modules/{need}".lstrip("/") not in placed:
                level = level.rpartition("node_modules/")[0].rstrip("/")
            seen = placed[f"{level}/node_modules/{need}".lstrip("/")]
            assert NpmSpec(wanted).match(Version(seen)), (folder, need, wanted, seen)


@given(worlds, st.dictionaries(words, ranges, min_size=1))
def test_a_layout_does_not_depend_on_the_order_of_questions(
    world: World, packages: dict[str, str]
) -> None:
    backwards = dict(reversed(packages.items()))
    try:
        placed = lay(world, **packages)
    except ConfigError:
        return
    assert lay(world, **backwards) == placed
