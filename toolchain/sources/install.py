"""Where npm packages go under ``node_modules``: flat as npm does it, nested only on conflict."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from packageurl import PackageURL
from semantic_version import Version

from toolchain.errors import ConfigError
from toolchain.npm_range import npm_range, real_name
from toolchain.sources.address import is_name
from toolchain.sources.npm import Document, Manifest

_LATEST = "latest"
_REPEATS_MAX = 1  # of a version inside itself: once happens, twice never comes to an end
_PACKAGES_MAX = 20_000  # ours: ten times a large web application


@dataclass(frozen=True, slots=True)
class Need:
    """``folder`` ('' is the project) needs ``name`` in a version that fits ``wanted``."""

    folder: str
    name: str
    wanted: str
    is_spare: bool = False


@dataclass(frozen=True, slots=True)
class Installed:
    """A package in a folder of ``node_modules``."""

    name: str  # in the registry; differs from the folder's for an alias
    manifest: Manifest


def layout(
    packages: Mapping[str, str], document: Callable[[str], Document]
) -> dict[str, Installed]:
    """Return every folder of ``node_modules`` and its package, for ``packages`` and their needs.

    A version is npm's choice: the one tagged ``latest`` if it fits, else the newest that does.
    Optional dependencies bound to a platform are left out, so that a lock is the same everywhere;
    so are, as npm does it, optional ones that the registry does not have.

    Errors:
        ConfigError: no version fits, a range that is not from the registry, peers that disagree.
        UnavailableError: the registry does not answer.
    """
    placed: dict[str, Installed] = {}
    direct = deque(Need("", name, wanted) for name, wanted in sorted(packages.items()))
    peers: deque[Need] = deque()  # before the rest: they cannot be nested
    rest: deque[Need] = deque()
    while queue := direct or peers or rest:
        need = queue.popleft()
        folder, found = _visible(need, placed)
        if found is not None and _fits(need, found):
            continue
        one = _chosen(need, document)
        if one is None:
            continue
        place = _place(need, one, folder, placed)
        if _repeats(place, one, placed) > _REPEATS_MAX or len(placed) >= _PACKAGES_MAX:
            raise _nothing(need, "contradicts what is around it in a circle without end")
        placed[place] = one
        peers.extend(_peers(place, one.manifest))
        rest.extend(_needs(place, one.manifest))
        if outer := _outer(place):  # who saw another copy from in there sees this one now
            rest.extend(_needs_below(outer, placed))
    return dict(sorted(placed.items()))


def purl(one: Installed) -> PackageURL:
    """Return the address of an installed package."""
    namespace, _slash, last = one.name.rpartition("/")
    return PackageURL("npm", namespace or None, last, str(one.manifest.version))


def _needs(folder: str, manifest: Manifest) -> Iterator[Need]:
    for name, wanted in sorted(manifest.needs.items()):
        yield Need(folder, name, wanted, name in manifest.spare)


def _peers(folder: str, manifest: Manifest) -> Iterator[Need]:
    outside = _outer(folder)  # a peer is the copy that whoever needs us sees, too
    for name, wanted in sorted(manifest.peers.items()):
        yield Need(outside, name, wanted)


def _needs_below(outer: str, placed: Mapping[str, Installed]) -> Iterator[Need]:
    for folder, one in sorted(placed.items()):
        if folder.startswith(f"{outer}/"):
            yield from _needs(folder, one.manifest)
            yield from _peers(folder, one.manifest)


def _repeats(place: str, one: Installed, placed: Mapping[str, Installed]) -> int:
    """Return how often the same version of the package is around this place already."""
    count = 0
    while place := _outer(place):
        count += placed[place] == one
    return count


def _outer(folder: str) -> str:
    """Return the package folder around this one, '' for the project.

    >>> _outer("node_modules/a/node_modules/@s/b"), _outer("node_modules/a")
    ('node_modules/a', '')
    """
    return folder.rpartition("node_modules/")[0].rstrip("/")


def _join(folder: str, name: str) -> str:
    return f"{folder}/node_modules/{name}" if folder else f"node_modules/{name}"


def _visible(need: Need, placed: Mapping[str, Installed]) -> tuple[str | None, Installed | None]:
    """Return the folder whose ``node_modules`` answers the need now, and what is there."""
    folder = need.folder
    while True:
        if found := placed.get(_join(folder, need.name)):
            return folder, found
        if not folder:
            return None, None
        folder = _outer(folder)


def _place(need: Need, one: Installed, taken: str | None, placed: Mapping[str, Installed]) -> str:
    """Return the outermost place that the need sees and that contradicts nobody else's need.

    ``taken`` is the folder whose copy the need sees now, and which does not fit.
    """
    levels = [need.folder]
    while levels[-1]:
        levels.append(_outer(levels[-1]))
    free = levels if taken is None else levels[: levels.index(taken)]
    if not free:
        raise ConfigError(
            f"{need.folder or 'the project'} needs {need.name} {need.wanted}, "
            "which another package in the same place contradicts",
            hint="choose versions in vtool.toml that agree on their peers",
        )
    for level in reversed(free[1:]):
        asked = (other for other in _asked(level, placed) if other.name == need.name)
        if all(_fits(other, one) for other in asked):
            return _join(level, need.name)
    return _join(need.folder, need.name)


def _asked(folder: str, placed: Mapping[str, Installed]) -> Iterator[Need]:
    """Yield what must be seen from ``folder``: its package's needs, and peers of those in it."""
    if folder:
        yield from _needs(folder, placed[folder].manifest)
    for inner, one in placed.items():
        if _outer(inner) == folder:
            yield from _peers(inner, one.manifest)


def _fits(need: Need, found: Installed) -> bool:
    real, wanted = real_name(need.name, need.wanted)
    if real != found.name:
        return False
    spec = npm_range(wanted)
    return spec is None or spec.match(found.manifest.version)


def _chosen(need: Need, document: Callable[[str], Document]) -> Installed | None:
    """Return the package for a need, None for an optional one that is left out.

    node-llama-cpp 3.22.1 asks for builds that were not published with it: npm goes on without.
    """
    try:
        one = _choose(need, document)
    except ConfigError:
        if need.is_spare:
            return None
        raise
    return None if need.is_spare and one.manifest.is_bound else one


def _choose(need: Need, document: Callable[[str], Document]) -> Installed:
    real, wanted = real_name(need.name, need.wanted)
    if not (is_name(need.name) and is_name(real)):  # it becomes a folder: never a path out of ours
        raise _nothing(need, "is not the name of a package")
    known = document(real)
    tagged = known.tags.get(wanted or _LATEST, "")
    if tagged in known.versions:
        return Installed(real, known.versions[tagged])
    spec = npm_range(wanted)
    if spec is None:
        raise _nothing(need, "is neither a version, nor a range, nor a tag that the registry knows")
    latest = known.versions.get(known.tags.get(_LATEST, ""))
    if latest and spec.match(latest.version):
        return Installed(real, latest)
    by_version: dict[Version, Manifest] = {m.version: m for m in known.versions.values()}
    chosen = spec.select(by_version)
    if chosen is None:
        raise _nothing(need, "fits no version in the registry")
    return Installed(real, by_version[chosen])


def _nothing(need: Need, fact: str) -> ConfigError:
    who = need.folder or "vtool.toml"
    return ConfigError(
        f"{need.name} {need.wanted!r}, needed by {who}, {fact}",
        hint="vtool locks packages of the npm registry: write a version or a range of versions",
    )
