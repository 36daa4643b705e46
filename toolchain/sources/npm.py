"""``npm:name@1.2.3``: packages of the npm registry, or of the one that ``.npmrc`` names."""

from __future__ import annotations

import json
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from packageurl import PackageURL
from packageurl.contrib import purl2url
from semantic_version import Version

from toolchain.errors import ConfigError, UnavailableError
from toolchain.sources.address import full_name, show
from toolchain.sources.base import Integrity, Pinned
from toolchain.sources.web import Host, Tell, host

TITLE = "npm registry"
IS_PEELED = True  # npm packs everything under one folder, mostly "package"

# the short form of a package document: what an installer needs (npm's registry documentation)
_ACCEPT = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the registry says of one version."""

    version: Version
    integrity: str
    tarball: str = field(repr=False)
    needs: Mapping[str, str]  # name -> range
    peers: Mapping[str, str]  # must be installed beside it
    spare: frozenset[str]  # of ``needs``: may be missing
    is_bound: bool  # runs on some platforms only


@dataclass(frozen=True, slots=True)
class Document:
    """All versions of one package, and which of them carry a tag."""

    name: str
    versions: Mapping[str, Manifest]
    tags: Mapping[str, str]


def pin(purl: PackageURL) -> Pinned:
    """Return the tarball of this exact version."""
    manifest = _manifest(purl)
    return Pinned(purl, Integrity.parse(manifest.integrity))


def newest(purl: PackageURL) -> str | None:
    """Return the version tagged ``latest``."""
    return document(full_name(purl)).tags.get("latest")


def fetch(pinned: Pinned, into: Path, tell: Tell) -> None:
    """Download the tarball to ``into``."""
    registry = _host(full_name(pinned.purl))
    if not registry.download(_tarball(pinned.purl), into, pinned.integrity, tell):
        raise UnavailableError(
            f"the {TITLE} lists {show(pinned.purl)} but does not have its file",
            hint="try again later, or choose another version",
        )


def document(name: str) -> Document:
    """Return what the registry knows of the package ``name``.

    Errors:
        ConfigError: no such package.
        UnavailableError: the registry does not answer.
    """
    return _document(_host(name), name)


@cache
def _document(registry: Host, name: str) -> Document:
    body = registry.read(urllib.parse.quote(name, safe="@"), _ACCEPT)
    if body is None:
        raise ConfigError(
            f"the {TITLE} has no package called {name!r}", hint="check the spelling and the scope"
        )
    try:
        data = json.loads(body)
        versions = {text: _read(text, entry) for text, entry in data["versions"].items()}
        tags = {tag: str(version) for tag, version in (data.get("dist-tags") or {}).items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise registry.gibberish() from error
    return Document(name, {text: one for text, one in versions.items() if one}, tags)


def _manifest(purl: PackageURL) -> Manifest:
    known = document(full_name(purl))
    manifest = known.versions.get(purl.version or "")
    if manifest is None:
        latest = known.tags.get("latest")
        raise ConfigError(
            f"the {TITLE} has no version {purl.version!r} of {known.name}",
            hint=f"the newest is npm:{known.name}@{latest}" if latest else "choose another version",
        )
    return manifest


def _read(text: str, entry: Mapping[str, Any]) -> Manifest | None:
    """Return the manifest; None for versions npm itself could not name (not semver)."""
    try:
        version = Version(text)
    except ValueError:
        return None
    dist = entry.get("dist") or {}
    shasum = bytes.fromhex(dist.get("shasum") or "")
    spare = entry.get("optionalDependencies") or {}
    bundled = entry.get("bundleDependencies") or entry.get("bundledDependencies") or []
    needs = {**(entry.get("dependencies") or {}), **spare}
    peers = entry.get("peerDependencies") or {}
    optional = entry.get("peerDependenciesMeta") or {}
    return Manifest(
        version=version,
        integrity=dist.get("integrity") or str(Integrity("sha1", shasum)),
        tarball=dist.get("tarball") or "",
        needs={k: v for k, v in needs.items() if bundled is not True and k not in bundled},
        peers={k: v for k, v in peers.items() if not (optional.get(k) or {}).get("optional")},
        spare=frozenset(spare),
        is_bound=bool(entry.get("os") or entry.get("cpu") or entry.get("libc")),
    )


def _tarball(purl: PackageURL) -> str:
    """Return where the file lies; mirrors may list the public host, so put theirs in."""
    url = urllib.parse.urlsplit(_manifest(purl).tarball)
    public = urllib.parse.urlsplit(_public())
    if url.netloc == public.netloc:
        return _host(full_name(purl)).base + url.path.lstrip("/")
    return url.geturl()


def _host(name: str) -> Host:
    """Return the registry of the package ``name``: its scope's own, else the configured one."""
    known = _settings()
    scope = name.partition("/")[0]
    base = known.get(f"{scope}:registry") or known.get("registry") or _public()
    place = base.partition(":")[2].rstrip("/")
    token = next(
        (known[k] for k in (f"{place}/:_authToken", f"{place}:_authToken") if k in known), ""
    )
    certificates = [known.get("cafile", ""), os.environ.get("NODE_EXTRA_CA_CERTS", "")]
    return host(TITLE, base, f"Bearer {token}" if token else "", certificates)


def _settings() -> dict[str, str]:
    """Return npm's settings as npm reads them: files from far to near, then the environment."""
    found: dict[str, str] = {}
    environment = {name.lower(): value for name, value in os.environ.items()}
    user = environment.get("npm_config_userconfig")
    for path in (
        Path("/etc/npmrc"),
        Path(user) if user else Path.home() / ".npmrc",
        Path(".npmrc"),
    ):
        found |= _npmrc(path)
    for name in ("registry", "cafile"):
        if value := environment.get(f"npm_config_{name}"):
            found[name] = value
    return found


def _npmrc(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}  # npm ignores a file it cannot read, too
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith(("#", ";")))
    return {
        key.strip(): os.path.expandvars(value.strip().strip('"'))
        for key, mark, value in pairs
        if mark
    }


@cache
def _public() -> str:
    """Return the public registry, which the package-url library knows."""
    known = purl2url.get_download_url("pkg:npm/a@1")  # type: ignore[no-untyped-call]  # it has no hints
    url = urllib.parse.urlsplit(str(known))
    return f"{url.scheme}://{url.netloc}/"
