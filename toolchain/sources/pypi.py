"""``pypi:name==1.2.3``: files of PyPI, or of the index that pip's settings name."""

from __future__ import annotations

import configparser
import json
import os
import sys
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import platformdirs
from packageurl import PackageURL
from packageurl.contrib import purl2url
from packaging.tags import sys_tags
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from toolchain.errors import ConfigError, UnavailableError
from toolchain.sources.address import show
from toolchain.sources.base import Integrity, Pinned
from toolchain.sources.web import Host, Tell, host

TITLE = "PyPI"
IS_PEELED = False

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html; q=0.1"  # PEP 691
_SDIST_RANK = 1 << 20  # behind every wheel: a source archive holds no binaries


@dataclass(frozen=True, slots=True)
class File:
    """One file of an index."""

    name: str
    url: str = field(repr=False)
    sha256: str
    version: Version
    is_yanked: bool


def pin(purl: PackageURL) -> Pinned:
    """Return the named file of this version, else the wheel that suits this interpreter best."""
    of_version = [file for file in files(purl.name) if file.version == _version(purl)]
    if not of_version:
        latest = newest(purl)
        raise ConfigError(
            f"{TITLE} has no version {purl.version!r} of {purl.name}",
            hint=f"the newest is pypi:{purl.name}=={latest}"
            if latest
            else "choose another version",
        )
    wanted = dict(purl.qualifiers or {}).get("file_name")
    named = [file for file in of_version if wanted in {None, file.name}]
    if not named:
        raise ConfigError(
            f"{TITLE} has no file {wanted!r} of {show(purl)}",
            hint=f"it has {', '.join(file.name for file in of_version)}"[:300],
        )
    return Pinned(_plain(purl), *_choice(best(named)))


def newest(purl: PackageURL) -> str | None:
    """Return the newest final version that was not withdrawn."""
    versions = [file.version for file in files(purl.name) if not file.is_yanked]
    final = [version for version in versions if not version.is_prerelease]
    return str(max(final or versions, default="")) or None


def fetch(pinned: Pinned, into: Path, tell: Tell) -> None:
    """Download the pinned file to ``into``."""
    found = [file for file in files(pinned.purl.name) if file.name == pinned.file]
    index = _host()
    if not found or not index.download(found[0].url, into, pinned.integrity, tell):
        raise UnavailableError(
            f"{TITLE} no longer has {pinned.file}", hint="choose another version of the package"
        )


def best(candidates: Sequence[File]) -> File:
    """Return the file that suits this interpreter best; where none does, the first by name."""
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}

    def rank(file: File) -> tuple[int, str]:
        if not file.name.endswith(".whl"):
            return _SDIST_RANK, file.name
        tags = parse_wheel_filename(file.name)[3]
        return min(ranks.get(tag, _SDIST_RANK - 1) for tag in tags), file.name

    return min(candidates, key=rank)


def files(name: str) -> tuple[File, ...]:
    """Return all files of the package ``name`` that carry a hash.

    Errors:
        ConfigError: no such package.
        UnavailableError: the index does not answer.
    """
    return _files(_host(), name)


@cache
def _files(index: Host, name: str) -> tuple[File, ...]:
    page = f"{canonicalize_name(name)}/"
    body = index.read(page, _ACCEPT)
    if body is None:
        raise ConfigError(f"{TITLE} has no package called {name!r}", hint="check the spelling")
    try:
        read = _read_html if body.lstrip().startswith(b"<") else _read_json
        return tuple(read(body, index.base + page))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise index.gibberish() from error


def _read_json(body: bytes, page: str) -> Iterator[File]:
    for entry in json.loads(body)["files"]:
        name, sha256 = entry["filename"], (entry.get("hashes") or {}).get("sha256")
        version = _version_of(name)
        if version is not None and sha256:
            url = urllib.parse.urljoin(page, entry["url"])
            yield File(name, url, sha256, version, bool(entry.get("yanked")))


def _read_html(body: bytes, page: str) -> Iterator[File]:
    """Read the older form of an index (PEP 503), which some mirrors still speak."""
    links = _Links()
    links.feed(body.decode("utf-8"))
    for link, is_yanked in links.found:
        url, _mark, fragment = urllib.parse.urljoin(page, link).partition("#")
        name = urllib.parse.unquote(url.rpartition("/")[2])
        version = _version_of(name)
        if version is not None and fragment.startswith("sha256="):
            yield File(name, url, fragment.removeprefix("sha256="), version, is_yanked)


class _Links(HTMLParser):
    """Collects the links of a page, and whether each is withdrawn (PEP 592)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "a" and known.get("href"):
            self.found.append((known["href"] or "", "data-yanked" in known))


def _version_of(name: str) -> Version | None:
    """Return the version in a file name; None for old formats that nobody opens (eggs, rpms)."""
    try:
        if name.endswith(".whl"):
            return parse_wheel_filename(name)[1]
        return parse_sdist_filename(name)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def _version(purl: PackageURL) -> Version:
    try:
        return Version(purl.version or "")
    except InvalidVersion as error:
        raise ConfigError(
            f"{purl.version!r} is not a version of a Python package",
            hint="written as on PyPI: pypi:name==1.2.3",
        ) from error


def _choice(file: File) -> tuple[Integrity, str]:
    return Integrity.parse(f"sha256:{file.sha256}"), file.name


def _plain(purl: PackageURL) -> PackageURL:
    return PackageURL("pypi", None, purl.name, purl.version)


def _host() -> Host:
    known = _settings()
    return host(TITLE, known.get("index-url") or _public(), "", [known.get("cert", "")])


def _settings() -> dict[str, str]:
    """Return pip's settings as pip reads them: files from far to near, then the environment."""
    found: dict[str, str] = {}
    for path in _files_of_pip():
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, "utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip reports its own broken files
        for section in ("global", "download"):
            if parser.has_section(section):
                found |= dict(parser.items(section))
    for name in ("index-url", "cert"):
        if value := os.environ.get(f"PIP_{name.upper().replace('-', '_')}"):
            found[name] = value
    return {name: found[name] for name in ("index-url", "cert") if name in found}


def _files_of_pip() -> list[Path]:
    chosen = os.environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    sites = [
        Path(p) / name
        for p in platformdirs.site_config_dir("pip", multipath=True).split(os.pathsep)
    ]
    users = [Path.home() / ".pip" / name, Path(platformdirs.user_config_dir("pip")) / name]
    last = [Path(chosen)] if chosen else []
    return [Path("/etc") / name, *sites, *users, Path(sys.prefix) / name, *last]


@cache
def _public() -> str:
    """Return the public index, whose home the package-url library knows; PEP 503 names the page."""
    known = purl2url.get_repo_url("pkg:pypi/a@1")  # type: ignore[no-untyped-call]  # it has no hints
    url = urllib.parse.urlsplit(str(known))
    return f"{url.scheme}://{url.netloc}/simple/"
