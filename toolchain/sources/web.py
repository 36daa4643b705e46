"""Reads from registries, bounded in time, attempts and size; errors never show an address."""

from __future__ import annotations

import hashlib
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPException, HTTPMessage, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import IO, TypeVar

from toolchain.errors import ConfigError, IntegrityError, UnavailableError
from toolchain.sources.base import Integrity
from toolchain.units import Bytes

T = TypeVar("T")
Tell = Callable[[Bytes, Bytes], None]  # done, and the total or 0

_WAITS_S = (0.3, 1.5, None)  # three attempts: a proxy that restarts is back within seconds
_TIMEOUT_S = 30.0  # silence on a connection; pip gives up after 15, npm after 300
_FILE_DEADLINE_S = 1800.0  # a whole file, so that a dripping server cannot hold us for ever
_CHUNK_BYTES = 1 << 18
_METADATA_MAX_BYTES = 256 << 20  # the largest package documents on npm are about 100 MB
_MISSING = {404, 410}
_FORBIDDEN = {401, 403, 407}
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_OFFLINE_HINT = "connect once so that it can be fetched; what is in the cache works offline"


@dataclass(frozen=True, slots=True)
class Host:
    """A registry: what errors call it, and how to talk to it."""

    title: str
    base: str = field(repr=False)  # ends with a slash; never printed
    authorization: str = field(default="", repr=False)  # only ever sent to this origin
    certificates: tuple[str, ...] = ()  # PEM files trusted besides the system's

    def read(self, path: str, accept: str) -> bytes | None:
        """Return the document at ``path`` below the base; None where the registry has none.

        Errors:
            UnavailableError: unreachable, forbidden or offline.
        """
        return _open(self, self.base + path, accept, _read_all)

    def gibberish(self) -> UnavailableError:
        """Return the error for an answer that cannot be understood."""
        return UnavailableError(
            f"the {self.title} sent something that cannot be understood",
            hint="check that the configured address is that of a registry",
        )

    def download(self, url: str, into: Path, integrity: Integrity, tell: Tell) -> bool:
        """Write the file at ``url`` to ``into``; False where the registry has none.

        Errors:
            IntegrityError: it does not have the promised hash.
            UnavailableError: unreachable, forbidden or offline.
        """

        def save(response: HTTPResponse) -> bytes:
            with into.open("wb") as out:
                return _copy(response, out, integrity.algorithm, tell)

        digest = _open(self, url, "*/*", save)
        if digest is None:
            return False
        if digest != integrity.digest:
            raise IntegrityError(
                f"the {self.title} sent a file whose {integrity.algorithm} is not the promised one",
                hint="nothing was kept; if the package was published anew, run `vtool lock` again",
            )
        return True


def host(title: str, base: str, authorization: str, certificates: list[str]) -> Host:
    """Return the registry at ``base``, whose user and password, if any, become a header.

    Errors:
        ConfigError: ``base`` is not an http(s) address.
    """
    parts = urllib.parse.urlsplit(base)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f"the address configured for the {title} is not an http(s) one",
            hint="check npm_config_registry and .npmrc, or PIP_INDEX_URL and pip.conf",
        )
    if parts.username:
        user = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}")
        authorization = f"Basic {b64encode(user.encode()).decode()}"
    place = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    files = [name for name in certificates if name and Path(name).is_file()]
    return Host(
        title, urllib.parse.urlunsplit(place).rstrip("/") + "/", authorization, tuple(files)
    )


def is_offline() -> bool:
    """Return whether the user forbids the network."""
    return os.environ.get("VTOOL_OFFLINE", "") not in {"", "0"}


def _request(host: Host, url: str, accept: str) -> urllib.request.Request:
    if is_offline():
        raise UnavailableError(
            f"the {host.title} is not asked: VTOOL_OFFLINE is set", hint=_OFFLINE_HINT
        )
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
        raise host.gibberish()  # a file: address in an index must not open files here
    headers = {"Accept": accept, "User-Agent": "vtool"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - checked above
    if host.authorization and _origin(url) == _origin(host.base):
        request.add_unredirected_header("Authorization", host.authorization)
    return request


def _open(host: Host, url: str, accept: str, use: Callable[[HTTPResponse], T]) -> T | None:
    request = _request(host, url, accept)
    opener = _opener(host.certificates)
    problem = ""
    for wait_s in _WAITS_S:
        try:
            with opener.open(request, timeout=_timeout_s()) as response:
                return use(response)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _MISSING:
                return None
            problem = _refusal(host, error.code)
        except (
            urllib.error.URLError,
            HTTPException,
            ConnectionError,
            TimeoutError,
            ssl.SSLError,
        ) as error:
            problem = _words(error)
        if wait_s is not None:
            time.sleep(wait_s)
    raise UnavailableError(f"the {host.title} is unreachable: {problem}", hint=_OFFLINE_HINT)


def _refusal(host: Host, code: int) -> str:
    if code in _FORBIDDEN:
        raise UnavailableError(
            f"the {host.title} refuses access (status {code})",
            hint="check the credentials in .npmrc, pip.conf or the proxy settings",
        )
    if code not in _AGAIN:
        raise UnavailableError(
            f"the {host.title} answers with status {code}", hint="check the configured registry"
        )
    return f"it answers with status {code}"


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLError):
        return "its certificate is not trusted"
    if isinstance(reason, TimeoutError):
        return f"no answer within {_timeout_s():g} s"
    if isinstance(reason, HTTPException):
        return "the connection ended in the middle"
    return "no connection"


def _read_all(response: HTTPResponse) -> bytes:
    body = response.read(_METADATA_MAX_BYTES)
    _whole(response, len(body))
    return body


def _copy(response: HTTPResponse, out: IO[bytes], algorithm: str, tell: Tell) -> bytes:
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    total = _promised(response) or Bytes(0)
    deadline = time.monotonic() + _FILE_DEADLINE_S
    done = 0
    while chunk := response.read1(_CHUNK_BYTES):
        out.write(chunk)
        hasher.update(chunk)
        done += len(chunk)
        tell(Bytes(done), total)
        if time.monotonic() > deadline:
            raise TimeoutError
    _whole(response, done)
    return hasher.digest()


def _whole(response: HTTPResponse, count: int) -> None:
    promised = _promised(response)
    if promised is not None and promised != count:
        raise IncompleteRead(b"", promised - count)


def _promised(response: HTTPResponse) -> Bytes | None:
    text = response.headers.get("Content-Length") or ""
    return Bytes(int(text)) if text.isdecimal() else None


class _HttpsStaysHttps(urllib.request.HTTPRedirectHandler):
    """Refuses a redirect from https to plain http."""

    def redirect_request(  # noqa: PLR0913, PLR0917 - the base class's signature
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.startswith("https:"):
            raise urllib.error.URLError("redirected to an unsafe place")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@cache
def _opener(certificates: tuple[str, ...]) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()  # honours SSL_CERT_FILE and SSL_CERT_DIR
    for name in certificates:
        try:
            context.load_verify_locations(name)
        except OSError as error:
            raise ConfigError(
                f"the certificate file {name} cannot be read", hint="it must hold PEM certificates"
            ) from error
    return urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context), _HttpsStaysHttps()
    )


def _timeout_s() -> float:
    text = os.environ.get("VTOOL_TIMEOUT_S", "")
    try:
        return float(text) if text else _TIMEOUT_S
    except ValueError as error:
        raise ConfigError(
            f"VTOOL_TIMEOUT_S is {text!r}", hint="give seconds, or leave it unset"
        ) from error


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
