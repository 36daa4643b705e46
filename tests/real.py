"""Real packages for tests, pinned by hash in ``real.lock``, fetched once into the user's cache.

To pin another one: ``python tests/real.py npm:name@1.2.3 pypi:name==1.2.3``.
"""

import sys
from functools import cache
from pathlib import Path

from toolchain.sources import address, lock, registries
from toolchain.sources.cache import Unpacked
from toolchain.tables import load

LOCK = Path(__file__).with_name("real.lock")


def file(package: str, member: str) -> Path:
    """Return the file ``member`` of a package: ``file("npm:long@5.3.2", "index.js")``."""
    return _opened(package).files[member].path


def folder(package: str) -> Path:
    """Return the folder with all files of a package; npm packages without their ``package/``."""
    return _opened(package).folder


@cache
def _opened(package: str) -> Unpacked:
    pinned = load(LOCK, lock.Lock).find(address.exact(package)).pinned
    return registries.unpacked(pinned)


def main(more: list[str]) -> None:
    """Add the addresses ``more`` to the lock; what is pinned already stays as it is."""
    known = load(LOCK, lock.Lock) if LOCK.exists() else lock.lock_addresses(())
    fresh = lock.lock_addresses(set(more) - set(known.requested))
    rows = sorted({*known.package, *fresh.package}, key=lambda one: one.address)
    wanted = tuple(sorted({*known.requested, *fresh.requested}))
    LOCK.write_text(lock.text(lock.Lock(known.format, wanted, tuple(rows))), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
