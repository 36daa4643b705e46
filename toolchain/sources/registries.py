"""The registry behind an address's scheme, and its packages through the cache."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache as cache_of_calls
from pathlib import Path
from threading import Event
from typing import cast

from packageurl import PackageURL

from toolchain import plugins
from toolchain.errors import ConfigError, UnavailableError
from toolchain.progress import SILENT, Progress
from toolchain.sources import address, cache
from toolchain.sources.base import Pinned, Registry
from toolchain.sources.cache import Unpacked
from toolchain.units import Bytes

_DOWNLOADS = 4  # at a time; a registry answers one connection with 10 to 30 MB/s


@cache_of_calls
def find(scheme: str) -> Registry:
    """Return the registry that opens ``scheme:...``: ours, or a foreign one (``vtool.sources``).

    Errors:
        ConfigError: nobody opens that scheme.
    """
    if scheme in plugins.names("sources"):
        module = plugins.find("sources", scheme)
        if all(hasattr(module, name) for name in ("pin", "newest", "fetch")):
            return cast("Registry", module)  # a module with these names is one
    raise ConfigError(f"vtool cannot open {scheme}: addresses", hint=f"a target is {address.FORMS}")


def pin(purl: PackageURL) -> Pinned:
    """Return the file that an exact address means; remembered, so that it works offline.

    Errors:
        ConfigError: no such package or version, or no version in the address (names the newest).
        UnavailableError: not in the cache, and the registry does not answer.
    """
    registry = find(purl.type)
    if not purl.version:
        newest = registry.newest(purl)
        example = PackageURL(purl.type, purl.namespace, purl.name, newest)
        raise ConfigError(
            f"{address.show(purl)} has no version",
            hint=f"the newest is {address.show(example)}" if newest else "add the exact version",
        )
    found = cache.recall(purl)
    if found is None:
        found = registry.pin(purl)
        cache.remember(purl, found)
    return found


def unpacked_all(wanted: Sequence[Pinned], progress: Progress = SILENT) -> list[Unpacked]:
    """Return the files of many packages, in order; what is missing is fetched at the same time.

    Errors: as ``unpacked``.
    """
    found = [_warm(pinned) for pinned in wanted]
    if all(found):  # no thread for nothing: a warm start takes milliseconds
        return [one for one in found if one]
    watched = _Stoppable(progress)
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        try:
            return list(pool.map(lambda pinned: unpacked(pinned, watched), wanted))
        except BaseException:  # Ctrl-C too: the pool would wait for downloads nobody wants now
            watched.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def unpacked(pinned: Pinned, progress: Progress = SILENT) -> Unpacked:
    """Return the package's files, downloaded and unpacked unless they were before.

    Errors:
        InputError: the archive is hostile or damaged.
        IntegrityError: the registry sent another file than the pinned one.
        UnavailableError: not in the cache, and the registry does not answer; no room.
    """
    registry = find(pinned.purl.type)

    def fetch(into: Path) -> None:
        def tell(done: Bytes, total: Bytes) -> None:
            progress.update(address.show(pinned.purl), done, total, "byte")

        registry.fetch(pinned, into, tell)

    found = cache.unpacked(pinned.integrity, lambda: cache.download(pinned.integrity, fetch))
    return found.peeled() if registry.IS_PEELED else found


@dataclass(frozen=True)
class _Stoppable:
    """Passes progress on until somebody stops; then it ends the download that reports it."""

    progress: Progress
    stop: Event = field(default_factory=Event)

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:
        if self.stop.is_set():
            raise UnavailableError(f"the download of {what} was stopped", hint="run it again")
        self.progress.update(what, done, total, unit)


def _warm(pinned: Pinned) -> Unpacked | None:
    found = cache.warm(pinned.integrity)
    return found.peeled() if found and find(pinned.purl.type).IS_PEELED else found
